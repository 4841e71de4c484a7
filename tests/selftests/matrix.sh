#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --module tests/selftests/mpdisk --topology none
# timeout: 600
#
# The answer to every I/O and the state of every path, for each block status, kind of I/O and set of failing
# paths: the cells of matrix.table.
. "${BASH_SOURCE[0]%/*}/lib.sh"

table=${BASH_SOURCE[0]%/*}/matrix.table
mapfile -t statuses < <(awk '/^[A-Z]/ && !seen[$1]++ { print $1 }' "$table")
selftest_begin $((5 + 2 * ${#statuses[@]}))

udev_off
modprobe mpdisk disks=3
wait_for present /dev/mpdisk{0,1,2}
build $md /dev/mpdisk{0,1,2}

# play TABLE INJECTOR [STATUS]...: the cells go to standard output.
play() {
	python3 -I -S "${BASH_SOURCE[0]%/*}/matrix.py" "$@"
}

# cells STATUS: all of its cells were played, four for each operation, and are as the table has them.
cells() {
	grep " $1 " "$work/cells" | grep -v ^pass || :
	equal 32 "$(grep -c "^pass $1 " "$work/cells")"
}

# every INJECTOR WORDS
every() {
	local status
	play "$table" "$1" >"$work/cells" 2>"$work/errors" || diag "$(<"$work/errors")"
	diag "$1: $(grep -c ^pass "$work/cells") of $(grep -c . "$work/cells") cells are as the table has them"
	for status in "${statuses[@]}"; do claim "$status $2: 32 cells" cells "$status"; done
}

if [ -e /sys/kernel/debug/block/mpdisk0/error_injection ]; then
	every block "from the block layer"
else
	every module "from the disk"
fi
every late "from an interrupt"

# Wrong expectations are seen: of the answer, of a path's state, of a step in between.
wrong() {
	cat >"$work/wrong" <<-W
		OK      -        read     ok:UUU      ok:UUU,ok:UUU,ok:UUU           error:UUU  ok:UUU
		MEDIUM  ENODATA  write    error:_UU   error:UUU,error:UUU,error:UUU  error:UUU  ok:UUU
		IOERR   EIO      flush    ok:_UU      ok:_UU,ok:_UU,error:__U        error:UUU  error:UUU
	W
	play "$work/wrong" module >"$work/cells"
	equal "pass OK one, pass OK in-turn, fail OK all, pass OK mended, fail MEDIUM one, pass MEDIUM in-turn, pass MEDIUM all, fail MEDIUM mended, pass IOERR one, fail IOERR in-turn, pass IOERR all, pass IOERR mended" \
		"$(awk '{ printf "%s%s %s %s", sep, $1, $2, $4; sep = ", " }' "$work/cells")"
}
claim "a wrong expectation is seen" wrong
claim "all paths are up at the end" state_is '[3/3] [UUU]'

parameters=/sys/module/mpdisk/parameters
tracing=/sys/kernel/tracing
erased() {
	local path map=$tracing/events/md_multipath/md_multipath_map/enable
	echo 10,0,0 >$parameters/erase
	: >$tracing/trace
	echo 1 >$map
	# BLKSECDISCARD
	py 'import fcntl, struct
fcntl.ioctl(direct(sys.argv[1]), 0x127d, struct.pack("QQ", 0, 1 << 20))' $md
	echo 0 >$map
	cat $tracing/trace
	for path in 0 1; do equal 1 "$(grep -Ec "md_multipath_map: md0 DES? 0 \\+ 2048 path $path\$" $tracing/trace)"; done
	state_is '[3/2] [_UU]'
}
claim "a secure erase that a path fails goes to another as what it is" erased
stop $md

# As NVMe over fabrics and Fibre Channel do: what is told to fail fast ends at once, all else waits for the path to come
# back. The I/O is on its way, and told to fail fast, while its path becomes the last one.
# given_time KIND DD-OPERAND...: KIND is the parameter of mpdisk that holds for it.
given_time() {
	local io
	# Who opens the array first looks for partitions.
	dd if=$md of=/dev/null bs=4k count=1 iflag=direct status=none
	dm_hang last
	dd "${@:2}" bs=4k count=1 status=none &
	io=$!
	wait_for busy $md
	mdadm --quiet $md --fail /dev/mpdisk1
	state_is '[2/1] [U_]'
	echo 1 >$parameters/hasty
	echo 4,0,0 >"$parameters/$1"
	dm_unhang last
	wait $io
	state_is '[2/1] [U_]'
}
# The block layer has one flush for all that wait, which fails fast if one of them was told to.
flush_given_time() {
	echo 0 >$parameters/hasty
	echo 0,0,0 >$parameters/read
	remove $md /dev/mpdisk1
	readd $md /dev/mpdisk1
	all_up 2
	echo 1 >$parameters/merged
	given_time write if=/dev/zero of=$md oflag=direct,dsync conv=notrunc
	equal 0 "$(<$parameters/merged)"
}
udev_on
dm_over last /dev/mpdisk0
settle
udev_off
build $md /dev/mapper/last /dev/mpdisk1
claim "TRANSPORT of what was told to fail fast, on what became the last path: it is asked once more" \
	given_time read if=$md of=/dev/null iflag=direct
claim "… and a flush twice, as it may have been merged with another" flush_given_time
stop $md
dm_remove last
rmmod mpdisk
udev_on
