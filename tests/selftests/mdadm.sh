#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 900
#
# mdadm on arrays with superblocks of every version: made, taken apart, put together in every way, told
# new names, and forgotten. Needs md core with patches/. Another mdadm, and some of the versions:
#
#     scripts/vm -- env PATH=DIR:/usr/sbin:/usr/bin METADATA="1.2 0.90" tests/selftests/mdadm.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
read -r -a metadata <<<"${METADATA:-1.2 1.1 1.0 0.90}"
selftest_begin $((17 * ${#metadata[@]}))

pattern "$work/data" 16
name1=$(kname /dev/path1)

# field DEV NAME: a value of `mdadm --examine`.
field() {
	mdadm --examine "$1" | sed -n "s/^ *$2 : \(.*[^ ]\) *$/\1/p" | head -n 1
}

# The superblock is sound and is what both paths show. Waited for, as `active` is: nothing ends it half-way.
sound() {
	mdadm --examine /dev/path0 | grep -v '^/dev' >"$work/examine0" &&
		mdadm --examine /dev/path1 | grep -v '^/dev' | cmp "$work/examine0" - &&
		grep ' - correct' "$work/examine0" &&
		equal multipath "$(field /dev/path0 "Raid Level")" &&
		equal 2 "$(field /dev/path0 "Raid Devices")"
}

# active N: the superblock says of N paths that they work, and is itself of one of these.
active() {
	sound || return
	if [ "$meta" = 0.90 ]; then
		equal "$1" "$(field /dev/path0 "Active Devices")" && grep -E '^this .* active sync ' "$work/examine0"
	else
		[[ $(field /dev/path0 "Device Role") == "Active device "* ]] &&
			[[ $(field /dev/path0 "Array State") =~ ^([A.]*)\  ]] &&
			equal "$1" "$(tr -dc A <<<"${BASH_REMATCH[1]}" | wc -c)"
	fi
}

# The array has both paths and the data.
whole() {
	all_up 2
	holds "$work/data" $md 0
}

make() {
	create $md "$meta" /dev/path0 /dev/path1
	state_is '[2/2] [UU]'
	equal "$super" "$(mdstat | sed -n 's/^.*blocks \(.*\)\[2\/2.*/\1/p')"
	write_at $md 0 16 "$work/data"
	whole
	active 2
}

detail() {
	mdadm --detail $md >"$work/detail"
	grep -E "^ *Version : ${meta/./\\.}\$" "$work/detail"
	grep -E '^ *Raid Level : multipath$' "$work/detail"
	grep -E '^ *State : clean *$' "$work/detail"
	equal 2 "$(grep -c 'active sync' "$work/detail")"
	equal 0 "$(mdadm --detail --test $md >/dev/null; echo $?)"
}

# A path fails, leaves, comes back; data can be read and written all the time.
cycle() {
	local path=$1 offset=$2
	mdadm --quiet $md --fail "$path"
	[[ $(state) == '[2/1] '* ]]
	holds "$work/data" $md 0
	write_at $md "$offset" 16 "$work/data"
	wait_for active 1
	remove $md "$path"
	holds "$work/data" $md "$offset"
	mdadm --quiet $md --add "$path"
	whole
	holds "$work/data" $md "$offset"
	wait_for active 2
}

last() {
	mdadm --quiet $md --fail /dev/path0
	refused "/dev/path1" mdadm $md --fail /dev/path1
	refused "busy" bash -c "echo faulty >/sys/block/md0/md/dev-$name1/state"
	equal 1 "$(mdadm --detail --test $md >/dev/null; echo $?)"
	[[ $(state) == '[2/1] '* ]]
	holds "$work/data" $md 0
}

readd_refused() {
	remove $md /dev/path0
	refused "not possible" mdadm $md --re-add /dev/path0
	mdadm --quiet $md --add /dev/path0
	whole
}

# Stopped with a path missing, or not stopped at all: the next start has all paths.
degraded() {
	mdadm --quiet $md --fail /dev/path1
	wait_for active 1
	stop $md
	mdadm --quiet --assemble $md /dev/path0 /dev/path1
	whole
}
# place DEV: the sector that the superblock begins at.
place() {
	case $meta in
	1.1) echo 0 ;;
	1.2) echo 8 ;;
	1.0) field "$1" "Super Offset" | tr -dc 0-9 ;;
	0.90) echo $((($(sectors "$1") & ~127) - 128)) ;;
	esac
}
crashed() {
	local sector
	mdadm --quiet $md --fail /dev/path0 --remove /dev/path0
	wait_for active 1
	# What a crash would leave is what is on the disk now.
	sector=$(place /dev/path1)
	dd if=/dev/path1 of="$work/super" iflag=direct bs=512 skip="$sector" count=8 status=none
	mdadm --quiet $md --add /dev/path0
	whole
	stop $md
	dd if="$work/super" of=/dev/path1 oflag=direct bs=512 seek="$sector" count=8 status=none
	active 1
	mdadm --quiet --assemble $md /dev/path1 /dev/path0
	whole
}

