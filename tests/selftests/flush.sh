#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# A flush goes down one path, is tried again on another, and its error is the caller's.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 21

size=$(sectors /dev/path0)
# Reads pass, writes and flushes fail.
flaky() {
	printf '0 %d flakey %s 0 0 1 1 error_writes' "$size" "$1"
}
# fsync DEV: of a device with nothing dirty, so that it is a flush alone.
flush='fd = os.open(sys.argv[1], os.O_RDWR)
try: os.fsync(fd)
except OSError as e: print(errno.errorcode[e.errno])
else: print("success")'
flush_is() {
	equal "$1" "$(py "$flush" $md)"
}

# --- the count ---

build $md /dev/path0 /dev/path1
one_flush() {
	local before0 before1
	before0=$(stat_field /dev/path0 16)
	before1=$(stat_field /dev/path1 16)
	flush_is success
	equal 1 $(($(stat_field /dev/path0 16) - before0 + $(stat_field /dev/path1 16) - before1))
}
claim "one fsync is one flush, on one path" one_flush
counted() {
	local before
	before=$(stat_field $md 16)
	flush_is success
	echo "flushes of $md: $before, $(stat_field $md 16)"
}
claim "fsync of a healthy array succeeds" counted
stop $md

# --- failures ---

dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1
dm_change mp0 "$(flaky /dev/path0)"
dm_change mp1 "$(flaky /dev/path1)"
claim "a flush that fails on every path is reported to fsync" flush_is EIO
claim "… and no path is blamed" state_is '[2/2] [UU]'
claim "… every time" eval 'flush_is EIO; flush_is EIO; state_is "[2/2] [UU]"'
dirty() {
	refused 'Input/output error' within 60 dd if=/dev/zero of=$md bs=4k count=8 conv=notrunc,fsync status=none
	state_is '[2/2] [UU]'
}
claim "dirty pages that cannot be written are reported to fsync" dirty
synchronous() {
	refused 'Input/output error' within 60 dd if=/dev/zero of=$md bs=4k count=1 oflag=direct,dsync conv=notrunc status=none
	state_is '[2/2] [UU]'
}
claim "a write with FUA that fails on every path is reported" synchronous
claim "reads go on" eval 'read_at $md 0 16 >/dev/null'
dm_mend mp1 /dev/path1
mark_log
elsewhere() {
	local before
	before=$(stat_field /dev/path1 16)
	flush_is success
	equal 1 $(($(stat_field /dev/path1 16) - before))
}
claim "a flush that fails on one path only is done by the other, once" elsewhere
claim "… and that path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "… with one line in the kernel log" equal 1 "$(log_count "^md/multipath:md0: path $(kname /dev/mapper/mp0) failed")"
claim "the next flush takes the other path" flush_is success

# --- what is waited for ---

dm_mend mp0 /dev/path0
remove $md /dev/mapper/mp0
readd $md /dev/mapper/mp0
all_up 2
dm_change mp0 "$(flaky /dev/path0)"
hold=/sys/block/md0/md/write_retry_hold_ms
echo 600000 >$hold
at_once() {
	local pid
	flush_is success &
	pid=$!
	# Who waits cannot be killed, but let go.
	wait_for -t 60 not kill -0 "$pid" || echo 0 >$hold
	wait "$pid"
	equal 600000 "$(<$hold)"
}
claim "a flush changes no data: it does not wait for write_retry_hold_ms" at_once
claim "… and the path that failed it is failed" wait_state '[2/1] [_U]'
stop $md
dm_remove mp0 mp1

# A path that takes its time may have been answered with a flush that fails fast: it is asked once more. Each fails
# the next SYNCHRONIZE CACHE so that nobody below repeats it: DID_NO_CONNECT.
scsi_debug dev_size_mb=32
build $md "${debug[@]}"
inject 0 "2 -1 0x35 0x01 0 0 0 0 0"
inject 1 "2 -1 0x35 0x01 0 0 0 0 0"
claim "a flush that each path has failed once is not given up" flush_is success
claim "… as the path that is asked again succeeds: the other one is failed" wait_state '[2/1] [U_]'

# --- a path that is said to have no write cache ---

# The block layer does not send it a flush, and answers with success; and takes FUA off a write.
remove $md "${debug[1]}"
readd $md "${debug[1]}"
all_up 2
cache() {
	echo "$2" >"/sys/block/$(kname "${debug[$1]}")/queue/write_cache"
}
cache 0 "write through"
flushes() {
	local before
	before=$(stat_field "${debug[1]}" 16)
	flush_is success
	equal "$1" $(($(stat_field "${debug[1]}" 16) - before))
}
claim "a path without a write cache: a flush takes the one that has it" flushes 1
fua() {
	local before
	before=$(stat_field "${debug[1]}" 7)
	dd if=/dev/zero of=$md bs=4k count=1 oflag=direct,dsync conv=notrunc status=none
	equal 8 $(($(stat_field "${debug[1]}" 7) - before))
}
claim "… so does a write with FUA" fua
inject 1 "2 -1 0x35 0x01 0 0 0 0 0"
claim "… a flush that fails there is done there again" flushes 2
claim "… as the other cannot tell: none is failed" state_is '[2/2] [UU]'
cache 1 "write through"
claim "no path has a write cache: a flush has nothing to do" flushes 0
stop $md
rmmod scsi_debug
