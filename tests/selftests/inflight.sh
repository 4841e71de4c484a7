#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# timeout: 240
#
# Ten thousand I/Os (two thousand on the debug kernel) are in flight on a path when it fails.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 7

# A kernel that checks itself takes several times as long for each.
many=$((10000 / slower))

null_disks plain0 size=64 memory_backed=1
dm_over mp0 /dev/plain0
dm_over mp1 /dev/plain0
build $md /dev/mapper/mp0 /dev/mapper/mp1

in_flight() {
	equal "$1" "$(stat_field $md 9)"
}

# Nobody else is to read on the path that hangs: neither who looks for partitions nor udev.
read_at $md 0 1 >/dev/null
settle
udev_off
dm_hang mp0
mark_log
before=$(stat_field /dev/mapper/mp1 5)
many_begin $many
claim "$many writes are in flight on a path that hangs" wait_for in_flight $many
dm_change mp0 "0 $(sectors /dev/mapper/mp0) error"
many_end
claim "when it fails all of them succeed, and hold what was written" many_clean
claim "the path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "each write goes down the other path once" equal $many $(($(stat_field /dev/mapper/mp1 5) - before))
claim "one line in the kernel log" equal 1 "$(log_count '^md/multipath:md0: path .* failed')"
claim "nothing is left in flight" in_flight 0
dm_mend mp0 /dev/plain0
mend() {
	remove $md /dev/mapper/mp0
	readd $md /dev/mapper/mp0
	all_up 2
}
claim "the path comes back" mend
udev_on

stop $md
dm_remove mp0 mp1
null_disks_gone plain0