# As mdadm --add leaves it when it is interrupted: zeroed, and not yet written anew.
zeroed() {
	local sector
	sector=$(place /dev/path1)
	dd if=/dev/zero of=/dev/path1 oflag=direct bs=512 seek="$sector" count=8 status=none
	refused "No md superblock" mdadm --examine /dev/path0
	stop $md
	active 2
	mdadm --quiet --assemble $md /dev/path0 /dev/path1
	whole
}

by_uuid() {
	local uuid
	uuid=$(mdadm --detail $md | sed -n 's/^ *UUID : \([0-9a-f:]*\).*/\1/p')
	stop $md
	mdadm --quiet --assemble $md --uuid="$uuid" --config=partitions
	whole
	stop $md
	refused "" mdadm --assemble $md --uuid=00000000:11111111:22222222:33333333 --config=partitions
	wait_for array_gone
	mdadm --quiet --assemble $md --uuid="$uuid" /dev/path0 /dev/path1
	whole
}
by_scan() {
	stop $md
	mdadm --quiet --assemble --scan --config=partitions
	whole
}
by_config() {
	{
		echo "DEVICE /dev/path0 /dev/path1"
		mdadm --detail --brief $md
	} >"$work/mdadm.conf"
	cat "$work/mdadm.conf"
	grep '^ARRAY ' "$work/mdadm.conf"
	stop $md
	mdadm --quiet --assemble --scan --config="$work/mdadm.conf"
	whole
	stop $md
	mdadm --quiet --assemble $md --config="$work/mdadm.conf"
	whole
}
alone() {
	stop $md
	mdadm --quiet --assemble --run $md /dev/path1
	state_is '[2/1] [U_]'
	holds "$work/data" $md 0
	mdadm --quiet $md --add /dev/path0
	whole
}
incremental() {
	mdadm --quiet $md --fail /dev/path0
	remove $md /dev/path0
	mdadm --quiet --incremental --run /dev/path0
	whole
	active 2
}

update() {
	local before
	stop $md
	if [ "$meta" != 0.90 ]; then
		mdadm --quiet --assemble $md --update=name --name=renamed /dev/path0 /dev/path1
		whole
		mdadm --detail $md | grep -E 'Name : .*renamed'
		stop $md
	fi
	mdadm --quiet --assemble $md --update=homehost --homehost=elsewhere /dev/path0 /dev/path1
	whole
	sound
	before=$(mdadm --detail $md | grep UUID)
	stop $md
	mdadm --quiet --assemble $md --update=uuid --uuid=01234567:89abcdef:01234567:89abcdef /dev/path0 /dev/path1
	whole
	sound
	not equal "$before" "$(mdadm --detail $md | grep UUID)"
	mdadm --detail $md | grep 01234567:89abcdef:01234567:89abcdef
	stop $md
	mdadm --quiet --assemble $md /dev/path0 /dev/path1
	whole
}

# Kernels that know no logical block size in the superblock find zeroes where it would be.
old_kernels() {
	local zeroes
	zeroes=$(dd if=/dev/path0 iflag=direct bs=512 skip="$1" count=1 status=none | od -An -tx1 -j224 -N4)
	equal " 00 00 00 00" "$zeroes"
	log_lacks "will not be assembled in old kernels"
}

forget() {
	stop $md
	mdadm --quiet --zero-superblock /dev/path0
	refused "No md superblock" mdadm --examine /dev/path1
	refused "" mdadm --assemble $md /dev/path0 /dev/path1
	wait_for array_gone
	unheld /dev/path0 /dev/path1
}

for meta in "${metadata[@]}"; do
	super="super $meta "
	[ "$meta" != 0.90 ] || super=''
	claim "$meta: created; the superblock is sound and says that both paths work" make
	claim "$meta: the details say so too" detail
	claim "$meta: the first path fails, leaves and is added" cycle /dev/path0 100
	claim "$meta: the second path fails, leaves and is added" cycle /dev/path1 200
	claim "$meta: the last path cannot be failed: EBUSY, by mdadm and sysfs" last
	claim "$meta: --re-add is refused, --add is not" readd_refused
	claim "$meta: stopped with one path, assembled with two" degraded
	claim "$meta: assembled with two from the superblock that a crash with one path leaves" crashed
	claim "$meta: the superblock is zeroed while the array runs: it is there when that has stopped" zeroed
	claim "$meta: assembled by UUID, and not by another" by_uuid
	claim "$meta: assembled by scan" by_scan
	claim "$meta: assembled by configuration file" by_config
	claim "$meta: assembled from one path with --run, the other added" alone
	claim "$meta: --incremental adds a path to the running array" incremental
	claim "$meta: --update of name, homehost and UUID" update
	case $meta in
	1.1) claim "$meta: the superblock is one that old kernels know" old_kernels 0 ;;
	1.2) claim "$meta: the superblock is one that old kernels know" old_kernels 8 ;;
	1.0) claim "$meta: the superblock is one that old kernels know" old_kernels "$(field /dev/path0 "Super Offset" | tr -dc 0-9)" ;;
	0.90) claim "$meta: nothing was said about old kernels" log_lacks "old kernels" ;;
	esac
	claim "$meta: --zero-superblock, and there is nothing to assemble" forget
done
