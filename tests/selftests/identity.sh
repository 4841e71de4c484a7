#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
#
# A path leads to the array's disk, or it is refused: by what the disk calls itself, by its size, and by
# where a partition begins. Where nothing can be told, that is said once. A parameter relaxes it.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 29

pattern "$work/data" 16
write_at /dev/path0 0 16 "$work/data"
wwn=5000c500a1b2c3d4
whole=$(sectors /dev/path0)
part=65536 # sectors: as many as a disk of scsi_debug has

# said REGEX...: the driver has said these things in the kernel log since the mark, in this order.
said() {
	local lines line
	lines=$(log_since)
	# md asks again for a spare that was refused: the same line may come twice.
	lines=$({ grep '^md/multipath:' <<<"$lines" || :; } | uniq)
	echo "the driver said: $lines"
	equal $# "$(grep -c . <<<"$lines")"
	while IFS= read -r line; do
		echo "wanted: $1"
		[[ $line =~ ^md/multipath:md0:\ $1$ ]]
		shift
	done <<<"$lines"
}

# built DEV...: it is, and is stopped again. What was said stays to be looked at.
built() {
	mark_log
	build $md "$@"
	all_up $#
	stop $md
}
quietly() {
	built "$@"
	said "active with .*"
}
doubtfully() {
	built "$@"
	said "$(kname "${@: -2:1}") has no name in common with the others: it may be another disk" "active with .*"
}
# not_built SAID DEV...: md begins with the last device, so that it is the one before that is refused.
not_built() {
	local said=$1
	shift
	mark_log
	refused "Invalid argument" mdadm --build $md --level=multipath --raid-devices=$# "$@"
	wait_for array_gone
	said "refused $(kname "${@: -2:1}"): $said"
	unheld "$@"
}
# not_added SAID DEV: md takes it for a spare, and nothing else changes.
not_added() {
	local before
	before=$(state)
	mark_log
	mdadm --quiet $md --add "$2"
	wait_for eval '[ "$(log_count "^md/multipath:.*refused")" -gt 0 ]'
	equal "$before" "$(state)"
	said "refused $(kname "$2"): $1"
	holds "$work/data" $md 0
	remove $md "$2"
	unheld "$2"
	equal "$before" "$(state)"
}

# --- names ---

claim "one disk: built, and nothing is said" quietly /dev/path0 /dev/path1
scsi_debug uuid_ctl=0
claim "two disks of one size: refused, with both names" \
	not_built "not the same disk: its NAA is 3[0-9a-f]{15}, the array's is 3[0-9a-f]{15}" "${debug[@]}"
other=${debug[0]}

dm_over mp0 /dev/path0 $part
dm_over mp1 /dev/path1 $part
claim "device mapper tells the disk's name: linear targets over one disk are one disk" \
	quietly /dev/mapper/mp0 /dev/mapper/mp1
claim "device mapper tells the disk's name: another disk is refused" \
	not_built "not the same disk: its NAA is 3[0-9a-f]{15}, the array's is $wwn" "$other" /dev/mapper/mp0
claim "the same, the other way round" \
	not_built "not the same disk: its NAA is $wwn, the array's is 3[0-9a-f]{15}" /dev/mapper/mp0 "$other"

build $md /dev/mapper/mp0 /dev/mapper/mp1
mdadm --quiet $md --fail /dev/mapper/mp0
remove $md /dev/mapper/mp0
state_is '[2/1] [_U]'
claim "adding another disk: refused, and the array goes on" \
	not_added "not the same disk: its NAA is 3[0-9a-f]{15}, the array's is $wwn" "$other"
dm_change mp0 "0 $part linear $other 0"
claim "another disk under a returned path's name: refused, and the array goes on" \
	not_added "not the same disk: its NAA is 3[0-9a-f]{15}, the array's is $wwn" /dev/mapper/mp0
forgotten_by_devices() {
	# The path that is left tells no name any more.
	dm_break mp1
	mark_log
	mdadm --quiet $md --add /dev/mapper/mp0
	wait_for eval '[ "$(log_count "^md/multipath:.*refused")" -gt 0 ]'
	said "refused $(kname /dev/mapper/mp0): not the same disk: its NAA is 3[0-9a-f]{15}, the array's is $wwn"
	remove $md /dev/mapper/mp0
	state_is '[2/1] [_U]'
}
claim "… also when the paths that are left are dead" forgotten_by_devices
comes_back() {
	dm_change mp0 "0 $part linear /dev/path0 0"
	mark_log
	readd $md /dev/mapper/mp0
	all_up 2
	said "path $(kname /dev/mapper/mp0) added, .*"
	dm_mend mp1 /dev/path1
	holds "$work/data" $md 0
}
claim "the right disk comes back, and the array has its data" comes_back
stop $md
dm_remove mp0 mp1
rmmod scsi_debug

# --- the kernel gives a device's name to another disk ---

# Found anew, path0 has the lowest name that is free, and the next disk gets it when path0 goes.
host=$(scsi_host /dev/path0)
scsi_delete /dev/path0
scsi_rescan "$host"
settle
wait_for present /dev/path0
build $md /dev/path0 /dev/path1
name=$(kname /dev/path0)
scsi_delete /dev/path0
mdadm --quiet $md --fail detached
wait_for mdadm --quiet $md --remove detached
state_is '[2/1] [_U]'
scsi_debug add_host=1 uuid_ctl=0 virtual_gb=1
claim "another disk has the name of the path that went" equal "/dev/$name" "${debug[*]}"
claim "another disk with the same kernel name and size: refused" \
	not_added "not the same disk: its NAA is 3[0-9a-f]{15}, the array's is $wwn" "/dev/$name"
