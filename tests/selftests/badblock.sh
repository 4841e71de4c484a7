#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 180
#
# A bad block is the disk's fault, not a path's: an error for that block alone, and every path stays up.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 22

# fails_at DEV SECTOR: a read of that sector fails. A medium error is ENODATA.
answer='Input/output error'
fails_at() {
	refused "$answer" within 60 dd if="$1" of=/dev/null bs=512 skip="$2" count=1 iflag=direct status=none
}
reads_at() {
	dd if="$1" of=/dev/null bs=512 skip="$2" count="$3" iflag=direct status=none
}

# --- a medium error, which the disk itself reports: sectors 0x1234 to 0x123d ---

bad=$((0x1234))
answer='No data available'
scsi_debug opts=2
build $md "${debug[0]}" "${debug[1]}"
claim "medium error: the disk has it by the first path" fails_at "${debug[0]}" $bad
claim "medium error: … and by the second" fails_at "${debug[1]}" $bad
mark_log
claim "medium error: the array hands up the same error" fails_at $md $bad
claim "medium error: both paths stay up" state_is '[2/2] [UU]'
once() {
	local before0 before1
	settle
	before0=$(stat_field "${debug[0]}" 1)
	before1=$(stat_field "${debug[1]}" 1)
	fails_at $md $bad
	echo "reads: $(($(stat_field "${debug[0]}" 1) - before0)), $(($(stat_field "${debug[1]}" 1) - before1))"
	equal "$before1" "$(stat_field "${debug[1]}" 1)"
}
claim "medium error: it is not tried on the other path" once
claim "medium error: the sectors before it are read" reads_at $md $((bad - 64)) 64
claim "medium error: the sectors behind it are read" reads_at $md $((bad + 10)) 64
ten_times() {
	local i
	for i in {0..9}; do fails_at $md $((bad + i)); done
	state_is '[2/2] [UU]'
	at_most 16 "$(log_count '^md/multipath:')"
}
claim "medium error: ten more change nothing, and the kernel log stays short" ten_times
large() {
	refused "$answer" within 60 dd if=$md of=/dev/null bs=8M count=1 iflag=direct,fullblock status=none
	state_is '[2/2] [UU]'
}
claim "medium error: inside a read larger than every limit" large
readahead() {
	refused 'Input/output error' within 60 dd if=$md of=/dev/null bs=128k count=32 status=none
	state_is '[2/2] [UU]'
}
claim "medium error: met by read-ahead" readahead
writes() {
	head -c 65536 /dev/urandom >"$work/data"
	dd if="$work/data" of=$md bs=64k seek=64 oflag=direct conv=notrunc status=none
	dd if="${debug[1]}" bs=64k skip=64 count=1 iflag=direct status=none | cmp - "$work/data"
	state_is '[2/2] [UU]'
}
claim "medium error: the array is written and read elsewhere" writes
stop $md
rmmod scsi_debug

# --- an I/O error in the same place by both paths, which might have been a path's ---

holed() {
	local size
	size=$(sectors "$1")
	printf '0 4096 linear %s 0\n4096 8 error\n4104 %d linear %s 4104' "$1" $((size - 4104)) "$1"
}
answer='Input/output error'
# Before the array is built: udev must not meet one hole without the other.
dm_make mp0 "$(holed /dev/path0)"
dm_make mp1 "$(holed /dev/path1)"
build $md /dev/mapper/mp0 /dev/mapper/mp1
mark_log
claim "I/O error: EIO through the array" fails_at $md 4096
claim "I/O error: both paths stay up" state_is '[2/2] [UU]'
claim "I/O error: both paths were asked" eval '[ "$(stat_field /dev/mapper/mp0 1)" -gt 0 ]; [ "$(stat_field /dev/mapper/mp1 1)" -gt 0 ]'
claim "I/O error: the sectors around it are read" eval 'reads_at $md 4088 8; reads_at $md 4104 8'
write_fails() {
	refused 'Input/output error' within 60 \
		dd if=/dev/zero of=$md bs=512 seek=4096 count=1 oflag=direct conv=notrunc status=none
	state_is '[2/2] [UU]'
}
claim "I/O error: for writes as well" write_fails
storm() {
	local i
	for i in {1..20}; do fails_at $md $((4096 + i % 8)); done
	state_is '[2/2] [UU]'
	at_most 30 "$(log_count '^md/multipath:')"
}
claim "I/O error: twenty more change nothing, and the kernel log stays short" storm

# --- by one path only: then it is the path ---

dm_mend mp1 /dev/path1
mark_log
claim "by one path only: the data come by the other" reads_at $md 4096 1
claim "by one path only: that path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "by one path only: the kernel log names it" log_has "^md/multipath:md0: path $(kname /dev/mapper/mp0) failed"
stop $md
dm_remove mp0 mp1

# --- in one piece of an I/O that is split ---

# The first piece fails long before the other, which the device holds up, succeeds.
slow_tail() {
	printf '0 8 linear %s 0\n8 8 error\n16 1008 linear %s 16\n1024 7168 delay %s 1024 1000' "$1" "$1" "$1"
}
dm_make mp0 "$(slow_tail /dev/path0)"
dm_make mp1 "$(slow_tail /dev/path1)"
build $md /dev/mapper/mp0 /dev/mapper/mp1
echo 512 >/sys/block/md0/queue/max_sectors_kb
split() {
	local tracing=/sys/kernel/tracing
	echo >$tracing/trace
	echo 1 >$tracing/events/block/block_split/enable
	refused 'Input/output error' within 60 dd bs=1M count=1 status=none "$@"
	echo 0 >$tracing/events/block/block_split/enable
	grep block_split: $tracing/trace | head
	grep -Eq "block_split: $(stat --format=%Hr,%Lr $md) [RW]S? 0 / 1024" $tracing/trace
	state_is '[2/2] [UU]'
}
claim "split: a read fails when its first piece does" split if=$md of=/dev/null iflag=direct,fullblock
claim "split: a write fails when its first piece does" split if=/dev/zero of=$md oflag=direct conv=notrunc
stop $md
dm_remove mp0 mp1
