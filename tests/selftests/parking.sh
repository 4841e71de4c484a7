#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 420
#
# No path left, with no_path_timeout_ms set: I/O waits for one, in order, and everything else goes on.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 49

sys=/sys/block/md0/md
long=600000

# set_to FILE VALUE
set_to() {
	echo "$2" >"$sys/$1"
	equal "$2" "$(<"$sys/$1")"
}

# keeps FILE BYTES: they are refused, and the value stays. BYTES as for printf.
keeps() {
	local before status=0
	before=$(<"$sys/$1")
	printf '%b' "$2" >"$sys/$1" || status=$?
	[ "$status" -ne 0 ] && equal "$before" "$(<"$sys/$1")"
}

keeps_all() {
	local bytes
	for bytes in '\n' ' \n' '-1\n' '99999999999999999999\n' '4294967295\n' 'soon\n' '1 2\n' '1s\n' '\xff\x00\xfe' "${@:2}"; do
		keeps "$1" "$bytes" || {
			printf 'taken: %q\n' "$bytes"
			return 1
		}
	done
	not dd if=/dev/zero of="$sys/$1" bs=1M count=1 status=none
}

# --- the settings ---

build $md /dev/path0 /dev/path1
claim "no_path_timeout_ms is 0 by default" equal 0 "$(<$sys/no_path_timeout_ms)"
claim "no_path_max_parked is 4096 by default" equal 4096 "$(<$sys/no_path_max_parked)"
claim "no_path_timeout_ms takes a number" set_to no_path_timeout_ms 1500
claim "no_path_timeout_ms takes nothing else" keeps_all no_path_timeout_ms '86400001\n'
claim "no_path_max_parked takes a number" set_to no_path_max_parked 100
claim "no_path_max_parked takes nothing else" keeps_all no_path_max_parked '0\n' '1000001\n'
for place in no_path_timeout_ms no_path_max_parked; do
	claim "only root may write $place" equal "644 root" "$(stat -c '%a %U' $sys/$place)"
done
stop $md
parameter() {
	rmmod md_multipath
	modprobe md_multipath no_path_timeout_ms=2500 no_path_max_parked=77
	build $md /dev/path0 /dev/path1
	equal "2500 77" "$(<$sys/no_path_timeout_ms) $(<$sys/no_path_max_parked)"
}
claim "the module's parameters are what a new array starts with" parameter
stop $md
rmmod md_multipath
claim "a parameter out of range is refused" \
	refused "Invalid argument" modprobe md_multipath no_path_max_parked=0
modprobe md_multipath

# --- paths that fail on command ---

# Two disks of scsi_debug over one store are the paths.
scsi_debug dev_size_mb=32
both() {
	"$1" 0
	"$1" 1
}

in_flight() {
	local reads writes
	read -r reads writes </sys/block/md0/inflight
	[ $((reads + writes)) -eq "$1" ]
}

# write_later BLOCK FILE N: one write of all of FILE, in the background; waits until N are in flight.
writers=()
write_later() {
	dd if="$2" of=$md bs="$(stat -c %s "$2")" count=1 seek=$(($1 * 4096)) oflag=direct,seek_bytes conv=notrunc \
		status=none 2>"$work/writer-${#writers[@]}" &
	writers+=($!)
	wait_for in_flight "$3"
}
# Waits for all of them; how many of them failed, in `failed`.
writers_end() {
	local pid
	failed=0
	for pid in "${writers[@]}"; do wait "$pid" || failed=$((failed + 1)); done
	writers=()
}

again() {
	local i
	for i in 0 1; do
		if is_faulty "${debug[i]}"; then
			remove $md "${debug[i]}"
			readd $md "${debug[i]}"
		fi
	done
	all_up 2
}

pattern "$work/a" 16
pattern "$work/b" 16

# What udev reads of the array would wait as well, and count.
udev_off
build $md "${debug[0]}" "${debug[1]}"
both break_path
claim "without a timeout: an I/O fails at once" \
	refused "" within 60 dd if=$md of=/dev/null bs=4k count=1 iflag=direct status=none
