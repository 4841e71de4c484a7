#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For dracut: the module, and what starts multipath arrays. dracut's module mdraid brings mdadm and its
# configuration; rd.md, rd.auto and rd.md.uuid mean for these arrays what they mean for all.
# shellcheck disable=SC2154 # dracut's variables

check() {
	local dev holder level
	require_binaries mdadm flock || return 1
	[[ $hostonly ]] || [[ $mount_needs ]] || return 0
	for dev in "${!host_fs_types[@]}"; do
		[[ ${host_fs_types[$dev]} == *_raid_member ]] || continue
		for holder in "$(get_devpath_block "$dev")"/holders/*; do
			level=''
			[[ ! -e $holder/md/level ]] || read -r level <"$holder/md/level"
			[[ $level != multipath ]] || return 0
		done
	done
	return 255
}

depends() {
	echo mdraid
}

installkernel() {
	hostonly='' instmods md_multipath
}

install() {
	inst_multiple flock sleep
	inst_script /usr/lib/udev/md-multipath-path /usr/lib/udev/md-multipath-path
	inst_rules 62-md-multipath.rules
	inst_hook pre-trigger 31 "$moddir/only.sh"
}
