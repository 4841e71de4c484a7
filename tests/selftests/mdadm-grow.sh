#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 4
# timeout: 900
#
# An array changes while I/O runs: more slots and fewer, spares, the size, read-only and back. Needs md
# core with patches/ where there are superblocks.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin $((45 + 2 * 2 + 1))

attribute=/sys/block/md0/md
pattern "$work/data" 16
paths=(/dev/path0 /dev/path1 /dev/path2 /dev/path3)

slots_are() {
	equal "$1" "$(<$attribute/raid_disks)"
	equal "$1" "$(mdadm --detail $md | sed -n 's/^ *Raid Devices : //p')"
}
# The superblock knows.
saved() {
	[ "$meta" != none ] || return 0
	wait_for eval "[ \"\$(mdadm --examine /dev/path0 | sed -n 's/^ *Raid Devices : //p')\" = $1 ]"
}
is_spare() {
	mdstat | grep -E "$(kname "$1")\[[0-9]+\]\(S\)"
}
quick() {
	goes_on $md
	holds "$work/data" $md 0
}

make() {
	if [ "$meta" = none ]; then
		mdadm --quiet --build $md --level=multipath --raid-devices=2 --size=200M /dev/path0 /dev/path1
	else
		mdadm --quiet --create $md --run --metadata="$meta" --size=200M --level=multipath --raid-devices=2 \
			/dev/path0 /dev/path1
	fi
	write_at $md 0 16 "$work/data"
	state_is '[2/2] [UU]'
}
spares() {
	mdadm --quiet $md --add-spare /dev/path2
	mdadm --quiet $md --add-spare /dev/path3
	settle
	state_is '[2/2] [UU]'
	is_spare /dev/path2
	is_spare /dev/path3
	quick
}
steps_in() {
	mdadm --quiet $md --fail /dev/path0
	all_up 2
	quick
	remove $md /dev/path0
	mdadm --quiet $md --add-spare /dev/path0
	settle
	is_spare /dev/path0
}
up() {
	slots 3
	all_up 3
	slots_are 3
	saved 3
	slots 4
	all_up 4
	quick
	saved 4
}
no_mdadm() {
	refused "" mdadm --grow $md --raid-devices=5 --force
	slots_are 4
}
too_many() {
	refused "Invalid argument" bash -c "echo 65 >$attribute/raid_disks"
	refused "Invalid argument" bash -c "echo 0 >$attribute/raid_disks"
	slots_are 4
	quick
}
# The path in the highest slot.
highest() {
	local link
	link=$(readlink -f "$attribute/rd$1/block")
	printf '/dev/%s' "${link##*/}"
}
down_refused() {
	mark_log
	refused "busy" bash -c "echo 3 >$attribute/raid_disks"
	slots_are 4
	log_has "a path is in slot 3 or above: remove it first"
	all_up 4
	quick
}
down() {
	local count top
	for count in 3 2; do
		top=$(highest $count)
		mdadm --quiet $md --fail "$top"
		remove $md "$top"
		slots $count
		all_up $count
		slots_are $count
		quick
	done
	saved 2
}
over_and_over() {
	local i
	for ((i = 0; i < 20; i++)); do
		slots $((3 + i * 7 % 23))
		slots 2
	done
	all_up 2
	quick
}
replace() {
	# md core without the series cannot refuse it; the mark has no effect.
	refused "request replacement" mdadm $md --replace /dev/path1
	all_up 2
	quick
}
readd_refused() {
	mdadm --quiet $md --fail /dev/path1
	remove $md /dev/path1
	refused "not persistent" mdadm $md --re-add /dev/path1
	readd $md /dev/path1
	all_up 2
	quick
}
larger() {
	mdadm --quiet --grow $md --size=max
	wait_for more_sectors
	holds "$work/data" $md 0
	# The last block can be used.
	write_at $md $(($(sectors $md) / 8 - 1)) 1 "$work/data"
	goes_on $md
	grow_refused
}
more_sectors() {
	[ "$(sectors $md)" -gt $((900 * 2048)) ]
}
grow_refused() {
	refused "" mdadm --grow $md --size=2G
	more_sectors
}
smaller() {
	mdadm --quiet --grow $md --size=150M
	equal $((150 * 2048)) "$(sectors $md)"
	holds "$work/data" $md 0
	goes_on $md
}
readonly_() {
	# Refused while udev looks at the array that has just changed its size.
	wait_for mdadm --quiet --readonly $md
	mdstat | grep 'active (read-only) multipath'
	refused "" dd if=/dev/zero of=$md bs=4k count=1 oflag=direct
	holds "$work/data" $md 0
	mdadm --quiet $md --fail /dev/path1
	holds "$work/data" $md 0
	mdadm --quiet --readwrite $md
	write_at $md 0 16 "$work/data"
	remove $md /dev/path1
	readd $md /dev/path1
	all_up 2
}
again() {
	local number
	stop $md
	if [ "$meta" != none ]; then
		mdadm --quiet --assemble $md "${paths[@]}"
		all_up 2
		number=$(mdstat | grep -o '(S)' | wc -l)
		equal 2 "$number"
		equal $((150 * 2048)) "$(sectors $md)"
		holds "$work/data" $md 0
		stop $md
	fi
}

