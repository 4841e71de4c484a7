#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 360
#
# What mdadm's own tests do with this level: two loop devices over one file, an array made with mdadm's
# defaults, `modprobe multipath`. Then mdadm's monitor. Needs md core with patches/.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 15

modprobe loop
truncate -s 64M "$work/disk"
loop0=$(losetup --find --show "$work/disk")
loop1=$(losetup --find --show "$work/disk")

alias_loads() {
	rmmod md_multipath
	modprobe multipath
	[ -e /sys/module/md_multipath ]
}
claim "modprobe multipath loads the module" alias_loads

defaults() {
	mdadm --create --run $md --level multipath --raid-devices 2 "$loop0" "$loop1"
	state_is '[2/2] [UU]'
	mdadm --detail $md | grep 'Version : 1.2'
}
# A file system can be made, is sound, and is of the array's size.
usable() {
	mkfs.ext3 -q -F $md
	fsck.ext3 -f -n $md
}
readable() {
	dd if=$md of=/dev/null bs=64k iflag=direct status=none
	fsck.ext3 -f -n $md
}
out() {
	mdadm $md --fail "$1"
	[[ $(state) == '[2/1] '* ]]
}
leave() {
	remove $md "$1"
	[[ $(state) == '[2/1] '* ]]
}
back() {
	mdadm $md --add "$1"
	all_up 2
}
claim "created with the defaults" defaults
claim "a file system can be made, and is sound" usable
claim "the first path is failed" out "$loop0"
claim "the file system can be read, and made anew" eval 'readable; usable'
claim "the failed path is removed" leave "$loop0"
claim "the failed path is added" back "$loop0"
claim "the file system can be read, and made anew, again" eval 'readable; usable'
claim "the second path is failed and removed" eval 'out "$loop1"; leave "$loop1"'
claim "the file system can be read, and made anew, once more" eval 'readable; usable'
claim "the second path is added" back "$loop1"

# --- mdadm --monitor ---

watch() {
	mdadm --monitor --delay=1 --program=/bin/echo $md >"$work/monitor" 2>&1 &
	monitor=$!
}
watch
# It has looked once, and waits for a change: what happens before that it does not tell.
watching() {
	grep -E 'poll|select' "/proc/$monitor/wchan"
}
# event NAME [DEV]: what the monitor has said.
event() {
	if ! grep -E "^$1 /dev/md0${2:+ +$2}\$" "$work/monitor"; then
		cat "$work/monitor"
		return 1
	fi
}
fail_event() {
	mdadm --quiet $md --fail "$loop0"
	wait_for event Fail "$loop0"
}
spare_event() {
	remove $md "$loop0"
	mdadm --quiet $md --add "$loop0"
	all_up 2
	wait_for event SpareActive "$loop0"
}
degraded_event() {
	mdadm --quiet $md --fail "$loop1"
	mdadm --monitor --oneshot --program=/bin/echo $md >"$work/oneshot" 2>&1 || cat "$work/oneshot"
	grep 'DegradedArray /dev/md0' "$work/oneshot"
}
wait_for watching >"$work/wait"
claim "--monitor: Fail, when a path fails" fail_event
claim "--monitor: SpareActive, when a path is back" spare_event
claim "--monitor --oneshot: DegradedArray, while a path is missing" degraded_event
gone() {
	grep -E '^DeviceDisappeared|stopping' "$work/monitor"
}
# An array that mdadm 4.2 can still open, but no longer finds in /proc/mdstat, it forgets without a word.
gone_event() {
	local i
	for i in {1..5}; do
		stop $md
		wait_for gone
		! event DeviceDisappeared || return 0
		mdadm --quiet --assemble --run $md "$loop0" "$loop1"
		watch
		wait_for watching
	done
	return 1
}
claim "--monitor: DeviceDisappeared, when the array is stopped" gone_event
# It may have ended with the array.
kill "$monitor" 2>/dev/null || :
