#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# Each path has a file for its priority: it takes what makes sense and nothing else, comes and goes with
# the path, and is in nobody's way.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 29

# file DEV: the file of a path of the array.
file() {
	printf '%s' "/sys/block/md0/md/dev-$(kname "$1")/multipath/priority"
}

build $md /dev/path0 /dev/path1
first=$(file /dev/path0)
second=$(file /dev/path1)
claim "a path's priority is 0" eval 'equal 0 "$(<"$first")"; equal 0 "$(<"$second")"'
claim "anybody may read it, root may write it" equal "644 0 0" "$(stat -c '%a %u %g' "$first")"

takes() {
	printf '%s\n' "$1" >"$first"
	equal "$2" "$(<"$first")"
	equal 7 "$(<"$second")"
}
printf 7 >"$second"
for value in 1 -1 1000 -1000 0; do
	claim "it takes $value" takes "$value" "$value"
done
claim "white space around it is no matter" takes "  12	" 12

printf '%s\n' 5 >"$first"
# refuses FILE: its content, in one write.
refuses() {
	refused "Invalid argument" dd if="$1" of="$first" bs=2M count=1 conv=notrunc status=none
	equal 5 "$(<"$first")"
	equal 7 "$(<"$second")"
}
refuses_text() {
	printf '%b' "$1" >"$work/text"
	refuses "$work/text"
}
claim "it refuses white space" refuses_text '\n'
for value in 1001 -1001 2147483648 99999999999999999999 nonsense 1x 1.5 0x10 '1 2' -- '5\0' '\0' '\377\376'; do
	claim "it refuses $value" refuses_text "$value"
done
head -c 1048576 /dev/zero | tr '\0' 1 >"$work/long"
claim "it refuses 1 MiB of digits" refuses "$work/long"
head -c 1048576 /dev/urandom >"$work/noise"
claim "it refuses 1 MiB of noise" refuses "$work/noise"
claim "an empty write is nothing" eval ': >"$first"; equal 5 "$(<"$first")"'

# --- it comes and goes ---

stays_while_failed() {
	mdadm --quiet $md --fail /dev/path0
	remove $md /dev/path0
	absent "${first%/*}"
	readd $md /dev/path0
	all_up 2
	equal 5 "$(<"$first")"
	equal 7 "$(<"$second")"
}
claim "it goes with a path that is removed, and comes back with what the slot had" stays_while_failed
open_file() {
	local fd
	exec {fd}<>"$first"
	mdadm --quiet $md --fail /dev/path0
	remove $md /dev/path0
	unheld /dev/path0
	refused "No such device" bash -c "cat <&$fd"
	refused "No such device" bash -c "echo 3 >&$fd"
	readd $md /dev/path0
	all_up 2
	refused "No such device" bash -c "echo 3 >&$fd"
	equal 5 "$(<"$first")"
}
claim "who has it open does not keep the path, and finds nothing there after that" open_file
crowd() {
	local i pids=() end
	for i in 1 2 3 4; do
		# shellcheck disable=SC2016 # for the inner shell
		bash -c 'while :; do read -r value <"$1"; echo "$2" >"$1"; done' _ "$first" "$i" 2>/dev/null &
		pids+=($!)
	done
	for i in {1..10}; do
		mdadm --quiet $md --fail /dev/path0
		remove $md /dev/path0
		readd $md /dev/path0
		all_up 2
	done
	kill "${pids[@]}"
	wait "${pids[@]}" || :
	state_is '[2/2] [UU]'
}
claim "paths leave and enter while four tasks read and write it" crowd
stop $md
absent_all() {
	absent /sys/block/md0
	build $md /dev/path0 /dev/path1
	equal 0 "$(<"$second")"
	stop $md
}
claim "it goes with the array, and starts at 0" absent_all
