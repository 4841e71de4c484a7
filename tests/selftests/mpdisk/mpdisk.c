// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disks that answer every I/O as they are told to, with any status the block layer has: mpdisk0,
 * mpdisk1, … They keep no data; all reads are of zeroes.
 *
 * Each parameter below is a list with the number of a block status (BLK_STS_*) for each disk, and can be
 * changed at any time. Unlike the block layer's own error injection this reaches flushes, which carry no
 * sector, and answers from an interrupt where `late` says so.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/spinlock.h>

#define MOST 8

static unsigned int disks = 2;
module_param(disks, uint, 0444);
MODULE_PARM_DESC(disks, "how many disks there are, 1 to 8");

static unsigned int megabytes = 16;
module_param(megabytes, uint, 0444);
MODULE_PARM_DESC(megabytes, "the size of each");

static bool late;
module_param(late, bool, 0644);
MODULE_PARM_DESC(late, "answer from an interrupt");

static bool hasty;
module_param(hasty, bool, 0644);
MODULE_PARM_DESC(hasty, "all goes well with what is not told to fail fast");

/* As if the block layer had merged them with others that were told so. */
static unsigned int merged;
module_param(merged, uint, 0644);
MODULE_PARM_DESC(merged, "with hasty: so many flushes and FUA writes not told so fare as if they were");

#define ANSWER(op)				\
	static u8 op[MOST];			\
	module_param_array(op, byte, NULL, 0644)

ANSWER(read);
ANSWER(write);
ANSWER(discard);
ANSWER(erase);
ANSWER(zeroes);
ANSWER(flush);

struct mpdisk {
	struct gendisk *gd;
	unsigned int index;
	spinlock_t lock;	/* of `waiting` */
	struct bio_list waiting;
	struct irq_work work;
};

static struct mpdisk all[MOST];

/* One is sent at a time where this counts. */
static bool is_merged(struct bio *bio)
{
	unsigned int left = READ_ONCE(merged);

	if (!(bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)) || !left)
		return false;
	WRITE_ONCE(merged, left - 1);
	return true;
}

static blk_status_t answer(struct bio *bio, unsigned int index)
{
	u8 status;

	if (READ_ONCE(hasty) && !(bio->bi_opf & REQ_FAILFAST_MASK) && !is_merged(bio))
		return BLK_STS_OK;
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		status = READ_ONCE(read[index]);
		break;
	case REQ_OP_DISCARD:
		status = READ_ONCE(discard[index]);
		break;
	case REQ_OP_SECURE_ERASE:
		status = READ_ONCE(erase[index]);
		break;
	case REQ_OP_WRITE_ZEROES:
		status = READ_ONCE(zeroes[index]);
		break;
	default:
		if (bio_has_data(bio))
			status = READ_ONCE(write[index]);
		else
			status = READ_ONCE(flush[index]);
	}
	return (__force blk_status_t)status;
}

static void end_waiting(struct irq_work *work)
{
	struct mpdisk *disk = container_of(work, struct mpdisk, work);
	struct bio_list list;
	struct bio *bio;
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	list = disk->waiting;
	bio_list_init(&disk->waiting);
	spin_unlock_irqrestore(&disk->lock, flags);
	while ((bio = bio_list_pop(&list)))
		bio_endio(bio);
}

static void mpdisk_submit_bio(struct bio *bio)
{
	struct mpdisk *disk = bio->bi_bdev->bd_disk->private_data;
	unsigned long flags;

	bio->bi_status = answer(bio, disk->index);
	if (!bio->bi_status && bio_op(bio) == REQ_OP_READ)
		zero_fill_bio(bio);
	if (!READ_ONCE(late)) {
		bio_endio(bio);
		return;
	}
	spin_lock_irqsave(&disk->lock, flags);
	bio_list_add(&disk->waiting, bio);
	spin_unlock_irqrestore(&disk->lock, flags);
	irq_work_queue(&disk->work);
}

static const struct block_device_operations mpdisk_ops = {
	.owner = THIS_MODULE,
	.submit_bio = mpdisk_submit_bio,
};

static void remove(struct mpdisk *disk)
{
	del_gendisk(disk->gd);
	irq_work_sync(&disk->work);
	put_disk(disk->gd);
}

static int add(struct mpdisk *disk, unsigned int index)
{
	struct queue_limits limits = {
		.max_hw_discard_sectors = UINT_MAX,
		.max_discard_segments = 1,
		.discard_granularity = SECTOR_SIZE,
		.max_write_zeroes_sectors = UINT_MAX,
		.max_secure_erase_sectors = UINT_MAX,
		.features = BLK_FEAT_NOWAIT | BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};
	int error;

	disk->index = index;
	spin_lock_init(&disk->lock);
	bio_list_init(&disk->waiting);
	init_irq_work(&disk->work, end_waiting);
	disk->gd = blk_alloc_disk(&limits, NUMA_NO_NODE);
	if (IS_ERR(disk->gd))
		return PTR_ERR(disk->gd);
	disk->gd->fops = &mpdisk_ops;
	disk->gd->private_data = disk;
	snprintf(disk->gd->disk_name, sizeof(disk->gd->disk_name), "mpdisk%u", index);
	set_capacity(disk->gd, (sector_t)megabytes << (20 - SECTOR_SHIFT));
	error = add_disk(disk->gd);
	if (error)
		put_disk(disk->gd);
	return error;
}

static int __init mpdisk_init(void)
{
	unsigned int i;
	int error;

	if (disks < 1 || disks > MOST)
		return -EINVAL;
	for (i = 0; i < disks; i++) {
		error = add(&all[i], i);
		if (error) {
			while (i--)
				remove(&all[i]);
			return error;
		}
	}
	return 0;
}
module_init(mpdisk_init);

static void __exit mpdisk_exit(void)
{
	unsigned int i;

	for (i = 0; i < disks; i++)
		remove(&all[i]);
}
module_exit(mpdisk_exit);

MODULE_DESCRIPTION("disks that answer as they are told");
MODULE_LICENSE("GPL");
