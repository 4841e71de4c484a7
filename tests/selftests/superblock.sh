#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 1500
#
# Superblocks that are spoiled, absurd, of another array, or of a copy of the disk: each is refused, or
# makes a correct array. Nothing is mixed, nothing is left behind. Needs md core with patches/. SEED, NUMBER
# and METADATA in the environment choose the random corruptions and the versions.
. "${BASH_SOURCE[0]%/*}/lib.sh"
read -r -a metadata <<<"${METADATA:-1.2 1.1 1.0 0.90}"
claims=0
for meta in "${metadata[@]}"; do
	case $meta in 1.1 | 1.2) claims=$((claims + 21)) ;; *) claims=$((claims + 20)) ;; esac
done
selftest_begin "$claims"

here=$(cd -- "${BASH_SOURCE[0]%/*}" && pwd)
superblock=$here/../lib/superblock
seed=${SEED:-1}
number=${NUMBER:-130}

modprobe loop
for name in disk copy; do truncate -s 64M "$work/$name"; done
a0=$(losetup --find --show "$work/disk")
a1=$(losetup --find --show "$work/disk")
a2=$(losetup --find --show "$work/disk")
copy=$(losetup --find --show "$work/copy")
# One more path to the disk, which can be broken.
dm_over dead "$a2"
settle
udev_off
pattern "$work/data" 16
pattern "$work/other-data" 16

sb() {
	local command=$1
	shift
	"$superblock" "$meta" "$command" "$@"
}

# members WANTED DEV...: the array that DEVs make has these.
members() {
	local wanted=$1
	shift
	equal "$(tr ' ' '\n' <<<"$wanted" | sort)" "$(sb assemble "$@" | tr ' ' '\n' | sort)"
	wait_for array_gone
}

# It is refused, leaves nothing, and the good superblock assembles.
spoiled() {
	sb set "$a0" "$@"
	members "" "$a0" "$a1"
	unheld "$a0" "$a1"
	sb restore "$a0" "$work/good"
	members "$a0 $a1" "$a0" "$a1"
}
# It is odd, but all that matters is right.
odd() {
	sb set "$a0" "$@"
	members "$a0 $a1" "$a0" "$a1"
	mdadm --quiet --assemble --run $md "$a0" "$a1"
	all_up 2
	holds "$work/data" $md 0
	stop $md
	sb restore "$a0" "$work/good"
}

# What arrays wrote meanwhile goes: both as they were.
copied() {
	sb restore "$a0" "$work/good"
	sb restore "$copy" "$work/good"
	sb set "$copy" "$@"
}
# alien FIELD=VALUE...: a copy of the disk with that superblock beside the disk's two paths.
alien() {
	copied "$@"
	members "$a0 $a1" "$a0" "$copy" "$a1"
	either
}
# Where the copy comes first, or is newer, it cannot be known which of the two is right. Both is wrong.
either() {
	local line
	for devs in "$copy $a0 $a1" "$a0 $a1 $copy"; do
		# shellcheck disable=SC2086 # words
		line=$(sb assemble $devs)
		echo "$devs: $line"
		[[ $line != *"$copy"* ]] || equal "$copy" "$line"
	done
}
# A disk of another size with a copy of the superblock, in its place and in all else as the original.
other_size() {
	local larger devs line
	cp "$work/disk" "$work/larger"
	truncate -s 96M "$work/larger"
	larger=$(losetup --find --show "$work/larger")
	sb restore "$larger" "$work/good"
	# It says where it is.
	[ "$meta" != 1.0 ] || sb set "$larger" super_offset=$((96 * 2048 - 16))
	mark_log
	for devs in "$a0 $larger $a1" "$larger $a0 $a1" "$a0 $a1 $larger"; do
		# shellcheck disable=SC2086 # words
		line=$(sb assemble $devs)
		echo "$devs: $line"
		[ -z "$line" ] || equal "$(tr ' ' '\n' <<<"$a0 $a1" | sort)" "$(tr ' ' '\n' <<<"$line" | sort)"
	done
	wait_for array_gone
	log_has "not the same disk: it has (196608|131072) sectors, the array's has (196608|131072)"
	losetup --detach "$larger"
	rm "$work/larger"
	members "$a0 $a1" "$a0" "$a1"
}
newer() {
	copied "$@"
	either
}

