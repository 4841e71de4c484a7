#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
#
# All paths are dead: every I/O ends with EIO, the machine stays well, the array works again when the
# paths do.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 23

pattern "$work/data" 64

# 200 reads, 200 writes and 20 flushes: how they end, and how many.
fail_all='import signal
from collections import Counter
signal.alarm(150)
fd, seen = direct(sys.argv[1]), Counter()
page = buffer(4096, b"x" * 4096)
def attempt(f):
    try: f(); seen["success"] += 1
    except OSError as e: seen[errno.errorcode[e.errno]] += 1
for i in range(200):
    attempt(lambda: os.preadv(fd, [page], 4096 * i))
    attempt(lambda: os.pwritev(fd, [page], 4096 * i))
    if i % 10 == 0: attempt(lambda: os.fsync(fd))
print(*("%s %d" % i for i in sorted(seen.items())))'
all_fail() {
	local seen
	seen=$(py "$fail_all" $md)
	equal 'EIO 420' "$seen"
}

# Ten lines in five seconds is what the kernel's rate limit lets through; beside it an event or two.
few_lines() {
	local seconds=$1
	log_since | grep '^md/multipath:' | head -n 30 || :
	at_most $((10 * (seconds / 5 + 1) + 6)) "$(log_count '^md/multipath:')"
}

responds() {
	within 20 mdadm --detail $md >/dev/null
	within 20 cat /proc/mdstat >/dev/null
	# Of the host's files, too.
	within 110 sync
}

# --- both offline ---

build $md /dev/path0 /dev/path1
write_at $md 0 64 "$work/data"
scsi_state /dev/path0 offline
scsi_state /dev/path1 offline
mark_log
start=$SECONDS
claim "offline: 420 reads, writes and flushes all end, with EIO" all_fail
claim "offline: at most a few lines in the kernel log" few_lines $((SECONDS - start))
claim "offline: the machine responds" responds
claim "offline: one path is failed, and the last stays in use" eval 'state | grep -F "[2/1]"'
buffered() {
	refused 'Input/output error' within 60 dd if="$work/data" of=$md bs=4k conv=notrunc,fsync status=none
}
claim "offline: a buffered write is reported by fsync" buffered
scsi_state /dev/path0 running
scsi_state /dev/path1 running
claim "offline: the array works again as soon as the paths do" holds "$work/data" $md 0
pattern "$work/data" 64
claim "offline: … for writes too" eval 'write_at $md 0 64 "$work/data"; holds "$work/data" /dev/path1 0'
revive() {
	local failed
	for failed in /dev/path0 /dev/path1; do
		if is_faulty "$failed"; then
			remove $md "$failed"
			readd $md "$failed"
		fi
	done
	all_up 2
}
claim "offline: the failed path can be added again, [2/2] [UU]" revive
stop $md

# --- both deleted ---

build $md /dev/path0 /dev/path1
host0=$(scsi_host /dev/path0)
host1=$(scsi_host /dev/path1)
scsi_delete /dev/path0
scsi_delete /dev/path1
mark_log
start=$SECONDS
claim "deleted: 420 reads, writes and flushes all end, with EIO" all_fail
claim "deleted: at most a few lines in the kernel log" few_lines $((SECONDS - start))
claim "deleted: the machine responds" responds
claim "deleted: the last path is not failed, [2/1]" eval 'state | grep -E "^\[2/1\] \[(U_|_U)\]$"'
scsi_rescan "$host0"
scsi_rescan "$host1"
settle
wait_for present /dev/path0 /dev/path1
again() {
	mdadm --quiet $md --remove failed
	mdadm --quiet $md --add /dev/path0
	# The next I/O may find out at once that the other one is dead.
	wait_for log_has "path $(kname /dev/path0) added, 2 of 2 paths work"
	holds "$work/data" $md 0
}
claim "deleted: a path that was found again can be added, and the array works" again
replace() {
	# The last of the old paths is what the array still has beside the new one.
	mdadm --quiet $md --fail detached
	wait_for mdadm --quiet $md --remove detached
	readd $md /dev/path1
	all_up 2
	holds "$work/data" $md 0
}
claim "deleted: the other can be replaced then, [2/2] [UU]" replace
claim "deleted: the data are on both new disks" \
	eval 'holds "$work/data" /dev/path0 0; holds "$work/data" /dev/path1 0'
stop $md

# --- I/O errors on both ---

dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1
dm_break_all mp0 /dev/path0 mp1 /dev/path1
mark_log
start=$SECONDS
claim "errors: 420 reads, writes and flushes all end, with EIO" all_fail
claim "errors: at most a few lines in the kernel log" few_lines $((SECONDS - start))
claim "errors: the machine responds" responds
claim "errors: no path is blamed for what fails on every path" state_is '[2/2] [UU]'
dm_mend mp0 /dev/path0
dm_mend mp1 /dev/path1
claim "errors: the array works again as soon as the paths do" holds "$work/data" $md 0

# --- one path at first, then none ---

io_begin dying $md
dm_break mp0
claim "one after the other: the first is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
dm_break mp1
io_dies() {
	wait_for not kill -0 "${io_pids[0]}"
}
claim "one after the other: the I/O ends" io_dies
dm_mend mp1 /dev/path1
claim "one after the other: the last path works again" holds "$work/data" $md 0
io_end
stop $md
dm_mend mp0 /dev/path0
dm_remove mp0 mp1
