#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
#
# The udev rule of boot/ in a running system, on disks and on partitions: the first path starts the array,
# others join it, all paths may go at once and come back. Needs md core with patches/.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 22

here=$(cd -- "${BASH_SOURCE[0]%/*}" && pwd)
uninstall() {
	local status=$?
	set +Ee
	rm -f /usr/lib/udev/md-multipath-path /usr/lib/udev/rules.d/62-md-multipath.rules
	udevadm control --reload
	rm -f /etc/mdadm/mdadm.conf
	[ ! -e "$work/mdadm.conf" ] || cp "$work/mdadm.conf" /etc/mdadm/
	return $status
}
[ ! -e /etc/mdadm/mdadm.conf ] || cp /etc/mdadm/mdadm.conf "$work/"
trap 'uninstall; on_exit' EXIT
install -m 755 "$here/../../boot/md-multipath-path" /usr/lib/udev/
install -m 644 "$here/../../boot/62-md-multipath.rules" /usr/lib/udev/rules.d/
udevadm control --reload
pattern "$work/data" 64
hosts=("$(scsi_host /dev/path0)" "$(scsi_host /dev/path1)")

# leave N...: the disk behind adapter N goes. Udev may be reading the array then, which waits for a path too.
leave() {
	local n
	for n; do scsi_delete "/dev/path$n"; done
	for n; do wait_for absent "/dev/path$n"; done
}
# back N...
back() {
	local n
	for n; do
		scsi_rescan "${hosts[n]}"
		wait_for present "/dev/path$n"
	done
	settle
}
# array: sets `md` to the array that runs.
array() {
	local line
	line=$(grep -m 1 '^md.* : active.* multipath ' /proc/mdstat) && name=${line%% *}
	[ -b "/dev/$name" ] && md=/dev/$name
}
shows() {
	wait_for array
	wait_state "$name" "$1"
}
is_up() {
	shows "$1"
	holds "$work/data" "$md" 0
}
setting() {
	wait_for array
	echo "$2" >"/sys/block/$name/md/$1"
}

# --- each way -------------------------------------------------------------------------------------

# make METADATA DEV...: an array with data, stopped.
make() {
	mdadm --quiet --create /dev/md0 --run --level=multipath --metadata="$1" --raid-devices=2 --name=rule \
		--homehost=any "${@:2}" || return
	all_up 2
	write_at /dev/md0 0 64 "$work/data"
	stop /dev/md0
}
first() {
	back 0
	is_up '[2/1] [U_]'
}
second() {
	back 1
	is_up '[2/2] [UU]'
}
one_leaves() {
	leave 1
	goes_on "$md"
	is_up '[2/1] [U_]'
	second
}
# A write that finds no path waits for one.
all_leave() {
	local writer
	pattern "$work/parked" 1
	setting no_path_timeout_ms 600000
	leave 0 1
	dd if="$work/parked" of="$md" bs=4k seek=2000 oflag=direct conv=notrunc status=none &
	writer=$!
	wait_for parked "$name"
	back 1
	wait "$writer"
	back 0
	is_up '[2/2] [UU]'
	setting no_path_timeout_ms 0
	holds "$work/parked" "$md" 2000
}
unused() {
	leave 0 1
	back 1 0
	is_up '[2/2] [UU]'
}
# The rule starts no array that somebody has stopped, until the device comes anew.
stopped() {
	wait_for array
	stop "$md"
	udevadm trigger --action=change --subsystem-match=block
	settle
	not array
}

play() {
	local what=$1 metadata=$2
	shift 2
	claim "$what: made" make "$metadata" "$@"
	leave 0 1
	claim "$what: the first path starts it" first
	claim "$what: the second joins it" second
	array
	io_begin "${what//[^a-z]/}" "$md"
	claim "$what: a path goes and comes back, under I/O" one_leaves
	io_end
	claim "$what: … none of which failed" io_clean "${what//[^a-z]/}"
	claim "$what: all go and come back, and a write has waited for it" all_leave
	claim "$what: all go and come back while it is not used" unused
	claim "$what: once stopped, it stays so" stopped
}

play "disks, 1.2" 1.2 /dev/path0 /dev/path1
blkdiscard --force /dev/path0
parted --script /dev/path0 mklabel gpt mkpart a 1MiB 257MiB
blockdev --rereadpt /dev/path1
wait_for present /dev/path0p1 /dev/path1p1
play "partitions, 0.90" 0.90 /dev/path0p1 /dev/path1p1

# --- partitions of the array ----------------------------------------------------------------------