short() {
	local half
	half=$(losetup --find --show --sizelimit 32M "$work/disk")
	members "$a0" "$a0" "$half"
	members "" "$half"
	losetup --detach "$half"
	members "$a0 $a1" "$a0" "$a1"
}

# --- a device is to join the running array ---

# join DEV: asks md for it, and writes nothing to DEV.
join() {
	cat "/sys/block/$(kname "$1")/dev" >/sys/block/md0/md/new_dev
}
another_disk() {
	mark_log
	refused "Invalid argument" join "$copy"
	log_has "^md: md0: ${copy#/dev/} is not added: its superblock is not the array's"
	unheld "$copy"
}
joins() {
	local events
	for events in 99 101; do
		copied events=$events
		mdadm --quiet --assemble --run $md "$a0"
		state_is '[2/1] [U_]'
		another_disk
		# It writes a superblock of this array there first.
		mark_log
		refused "" mdadm --quiet $md --add "$copy"
		log_has "${copy#/dev/} is not added"
		unheld "$copy"
		state_is '[2/1] [U_]'
		join "$a1"
		all_up 2
		mdadm --quiet $md --fail "$a1"
		remove $md "$a1"
		mdadm --quiet $md --add "$a1"
		all_up 2
		holds "$work/data" $md 0
		stop $md
	done
	sb restore "$a0" "$work/good"
}
# No superblock can be read or written, so that the array's event count in memory is not the disk's.
joins_the_dead() {
	copied events=99
	mdadm --quiet --assemble $md /dev/mapper/dead "$a1"
	all_up 2
	dm_break_all dead "$a2"
	mark_log
	mdadm --quiet $md --fail "$a1"
	remove $md "$a1"
	wait_for log_has "the superblock is not written"
	another_disk
	refused "" read_at $md 0 16
	join "$a1"
	all_up 2
	holds "$work/data" $md 0
	dm_mend dead "$a2"
	stop $md
	sb restore "$a0" "$work/good"
}

# What was bound last is what md looks at first. It takes no I/O, so that nobody knows that it is dead.
joins_beside_the_dead() {
	copied
	mdadm --quiet --assemble --run $md "$a0"
	join /dev/mapper/dead
	all_up 2
	dm_break_all dead "$a2"
	mdadm --quiet $md --add "$a1"
	# Its superblock is written then, and that shows who is dead.
	wait_for is_faulty /dev/mapper/dead
	all_up 2
	another_disk
	dm_mend dead "$a2"
	stop $md
	sb restore "$a0" "$work/good"
}
# A path that failed is asked again before it comes back as it is.
comes_back() {
	local place
	place=/sys/block/md0/md/dev-$(kname /dev/mapper/dead)
	copied events=99
	mdadm --quiet --assemble $md "$a0" /dev/mapper/dead
	all_up 2
	mdadm --quiet $md --fail /dev/mapper/dead
	left() { equal none "$(<"$place/slot")"; }
	wait_for left
	dm_mend dead "$copy"
	mark_log
	refused "Invalid argument" eval "echo re-add >$place/state"
	log_has "$(kname /dev/mapper/dead) is not added: its superblock"
	state_is '[2/1] [U_]'
	dm_mend dead "$a2"
	echo re-add >"$place/state"
	all_up 2
	stop $md
	sb restore "$a0" "$work/good"
}
# running: of the superblock as it was.
running() {
	sb restore "$a0" "$work/good"
	mdadm --quiet --assemble $md "$a0" "$a1"
	all_up 2
}
# Another host has the disk as well. What it wrote stays when the array stops here.
anothers() {
	local what
	for what in events=200 "events=1 magic=7" "events=1 uuid=7"; do
		running
		# shellcheck disable=SC2086 # words
		sb set "$a2" $what
		sb save "$a2" "$work/block"
		stop $md
		sb save "$a0" "$work/found"
		cmp "$work/block" "$work/found"
	done
	sb restore "$a0" "$work/good"
}
# The superblock that mdadm --add leaves, or that was there before one that no path could write, is written anew.
earlier() {
	local first
	running
	first=$(sb get "$a0" events)
	sb set "$a2" events=0
	stop $md
	[ "$(sb get "$a0" events)" -gt "$first" ]
	sb restore "$a0" "$work/good"
	mdadm --quiet --assemble --run $md /dev/mapper/dead
	dm_break_all dead "$a2"
	mark_log
	echo 3 >/sys/block/md0/md/raid_disks
	wait_for log_has "the superblock is not written"
	dm_mend dead "$a2"
	equal 2 "$(sb get "$a0" raid_disks)"
	stop $md
	equal 3 "$(sb get "$a0" raid_disks)"
	sb restore "$a0" "$work/good"
}
no_bad_blocks() {
	local file
	mdadm --quiet --assemble $md "$a0" "$a1"
	for file in bad_blocks unacknowledged_bad_blocks; do
		refused "Operation not supported" eval "echo 8 8 >/sys/block/md0/md/dev-${a0#/dev/}/$file"
	done
	stop $md
	members "$a0 $a1" "$a0" "$a1"
}

