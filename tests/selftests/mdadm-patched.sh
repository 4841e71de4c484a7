#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 4
# timeout: 1500
#
# What mdadm does with patches/mdadm, and does not without: --grow --raid-devices and --re-add, while I/O runs.
# Needs md core with patches/, and build/patched-mdadm of scripts/build-mdadm.
. "${BASH_SOURCE[0]%/*}/lib.sh"
PATH=$(readlink -f "${BASH_SOURCE[0]%/*}/../../build/patched-mdadm"):$PATH
selftest_begin $((1 + 2 * 14 + 2 * 5 + 7 + 5 + 6 + 2 + 1))

pattern "$work/data" 16

patched() {
	mdadm --version 2>&1 | grep -x 'mdadm - v[^ ]* - [^ ]* - multipath'
}
claim "it is the patched mdadm that is asked" patched

slots_are() {
	equal "$1" "$(</sys/block/md0/md/raid_disks)"
	equal "$1" "$(mdadm --detail $md | sed -n 's/^ *Raid Devices : //p')"
}
# The superblock knows, whichever path shows it.
saved() {
	wait_for eval "[ \"\$(mdadm --examine /dev/path0 | sed -n 's/^ *Raid Devices : //p')\" = $1 ]"
}
whole() {
	all_up 2
	goes_on $md
	holds "$work/data" $md 0
}
in_use() {
	wait_for eval "mdstat | grep -E '$(kname "$1")\\[[0-9]+\\]( |\$)'"
	goes_on "$1"
}
is_spare() {
	wait_for eval "mdstat | grep -E '$(kname "$1")\\[[0-9]+\\]\\(S\\)'"
}
one_left() {
	[[ $(state) == '[2/1] '* ]]
}
take_out() {
	mdadm --quiet $md --fail "$1"
	remove $md "$1"
	goes_on $md
}

create_other() {
	mdadm --quiet --create /dev/md1 --run --force --metadata="$1" --level=multipath --raid-devices=1 "$other"
	stop /dev/md1
}

# --- the number of slots ---

up() {
	mdadm --grow $md --raid-devices=3
	slots_are 3
	state_is '[3/2] [UU_]'
	mdadm --grow $md -n 4 --add /dev/path2
	slots_are 4
	wait_state '[4/3] [UUU_]'
	in_use /dev/path2
	[ -z "${1:-}" ] || saved 4
	holds "$work/data" $md 0
}
too_many() {
	refused "Cannot set number of devices for $md to $1: Invalid argument" mdadm --grow $md -n "$1"
	slots_are 4
	state_is '[4/3] [UUU_]'
	goes_on $md
}
too_few() {
	mark_log
	refused "$(kname /dev/path2) is in slot 2"$'\n''       Fail and remove it first.' mdadm --grow $md -n 2
	slots_are 4
	# What the kernel would say.
	log_lacks 'remove it first'
	state_is '[4/3] [UUU_]'
	goes_on $md
}
down() {
	take_out /dev/path2
	mdadm --grow $md -n 2
	slots_are 2
	state_is '[2/2] [UU]'
	[ -z "${1:-}" ] || saved 2
	whole
}
# Right after a change the kernel may be busy with spares.
over_and_over() {
	local i
	for ((i = 0; i < 10; i++)); do
		mdadm --quiet --grow $md -n $((3 + i * 7 % 11))
		mdadm --quiet --grow $md -n 2
	done
	whole
}
other_changes() {
	local change
	for change in --level=raid1 --layout=left-symmetric --chunk=64; do
		refused "only the number of devices and the size" mdadm --grow $md "$change"
	done
	refused "no change requested" eval "mdadm --grow $md -n 2; false"
	slots_are 2
	whole
}

# --- a path comes back ---