rmmod scsi_debug
scsi_rescan "$host"
wait_for present /dev/path0
settle
returns() {
	readd $md /dev/path0
	all_up 2
	holds "$work/data" $md 0
}
claim "the disk that went comes back" returns
stop $md

# --- sizes and places ---

dm_over mp0 /dev/path0 $part
dm_over mp1 /dev/path1 $((part + 8))
claim "one disk, another size: refused, with both sizes" \
	not_built "not the same disk: it has $((part + 8)) sectors, the array's has $part" /dev/mapper/mp1 /dev/mapper/mp0
claim "one disk, another size, the larger first: refused" \
	not_built "not the same disk: it has $part sectors, the array's has $((part + 8))" /dev/mapper/mp0 /dev/mapper/mp1
build $md /dev/mapper/mp0 missing
claim "adding one of another size: refused, and the array goes on" \
	not_added "not the same disk: it has $((part + 8)) sectors, the array's has $part" /dev/mapper/mp1
stop $md
dm_remove mp0 mp1

claim "the same device twice: refused" refused "busy" \
	mdadm --build $md --level=multipath --raid-devices=2 /dev/path0 /dev/path0
parted --script /dev/path0 mklabel gpt mkpart a 1MiB 33MiB mkpart b 33MiB 65MiB
blockdev --rereadpt /dev/path1
settle
wait_for present /dev/path{0,1}p{1,2}
claim "the same partition by two paths: built, and nothing is said" quietly /dev/path0p1 /dev/path1p1
claim "two partitions of one size: refused, with both places" not_built \
	"not the same part of the disk: it begins at sector 67584, the array's at 2048" /dev/path1p2 /dev/path0p1
claim "a disk and a partition of it, by another path: refused" \
	not_built "not the same disk: it has 65536 sectors, the array's has $whole" /dev/path1p1 /dev/path0
claim "a disk and a partition of it, by the same path: busy" refused "busy" \
	mdadm --build $md --level=multipath --raid-devices=2 /dev/path0 /dev/path0p1
build $md /dev/path0 missing
claim "a partition of a path that is in: busy" refused "busy" mdadm $md --add /dev/path0p1
stop $md
# Its name tells of a path that comes when no other is there that it is the disk, however large that is by now.
grown() {
	local hosts=("$(scsi_host /dev/path0)" "$(scsi_host /dev/path1)")
	build $md /dev/path0p1 /dev/path1p1
	scsi_delete /dev/path0
	scsi_delete /dev/path1
	refused 'Input/output error' within 60 dd if=$md of=/dev/null bs=4k count=1 iflag=direct
	wait_state '[2/1] [_U]'
	wait_for mdadm --quiet $md --remove failed
	scsi_rescan "${hosts[0]}"
	wait_for present /dev/path0 /dev/path0p2
	parted --script /dev/path0 rm 2 resizepart 1 65MiB
	settle
	equal $((2 * part)) "$(sectors /dev/path0p1)"
	readd $md /dev/path0p1
	wait_state '[2/2] [UU]'
	dd if=$md of=/dev/null bs=4k count=1 iflag=direct status=none
	stop $md
	scsi_rescan "${hosts[1]}"
	wait_for present /dev/path1 /dev/path1p1
}
claim "a path comes to a disk that has grown, and no other is there: it is taken" grown
parted --script /dev/path0 rm 1
blockdev --rereadpt /dev/path1
settle
write_at /dev/path0 0 16 "$work/data"

# --- nothing to tell by ---

scsi_debug uuid_ctl=2 add_host=3
claim "disks without names: built, and one line says that they may differ" doubtfully "${debug[@]}"
build $md "${debug[0]}" missing missing
unsure() {
	mark_log
	readd $md "${debug[1]}"
	readd $md "${debug[2]}"
	wait_state '[3/3] [UUU]'
	equal 1 "$(log_count "^md/multipath:md0: .* has no name in common")"
	mdadm --quiet $md --fail "${debug[1]}"
	remove $md "${debug[1]}"
	readd $md "${debug[1]}"
	wait_state '[3/3] [UUU]'
	equal 1 "$(log_count "^md/multipath:md0: .* has no name in common")"
}
claim "adding disks without names: they are taken, and one line says that they may differ" unsure
stop $md
dm_over mp0 /dev/path0 $part
claim "a disk with a name and one without: built, and one line says that they may differ" \
	doubtfully /dev/mapper/mp0 "${debug[0]}"
rmmod scsi_debug

# --- the parameter ---

rmmod md_multipath
modprobe md_multipath same_disk_check=0
dm_over mp1 /dev/path1 $((part + 8))
smallest() {
	built "$@"
	said "$(kname "$1") is used all the same: not the same disk: .*" "active with .*"
	build $md "$@"
	equal $part "$(sectors $md)"
	stop $md
}
claim "same_disk_check=0: another size is a warning, and the smallest counts, when it is the first" \
	smallest /dev/mapper/mp0 /dev/mapper/mp1
claim "same_disk_check=0: … and when it is the second" smallest /dev/mapper/mp1 /dev/mapper/mp0
scsi_debug uuid_ctl=0 add_host=1
warned() {
	build $md /dev/mapper/mp0 missing
	mark_log
	readd $md "${debug[0]}"
	all_up 2
	said "$(kname "${debug[0]}") is used all the same: not the same disk: its NAA .*" "path .* added, .*"
	stop $md
}
claim "same_disk_check=0: adding another disk is a warning" warned
rmmod md_multipath
claim "same_disk_check: nonsense keeps the module from loading" \
	refused "Invalid" modprobe md_multipath same_disk_check=perhaps
modprobe md_multipath
dm_remove mp0 mp1