# Where the superblock is behind the data, the kernel finds them on each path, too. partitions N: those of a path.
partitions() {
	ls -d "/sys/class/block/$(kname "/dev/path$1")"/*/partition
}
only_there() {
	back 0
	wait_for array
	wait_for not partitions 0
	back 1
	wait_state "$name" '[2/2] [UU]'
	wait_for not partitions 1
	wait_for present "/dev/${name}p1"
}
blkdiscard --force /dev/path0
blockdev --rereadpt /dev/path0 /dev/path1
mdadm --quiet --create /dev/md0 --run --level=multipath --metadata=1.0 --raid-devices=2 --homehost=any /dev/path0 /dev/path1
parted --script /dev/md0 mklabel gpt mkpart a 1MiB 257MiB
settle
stop /dev/md0
leave 0 1
claim "disks, 1.0: a partition of the array is none of a path that joins" only_there
array
stop "$md"

# --- what cannot be read --------------------------------------------------------------------------

# Such a change, and then the device goes: what it was is still known.
members() {
	ls -d "/sys/block/$name/md"/dev-*
}
not_read() {
	not eval 'udevadm info --query=property /dev/path1 | grep "^ID_FS_TYPE=" >/dev/null'
}
unread() {
	leave 0 1
	back 0 1
	shows '[2/2] [UU]'
	scsi_state /dev/path1 offline
	udevadm trigger --action=change "/dev/$(kname /dev/path1)"
	settle
	not_read
	leave 1
	wait_for eval '[ "$(members | wc -l)" -eq 1 ]'
	back 1
	shows '[2/2] [UU]'
	stop "$md"
}
claim "a path that could not be read any more leaves when its device goes" unread

# The path is what udev calls /dev/etherd/e0.0, and sysfs etherd!e0.0; this sysfs is no real one.
slash() {
	unshare --mount bash -euc '
		mount -t tmpfs tmpfs /sys
		md=/sys/block/md9/md
		mkdir -p "/sys/class/block/etherd!e0.0" "$md/dev-etherd!e0.0" "$md/rd0"
		echo 152:0 >"/sys/class/block/etherd!e0.0/dev"
		echo multipath >"$md/level"
		echo 8a4fb1c2-5d3e-6f70-1b2c-3d4e9f8e7d6c >"$md/uuid"
		echo 2 >"$md/raid_disks"
		echo clean >"$md/array_state"
		echo 1 >"$md/dev-etherd!e0.0/slot"
		/usr/lib/udev/md-multipath-path join /dev/etherd/e0.0 8a4fb1c2:5d3e6f70:1b2c3d4e:9f8e7d6c
		[ "$(cat "$md/new_dev")" = 152:0 ]'
	log_has '^md-multipath-path: etherd!e0\.0 has joined md9, slot 1$'
}
claim "a path whose name has a slash joins an array" slash

# --- what mdadm.conf allows -----------------------------------------------------------------------

mdadm_conf() {
	mkdir -p /etc/mdadm
	printf '%s\n' "$@" >/etc/mdadm/mdadm.conf
}
not_allowed() {
	mdadm_conf 'AUTO -all'
	leave 0 1
	back 0 1
	not array
	log_has '^md-multipath-path: mdadm starts no array with sd[a-z]*: .* auto-assembly is disabled'
}
claim "an array that mdadm.conf does not allow is not started, and the log says why" not_allowed

# hooks: what mdadm's and this project's put into an initramfs, below $initramfs, and say.
initramfs=$work/initramfs
hooks() {
	local hook
	rm -rf "$initramfs"
	mkdir -p "$initramfs/conf"
	for hook in /usr/share/initramfs-tools/hooks/mdadm "$here/../../boot/initramfs-tools-hook"; do
		DESTDIR=$initramfs verbose=n version=$(uname -r) __MODULES_TO_ADD=$work/modules "$hook"
	done 2>&1
}
replaced() {
	local said
	mdadm_conf 'AUTO +homehost -all'
	said=$(hooks)
	printf '%s\n' "$said"
	grep '^ARRAY ' "$initramfs/etc/mdadm/mdadm.conf"
	[[ $said == *"W:     AUTO +homehost -all"* ]]
}
claim "an initramfs that does not get what mdadm.conf allows is warned of" replaced
kept() {
	local said
	mdadm_conf 'AUTO +homehost -all' 'ARRAY <ignore> UUID=00000000:00000000:00000000:00000000'
	said=$(hooks)
	cmp /etc/mdadm/mdadm.conf "$initramfs/etc/mdadm/mdadm.conf"
	equal '' "$said"
	mdadm_conf 'ARRAY <ignore> UUID=00000000:00000000:00000000:00000000'
	leave 0 1
	back 0 1
	shows '[2/2] [UU]'
	stop "$md"
}
claim "… with a line ARRAY that stands for none it gets it" kept
