#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 180
#
# The module is loaded by all its names, unloaded any number of times, and never under an array.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 15

loaded() {
	[ -e /sys/module/md_multipath ]
}
unload() {
	! loaded || rmmod md_multipath
}

for alias in md-level--4 md-multipath multipath md-personality-7; do
	unload
	by_name() {
		modprobe "$alias"
		loaded
	}
	claim "modprobe $alias loads it" by_name
done
unload
not_known() {
	local line
	read -r line </proc/mdstat
	echo "$line"
	[[ $line != *multipath* ]]
}
claim "unloaded, it is not in the list of personalities" not_known
asked_for() {
	build $md /dev/path0 /dev/path1
	loaded
	all_up 2
}
claim "md loads it when an array is built" asked_for
claim "rmmod while an array runs is refused" refused 'in use' rmmod md_multipath
pattern "$work/data" 16
goes_on_anyway() {
	write_at $md 0 16 "$work/data"
	holds "$work/data" /dev/path1 0
	state_is '[2/2] [UU]'
}
claim "… and the array goes on" goes_on_anyway
mdadm --quiet $md --fail /dev/path0
claim "rmmod while a degraded array runs is refused" refused 'in use' rmmod md_multipath
stop $md
claim "after stop it is in use no more" wait_for eval '[ "$(module_uses)" = 0 ]'
claim "… and unloads" rmmod md_multipath

fifty_times() {
	local _
	for _ in {1..50}; do
		modprobe md_multipath
		rmmod md_multipath
	done
}
claim "it loads and unloads 50 times" fifty_times
with_array() {
	local _
	for _ in {1..5}; do
		build $md /dev/path0 /dev/path1
		holds "$work/data" $md 0
		stop $md
		wait_for rmmod md_multipath
	done
}
claim "… and five times with an array in between" with_array
modprobe md_multipath
information() {
	modinfo -F license md_multipath | grep -x GPL >/dev/null
	modinfo -F description md_multipath | grep multipath >/dev/null
	[ "$(modinfo -F depends md_multipath)" = md-mod ]
}
claim "modinfo: licence, description, and that md is all it depends on" information
unknown() {
	unload
	modprobe md_multipath nonsense=1
	log_has "md_multipath: unknown parameter 'nonsense' ignored"
}
claim "an unknown parameter is ignored, and the kernel says so" unknown