back() {
	local path
	for path in /dev/path0 /dev/path1; do
		take_out "$path"
		not in_array "$path"
		mdadm $md --re-add "$path" 2>&1 | grep -x "mdadm: re-added $path"
		whole
		in_use "$path"
	done
}
in_array() {
	mdstat | grep -E "$(kname "$1")\\["
}
found_again() {
	local host
	host=$(scsi_host /dev/path1)
	scsi_delete /dev/path1
	wait_for one_left
	wait_for mdadm --quiet $md --remove detached
	wait_for absent /dev/path1
	scsi_rescan "$host"
	wait_for present /dev/path1
	settle
	one_left
	mdadm --quiet $md --re-add /dev/path1
	whole
	in_use /dev/path1
}
# All that shows the superblock and is not in the array; two more than there are slots.
missing() {
	local path
	take_out /dev/path0
	mdadm --quiet $md --re-add missing
	all_up 2
	for path in /dev/path{0,1,2,3}; do wait_for in_array "$path"; done
	equal 2 "$(mdstat | grep -o '(S)' | wc -l)"
	for path in /dev/path2 /dev/path3; do
		mdadm --quiet $md --fail "$path"
		remove $md "$path"
	done
	whole
}
not_left() {
	refused "Cannot open /dev/path0" mdadm $md --re-add /dev/path0
	whole
	# One that has failed and is still there needs no --remove.
	mdadm --quiet $md --fail /dev/path1
	wait_for mdadm --quiet $md --re-add /dev/path1
	whole
	in_use /dev/path1
}
no_slot() {
	mdadm --quiet $md --re-add /dev/path2
	is_spare /dev/path2
	state_is '[2/2] [UU]'
	remove $md /dev/path2
	whole
}
no_update() {
	take_out /dev/path1
	refused "not possible when a path is re-added" mdadm $md --re-add /dev/path1 --update=devicesize
	one_left
	# --add comes the same way, and leaves the superblock to the kernel.
	mdadm $md --add /dev/path1 2>&1 | grep -x 'mdadm: re-added /dev/path1'
	whole
}
again() {
	stop $md
	mdadm --quiet --assemble $md /dev/path0 /dev/path1
	state_is '[2/2] [UU]'
	holds "$work/data" $md 0
	stop $md
}

for meta in 1.2 0.90 1.1 1.0; do
	mdadm --quiet --create $md --run --metadata="$meta" --size=200M --level=multipath --raid-devices=2 \
		/dev/path0 /dev/path1
	echo round-robin >/sys/block/md0/md/path_policy
	write_at $md 0 16 "$work/data"
	io_begin "$meta" $md
	most=65
	[ "$meta" != 0.90 ] || most=27
	# What is the same for all versions is tried with two.
	all=''
	[[ $meta == 1.[01] ]] || all=1
	claim "$meta: --grow from two slots to three and four, without --force; --add fills one" up saved
	if [ -n "$all" ]; then
		claim "$meta: --grow to more slots than there can be: refused, with the kernel's error" too_many $most
		claim "$meta: --grow to less than the slots that are taken: refused, and it says which" too_few
	fi
	claim "$meta: --grow from four slots to two" down saved
	if [ -n "$all" ]; then
		claim "$meta: --grow up and down ten times" over_and_over
		claim "$meta: --grow with other changes is refused" other_changes
	fi
	claim "$meta: --re-add after --fail and --remove, of either path" back
	if [ -n "$all" ]; then
		claim "$meta: --re-add after the device went and came" found_again
		claim "$meta: --re-add missing" missing
		claim "$meta: --re-add of a path that works is refused; of one that failed and has not left it is not" not_left
		claim "$meta: --re-add where no slot is vacant makes a spare" no_slot
		claim "$meta: --re-add with --update is refused, --add re-adds" no_update
	fi
	io_end
	claim "$meta: none of the I/O failed, and all of it read what was written" io_clean "$meta"
	claim "$meta: stopped and assembled, all paths are there" again
	blkdiscard --force /dev/path0
done

# --- without superblocks ---

readd_refused() {
	take_out /dev/path1
	refused "array is not persistent" mdadm $md --re-add /dev/path1
	mdadm --quiet $md --add /dev/path1
	whole
}
mdadm --quiet --build $md --level=multipath --raid-devices=2 --size=200M /dev/path0 /dev/path1
echo round-robin >/sys/block/md0/md/path_policy
write_at $md 0 16 "$work/data"
io_begin none $md
claim "none: --grow from two slots to three and four, without --force; --add fills one" up
claim "none: --grow to more slots than there can be: refused, with the kernel's error" too_many 65
claim "none: --grow to less than the slots that are taken: refused, and it says which" too_few
claim "none: --grow from four slots to two" down
claim "none: --grow up and down ten times" over_and_over
claim "none: --re-add is refused, --add is not" readd_refused
io_end
claim "none: none of the I/O failed, and all of it read what was written" io_clean none
stop $md
blkdiscard --force /dev/path0

# --- all paths have failed ---

