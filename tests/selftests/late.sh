#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# write_retry_hold_ms: a path that fails a write and delivers it all the same, later, must not undo what
# was written meanwhile.
#
# Such a path is a network block device whose server hangs up on a write, and does it when it is told to.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 18

hold=/sys/block/md0/md/write_retry_hold_ms

# A server of /dev/nbd0, over the disk that path1 leads to. Of the writes to block `late` it keeps the
# first, hangs up, and does it when $work/deliver is there. It says what it did by files in $work.
server='import fcntl, os, socket, struct, sys, time
work, disk, late = sys.argv[1], sys.argv[2], int(sys.argv[3]) * 4096
fd = os.open(disk, os.O_RDWR)
size = os.lseek(fd, 0, os.SEEK_END)
ours, theirs = socket.socketpair()
nbd = os.open("/dev/nbd0", os.O_RDWR)
SET_SOCK, SET_BLKSIZE, DO_IT, CLEAR_SOCK, SET_SIZE_BLOCKS, SET_FLAGS = 0xab00, 0xab01, 0xab03, 0xab04, 0xab07, 0xab0a
fcntl.ioctl(nbd, SET_BLKSIZE, 512)
fcntl.ioctl(nbd, SET_SIZE_BLOCKS, size // 512)
fcntl.ioctl(nbd, SET_FLAGS, 1 | 4)
fcntl.ioctl(nbd, SET_SOCK, theirs.fileno())
if os.fork() == 0:
    ours.close()
    try: fcntl.ioctl(nbd, DO_IT)
    except OSError: pass
    fcntl.ioctl(nbd, CLEAR_SOCK)
    os._exit(0)
theirs.close()
def take(n):
    data = b""
    while len(data) < n:
        part = ours.recv(n - len(data))
        if not part: sys.exit(0)
        data += part
    return data
open(work + "/serving", "w").close()
while True:
    magic, command, handle, offset, length = struct.unpack(">II8sQI", take(28))
    command &= 0xffff
    data = b""
    if command == 0: data = os.pread(fd, length, offset)
    elif command == 1:
        late_data = take(length)
        if offset <= late < offset + length: break
        os.pwrite(fd, late_data, offset)
    elif command == 2: sys.exit(0)
    elif command == 3: os.fsync(fd)
    ours.sendall(struct.pack(">II8s", 0x67446698, 0, handle) + data)
ours.close()
open(work + "/hung-up", "w").close()
while not os.path.exists(work + "/deliver"): time.sleep(0.05)
os.pwrite(fd, late_data, offset)
os.fsync(fd)
open(work + "/delivered", "w").close()'

# serve: nbd0 is up. The page cache of the disk is not in the way: everybody else uses O_DIRECT.
serve() {
	rm -f "$work"/{serving,hung-up,deliver,delivered}
	python3 -I -S -c "$server" "$work" /dev/path1 7 >"$work/server" 2>&1 &
	server_pid=$!
	wait_for [ -e "$work/serving" ]
	wait_for same_size
}

same_size() {
	[ "$(sectors /dev/nbd0)" = "$(sectors /dev/path1)" ]
}

deliver() {
	: >"$work/deliver"
	wait_for [ -e "$work/delivered" ]
	wait $server_pid || :
}

keeps() {
	local before status=0
	before=$(<$hold)
	printf '%b' "$1" >$hold || status=$?
	[ "$status" -ne 0 ] && equal "$before" "$(<$hold)"
}

pattern "$work/old" 1
pattern "$work/new" 1
modprobe nbd nbds_max=1
wait_for present /dev/nbd0

# --- without a hold ---

serve
build $md /dev/nbd0 /dev/path1
claim "write_retry_hold_ms is 0 by default" equal 0 "$(<$hold)"
claim "without a hold: a write that the first path fails succeeds on the other" write_at $md 7 1 "$work/old"
claim "… and the first path is failed" wait_state '[2/1] [_U]'
claim "… and a newer write follows" write_at $md 7 1 "$work/new"
claim "… and is there" holds "$work/new" $md 7
deliver
claim "without a hold: the failed path delivers its write late, and the newer one is lost" holds "$work/old" $md 7
stop $md

# --- with one ---

serve
build $md /dev/nbd0 /dev/path1
for bytes in '\n' '-1\n' '600001\n' '99999999999999999999\n' 'no\n' '\xff\n'; do
	claim "write_retry_hold_ms does not take $(printf '%q' "$bytes")" keeps "$bytes"
done
long() { not dd if=/dev/zero of=$hold bs=1M count=1 status=none; }
claim "write_retry_hold_ms does not take a megabyte" long
# The next two claims have to be made meanwhile; and after two minutes the kernel takes a task for one that hangs.
meanwhile=$((slower > 1 ? 80000 : 20000))
echo $meanwhile >$hold
claim "write_retry_hold_ms takes a number" equal $meanwhile "$(<$hold)"
write_at $md 7 1 "$work/old" &
writer=$!
wait_for [ -e "$work/hung-up" ]
claim "with a hold: reads go on meanwhile" \
	within 15 dd if=$md of=/dev/null bs=4k skip=9 count=1 iflag=direct status=none
deliver
claim "… and the write waits while the failed path delivers" busy $md
status=0
wait $writer || status=$?
claim "… and then succeeds" equal 0 "$status"
newer() {
	write_at $md 7 1 "$work/new"
	holds "$work/new" $md 7
}
claim "with a hold: a newer write stays" newer
stop $md
# udev may still look at it.
wait_for rmmod nbd
