#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none --mem 1G
# timeout: 420
#
# Power cuts: dm-log-writes under both paths records what reached the disk while paths fail, and while a flush is
# in flight on a path that fails. After a cut at any flush and any write with FUA the file system is clean, and has
# all that was fsynced before. POINTS in the environment says how many cuts of each phase are looked at, beside
# those right behind a flush that fails, or `all`.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 12

points=${POINTS:-8} turns=6 flushes=3
tracing=/sys/kernel/tracing events=/sys/kernel/tracing/events/md_multipath
disks=(cutdata cutdisk cutcow)
program=${BASH_SOURCE[0]%/*}/powercut.py

# begin PHASE: a mark in the log, and a line for those who wait.
begin() {
	dmsetup message logged 0 mark "begin:$1"
	printf '<6>powercut: the phase %s is recorded\n' "$1" >/dev/kmsg
}
# stuck: something is in flight, and nothing comes back.
stuck() {
	local before
	before=$(ios $md)
	busy $md && { read -r -t 0.3 -u "$never" || [ "$(ios $md)" -eq "$before" ]; }
}
# back N: the path that failed is whole again, and in use.
back() {
	remove $md "/dev/mapper/p$1"
	readd $md "/dev/mapper/p$1"
	all_up 2
}

# Path N is device pN over sN over the one that is logged. A target that fails all I/O would answer flushes: what
# breaks a path here fails them.
paths_fail() {
	local turn n
	for ((turn = 0; turn < turns; turn++)); do
		n=$((turn % 2))
		goes_on $md
		case $((turn % 3)) in
		0)
			dm_break_all p$n /dev/mapper/s$n
			goes_on $md
			wait_for not state_is '[2/2] [UU]'
			dm_mend p$n /dev/mapper/s$n
			back $n
			;;
		1)
			dm_hang p$n
			wait_for stuck
			dm_unhang p$n
			;;
		2)
			mdadm --quiet $md --fail /dev/mapper/p$n
			goes_on $md
			back $n
			;;
		esac
	done
	kill -0 $worker
}

held() {
	[ "$(dmsetup status p0 | awk '{ print $NF }')" -gt 0 ]
}
trace() {
	echo "$1" | tee $events/md_multipath_error/enable >$events/md_multipath_map/enable
}
# failed_over: a flush, by itself or before data, failed on path 0 and then went down path 1 as what it is.
failed_over() {
	local flush
	flush=$(sed -En 's/^.* md_multipath_error: (md0 FW[A-Z]* [0-9]+ \+ [0-9]+) path 0 IOERR$/\1/p' $tracing/trace | head -n 1)
	[ -n "$flush" ] && grep -qxE ".* md_multipath_map: ${flush//+/\\+} path 1" $tracing/trace
}
# A flush is held on path 0, whose writes go on; then the path breaks, and then the flush gets to where it is broken.
flushes_fail() {
	local turn off
	echo first >/sys/block/md0/md/path_policy
	for ((turn = 0; turn < flushes; turn++)); do
		goes_on $md
		off="/dev/mapper/s0 0"
		dm_change p0 "0 $size delay $off 0 $off 0 $off 3600000"
		wait_for held
		dm_break_all s0 /dev/mapper/logged
		: >$tracing/trace
		trace 1
		dmsetup message logged 0 mark flush-fails
		dm_hang p0
		dm_unhang p0
		wait_for failed_over
		wait_state '[2/1] [_U]'
		trace 0
		goes_on $md
		dm_mend s0 /dev/mapper/logged
		dm_mend p0 /dev/mapper/s0
		back 0
	done
	kill -0 $worker
}

# records FILESYSTEM: what reached the disk is in cutlog, and cutdisk is as cutdata was when that began.
records() {
	null_disks "${disks[@]}" size=64 memory_backed=1
	null_disks cutlog size=1024 memory_backed=1
	# It warns of what is as small as this.
	"mkfs.$1" -q "${@:2}" /dev/cutdata 2>"$work/mkfs"
	dd if=/dev/cutdata of=/dev/cutdisk bs=1M conv=sparse,fsync status=none
	size=$(sectors /dev/cutdata)
	dm_make logged "0 $size log-writes /dev/cutdata /dev/cutlog"
	for n in 0 1; do
		dm_over s$n /dev/mapper/logged
		dm_over p$n /dev/mapper/s$n
	done
	settle
	udev_off
	build $md /dev/mapper/p0 /dev/mapper/p1
	echo round-robin >/sys/block/md0/md/path_policy
	mount -t "$1" $md "$mnt"
	python3 -I -S "$program" work "$mnt" logged >"$work/worker" 2>&1 &
	worker=$!
	begin paths
	claim "$1: fsyncs go on while paths fail, hang and return, $turns times" paths_fail
	begin flushes
	claim "$1: a flush in flight on a path that fails is done by the other, $flushes times" flushes_fail
	kill -TERM $worker
	status=0
	wait $worker || status=$?
	begin end
	all_recorded() {
		cat "$work/worker"
		equal 0 "$status"
		equal "" "$(dmsetup status logged | grep -o logging_disabled)"
	}
	claim "$1: none of them failed, and all that reached the disk is recorded" all_recorded
	umount "$mnt"
	stop $md
	dm_remove p0 p1 s0 s1 logged
}

# right PHASE: nothing was found wrong after any cut, and there was something to find.
right() {
	local points looked promises problems
	cat "$work/replay.errors"
	read -r _ points looked promises problems < <(grep "^$1 " "$work/replay")
	echo "$points points, $looked looked at, $promises promises, found wrong: $problems"
	[ "$looked" -gt 0 ] && [ "$promises" -gt "$looked" ] && equal - "$problems"
}
# seen_missing: the file whose block was left out is what is wrong.
seen_missing() {
	local mark found
	read -r _ mark found < <(grep "^left-out " "$work/replay")
	echo "$mark: $found"
	[[ " $found " == *" $mark "* ]]
}
cuts() {
	local all looked promises
	read -r _ all looked promises _ < <(grep "^$1 " "$work/replay") || :
	printf '%s of %s power cuts (%s promises)' "${looked:-0}" "${all:-0}" "${promises:-0}"
}
# replays FILESYSTEM
replays() {
	mkdir -p "$mnt/cut"
	python3 -I -S "$program" replay /dev/cutlog /dev/cutdisk /dev/cutcow "$1" "$points" paths flushes >"$work/replay" \
		2>"$work/replay.errors" || :
	claim "$1: clean, and all that was fsynced is there, after $(cuts paths) while paths failed" right paths
	claim "$1: … and after $(cuts flushes) while flushes failed" right flushes
	claim "$1: a write that is left out is seen" seen_missing
	null_disks_gone "${disks[@]}" cutlog
	udev_on
}

records ext4 -E nodiscard,assume_storage_prezeroed=1
replays ext4
records xfs --unsupported -K
replays xfs
