#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 3 --stock-md
# timeout: 480
#
# md core without the series, as stock kernels have it: what works, and what the log says to who has an
# array with a superblock.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 22

pattern "$work/data" 16

not_patched() {
	[[ $(modinfo -n md_mod) == */kernel/drivers/md/md-mod.ko* ]]
	# A module from elsewhere would taint the kernel.
	equal "" "$(</sys/module/md_mod/taint)"
}
claim "md core is the kernel's own" not_patched

built() {
	build $md /dev/path0 /dev/path1
	state_is '[2/2] [UU]'
	mdadm --quiet $md --fail /dev/path0
	remove $md /dev/path0
	readd $md /dev/path0
	all_up 2
	stop $md
}
nothing_to_suspend() {
	build $md /dev/path0 /dev/path1
	absent /sys/block/md0/md/suspend_lo
	absent /sys/block/md0/md/suspend_hi
	stop $md
}
mark_log
claim "--build works" built
claim "and nothing is said about superblocks" log_lacks superblock
claim "no range of the array can be suspended" nothing_to_suspend

# Roles and numbers are md core's matter: whichever path's superblock is on the disk has to do.
whole() {
	all_up "$1"
	holds "$work/data" $md 0
}
sound() {
	mdadm --examine /dev/path0 >"$work/examine"
	grep ' - correct' "$work/examine"
	if [ "$meta" != 0.90 ]; then
		grep 'Device Role : Active device' "$work/examine"
	fi
}
created() {
	refused "busy" mdadm --create $md --run --metadata="$meta" --level=multipath --raid-devices=3 \
		/dev/path0 /dev/path1 /dev/path2
	stop $md
	# The superblock is there, though.
	mdadm --examine /dev/path0
}
one() {
	start /dev/path0
	write_at $md 0 16 "$work/data"
}
# start DEV: from one path.
start() {
	mdadm --quiet --assemble --run $md "$1"
	[[ $(state) == '[3/1] '* ]]
}
# others DEV...
others() {
	local path count=1
	for path; do
		mdadm --quiet $md --add "$path"
		count=$((count + 1))
		wait_for eval '[[ $(state) == "[3/'$count'] "* ]]'
	done
	whole 3
	sound
}
cycle() {
	local path
	for path in /dev/path0 /dev/path1 /dev/path2; do
		mdadm --quiet $md --fail $path
		remove $md $path
		holds "$work/data" $md 0
		sound
		mdadm --quiet $md --add $path
		whole 3
		sound
	done
}
again() {
	stop $md
	start /dev/path2
	holds "$work/data" $md 0
	others /dev/path0 /dev/path1
	stop $md
	start /dev/path0
	holds "$work/data" $md 0
	others /dev/path1 /dev/path2
	stop $md
}
told=''
log_told() {
	if [ -z "$told" ]; then
		log_has "^md/multipath:md0: this kernel's md .*mdadm --add, or install the md-mod"
	else
		log_lacks "this kernel's md"
	fi
}

for meta in 1.2 1.0 0.90; do
	mark_log
	claim "$meta: --create is refused the second path by md core" created
	claim "$meta: the array starts from one path with --run" one
	if [ -z "$told" ]; then
		claim "$meta: the log says what is lacking, and what to do" log_told
		told=1
	else
		claim "$meta: the log does not say it again" log_told
	fi
	claim "$meta: the other paths are added with --add" others /dev/path1 /dev/path2
	claim "$meta: each path fails, leaves and is added; the superblock stays one to start from" cycle
	if [ $meta = 1.2 ]; then
		claim "$meta: stopped, and started from either path" again
	else
		stop $md
	fi
	blkdiscard --force /dev/path0
done

# Spares are written by this md core, and their superblock stays where it is when the array grows. There the data
# are then.
spare_in_the_way() {
	local n place
	for n in 0 1 2; do dm_over grow$n /dev/path$n $((200 * 2048)); done
	# It would assemble the array by itself, once that is stopped.
	settle
	udev_off
	refused "busy" create $md "$meta" /dev/mapper/grow0 /dev/mapper/grow1
	stop $md
	mdadm --quiet --assemble --run $md /dev/mapper/grow0
	mdadm --quiet $md --add /dev/mapper/grow1
	all_up 2
	mdadm --quiet $md --add-spare /dev/mapper/grow2
	for n in 0 1 2; do dm_change grow$n "0 $((400 * 2048)) linear /dev/path$n 0"; done
	mark_log
	refused "" mdadm --grow $md --size=350M
	log_has "the superblock of path $(kname /dev/mapper/grow2) would lie among the data: remove it first"
	at_most $((200 * 2048)) "$(sectors $md)"
	remove $md /dev/mapper/grow2
	mdadm --quiet --grow $md --size=350M
	equal $((350 * 2048)) "$(sectors $md)"
	# All of where it was.
	place=$((200 * 2048 / 8 - 48))
	pattern "$work/end" 48
	write_at $md $place 48 "$work/end"
	mdadm --quiet $md --add-spare /dev/mapper/grow2
	mdadm --quiet $md --fail /dev/mapper/grow1
	all_up 2
	stop $md
	holds "$work/end" /dev/path0 $place
	udev_on
	dm_remove grow0 grow1 grow2
	blkdiscard --force /dev/path0
}
for meta in 1.0 0.90; do
	claim "$meta: the disk grows: the array cannot, until a spare from before has left" spare_in_the_way
done
