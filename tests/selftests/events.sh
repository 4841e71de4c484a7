#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 180
#
# User space is told of each path that fails, leaves or enters, by an event of the array's disk.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 6

build $md /dev/path0 /dev/path1
a=$(kname /dev/path0)
b=$(kname /dev/path1)
settle

udevadm monitor --kernel --property --subsystem-match=block >"$work/events" 2>&1 &
monitor=$!
wait_for grep -q "KERNEL - the kernel uevent" "$work/events"

# told: the events about paths so far, one a line: event, path, slot, paths left, times.
told() {
	awk -F= '
		/^KERNEL/ { change = /change .*\/md0 \(block\)/ }
		change && $1 == "MD_MULTIPATH_EVENT" { event = $2 }
		change && $1 == "MD_MULTIPATH_PATH" { path = $2 }
		change && $1 == "MD_MULTIPATH_SLOT" { slot = $2 }
		change && $1 == "MD_MULTIPATH_PATHS_LEFT" { left = $2 }
		change && $1 == "MD_MULTIPATH_TIMES" { print event, path, slot, left, $2 }' "$work/events"
}
tells() {
	equal "$(printf '%s\n' "$@")" "$(told)"
}
wait_told() {
	wait_for tells "$@" >"$work/wait" || {
		cat "$work/wait" "$work/events"
		tells "$@"
	}
}

claim "nothing is told where nothing happens" equal "" "$(told)"
# md removes a failed path at once where nothing is in flight on it, so that both are one event's time.
fails() {
	mdadm --quiet $md --fail /dev/path0
	wait_for told_last PATH_REMOVED "$a" 0 1
}
# told_last EVENT PATH SLOT LEFT: the last event is this, and tells of itself and all before it that
# were not told.
told_last() {
	told | tail -n 1 | grep -Ex "$1 $2 $3 $4 [1-9]"
}
claim "a path fails and leaves: its name, its slot, and how many are left" fails
counted() {
	told
	equal 2 "$(told | awk '{ sum += $5 } END { print sum }')"
}
claim "no event is lost: the two are told, or one that stands for two" counted
enters() {
	remove $md /dev/path0
	readd $md /dev/path0
	all_up 2
	wait_for told_last "PATH_(ADDED|REINSTATED)" "$a" 0 2
}
claim "a path enters: its name, its slot, and how many there are" enters
by_error() {
	scsi_delete /dev/path1
	dd if=/dev/zero of=$md bs=4k count=1 oflag=direct status=none
	mdadm --quiet $md --fail detached || :
	wait_for told_last PATH_REMOVED "$b" 1 1
}
host=$(scsi_host /dev/path1)
claim "a device that is gone is told of as well" by_error
wait_for mdadm --quiet $md --remove failed
scsi_rescan "$host"
wait_for present /dev/path1
settle
many() {
	local i
	for i in {1..5}; do
		readd $md /dev/path1
		all_up 2
		mdadm --quiet $md --fail /dev/path1
		remove $md /dev/path1
	done
	wait_for told_last PATH_REMOVED ".*" 1 1
	# Each of the rounds has an entry, a failure and a removal.
	equal $((5 * 3 + 2 + 1 + 2)) "$(told | awk '{ sum += $5 } END { print sum }')"
}
claim "many in a row: each is told, or one that stands for it" many
kill "$monitor"
wait "$monitor" || :
stop $md
