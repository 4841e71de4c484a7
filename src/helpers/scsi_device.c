// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/blkdev.h>
#include <linux/major.h>
#include <scsi/scsi_device.h>

/*
 * Whether the disk is SCSI's and was set offline, by hand or by its transport. Nobody but sd has these
 * majors; it holds the SCSI device, the parent of its disk, until it frees the disk. No function of the SCSI
 * layer is called, which need not be there.
 */
bool md_multipath_helper_scsi_disk_is_offline(struct gendisk *disk)
{
	enum scsi_device_state state;

	switch (disk->major) {
	case SCSI_DISK0_MAJOR:
	case SCSI_DISK1_MAJOR ... SCSI_DISK7_MAJOR:
	case SCSI_DISK8_MAJOR ... SCSI_DISK15_MAJOR:
		state = READ_ONCE(to_scsi_device(disk_to_dev(disk)->parent)->sdev_state);
		return state == SDEV_OFFLINE || state == SDEV_TRANSPORT_OFFLINE;
	}
	return false;
}
