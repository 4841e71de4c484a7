#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# Every kind of I/O through the array reaches the disk as what it is, by the first path and, if that fails it, by
# the second.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 43

# Two paths to one disk that knows FUA, UNMAP, WRITE SAME and WRITE ATOMIC.
scsi_debug lbpu=1 lbpws=1 lbprz=1 atomic_wr=1
a=${debug[0]}
b=${debug[1]}
build $md "$a" "$b"

# traced EVENT CMD…: runs CMD; then the kinds of requests that the two paths were given are in
# $work/requests, one `DISK RWBS SECTORS` a line.
tracing=/sys/kernel/tracing
traced() {
	local major_a major_b
	major_a=$(cat "/sys/block/$(kname "$a")/dev")
	major_b=$(cat "/sys/block/$(kname "$b")/dev")
	echo >$tracing/trace
	echo 1 >$tracing/events/block/block_rq_issue/enable
	local status=0
	"$@" || status=$?
	echo 0 >$tracing/events/block/block_rq_issue/enable
	# … block_rq_issue: 8,32 WFS 4096 () 0 + 8 none,0,0 [dd]
	awk -v a="${major_a/:/,}" -v b="${major_b/:/,}" '
		match($0, /block_rq_issue: /) {
			n = split(substr($0, RSTART + RLENGTH), f, " ")
			for (i = 1; i <= n; i++) if (f[i] == "+") break
			if (f[1] == a) print "a", f[2], f[i + 1]
			if (f[1] == b) print "b", f[2], f[i + 1]
		}' $tracing/trace >"$work/requests"
	echo "requests:"
	sort "$work/requests" | uniq -c
	return "$status"
}

# --- reads and writes ---

pattern "$work/data" 512
writes() {
	write_at $md 0 512 "$work/data"
	holds "$work/data" "$a" 0
	holds "$work/data" "$b" 0
}
claim "write: the data are on the disk, by each path" writes
claim "read: the data come back" holds "$work/data" $md 0
buffered() {
	dd if="$work/data" of=$md bs=64k seek=48 conv=notrunc,fsync status=none
	holds "$work/data" "$b" 768
}
claim "buffered write and fsync: the data are on the disk" buffered
unaligned() {
	# 512 bytes in the middle of a page.
	head -c 512 "$work/data" >"$work/sector"
	dd if="$work/sector" of=$md bs=512 seek=12345 oflag=direct conv=notrunc status=none
	dd if="$a" bs=512 skip=12345 count=1 iflag=direct status=none | cmp - "$work/sector"
}
claim "a single sector" unaligned
at_the_end() {
	local last=$(($(sectors $md) / 8 - 1))
	head -c 4096 "$work/data" >"$work/block"
	write_at $md "$last" 1 "$work/block"
	holds "$work/block" "$a" "$last"
}
claim "the last block" at_the_end
claim "past the end: no space" refused 'No space left' write_at $md $(($(sectors $md) / 8)) 1 "$work/data"

# --- larger than every limit ---

large() {
	local max
	max=$(cat "/sys/block/$(kname $md)/queue/max_sectors_kb")
	echo "max_sectors_kb: $max"
	[ "$max" -lt 16384 ]
	head -c 16777216 /dev/urandom >"$work/large"
	dd if="$work/large" of=$md bs=16M oflag=direct conv=notrunc status=none
	dd if=$md bs=16M count=1 iflag=direct status=none | cmp - "$work/large"
	dd if="$b" bs=16M count=1 iflag=direct status=none | cmp - "$work/large"
}
claim "one write and one read of 16 MiB, larger than every limit" large
vectors() {
	# 1024 segments of 512 bytes, none next to the other in memory.
	py 'dev, n = sys.argv[1], 1024
bufs = [buffer(4096, bytes([i % 251]) * 4096) for i in range(n)]
fd = direct(dev)
assert os.pwritev(fd, [memoryview(b)[:512] for b in bufs], 1 << 20) == n * 512
got = [buffer(4096) for i in range(n)]
assert os.preadv(fd, [memoryview(b)[:512] for b in got], 1 << 20) == n * 512
assert all(got[i][:512] == bufs[i][:512] for i in range(n))' $md
}
claim "1024 scattered segments in one call" vectors

# --- flush and FUA ---

flush() {
	traced dd if="$work/block" of=$md bs=4k conv=notrunc,fsync status=none
	grep -q ' FF' "$work/requests"
}
head -c 4096 "$work/data" >"$work/block"
claim "fsync reaches the disk as a flush" flush
claim "the array says that it has a write cache" equal 'write back' "$(</sys/block/md0/queue/write_cache)"
claim "the array says that it knows FUA" equal 1 "$(</sys/block/md0/queue/fua)"
fua() {
	traced dd if="$work/block" of=$md bs=4k oflag=direct,dsync conv=notrunc status=none
	grep -Eq '^. WFS? 8$' "$work/requests"
}
claim "a write with FUA reaches the disk with FUA" fua
one_path() {
	# Writes alone: udev may be reading one of the paths.
	equal 1 "$(awk '$2 ~ /^[WF]/ { print $1 }' "$work/requests" | sort -u | wc -l)"
}
claim "… and takes one path only" one_path