many_slots() {
	sb set "$a0" raid_disks=27
	mdadm --quiet --assemble --run $md "$a0" "$a1"
	[[ $(state) == '[27/2] [UU___'* ]]
	mdadm --quiet $md --fail "$a0"
	remove $md "$a0"
	holds "$work/data" $md 0
	stop $md
	mdadm --examine "$a1" | grep ' correct'
	sb restore "$a0" "$work/good"
}

roles() {
	case $meta in
	0.90)
		# mdadm heeds them for 0.90; no kernel that runs this level writes such a this_disk.
		sb set "$a0" state0=9 state1=0 this_state=1 number=5
		members "$a0 $a1" "$a0" "$a1"
		sb restore "$a0" "$work/good"
		;;
	*) odd role0=0xfffe role1=0xffff dev_number=1 ;;
	esac
}

fuzzed() {
	"$superblock" "$meta" fuzz "$seed" "$number" "$a0" "$a1" "$copy"
	members "$a0 $a1" "$a0" "$a1"
	mdadm --quiet --assemble $md "$a0" "$a1"
	all_up 2
	holds "$work/data" $md 0
	stop $md
}

for meta in "${metadata[@]}"; do
	# What is left of the version before would be found as well.
	blkdiscard --force "$a0"
	blkdiscard --force "$copy"
	create $md "$meta" "$a0" "$a1"
	write_at $md 0 16 "$work/data"
	stop $md
	sb set "$a0" events=100
	sb save "$a0" "$work/good"
	cp "$work/disk" "$work/copy"
	copied
	mdadm --quiet --assemble --run $md "$copy"
	write_at $md 0 16 "$work/other-data"
	stop $md

	claim "$meta: a wrong checksum: refused" spoiled csum=1
	claim "$meta: no slot: refused" spoiled raid_disks=0
	claim "$meta: 65 slots: refused" spoiled raid_disks=65
	claim "$meta: 2^31-1 slots: refused" spoiled raid_disks=0x7fffffff
	claim "$meta: a level that does not exist: refused" spoiled level=-7
	claim "$meta: roles that say faulty, spare or missing: assembled, with all paths" roles
	claim "$meta: another array beside the disk: only the disk" alien uuid=0x1234
	claim "$meta: another level beside the disk: only the disk" alien level=1
	claim "$meta: a copy with an older superblock beside the disk: only the disk" \
		alien events=99
	claim "$meta: a copy with a newer superblock: never both" newer events=101
	claim "$meta: a disk of another size with a copy of the superblock: never both" other_size
	claim "$meta: a copy with another event count does not join the running array, a path does" joins
	claim "$meta: no path works: a copy with an older superblock does not join, a path does" joins_the_dead
	claim "$meta: a path of the disk joins though another is dead, which nobody knows" joins_beside_the_dead
	claim "$meta: a path that failed does not come back as it is if it leads to another disk" comes_back
	claim "$meta: another host's superblock, or data, stay when the array stops" anothers
	claim "$meta: … one of an earlier time does not" earlier
	claim "$meta: bad blocks of a path are not taken" no_bad_blocks
	case $meta in
	0.90) claim "$meta: 27 slots: a failed path finds no place in the superblock, and the array goes on" many_slots ;;
	*) claim "$meta: a table that is too long: refused" spoiled max_dev=1921 ;;
	esac
	case $meta in
	1.1 | 1.2) claim "$meta: a path that is too short: only the other" short ;;
	esac
	claim "$meta: $number random corruptions, seed $seed: refused, or a correct array" fuzzed
done
dm_remove dead
