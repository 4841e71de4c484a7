# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The devices that the scripts of this directory measure; sourced in the guest.

# lower_devices COUNT [ATTRIBUTE=VALUE]...: /dev/low0, /dev/low1, …: null_blks as those of bench/guest.
lower_devices() {
	local count=$1 number attribute
	shift
	modprobe null_blk nr_devices=0
	for ((number = 0; number < count; number++)); do
		mkdir "/sys/kernel/config/nullb/low$number"
		for attribute in size=1024 blocksize=512 queue_mode=2 irqmode=0 submit_queues=1 no_sched=1 max_sectors=2560 "$@" power=1; do
			echo "${attribute#*=}" >"/sys/kernel/config/nullb/low$number/${attribute%%=*}"
		done
		# Its timer would be part of whatever I/O it meets.
		echo 0 >"/sys/block/low$number/queue/wbt_lat_usec"
	done
}

# dm_over NAME TARGET DEV: a device as large as DEV.
dm_over() {
	dmsetup create "$1" --table "0 $(blockdev --getsz "$3") $2"
}

# udevd answers each close after a write by reading the device.
quiet() {
	udevadm settle
	udevadm control --exit
}