# --- discard and write-zeroes ---

zeroes() {
	[ "$(read_at "$1" "$2" "$3" | tr -d '\0' | wc -c)" -eq 0 ]
}
discard() {
	write_at $md 0 512 "$work/data"
	traced blkdiscard --offset 0 --length 1M $md
	grep -Eq '^. DS? 2048$' "$work/requests"
	zeroes "$a" 0 256
	zeroes "$b" 0 256
	dd if="$b" bs=4k skip=256 count=256 iflag=direct status=none | cmp - <(tail -c 1048576 "$work/data")
}
claim "a discard reaches the disk, and nothing else is discarded" discard
write_zeroes() {
	write_at $md 0 512 "$work/data"
	traced blkdiscard --zeroout --offset 0 --length 1M $md
	grep -Eq '^. (WZ|D)' "$work/requests"
	zeroes "$a" 0 256
	zeroes "$b" 0 256
	dd if="$b" bs=4k skip=256 count=256 iflag=direct status=none | cmp - <(tail -c 1048576 "$work/data")
}
claim "write-zeroes zeroes what it should, and nothing else" write_zeroes
discard_all() {
	write_at $md 0 512 "$work/data"
	blkdiscard $md
	zeroes "$b" 0 512
}
claim "a discard of the whole array, larger than every limit" discard_all

# --- NOWAIT ---

nowait='import time
fd, n = direct(sys.argv[1]), 0
data = buffer(4096, b"\x5a" * 4096)
def again(f):
    end = time.monotonic() + 50
    while time.monotonic() < end:
        try: return f()
        except BlockingIOError: pass
    raise SystemExit("only EAGAIN")
assert again(lambda: os.pwritev(fd, [data], 8192, os.RWF_NOWAIT)) == 4096
for i in range(200):
    got = buffer(4096)
    assert again(lambda: os.preadv(fd, [got], 8192, os.RWF_NOWAIT)) == 4096
    assert got[:] == data[:]'
claim "O_DIRECT with RWF_NOWAIT: writes and reads succeed, with the right data" py "$nowait" $md

# As many as can be submitted: some must be told to come again, and no path may be blamed for that.
nowait_flood() {
	local errors
	fio --name=flood --filename=$md --direct=1 --ioengine=io_uring --nowait=1 --rw=randread --bs=4k \
		--iodepth=256 --number_ios=3000 --ignore_error=EAGAIN --output-format=json \
		--output="$work/flood.json" >"$work/flood.log" 2>&1 || :
	cat "$work/flood.log"
	errors=$(sed -n '/^{/,$p' "$work/flood.json" | jq -r '.jobs[0] | "\(.first_error // 0) \(.error) \(.read.total_ios)"')
	echo "first error, error, reads: $errors"
	# Another error than EAGAIN (11) would have been the end of it.
	[[ $errors =~ ^(0|11)\ 0\ [1-9] ]]
}
claim "a flood of reads with NOWAIT: no error but EAGAIN" nowait_flood
claim "… and no path is blamed" state_is '[2/2] [UU]'

# --- accounting ---

counted() {
	local reads=$1 field=$2 wanted=$3
	shift 3
	local before
	# What udev reads after a writer has closed the device is counted too.
	settle
	before=$(stat_field $md "$field")
	"$@"
	wait_for idle $md
	echo "$reads"
	equal "$wanted" $(($(stat_field $md "$field") - before))
}
claim "accounting: each sector written is counted once" \
	counted 'sectors written' 7 4096 write_at $md 0 512 "$work/data"
claim "accounting: each sector read is counted once" counted 'sectors read' 3 2048 eval "read_at $md 0 256 >/dev/null"
iostat_line() {
	iostat -d -k md0 >"$work/iostat"
	cat "$work/iostat"
	awk '$1 == "md0" && $6 > 0 && $7 > 0 { found = 1 } END { exit !found }' "$work/iostat"
}
claim "iostat shows md0, with reads and writes" iostat_line
claim "accounting: nothing is in flight when all is done" wait_for idle $md
verified() {
	fio --name=verify --filename=$md --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
		--bsrange=512-64k --size=16M --io_size=4M --verify=crc32c --verify_state_save=0 --do_verify=1 \
		--output="$work/verify.log" || {
		cat "$work/verify.log"
		return 1
	}
}
claim "fio: random writes of many sizes, verified" verified

# --- atomic writes ---

