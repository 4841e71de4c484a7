#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For dracut: the module, and what starts multipath arrays. dracut's module mdraid brings mdadm and its
# configuration; rd.md, rd.auto and rd.md.uuid mean for these arrays what they mean for all.
# shellcheck disable=SC2154 # dracut's variables

# host_array: prints a multipath array that this host needs to boot.
host_array() {
	local dev holder level
	for dev in "${!host_fs_types[@]}"; do
		[[ ${host_fs_types[$dev]} == *_raid_member ]] || continue
		for holder in "$(get_devpath_block "$dev")"/holders/*; do
			level=''
			[[ ! -e $holder/md/level ]] || read -r level <"$holder/md/level"
			[[ $level != multipath ]] || {
				printf '%s' "${holder##*/}"
				return
			}
		done
	done
	return 1
}

# ignored ARRAY: mdadm.conf says that it is not to start any more, as before the module is removed.
ignored() {
	local uuid
	uuid=$(mdadm --detail --export "/dev/$1" | sed -n 's/^MD_UUID=//p')
	grep -Eqsi "^ARRAY[[:space:]]+<ignore>.*UUID=${uuid:-unknown}" /etc/mdadm/mdadm.conf /etc/mdadm.conf
}

check() {
	require_binaries mdadm flock || return 1
	[[ $hostonly ]] || [[ $mount_needs ]] || return 0
	host_array >/dev/null || return 255
}

depends() {
	echo mdraid
}

installkernel() {
	local array
	hostonly='' instmods -c -s md_multipath && return
	if array=$(host_array) && ! ignored "$array"; then
		dfatal "$kernel has no module md_multipath, and this system is on the multipath array $array:" \
			"this kernel would not find it. Build the module for it, or remove the kernel. Until one of the two is done," \
			"do not reboot, nor run update-grub: that would make this kernel, without an initramfs, the one that is booted"
		return 1
	fi
	dwarn "$kernel has no module md_multipath: multipath arrays will not start with it"
}

install() {
	inst_multiple flock sleep partx
	inst_script /usr/lib/udev/md-multipath-path /usr/lib/udev/md-multipath-path
	inst_rules 62-md-multipath.rules
	inst_hook pre-trigger 31 "$moddir/only.sh"
}