# No path can be read, so that no superblock can be either. I/O waits; the paths come back as other devices.
hosts=("$(scsi_host /dev/path0)" "$(scsi_host /dev/path1)")
create $md 1.2 /dev/path0 /dev/path1
echo 600000 >/sys/block/md0/md/no_path_timeout_ms
modprobe loop
truncate -s 64M "$work/other" "$work/blank" "$work/disk"
other=$(losetup --find --show "$work/other")
blank=$(losetup --find --show "$work/blank")
create_other 1.2
io_begin dead $md
all_die() {
	scsi_delete /dev/path0
	scsi_delete /dev/path1
	wait_for parked
	wait_for absent /dev/path0
	wait_for absent /dev/path1
	scsi_rescan "${hosts[0]}"
	scsi_rescan "${hosts[1]}"
	# What udev reads from the array waits as well: no settling.
	wait_for present /dev/path0 /dev/path1
}
dead_refuses() {
	refused "not possible" mdadm $md --re-add "$other"
	# Nothing says which array this is.
	mv /run/mdadm/map "$work/map"
	refused "not possible" mdadm $md --re-add /dev/path0
	mv "$work/map" /run/mdadm/map
	parked md0
}
dead_comes_back() {
	mdadm --quiet $md --re-add /dev/path0
	goes_on $md
	wait_for not parked md0
	# The one that was the last, and stayed in use.
	wait_for mdadm --quiet $md --fail detached --remove detached
	mdadm --quiet $md --re-add /dev/path1
	all_up 2
}
claim "all paths fail, their devices go and come, and I/O waits" all_die
claim "all paths failed: --re-add refuses another array's device, and any if the map does not know the array" dead_refuses
claim "all paths failed: --re-add brings them back, and the I/O goes on" dead_comes_back
io_end
claim "all paths failed: none of the I/O failed" io_clean dead
stop $md
claim "all paths failed: the array stops" wait_for array_gone

# --- other devices ---

# Loop devices have no names, so that the kernel takes any of a size that fits: it is mdadm that refuses.
loop0=$(losetup --find --show "$work/disk")
loop1=$(losetup --find --show "$work/disk")
foreign() {
	mark_log
	md5sum <"$other" >"$work/before"
	refused "not possible" mdadm $md --re-add "$other"
	one_left
	equal "$(<"$work/before")" "$(md5sum <"$other")"
	log_lacks "path ${other#/dev/}"
}
not_added() {
	md5sum <"$other" >"$work/before"
	for option in --add --add-spare; do
		refused "is no path to its disk" mdadm $md $option "$other"
		refused "is no path to its disk" mdadm $md $option "$blank"
	done
	one_left
	equal "$(<"$work/before")" "$(md5sum <"$other")"
	cmp -n 67108864 "$blank" /dev/zero
}
no_superblock() {
	refused "not possible" mdadm $md --re-add "$blank"
	one_left
	cmp -n 67108864 "$blank" /dev/zero
}
comes_back() {
	mdadm --quiet $md --re-add "$loop1"
	all_up 2
}
for meta in 1.2 0.90; do
	wipefs --quiet --all "$other" "$loop0"
	create_other "$meta"
	create $md "$meta" "$loop0" "$loop1"
	mdadm --quiet $md --fail "$loop1"
	remove $md "$loop1"
	claim "$meta: --re-add refuses a device of another array, and does not touch it" foreign
	claim "$meta: --add and --add-spare refuse them as well, and do not touch them" not_added
	claim "$meta: --re-add refuses a device without superblock; one of this array is taken" \
		eval 'no_superblock; comes_back'
	stop $md
done

# --- what is inside the array ---

# Metadata 1.0 is at the end: what begins the array begins the path, a superblock of an array inside as well.
inside() {
	head -c 1M $md | md5sum
}
wipefs --quiet --all "$loop0"
# It would start what is inside.
settle
udev_off
create $md 1.0 "$loop0" "$loop1"
mdadm --quiet --create /dev/md1 --run --metadata=1.2 --level=raid1 --raid-devices=2 $md missing
stop /dev/md1
inside >"$work/before"
stays() {
	local option
	for option in --add --re-add --add-spare; do
		take_out_quietly
		mdadm --quiet $md $option "$loop1"
		all_up 2
		equal "$(<"$work/before")" "$(inside)"
	done
}
take_out_quietly() {
	mdadm --quiet $md --fail "$loop1"
	remove $md "$loop1"
}
claim "1.0: a path is added, and the superblock of a raid1 inside stays" stays
# The disk's only superblock is not zeroed when the kernel refuses the path.
refused_by_kernel() {
	take_out_quietly
	mdadm --quiet --readonly $md
	refused "re-add failed" mdadm $md --add "$loop1"
	mdadm --examine "$loop1" | grep -F ' correct'
	mdadm --quiet --readwrite $md
	mdadm --quiet $md --add "$loop1"
	all_up 2
}
claim "1.0: a path is refused by the kernel, and the superblock is there" refused_by_kernel
stop $md
udev_on

# --- other levels ---

# Their number of devices is limited as before, by the metadata, or without by that of 0.90.
another_level() {
	mdadm --quiet --build $md --level=raid1 --raid-devices=2 --assume-clean "$loop0" "$blank"
	refused "Cannot increase raid-disks on this array beyond 27" mdadm --grow $md -n 30
	stop $md
}
claim "raid1: --grow to more devices than the metadata has room for: refused, as without the series" another_level
losetup --detach-all