for meta in 1.2 0.90 none; do
	make
	io_begin "$meta" $md
	claim "$meta: two paths more than slots are spares" spares
	claim "$meta: a spare takes the slot of a path that fails" steps_in
	claim "$meta: from two slots to four, under I/O, and the spares take them" up
	claim "$meta: mdadm --grow --raid-devices is refused by mdadm" no_mdadm
	claim "$meta: 65 slots, and none: refused" too_many
	claim "$meta: fewer slots, and one of those is taken: EBUSY, and the log says what to do" down_refused
	claim "$meta: from four slots to two, under I/O" down
	claim "$meta: up and down twenty times, under I/O" over_and_over
	if [ "$meta" != none ]; then
		claim "$meta: --replace is refused" replace
	else
		claim "$meta: --re-add is refused, --add is not" readd_refused
	fi
	io_end
	claim "$meta: none of the I/O failed, and all of it read what was written" io_clean "$meta"
	io_begin "$meta-size" $md
	claim "$meta: --grow --size=max, under I/O; more than that is refused" larger
	claim "$meta: --grow to a smaller size, under I/O" smaller
	io_end
	claim "$meta: none of that I/O failed either" io_clean "$meta-size"
	claim "$meta: --readonly and --readwrite" readonly_
	claim "$meta: stopped; where there is a superblock, assembled as it was" again
	blkdiscard --force /dev/path0
done

# --- the disk grows ---

# With these metadata the superblock is at the end of the device, and moves. Before, it was where the data are after.
small=$((200 * 2048))
large=$((400 * 2048))
# begin: an array over the first two of three paths to a disk that is smaller yet.
begin() {
	local n
	for n in 0 1 2; do dm_over grow$n /dev/path$n $small; done
	# It would assemble the array by itself, once that is stopped.
	settle
	udev_off
	create $md "$meta" /dev/mapper/grow0 /dev/mapper/grow1
	state_is '[2/2] [UU]'
	case $meta in
	1.0) place=$(((small - 16) / 8)) ;;
	0.90) place=$((((small & ~127) - 128) / 8)) ;;
	esac
}
grows() {
	local n
	for n in 0 1 2; do dm_change grow$n "0 $large linear /dev/path$n 0"; done
	wait_for mdadm --quiet --grow $md --size=350M
	equal $((350 * 2048)) "$(sectors $md)"
	write_at $md $((place - 4)) 16 "$work/data"
}
# The superblock has been written, whichever path came first, and not there.
kept() {
	stop $md
	holds "$work/data" /dev/path3 $((place - 4))
	mdadm --quiet --assemble $md /dev/mapper/grow{0,1,2}
	equal $((350 * 2048)) "$(sectors $md)"
	holds "$work/data" $md $((place - 4))
	stop $md
	udev_on
	dm_remove grow0 grow1 grow2
	blkdiscard --force /dev/path0
}
spare_grows() {
	begin
	mdadm --quiet $md --add-spare /dev/mapper/grow2
	is_spare /dev/mapper/grow2
	grows
	mdadm --quiet $md --fail /dev/mapper/grow0
	all_up 2
	remove $md /dev/mapper/grow0
	kept
}
failed_grows() {
	local name
	begin
	name=$(kname /dev/mapper/grow1)
	mdadm --quiet $md --fail /dev/mapper/grow1
	wait_for grep -x none "$attribute/dev-$name/slot"
	grows
	mark_log
	refused "Invalid argument" eval "echo re-add >$attribute/dev-$name/state"
	log_has "$name is not added: its superblock is not where the array's is: remove it, and add it again"
	[[ $(state) == '[2/1] '* ]]
	remove $md /dev/mapper/grow1
	mdadm --quiet $md --add /dev/mapper/grow1
	all_up 2
	kept
}
for meta in 1.0 0.90; do
	claim "$meta: the disk grows, and the array: a spare takes a slot, and the data stay" spare_grows
	claim "$meta: … a path that failed before is not used until it is added anew" failed_grows
done

# The superblock of 0.90 has 32 bits for a size in KiB.
limited() {
	local dev size
	modprobe loop
	truncate -s 5T "$work/huge"
	loops=("$(losetup --find --show "$work/huge")" "$(losetup --find --show "$work/huge")")
	mdadm --quiet --create $md --run --metadata=0.90 --size=1G --level=multipath --raid-devices=2 "${loops[@]}"
	for dev in "${loops[@]}"; do echo 0 >"$attribute/dev-${dev#/dev/}/size"; done
	size=$(<"$attribute/dev-${loops[0]#/dev/}/size")
	echo "$size" >$attribute/component_size
	equal $((size * 2)) "$(sectors $md)"
	stop $md
	mdadm --quiet --assemble $md "${loops[@]}"
	equal $((size * 2)) "$(sectors $md)"
	equal $((2 ** 32 - 1)) "$size"
	stop $md
	losetup --detach "${loops[@]}"
}
udev_off
claim "0.90: on 5 TiB it grows to 4 TiB, which is what the superblock can say" limited
