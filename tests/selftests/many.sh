#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 8
# timeout: 300
#
# Three, eight and 64 paths.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 22

pattern "$work/data" 64

# up N DOWN: the state of N paths of which the first DOWN are failed.
up() {
	local u d
	printf -v d '%*s' "$2" ''
	printf -v u '%*s' $(($1 - $2)) ''
	printf '[%d/%d] [%s%s]' "$1" $(($1 - $2)) "${d// /_}" "${u// /U}"
}

# --- three ---

paths=(/dev/path{0..2})
build $md "${paths[@]}"
claim "three paths: [3/3] [UUU]" state_is '[3/3] [UUU]'
write_at $md 0 64 "$work/data"
io_begin three $md
scsi_state /dev/path0 offline
claim "three paths: the first fails, [3/2] [_UU]" wait_state '[3/2] [_UU]'
claim "three paths: I/O goes on" goes_on $md
scsi_state /dev/path1 offline
claim "three paths: the second fails, [3/1] [__U]" wait_state '[3/1] [__U]'
claim "three paths: I/O goes on by the last" goes_on /dev/path2
scsi_state /dev/path0 running
scsi_state /dev/path1 running
remove $md /dev/path1
readd $md /dev/path1
claim "three paths: one comes back, into the first free slot, [3/2] [U_U]" wait_state '[3/2] [U_U]'
remove $md /dev/path0
readd $md /dev/path0
claim "three paths: all are back, [3/3] [UUU]" all_up 3
io_end
claim "three paths: no I/O saw an error, and all data are right" io_clean three
all_hold() {
	local path
	for path in "${paths[@]}"; do holds "$work/data" "$path" 0; done
}
claim "three paths: what was written before reads back from all" all_hold
stop $md

# --- eight ---

paths=(/dev/path{0..7})
build $md "${paths[@]}"
claim "eight paths: [8/8] [UUUUUUUU]" all_up 8
write_at $md 0 64 "$work/data"
io_begin eight $md
one_after_the_other() {
	local i
	for i in {0..6}; do
		scsi_state "/dev/path$i" offline
		wait_state "$(up 8 $((i + 1)))"
		goes_on $md
	done
}
claim "eight paths: seven fail one after the other, I/O goes on" one_after_the_other
claim "eight paths: the last takes the I/O" goes_on /dev/path7
all_back() {
	local i
	for i in {0..6}; do scsi_state "/dev/path$i" running; done
	wait_for mdadm --quiet $md --remove failed
	for i in {0..6}; do readd $md "/dev/path$i"; done
	all_up 8
}
claim "eight paths: all come back" all_back
at_once() {
	local i
	for i in {0..6}; do scsi_state "/dev/path$i" offline; done
	goes_on /dev/path7
	wait_state "$(up 8 7)"
	for i in {0..6}; do scsi_state "/dev/path$i" running; done
}
claim "eight paths: all but one fail at once, I/O goes on" at_once
io_end
claim "eight paths: no I/O saw an error, and all data are right" io_clean eight
claim "eight paths: what was written before reads back from all" all_hold
stop $md

# --- 64: logical units of one emulated host, over one store ---

udev_off
scsi_debug max_luns=32
claim "64 paths: the disks are there" equal 64 "${#debug[@]}"
build $md "${debug[@]}"
claim "64 paths: all are up" all_up 64
sixty_four() {
	write_at $md 0 64 "$work/data"
	holds "$work/data" $md 0
	holds "$work/data" "${debug[63]}" 0
	holds "$work/data" "${debug[31]}" 0
}
claim "64 paths: data are written and read" sixty_four
all_but_one() {
	mdadm --quiet $md --fail "${debug[@]:0:63}"
	wait_state "$(up 64 63)"
	holds "$work/data" $md 0
	write_at $md 64 64 "$work/data"
	holds "$work/data" "${debug[63]}" 64
}
claim "64 paths: 63 are failed, the last works" all_but_one
some_back() {
	wait_for mdadm --quiet $md --remove failed
	mdadm --quiet $md --add "${debug[@]:0:3}"
	wait_for eval 'state | grep -F "[64/4] [UUU___"'
	holds "$work/data" $md 64
}
claim "64 paths: three come back" some_back
stop $md
claim "64 paths: nothing holds them after stop" unheld "${debug[@]}"
rmmod scsi_debug
udev_on
