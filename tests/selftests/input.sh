#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 600
#
# What makes no sense is refused with one line that says why, leaves nothing behind, and does not keep
# the next command from working. What makes sense works.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 64

build_it=(mdadm --build "$md" --level=multipath)

# said REGEX: the driver has said one thing in the kernel log, and this is it; `-`: nothing.
said() {
	local lines
	lines=$(log_since)
	# md asks again for a spare that was refused: the same line may come twice.
	lines=$({ grep '^md/multipath:' <<<"$lines" || :; } | uniq)
	echo "the driver said: $lines"
	if [ "$1" = - ]; then
		[ -z "$lines" ]
	else
		equal 1 "$(grep -c . <<<"$lines")"
		[[ $lines =~ ^md/multipath:md0:\ .*$1 ]]
	fi
}

# Not built: refused TEXT by mdadm, SAID by the driver; then a correct array over the two paths.
build_refused() {
	local text=$1 said=$2
	shift 2
	mark_log
	refused "$text" "$@"
	wait_for array_gone
	equal 0 "$(module_uses)"
	unheld /dev/path0 /dev/path1
	said "$said"
}
correct() {
	build $md /dev/path0 /dev/path1
	state_is '[2/2] [UU]'
	holds "$work/data" $md 0
	stop $md
}
not_built() {
	local text=$1
	shift
	claim "$text: refused, and nothing is left" build_refused "$@"
	claim "$text: the next correct array is built" correct
}

# Not changed: the running array goes on as it was.
change_refused() {
	local text=$1 said=$2
	shift 2
	mark_log
	refused "$text" "$@"
	equal "$before" "$(mdstat)"
	holds "$work/data" $md 0
	said "$said"
}
not_changed() {
	local text=$1
	shift
	claim "$text: refused, and the array goes on" change_refused "$@"
}
attribute() {
	# A builtin's error message has the reason.
	bash -c "echo $2 >/sys/block/md0/md/$1"
}

pattern "$work/data" 16
write_at /dev/path0 0 16 "$work/data"

# --- building ---

not_built "no device" "listed 0" - "${build_it[@]}" --raid-devices=2
not_built "no device, and none wanted" "invalid number of raid devices" - "${build_it[@]}" --raid-devices=0
not_built "only missing devices" "Invalid argument" - "${build_it[@]}" --raid-devices=2 missing missing
not_built "one device of two" "listed 1" - "${build_it[@]}" --raid-devices=2 /dev/path0
not_built "the same device twice" "busy" - "${build_it[@]}" --raid-devices=2 /dev/path0 /dev/path0
not_built "a file that is no device" "not a block device" - "${build_it[@]}" --raid-devices=2 /dev/path0 /dev/null
not_built "a device that does not exist" "No such file" - "${build_it[@]}" --raid-devices=2 /dev/path0 /dev/nothing
not_built "one device without --force" "unusual number" - "${build_it[@]}" --raid-devices=1 /dev/path0
not_built "a bitmap" "bitmap" - "${build_it[@]}" --raid-devices=2 --bitmap=internal /dev/path0 /dev/path1
not_built "a layout" "layout not meaningful" - "${build_it[@]}" --raid-devices=2 --layout=n2 /dev/path0 /dev/path1

one() {
	"${build_it[@]}" --raid-devices=1 --force /dev/path0
	mdstat_is md0 "md0 : active multipath $(kname /dev/path0)[0]" \
		"      $(($(sectors /dev/path0) / 2)) blocks super non-persistent [1/1] [U]"
	holds "$work/data" $md 0
	mdadm $md --fail /dev/path0 || :
	state_is '[1/1] [U]'
	holds "$work/data" $md 0
	stop $md
}
claim "one device with --force: an array of one path, which cannot be failed" one
one_of_two() {
	"${build_it[@]}" --raid-devices=2 /dev/path0 missing
	state_is '[2/1] [U_]'
	holds "$work/data" $md 0
	readd $md /dev/path1
	all_up 2
	stop $md
}
claim "one device and a missing one: [2/1] [U_], and the other can be added" one_of_two
chunk() {
	"${build_it[@]}" --raid-devices=2 --chunk=64 /dev/path0 /dev/path1
	state_is '[2/2] [UU]'
	holds "$work/data" $md 0
	stop $md
}
claim "a chunk size: built, and it means nothing" chunk
size() {
	"${build_it[@]}" --raid-devices=2 --size=100M /dev/path0 /dev/path1
	equal 204800 "$(sectors $md)"
	holds "$work/data" $md 0
	stop $md
}
claim "a size: the array has it" size

# By sysfs, where mdadm does not look first. $1 says what is written before the start.
by_sysfs() {
	local dir=/sys/block/md0/md status=0
	[ ! -e $dir ] || echo clear >$dir/array_state
	mark_log
	echo md0 >/sys/module/md_mod/parameters/new_array
	echo none >$dir/metadata_version
	echo multipath >$dir/level
	eval "$1"
	refused "$2" bash -c "echo active >$dir/array_state" || status=1
	echo clear >$dir/array_state || status=1
	wait_for array_gone
	equal 0 "$(module_uses)"
	said "$3"
	unheld /dev/path0 /dev/path1
	return $status
}
add_by_sysfs() {
	local i
	for i in 0 1; do
		cat "/sys/block/$(kname /dev/path$i)/dev" >"$dir/new_dev"
		echo $i >"$dir/dev-$(kname /dev/path$i)/slot"
	done
}
claim "sysfs: no device: refused, and nothing is left" \
	by_sysfs 'echo 2 >$dir/raid_disks' "Invalid argument" -