both mend_path
again
echo $long >$sys/no_path_timeout_ms

# --- the last path comes back by itself ---

mark_log
both break_path
write_later 0 "$work/a" 1
claim "no path: the write waits" in_flight 1
claim "… and the log says so" log_has 'md/multipath:md0: no path works: I/O waits'
claim "… and one path is left in use" eval 'state | grep -E "^\[2/1\]"'
answers() {
	within 30 cat /proc/mdstat >/dev/null
	within 30 mdadm --detail $md >/dev/null
}
claim "… and /proc/mdstat and mdadm --detail answer" answers
scanned() {
	# A look for partitions would wait for a path, with everybody who opens the array.
	not within 60 blockdev --rereadpt $md
	within 60 mdadm --detail $md >/dev/null
}
claim "… and the array can still be opened after a look for partitions was asked for" scanned
nowait() {
	within 60 python3 -I -S -c '
import errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
try: os.preadv(fd, [mmap.mmap(-1, 4096)], 0, os.RWF_NOWAIT); print("read")
except OSError as e: print(errno.errorcode[e.errno])' $md
}
claim "… and an I/O that must not wait gets EAGAIN" equal EAGAIN "$(nowait)"
quiet() {
	local before=$((SECONDS + 8))
	while [ $SECONDS -lt $before ]; do read -r -t 1 -u "$never" || :; done
	at_most 6 "$(log_count '^md/multipath:')"
}
claim "… and the log stays quiet while it waits" quiet
claim "… and stop is refused at once, as the array is in use" \
	refused "" within 30 mdadm --stop $md
both mend_path
writers_end
claim "the paths work again: the write goes on by itself" equal 0 "$failed"
claim "… and has written what it should" holds "$work/a" $md 0
claim "… and the log says that nothing waits any more" wait_for log_has 'md/multipath:md0: no I/O waits'
again

# --- no size ---

# SCSI says so of a disk that it looks at while the path is broken, until it looks at it again.
look() {
	echo 1 >"/sys/block/$(kname "${debug[$1]}")/device/rescan"
}
blind() {
	break_path "$1"
	look "$1"
	mend_path "$1"
	equal 0 "$(sectors "${debug[$1]}")"
}
both blind
# Of such a disk it is not known either that it has a write cache.
py 'os.fsync(os.open(sys.argv[1], os.O_RDONLY))' $md 2>"$work/flush" &
writers+=($!)
wait_for in_flight 1
write_later 0 "$work/b" 2
# Longer than until the first is tried again.
stay() {
	read -r -t 4 -u "$never" || :
	in_flight 2
}
claim "both paths say that their disk has no size: a flush waits, and a write" stay
mdadm --quiet $md --fail "${debug[0]}"
remove $md "${debug[0]}"
look 0
claim "… a path that tells its size again is taken" mdadm --quiet $md --add "${debug[0]}"
writers_end
claim "… and both go on" equal 0 "$failed"
look 1
again
claim "… the write has written what it should" holds "$work/b" "${debug[1]}" 0

# --- order ---

# Writes to the same blocks, each begun when the one before waits already.
both break_path
for i in 1 2 3 4 5 6 7 8; do
	pattern "$work/v$i" 4
	write_later 32 "$work/v$i" $i
done
claim "eight writes to the same blocks wait" in_flight 8
both mend_path
writers_end
claim "… and go on when the paths do" equal 0 "$failed"
claim "… in their order: the last one is what is there" holds "$work/v8" $md 32
again

# --- time, and the end of it ---

both break_path
echo 1500 >$sys/no_path_timeout_ms
mark_log
late() {
	refused 'Link has been severed' within 60 dd if="$work/a" of=$md bs=4k count=1 oflag=direct conv=notrunc status=none
}
claim "the time is up: the write fails" late
claim "… and the log says so" log_has 'no path came in time'
echo $long >$sys/no_path_timeout_ms
for i in 1 2 3; do write_later $((i * 8)) "$work/v$i" $i; done
echo 0 >$sys/no_path_timeout_ms
writers_end
claim "writing 0 lets all that wait fail" equal 3 "$failed"
both mend_path
again
echo $long >$sys/no_path_timeout_ms

