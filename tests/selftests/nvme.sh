#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology nvme --paths 2
# timeout: 180
#
# Two NVMe controllers to one namespace.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 16

pattern "$work/data" 64
a=$(kname /dev/path0)
b=$(kname /dev/path1)

one_namespace() {
	local id
	id=$(<"/sys/block/$a/wwid")
	echo "$id"
	[ -n "$id" ]
	equal "$id" "$(<"/sys/block/$b/wwid")"
}
claim "the two paths lead to one namespace" one_namespace

build $md /dev/path0 /dev/path1
claim "the array is built, [2/2] [UU]" mdstat_is md0 "md0 : active multipath ${b}[1] ${a}[0]" \
	"      $(($(sectors /dev/path0) / 2)) blocks super non-persistent [2/2] [UU]"
written() {
	write_at $md 0 64 "$work/data"
	holds "$work/data" /dev/path0 0
	holds "$work/data" /dev/path1 0
	holds "$work/data" $md 0
}
claim "data written are on the disk, by both paths" written
claim "flush" eval 'dd if="$work/data" of=$md bs=4k count=1 conv=notrunc,fsync status=none'
claim "FUA" eval 'dd if="$work/data" of=$md bs=4k count=1 oflag=direct,dsync conv=notrunc status=none'
discards() {
	head -c 1048576 /dev/urandom >"$work/mega"
	write_at $md 1024 256 "$work/mega"
	blkdiscard --zeroout --offset 4M --length 512k $md
	[ "$(read_at /dev/path1 1024 128 | tr -d '\0' | wc -c)" -eq 0 ]
	read_at /dev/path0 1152 128 | cmp - <(tail -c 524288 "$work/mega")
	blkdiscard --offset 4M --length 1M $md
}
claim "discard and write-zeroes" discards
claim "a read with RWF_NOWAIT is done or told to come again" py '
fd, got = direct(sys.argv[1]), buffer(4096)
for i in range(10000):
    try: done = os.preadv(fd, [got], 0, os.RWF_NOWAIT)
    except BlockingIOError: continue
    assert done == 4096
    break
else: raise SystemExit("only EAGAIN")' $md

# --- a controller is pulled out ---

mark_log
io_begin pulled $md
device=$(readlink -f "/sys/block/$a/device/device")
echo 1 >"$device/remove"
claim "controller removed: the path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "controller removed: I/O goes on by the other" goes_on "/dev/path1"
claim "controller removed: the missing path can be removed" wait_for mdadm --quiet $md --remove failed
echo 1 >/sys/bus/pci/rescan
claim "the controller is found again" wait_for present /dev/path0
settle
readd $md /dev/path0
claim "the path comes back, [2/2] [UU]" all_up 2
claim "I/O goes on by it" goes_on /dev/path0
io_end
claim "no I/O saw an error, and all data are right" io_clean pulled
diag "the slowest I/O took $(longest pulled) ms"
claim "what was written before reads back from both paths" \
	eval 'holds "$work/data" /dev/path0 0; holds "$work/data" /dev/path1 0'
stop $md
claim "stop" wait_for array_gone
