#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# Several arrays at once, over partitions of the same two paths; partitions of an array.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 14

# --- four partitions, an array over each ---

parted --script /dev/path0 mklabel gpt \
	mkpart a 1MiB 201MiB mkpart b 201MiB 401MiB mkpart c 401MiB 601MiB mkpart d 601MiB 801MiB
blockdev --rereadpt /dev/path1
settle
wait_for present /dev/path{0,1}p{1..4}

for i in {1..4}; do
	build "/dev/md$i" "/dev/path0p$i" "/dev/path1p$i"
	pattern "$work/data$i" 64
	write_at "/dev/md$i" 0 64 "$work/data$i"
done

partition_line() {
	mdstat_is md1 "md1 : active multipath $(kname /dev/path1)1[1] $(kname /dev/path0)1[0]" \
		"      204800 blocks super non-persistent [2/2] [UU]"
}
claim "an array over partitions has the size of one, and names them" partition_line
each() {
	local i
	for i in {1..4}; do "$@" "$i"; done
}
own() {
	holds "$work/data$1" /dev/md"$1" 0
	holds "$work/data$1" /dev/path0p"$1" 0
	holds "$work/data$1" /dev/path1p"$1" 0
}
claim "four arrays at once: each has its own data" each own
places() {
	# Partition 2 starts at 201 MiB of the disk.
	holds "$work/data2" /dev/path1 $((201 * 256))
	holds "$work/data4" /dev/path0 $((601 * 256))
}
claim "… where the partitions are" places
claim "the module is in use once for each" equal 4 "$(module_uses)"

for i in {1..4}; do io_begin "array$i" "/dev/md$i"; done
scsi_state /dev/path0 offline
failed() { wait_state md"$1" '[2/1] [_U]'; }
claim "a path dies: every array fails its own, [2/1] [_U]" each failed
advances() { goes_on /dev/md"$1"; }
claim "… and I/O goes on on all of them" each advances
scsi_state /dev/path0 running
for i in {1..4}; do
	remove "/dev/md$i" "/dev/path0p$i"
	readd "/dev/md$i" "/dev/path0p$i"
done
back() { all_up 2 md"$1"; }
claim "the path comes back: all arrays [2/2] [UU]" each back
claim "… and I/O goes on on all of them, again" each advances
io_end
clean() { io_clean array"$1"; }
claim "no I/O saw an error, and all data are right" each clean
claim "what was written before reads back" each own

# Each array has a state of its own.
mdadm --quiet /dev/md2 --fail /dev/path1p2
alone() {
	wait_state md2 '[2/1] [U_]'
	state_is md1 '[2/2] [UU]'
	state_is md3 '[2/2] [UU]'
	state_is md4 '[2/2] [UU]'
}
claim "a path of one array fails: the others are as they were" alone
stop /dev/md2
others() {
	own 1
	own 3
	own 4
}
claim "one array stops: the others go on" others
for i in 1 3 4; do stop "/dev/md$i"; done
parted --script /dev/path0 rm 1 rm 2 rm 3 rm 4
blockdev --rereadpt /dev/path1

# --- partitions of an array ---

build $md /dev/path0 /dev/path1
parted --script $md mklabel gpt mkpart one 1MiB 65MiB mkpart two 65MiB 129MiB
settle
partitioned() {
	wait_for present /dev/md0p1 /dev/md0p2
	write_at /dev/md0p2 0 64 "$work/data1"
	holds "$work/data1" /dev/md0p2 0
	holds "$work/data1" $md $((65 * 256))
	holds "$work/data1" /dev/path1 $((65 * 256))
}
claim "partitions of an array" partitioned
survives() {
	mdadm --quiet $md --fail /dev/path0
	holds "$work/data1" /dev/md0p2 0
}
claim "… after a path has failed" survives
parted --script $md rm 1 rm 2
stop $md