# An atomic write of 16 KiB, at the block of that size that is given.
atomic='fd = direct(sys.argv[1])
data = buffer(16384, open(sys.argv[2], "rb").read(16384))
assert os.pwritev(fd, [data], int(sys.argv[3]) * 16384, 0x40) == 16384'
atomic() {
	traced py "$atomic" $md "$work/data" 3
	grep -Eq '^. WSU? 32$' "$work/requests"
	grep -q 'U 32$' "$work/requests"
	head -c 16384 "$work/data" | cmp - <(read_at "$b" 12 4)
}
claim "an atomic write reaches the disk as one" atomic
claim "… up to the size that the disk has" \
	equal "$(<"/sys/block/$(kname "$a")/queue/atomic_write_max_bytes")" "$(</sys/block/md0/queue/atomic_write_max_bytes)"

# --- what the first path fails ---

# retried KIND CMD…: path a fails it, and path b gets the same, once. KIND, a regular expression, is what it is and
# how many sectors.
retried() {
	local kind=$1
	shift
	break_path 0
	traced "$@"
	mend_path 0
	grep -Eq "^a $kind\$" "$work/requests"
	equal 1 "$(grep -Ec "^b $kind\$" "$work/requests")"
	wait_state '[2/1] [_U]'
	remove $md "$a"
	readd $md "$a"
	all_up 2
}
# Nobody else is to find out that a path is broken. Without --force blkdiscard reads first.
settle
udev_off
tail -c 1048576 "$work/data" >"$work/back"
claim "failed by a path: a write" \
	retried 'WS? 2048' dd if="$work/back" of=$md bs=1M oflag=direct conv=notrunc status=none
claim "… its data are on the disk" holds "$work/back" "$b" 0
claim "failed by a path: a read" \
	retried 'RS? 2048' eval 'dd if=$md bs=1M count=1 iflag=direct status=none | cmp - "$work/back"'
claim "failed by a path: a write with FUA" \
	retried 'WFS? 8' dd if="$work/block" of=$md bs=4k oflag=direct,dsync conv=notrunc status=none
claim "failed by a path: a flush" retried 'FF?S? 0' py 'os.fsync(os.open(sys.argv[1], os.O_RDONLY))' $md
claim "failed by a path: an atomic write" retried 'WSU 32' py "$atomic" $md "$work/back" 5
claim "… its data are on the disk" eval 'head -c 16384 "$work/back" | cmp - <(read_at "$b" 20 4)'
claim "failed by a path: a discard" retried 'DS? 2048' blkdiscard --force --offset 0 --length 1M $md
write_at $md 0 512 "$work/data"
claim "failed by a path: write-zeroes" retried 'WZS? 2048' blkdiscard --force --zeroout --offset 0 --length 1M $md
claim "… and nothing else is zero" eval 'zeroes "$b" 0 256; read_at "$b" 256 256 | cmp - "$work/back"'
udev_on

# --- a disk that cannot do what it said ---

# From now on it refuses to write zeroes, and its driver learns that from the error.
echo 1 >/sys/module/scsi_debug/parameters/write_same_length
zeroed_by_hand() {
	write_at $md 0 512 "$work/data"
	blkdiscard --zeroout --offset 0 --length 1M $md
	zeroes "$b" 0 256
	dd if="$b" bs=4k skip=256 count=256 iflag=direct status=none | cmp - <(tail -c 1048576 "$work/data")
	equal 0 "$(<"/sys/block/$(kname "$a")/queue/write_zeroes_max_bytes")"
	equal 0 "$(<"/sys/block/${md#/dev/}/queue/write_zeroes_max_bytes")"
}
claim "write-zeroes that the disk refuses after all: zeroes are written instead" zeroed_by_hand
comes_back() {
	mdadm --quiet $md --fail "$a"
	remove $md "$a"
	readd $md "$a"
	all_up 2
}
claim "… and a path can still come back" comes_back
restarted() {
	stop $md
	build $md "$a" "$b"
}
claim "… and the array starts" restarted
claim "all paths are up" state_is '[2/2] [UU]'
stop $md
rmmod scsi_debug

# --- protection information ---

scsi_debug dif=1 dix=1 dev_size_mb=64
a=${debug[0]}
b=${debug[1]}
build $md "$a" "$b"
same_format() {
	equal T10-DIF-TYPE1-CRC "$(<"/sys/block/$(kname "$a")/integrity/format")"
	equal T10-DIF-TYPE1-CRC "$(</sys/block/md0/integrity/format)"
}
claim "protection information: the array has what its disk has" same_format
# xfs makes it by itself, and so it comes with the I/O.
mkfs.xfs -q -f --unsupported -K $md
mount -t xfs $md "$mnt"
write_protected() {
	break_path 0
	dd if="$work/data" of="$mnt/file" bs=1M oflag=direct status=none
	mend_path 0
	wait_state '[2/1] [_U]'
}
claim "… a write that a path fails goes to the other with the right one" write_protected
read_protected() {
	remove $md "$a"
	readd $md "$a"
	all_up 2
	break_path 0
	dd if="$mnt/file" bs=1M iflag=direct status=none | cmp - "$work/data"
	mend_path 0
	wait_state '[2/1] [_U]'
}
claim "… so has a read" read_protected
umount "$mnt"
stop $md
