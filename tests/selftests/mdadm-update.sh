#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 600
#
# The superblock is written while paths, or the sectors it is in, fail. Needs md core with patches/.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 12

pattern "$work/data" 16

# begin METADATA: an array over two devices that can be broken.
begin() {
	dm_over sb0 /dev/path0
	dm_over sb1 /dev/path1
	create $md "$1" /dev/mapper/sb0 /dev/mapper/sb1
	all_up 2
	write_at $md 0 16 "$work/data"
	# The path that the superblock is written through first.
	first=$(mdstat | sed -n 's/^md0 : active multipath \(dm-[0-9]*\)\[.*/\1/p')
	case $(kname /dev/mapper/sb0) in
	"$first") first=sb0 ;;
	*) first=sb1 ;;
	esac
	# It would find out by itself that a path is broken.
	settle
	udev_off
}
end() {
	udev_on
	stop $md
	dm_remove sb0 sb1
	blkdiscard --force /dev/path0
}

# Something that is to be written to the superblock, without a path that fails.
change() {
	slots 3
}
said() {
	mdadm --examine "$1" >"$work/examine" && grep ' - correct' "$work/examine" &&
		equal "$2" "$(sed -n 's/^ *Raid Devices : //p' "$work/examine")"
}

# Only the first path's writes to the superblock fail, flushes as well.
one_path() {
	mark_log
	dm_break_all "$first" "/dev/path${first#sb}"
	change
	wait_for said "/dev/path0" 3
	wait_for eval '[[ $(state) =~ ^\[3/1\]\ \[(_U_|U__)\]$ ]]'
	log_has "cannot write the superblock through"
	log_lacks "superblock is not written"
	holds "$work/data" $md 0
	dm_mend "$first" "/dev/path${first#sb}"
	remove $md "/dev/mapper/$first"
	mdadm --quiet $md --add "/dev/mapper/$first"
	wait_for eval '[[ $(state) == "[3/2] "* ]]'
}
healthy() {
	stop $md
	mdadm --quiet --assemble --run $md /dev/mapper/sb0 /dev/mapper/sb1
	holds "$work/data" $md 0
	[[ $(state) == "[3/2] "* ]]
}

# The sectors of the superblock are bad, on both paths; the rest of the disk is not.
bad_sectors() {
	local name length end
	length=$(sectors /dev/path0)
	end=$((length - $1 - 8))
	for name in sb0 sb1; do
		dm_change $name "0 $1 linear /dev/path${name#sb} 0
$1 8 error
$(($1 + 8)) $end linear /dev/path${name#sb} $(($1 + 8))"
	done
}
bad_disk() {
	mark_log
	bad_sectors "$1"
	change
	wait_for log_has "superblock is not written"
	equal 2 "$(log_count "cannot write the superblock through")"
	wait_state '[3/2] [UU_]'
	holds "$work/data" $md 0
	write_at $md 100 16 "$work/data"
}
mended() {
	dm_mend sb0 /dev/path0
	dm_mend sb1 /dev/path1
	slots 4
	wait_for said /dev/path0 4
	wait_state '[4/2] [UU__]'
	holds "$work/data" $md 100
}

for meta in 1.2 0.90; do
	if [ $meta = 1.2 ]; then sector=8; else sector=$((($(sectors /dev/path0) & ~127) - 128)); fi
	begin $meta
	claim "$meta: one path cannot write it: written through the other, and the first is failed" one_path
	claim "$meta: the array is assembled from it" healthy
	end
	begin $meta
	claim "$meta: no path can write it: both stay, and I/O goes on" bad_disk $sector
	claim "$meta: it can be written again: it is" mended
	end
done

# Written once, not once for each path.
once() {
	local zero one
	zero=$(stat_field /dev/path0 5)
	one=$(stat_field /dev/path1 5)
	change
	wait_for said /dev/path0 3
	zero=$(($(stat_field /dev/path0 5) - zero))
	one=$(($(stat_field /dev/path1 5) - one))
	echo "writes: $zero and $one"
	[ "$zero" -eq 0 ] || [ "$one" -eq 0 ]
	[ $((zero + one)) -gt 0 ]
}
for meta in 1.2 1.1 1.0 0.90; do
	create $md $meta /dev/path0 /dev/path1
	all_up 2
	settle
	claim "$meta: it is written through one path" once
	stop $md
	blkdiscard --force /dev/path0
done
