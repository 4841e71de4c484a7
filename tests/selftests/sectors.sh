#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 120
#
# Sectors of 512 and of 4096 bytes.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 13

limit() {
	equal "$2" "$(<"/sys/block/md0/queue/$1")"
}

for size in 512 4096; do
	scsi_debug "sector_size=$size" physblk_exp=$((size == 512 ? 3 : 0))
	build $md "${debug[0]}" "${debug[1]}"
	claim "$size: the array has the logical sectors of its paths" limit logical_block_size "$size"
	claim "$size: … and the physical ones" limit physical_block_size 4096
	claim "$size: … and their size" equal "$(sectors "${debug[0]}")" "$(sectors $md)"
	head -c $((size * 5)) /dev/urandom >"$work/data"
	each_sector() {
		dd if="$work/data" of=$md "bs=$size" seek=1001 oflag=direct conv=notrunc status=none
		dd if=$md "bs=$size" skip=1001 count=5 iflag=direct status=none | cmp - "$work/data"
		dd if="${debug[1]}" "bs=$size" skip=1001 count=5 iflag=direct status=none | cmp - "$work/data"
	}
	claim "$size: sectors are written and read where they should be" each_sector
	fails_over() {
		mdadm --quiet $md --fail "${debug[0]}"
		wait_state '[2/1] [_U]'
		dd if=$md "bs=$size" skip=1001 count=5 iflag=direct status=none | cmp - "$work/data"
		remove $md "${debug[0]}"
		readd $md "${debug[0]}"
		all_up 2
	}
	claim "$size: a path fails and comes back" fails_over
	verified() {
		fio --name=verify --filename=$md --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs="$size" \
			--size=8M --io_size=1M --verify=crc32c --verify_state_save=0 --do_verify=1 \
			--output="$work/verify.log" || {
			cat "$work/verify.log"
			return 1
		}
	}
	claim "$size: fio: random writes, verified" verified
	if [ "$size" = 4096 ]; then
		claim "4096: half a sector is refused" refused 'Invalid argument' \
			dd if=$md of=/dev/null bs=512 count=1 iflag=direct status=none
	fi
	stop $md
	rmmod scsi_debug
done
