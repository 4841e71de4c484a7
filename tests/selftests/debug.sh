#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# debugfs shows the slots of an array, what each path has counted, and the settings. Reading it is in
# nobody's way.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 15

dir=/sys/kernel/debug/md_multipath/md0

# cells SLOT COLUMN=VALUE...
cells() {
	local slot=$1 pair
	shift
	cat $dir/paths
	for pair; do equal "$pair" "${pair%%=*}=$(cell "$slot" "${pair%%=*}")"; done
}

claim "without an array there is an empty directory" equal "" "$(ls /sys/kernel/debug/md_multipath)"
pattern "$work/data" 64
dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1
settle
claim "an array has the files paths and settings, for root to read" equal "paths 400 0
settings 400 0" "$(cd $dir && stat -c '%n %a %u' -- *)"
rows() {
	cells 0 "device=$(kname /dev/mapper/mp0)" state=up priority=0 err-disk=0 err-path=0 err-either=0 \
		failovers=0 retries=0 parked=0 last-error=-
	cells 1 "device=$(kname /dev/mapper/mp1)" state=up ios=0 last-error=-
	equal 3 "$(wc -l <$dir/paths)"
}
claim "each slot has a row: device, state, priority, and counters at zero" rows
counts() {
	local before
	before=$(cell 0 ios)
	write_at $md 0 64 "$work/data"
	cells 0 "ios=$((before + 64))"
	echo round-robin >/sys/block/md0/md/path_policy
	dd if=$md of=/dev/null bs=4k count=64 iflag=direct status=none
	echo first >/sys/block/md0/md/path_policy
	equal $((before + 128)) $(($(cell 0 ios) + $(cell 1 ios)))
	[ "$(cell 1 ios)" -ge 24 ]
}
udev_off
claim "I/Os are counted on the path that they take" counts
priority() {
	echo -5 >"/sys/block/md0/md/dev-$(kname /dev/mapper/mp1)/multipath/priority"
	cells 0 priority=0
	cells 1 priority=-5
}
claim "a path's priority is shown" priority
settings() {
	cat $dir/settings
	echo round-robin >/sys/block/md0/md/path_policy
	equal "path_policy round-robin
same_disk_check 1
disk NAA 5000c500a1b2c3d4" "$(grep -E '^(path_policy|same_disk_check|disk) ' $dir/settings)"
	echo first >/sys/block/md0/md/path_policy
}
claim "the settings and the disk's name are shown" settings

# --- errors ---

dm_break mp0
fails() {
	write_at $md 0 1 "$work/data"
	wait_state '[2/1] [_U]'
	wait_for eval '[ "$(cell 0 state)" != up ]'
	cells 1 retries=1 failovers=0 err-either=0
}
# A failed path leaves its slot by itself: what was counted is looked at on the last one, which does not.
claim "a retry is counted on the path that it comes to" fails
dm_mend mp0 /dev/path0
remove $md /dev/mapper/mp0
readd $md /dev/mapper/mp0
all_up 2
dm_break mp1
last_one() {
	mdadm --quiet $md --fail /dev/mapper/mp0
	remove $md /dev/mapper/mp0
	cells 0 device=- state=empty
	refused "Input/output error" write_at $md 0 1 "$work/data"
	# At first, and when it was asked in earnest.
	cells 1 state=up err-either=2 failovers=2 err-path=0 err-disk=0 last-error=IOERR
	grep -E ' IOERR [0-9]+ ms ago$' $dir/paths
}
claim "an empty slot is shown; an error is counted by its verdict, and the last one has its age" last_one
dm_mend mp1 /dev/path1
readd $md /dev/mapper/mp0
all_up 2
claim "a path that comes back counts from zero" cells 0 retries=0 failovers=0 err-either=0 last-error=-
udev_on
stop $md
dm_remove mp0 mp1
claim "the array's directory goes with it" equal "" "$(ls /sys/kernel/debug/md_multipath)"
scsi_debug opts=2
build $md "${debug[@]}"
answers() {
	# Sector 0x1234 cannot be read.
	refused "No data available" read_at $md 582 1
	cells 0 state=up err-disk=1 err-path=0 err-either=0 failovers=0 last-error=MEDIUM
	cells 1 retries=0
}
claim "the disk's own answer is counted as such" answers
stop $md
rmmod scsi_debug

# --- readers ---

build $md /dev/path0 /dev/path1
open_file() {
	local fd
	exec {fd}<$dir/paths
	stop $md
	refused "Input/output error" bash -c "cat <&$fd"
	refused "in use" rmmod md_multipath
	exec {fd}<&-
	rmmod md_multipath
	modprobe md_multipath
}
claim "who has a file open does not keep the array, but the module" open_file
crowd() {
	local i pids=()
	build $md /dev/path0 /dev/path1
	for i in 1 2 3 4; do
		# shellcheck disable=SC2016 # for the inner shell
		bash -c 'while :; do read -rd "" all <"$1/paths"; read -rd "" all <"$1/settings"; done' _ $dir 2>/dev/null &
		pids+=($!)
	done
	for i in {1..4}; do
		mdadm --quiet $md --fail /dev/path0
		remove $md /dev/path0
		readd $md /dev/path0
		all_up 2
		stop $md
		build $md /dev/path0 /dev/path1
	done
	kill "${pids[@]}"
	wait "${pids[@]}" || :
	state_is '[2/2] [UU]'
	stop $md
}
claim "paths and arrays come and go while four tasks read" crowd
several() {
	build /dev/md1 /dev/path0 missing
	build /dev/md2 /dev/path1 missing
	equal "md1
md2" "$(ls /sys/kernel/debug/md_multipath)"
	stop /dev/md1
	equal md2 "$(ls /sys/kernel/debug/md_multipath)"
	stop /dev/md2
}
claim "each array has its own directory" several
nothing() {
	rmmod md_multipath
	absent /sys/kernel/debug/md_multipath
	modprobe md_multipath
}
claim "the directory goes with the module" nothing