claim "sysfs: 65 slots: refused, and nothing is left" \
	by_sysfs 'echo 65 >$dir/raid_disks; add_by_sysfs' "Invalid argument" "65"
claim "sysfs: the next correct array is built" correct

# --- devices that do not go together ---

truncate -s 64M "$work/small"
truncate -s 100M "$work/large"
modprobe loop
small=$(losetup --find --show "$work/small")
large=$(losetup --find --show "$work/large")
twin=$(losetup --find --show "$work/large")
third=$(losetup --find --show "$work/large")
coarse=$(losetup --find --show --sector-size 4096 "$work/large")
not_built "unequal sizes, the smaller first" "Invalid argument" "131072 sectors, the array's has 204800" \
	"${build_it[@]}" --raid-devices=2 "$small" "$large"
not_built "unequal sizes, the larger first" "Invalid argument" "204800 sectors, the array's has 131072" \
	"${build_it[@]}" --raid-devices=2 "$large" "$small"
not_built "unequal logical sectors, the larger first" "Invalid argument" "logical block size" \
	"${build_it[@]}" --raid-devices=2 "$coarse" /dev/path0
not_built "unequal logical sectors, the larger second" "Invalid argument" "logical block size" \
	"${build_it[@]}" --raid-devices=2 /dev/path0 "$coarse"

modprobe null_blk nr_devices=2 zoned=1 gb=1
settle
not_built "zoned devices" "Invalid argument" "zoned" "${build_it[@]}" --raid-devices=2 /dev/nullb0 /dev/nullb1
not_built "one zoned device" "Invalid argument" "zoned" "${build_it[@]}" --raid-devices=2 /dev/path0 /dev/nullb1

# --- adding what does not fit ---

build $md "$large" missing
not_added() {
	local said=$1 dev=$2
	mark_log
	# md takes it as a spare first.
	mdadm --quiet $md --add "$dev"
	wait_for eval '[ "$(log_count "^md/multipath:")" -gt 0 ]'
	state_is '[2/1] [U_]'
	said "$said"
	remove $md "$dev"
	unheld "$dev"
}
claim "adding a zoned device: refused, and it can be removed" not_added zoned /dev/nullb0
claim "adding a device with larger sectors: refused, and it can be removed" \
	not_added "logical block size" "$coarse"
claim "adding a smaller device: mdadm refuses" refused "not large enough" mdadm $md --add "$small"
claim "adding a larger device: refused, and it can be removed" \
	not_added "2097152 sectors, the array's has 204800" /dev/path1
fits() {
	readd $md "$twin"
	all_up 2
	equal 204800 "$(sectors $md)"
}
claim "adding a device of that size: it is taken" fits
spare() {
	mdadm --quiet $md --add "$third"
	settle
	state_is '[2/2] [UU]'
	mdstat | grep -F "$(kname "$third")[3](S)"
	mdadm --quiet $md --fail "$twin"
	remove $md "$twin"
	all_up 2
}
# slot_taken: a spare cannot be put where another path is.
slot_taken() {
	local spare
	mdadm --quiet $md --add "$twin"
	spare=/sys/block/md0/md/dev-$(kname "$twin")
	mark_log
	refused "busy" bash -c "echo 1 >$spare/slot"
	equal none "$(<"$spare/slot")"
	absent "$spare/multipath"
	all_up 2
	mdstat | grep -E "$(kname "$twin")\[[0-9]+\]\(S\)"
	log_lacks "duplicate filename"
	remove $md "$twin"
}
claim "one path more than slots is a spare, and steps in when another is removed" spare
claim "sysfs: a slot that another path is in, for a spare: refused, and it stays a spare" slot_taken
stop $md
losetup --detach "$small" "$large" "$twin" "$third" "$coarse"
rmmod null_blk

# --- 65 ---

udev_off
scsi_debug max_luns=33 dev_size_mb=8
claim "there are 66 devices" equal 66 "${#debug[@]}"
not_built "65 devices" "Invalid argument" "65" "${build_it[@]}" --raid-devices=65 "${debug[@]:0:65}"
rmmod scsi_debug
udev_on

# --- changing a running array ---

build $md /dev/path0 /dev/path1
before=$(mdstat)
not_changed "grow to three without --force" "Need 1 spare" - mdadm --grow $md --raid-devices=3
not_changed "grow to three" "No reshape" - mdadm --grow $md --raid-devices=3 --force
not_changed "shrink to one" "No reshape" - mdadm --grow $md --force --raid-devices=1
not_changed "sysfs: 65 slots" "Invalid argument" "65" attribute raid_disks 65
not_changed "sysfs: one slot" "busy" "slot 1 or above" attribute raid_disks 1
not_changed "sysfs: no slot" "Invalid argument" - attribute raid_disks 0
not_changed "grow to more than there is" "Invalid argument" "does not have that size" mdadm --grow $md --size=10G
not_changed "another level" "No reshape" - mdadm --grow $md --level=1
not_changed "sysfs: level raid1" "Invalid argument" - attribute level raid1
not_changed "sysfs: a level that does not exist" "Invalid argument" - attribute level nonsense
not_changed "grow: a chunk size" "chunk size not meaningful" - mdadm --grow $md --chunk=64
not_changed "sysfs: a chunk size" "Invalid argument" "chunk size" attribute chunk_size 65536
not_changed "sysfs: a layout" "Invalid argument" "layout" attribute layout 2
not_changed "grow: a bitmap" "not meaningful" - mdadm --grow $md --bitmap=internal
stop $md
claim "after all that an array is built" correct
