// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/blkdev.h>

bool md_multipath_helper_bdev_is_zoned(struct block_device *bdev)
{
	return bdev_is_zoned(bdev);
}

unsigned int md_multipath_helper_bdev_logical_block_size(struct block_device *bdev)
{
	return bdev_logical_block_size(bdev);
}

unsigned int md_multipath_helper_bdev_max_discard_sectors(struct block_device *bdev)
{
	return bdev_max_discard_sectors(bdev);
}

int md_multipath_helper_bdev_name(struct block_device *bdev, char *buf, size_t len)
{
	return scnprintf(buf, len, "%pg", bdev);
}

bool md_multipath_helper_bdev_write_cache(struct block_device *bdev)
{
	return bdev_write_cache(bdev);
}

unsigned int md_multipath_helper_bdev_write_zeroes_sectors(struct block_device *bdev)
{
	return bdev_write_zeroes_sectors(bdev);
}

void md_multipath_helper_blk_queue_disable_discard(struct request_queue *q)
{
	blk_queue_disable_discard(q);
}

void md_multipath_helper_blk_queue_disable_write_zeroes(struct request_queue *q)
{
	blk_queue_disable_write_zeroes(q);
}

bool md_multipath_helper_disk_dead(struct gendisk *disk)
{
	return test_bit(GD_DEAD, &disk->state);
}

bool md_multipath_helper_disk_live(struct gendisk *disk)
{
	return disk_live(disk);
}

sector_t md_multipath_helper_get_capacity(struct gendisk *disk)
{
	return get_capacity(disk);
}
