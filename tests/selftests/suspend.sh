#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
#
# suspend_lo and suspend_hi, which the series gives arrays of this level: writes into the range wait, also while
# paths fail and come back and while other I/O waits for a path, and nothing else does.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 39

sys=/sys/block/md0/md
# Two disks of scsi_debug over one store are the paths.
scsi_debug dev_size_mb=32
# What udev reads of the array would wait for a path as well, and count.
udev_off

# The range: blocks 1024 to 2047 of 4 KiB.
low=8192 high=16384
# suspend LO HI
suspend() {
	echo "$1" >$sys/suspend_lo
	echo "$2" >$sys/suspend_hi
	equal "$1 $2" "$(<$sys/suspend_lo) $(<$sys/suspend_hi)"
}
resume() {
	echo 0 >$sys/suspend_hi
}

# held PID: it waits for the range.
held() {
	grep -q md_handle_request "/proc/$1/stack"
}
# write_held BLOCK FILE: one write of all of FILE, in the background; waits until it is held. Its process
# is `writer`.
write_held() {
	dd if="$2" of=$md bs="$(stat -c %s "$2")" count=1 seek=$(($1 * 4096)) oflag=direct,seek_bytes conv=notrunc \
		status=none &
	writer=$!
	wait_for held $writer
}
# end_of PID: waits for it; what it ended with is in `status`.
end_of() {
	status=0
	wait "$1" || status=$?
}
write_now() {
	within 60 dd if="$2" of=$md bs=4k seek="$1" oflag=direct conv=notrunc status=none
	holds "$2" $md "$1"
}

for name in old a b c; do pattern "$work/$name" 16; done

# --- the files ---

build $md "${debug[@]}"
claim "nothing is suspended at first" equal "0 0" "$(<$sys/suspend_lo) $(<$sys/suspend_hi)"
claim "root may write the files, and all may read them" \
	equal $'644 root\n644 root' "$(stat -c '%a %U' $sys/suspend_lo $sys/suspend_hi)"
claim "they take a range" suspend $low $high
not_a_number() {
	local value
	for value in '' -1 soon '1 2' 18446744073709551616; do not eval "echo '$value' >$sys/suspend_lo"; done
	equal $low "$(<$sys/suspend_lo)"
}
claim "they take nothing else" not_a_number
claim "the array can be stopped with a range that is suspended" stop $md
build $md "${debug[@]}"
claim "a new one has none" equal "0 0" "$(<$sys/suspend_lo) $(<$sys/suspend_hi)"
idle_array() {
	echo md1 >/sys/module/md_mod/parameters/new_array
	wait_for test -e /sys/block/md1/md/suspend_hi
	echo 8 >/sys/block/md1/md/suspend_hi
	equal 8 "$(</sys/block/md1/md/suspend_hi)"
	echo 0 >/sys/block/md1/md/suspend_hi
	mdadm --stop /dev/md1
	wait_for array_gone md1
}
claim "an array that does not run has the files as well" idle_array

# --- what waits, and what does not ---

write_now 1200 "$work/old"
suspend $low $high
write_held 1200 "$work/a"
claim "a write into the range waits" held $writer
claim "… and reads of it go on, and read what was there" within 60 bash -c "
	dd if=$md bs=4k skip=1200 count=16 iflag=direct status=none | cmp - $work/old"
claim "… and a write before it goes on" write_now 512 "$work/b"
claim "… and a write behind it" write_now 2048 "$work/b"
nowait() {
	within 60 python3 -I -S -c '
import errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
try: os.pwritev(fd, [mmap.mmap(-1, 4096)], 1500 * 4096, os.RWF_NOWAIT); print("written")
except OSError as e: print(errno.errorcode[e.errno])' $md
}
claim "… and a write that must not wait gets EAGAIN" equal EAGAIN "$(nowait)"
claim "… and stop is refused at once, as the array is in use" refused "" within 60 mdadm --stop $md
claim "… and it still waits" held $writer
inside=$writer
write_held 1016 "$work/c"
claim "a write that reaches into the range waits as a whole" held $writer
resume
end_of $writer
claim "resumed, that one goes on" equal 0 $status
claim "… and has written what it should" holds "$work/c" $md 1016
end_of $inside
claim "… and so does the other" equal 0 $status
claim "… and has written what it should" holds "$work/a" $md 1200

# --- killed ---

suspend $low $high
write_held 1300 "$work/a"
kill -KILL $writer
claim "who waits for the range cannot be killed" not wait_for -t 3 not held $writer
resume
end_of $writer
claim "… but is gone when it is resumed" equal $((128 + 9)) $status
claim "… and the write was done all the same" holds "$work/a" $md 1300

# --- a path fails and comes back ---

suspend $low $high
write_held 1400 "$work/b"
io_begin others $md --offset=16M
break_path 0
claim "a path fails meanwhile, and other I/O goes on" wait_state '[2/1] [_U]'
claim "… it leaves" remove $md "${debug[0]}"
mend_path 0
claim "… and comes back" readd $md "${debug[0]}"
back() {
	all_up 2
	goes_on $md
	held $writer
}
claim "… and the write into the range still waits" back
resume
end_of $writer
claim "resumed, it goes on" equal 0 $status
claim "… and has written what it should" holds "$work/b" $md 1400
io_end
claim "no other I/O has failed, and all data are right" io_clean others

# --- other I/O waits for a path ---

in_flight() {
	local reads writes
	read -r reads writes </sys/block/md0/inflight
	[ "$reads $writes" = "$1 $2" ]
}
whole() {
	local dev
	mend_path 0
	mend_path 1
	for dev in "${debug[@]}"; do
		if is_faulty "$dev"; then
			remove $md "$dev"
			readd $md "$dev"
		fi
	done
	all_up 2
}
many=$((3000 / slower))
echo 600000 >$sys/no_path_timeout_ms
break_path 0
break_path 1
# Blocks are written and read again; what was read has to be what was written.
fio --name=many --filename=$md --direct=1 --rw=write --bs=4k --size=$((many * 4))k --ioengine=libaio --iodepth=$many \
	--verify=crc32c --verify_fatal=1 --verify_state_save=0 >"$work/many" 2>&1 &
fio=$!
claim "$many writes wait for a path" wait_for in_flight 0 $many
soon() {
	export -f suspend equal
	export sys
	within 30 bash -c "suspend $low $high"
	within 30 bash -c "suspend 0 0"
	within 30 bash -c "suspend $low $high"
}
claim "a range is suspended, resumed and suspended at once" soon
claim "… and they still wait" in_flight 0 $many
write_held 1500 "$work/c"
claim "a write into the range is held before it waits for a path, and is not in flight" in_flight 0 $many
whole
claim "paths come back: what waited for them goes on, into the range as well" wait_for in_flight 0 0
end_of $fio
none_lost() {
	cat "$work/many"
	equal 0 $status
}
claim "… none has failed, and all data are right" none_lost
claim "… and the write into the range still waits" held $writer
break_path 0
break_path 1
resume
claim "resumed without a path, it waits for one" wait_for in_flight 0 1
whole
end_of $writer
claim "… and goes on when paths come back" equal 0 $status
claim "… and has written what it should" holds "$work/c" $md 1500
stop $md
rmmod scsi_debug
udev_on
