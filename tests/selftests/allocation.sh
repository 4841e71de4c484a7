#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
# kernel: debug
#
# Memory that is not to be had: each allocation of loading, starting, adding, removing, growing and setting fails
# once, in turn; then nearly a third of all that I/O asks for; then of the driver's pages, also where it can wait for
# them. What fails does so cleanly, and the next try succeeds; leaks are looked for when the guest ends.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 12

program=${BASH_SOURCE[0]%/*}/allocation.py

# in_turn OPERATION: nothing was wrong, and something failed.
in_turn() {
	local sites wrong
	python3 -I -S "$program" "$1" >"$work/$1"
	cat "$work/$1"
	while read -r sites _ wrong; do
		equal - "$wrong"
		[ "$sites" -gt 0 ]
	done <"$work/$1"
}
# each OPERATION TEXT
each() {
	claim "$2: each allocation fails once, cleanly" in_turn "$1"
	diag "$1: $(awk '{ sites += $1; survived += $2 } END {
		print sites + 0 " allocations failed, " survived + 0 " times it succeeded all the same" }' "$work/$1")"
}

udev_off
each load "loading the module"
each run "starting an array"
each add "adding a path"
each remove "removing a path"
each grow "making more slots"
each settings "setting what can be set"

build $md /dev/path0 /dev/path1
io_begin io $md
python3 -I -S "$program" short >"$work/short" &
short=$!
refused_some() {
	local kind
	for kind in failslab fail_page_alloc; do
		[ "$(<"/sys/kernel/debug/$kind/probability")" = 30 ] &&
			[ "$(<"/sys/kernel/debug/$kind/times")" -lt 1000000000 ] || return
	done
}
goes_on_short() {
	wait_for refused_some
	goes_on $md
}
claim "with 30 % of the allocations failing I/O goes on" goes_on_short
one_path() {
	scsi_state /dev/path0 offline
	wait_state '[2/1] [_U]'
	goes_on $md
}
claim "… and on the other path when one fails" one_path
kill -TERM $short
wait $short
diag "failed meanwhile: $(sed 's/ / of the driver, /' "$work/short") pages"
returns() {
	scsi_state /dev/path0 running
	remove $md /dev/path0
	readd $md /dev/path0
	all_up 2
	goes_on $md
}
claim "… and on both again, with memory" returns
python3 -I -S "$program" pages >"$work/pages" &
pages=$!
pages_fail() {
	[ "$(<"/sys/kernel/debug/fail_page_alloc/probability")" = 30 ]
}
refused_page() {
	[ "$(<"/sys/kernel/debug/fail_page_alloc/times")" -lt 1000000000 ]
}
# What is added stays a spare where it did not get its memory.
joins() {
	local try
	for ((try = 0; try < 20; try++)); do
		readd $md /dev/path0
		! wait_for -t 2 state_is '[2/2] [UU]' || return 0
		remove $md /dev/path0
	done
	return 1
}
come_and_go() {
	local slab
	wait_for pages_fail
	for _ in 1 2 3; do
		# A slab with room to spare asks for no page.
		for slab in /sys/kernel/slab/kmalloc-*/shrink; do echo 1 >"$slab"; done
		scsi_state /dev/path0 offline
		wait_state '[2/1] [_U]'
		goes_on $md
		scsi_state /dev/path0 running
		remove $md /dev/path0
		joins
		goes_on $md
	done
}
claim "with 30 % of the driver's pages failing, also where it can wait, a path fails and comes back" come_and_go
claim "… and some have failed" refused_page
kill -TERM $pages
wait $pages
diag "failed meanwhile: $(<"$work/pages") pages of the driver"
io_end
claim "no I/O failed, and no data are wrong" io_clean io
stop $md
udev_on