# One that has waited for a path, and is kept for its next try: while it waited it was tried each second.
both break_path
write_later 0 "$work/v1" 1
echo $long >$sys/write_retry_hold_ms
failures() {
	awk 'NR > 1 { sum += $6 + $7 + $8 } END { print sum }' /sys/kernel/debug/md_multipath/md0/paths
}
kept() {
	local before
	before=$(failures)
	read -r -t 4 -u "$never" || :
	in_flight 1 && [ "$before" -gt 0 ] && equal "$before" "$(failures)"
}
claim "a write that waited for a path is kept for its next try" wait_for kept
both mend_path
echo 0 >$sys/no_path_timeout_ms
claim "0 is written while it is kept: other I/O takes the path that works" \
	within 60 dd if=$md of=/dev/null bs=4k count=1 skip=900 iflag=direct status=none
echo 0 >$sys/write_retry_hold_ms
writers_end
claim "… and the write succeeds" equal 0 "$failed"
again
echo $long >$sys/no_path_timeout_ms

# --- the cap ---

both break_path
echo 4 >$sys/no_path_max_parked
for i in 1 2 3 4; do write_later $((i * 8)) "$work/v$i" $i; done
over() {
	refused 'Input/output error' within 60 dd if="$work/a" of=$md bs=4k count=1 oflag=direct conv=notrunc status=none
	in_flight 4
}
claim "beyond no_path_max_parked a write fails at once, and those that wait go on waiting" over
both mend_path
writers_end
claim "… and end well" equal 0 "$failed"
again
echo 4096 >$sys/no_path_max_parked

# --- thousands of them, and an administrator at work ---

both break_path
many_begin 2000 --offset=256k
claim "2000 writes wait" wait_for in_flight 2000
failed_path() {
	local i
	for i in 0 1; do
		if is_faulty "${debug[i]}"; then printf %s "$i"; fi
	done
}
gone=$(failed_path)
claim "… while the failed path is removed" wait_for mdadm --quiet $md --remove "${debug[gone]}"
read_only() {
	local status=0
	# It is in use, so that it may be refused, but not hang.
	within 30 bash -c "echo readonly >$sys/array_state" || status=$?
	[ "$status" -lt 124 ] || return
	[ "$(<$sys/array_state)" != readonly ] || echo active >$sys/array_state
}
claim "… while it is asked to be read-only" read_only
claim "… and they still wait" in_flight 2000
mend_path "$gone"
claim "a path is added while they wait" readd $md "${debug[gone]}"
claim "… and they go on, by that path" wait_for in_flight 0
many_end
claim "none of them has failed, and all is where it should be" many_clean
both mend_path
again

# --- both paths gone for good, another comes ---

both break_path
write_later 128 "$work/b" 1
gone=$(failed_path)
mend_path "$gone"
remove $md "${debug[gone]}"
readd $md "${debug[gone]}"
writers_end
claim "a returned path that is added takes what waits" equal 0 "$failed"
claim "… which is written" holds "$work/b" $md 128
both mend_path
again

# --- a reader that is killed ---

# Its read still waits, in the page cache, and who opens the array waits for that.
both break_path
blockdev --flushbufs $md
dd if=$md of=/dev/null bs=4k count=1 skip=6000 status=none &
reader=$!
wait_for in_flight 1
kill -KILL $reader
gone=$(failed_path)
mend_path "$gone"
added=$sys/dev-$(kname "${debug[gone]}")
not_opened() {
	echo remove >"$added/state"
	cat "/sys/block/$(kname "${debug[gone]}")/dev" >$sys/new_dev
	wait_for in_flight 0
}
claim "a buffered reader is killed: a path can be added through sysfs" not_opened
wait $reader 2>/dev/null || :
claim "… and the array can be opened again" within 30 mdadm --detail $md
both mend_path
again
claim "after all that no path is lost" state_is '[2/2] [UU]'
stop $md
rmmod scsi_debug
udev_on
