# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What debian/rules puts into the packages' scripts. Debian's dracut, where that is installed, brings no
# update-initramfs; its trigger makes the newest kernel's initramfs only.

# initramfs_holds RELEASE REGEX: what its files are called.
initramfs_holds() {
	if command -v update-initramfs >/dev/null; then
		lsinitramfs "/boot/initrd.img-$1"
	else
		lsinitrd "/boot/initrd.img-$1"
	fi | grep -E "$2" >/dev/null
}

# initramfs_anew RELEASE
initramfs_anew() {
	if command -v update-initramfs >/dev/null; then
		update-initramfs -u -k "$1"
	else
		dracut --quiet --force "/boot/initrd.img-$1" "$1"
	fi
}

# with_initramfs: the releases of the kernels that have one, if there is something to make it.
with_initramfs() {
	command -v update-initramfs >/dev/null || command -v dracut >/dev/null || return 0
	for initramfs in /boot/initrd.img-*; do
		[ ! -d "/lib/modules/${initramfs#/boot/initrd.img-}" ] || echo "${initramfs#/boot/initrd.img-}"
	done
}
