#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 180
#
# The tracepoints show which path an I/O takes, how it failed there, what is made of that, and which
# path it takes then.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 10

tracing=/sys/kernel/tracing
events=$tracing/events/md_multipath

# traced CMD [ARG]...: what is traced while CMD runs, without what comes before each event's name.
traced() {
	: >$tracing/trace
	echo 1 >$events/enable
	"$@"
	echo 0 >$events/enable
	sed -n 's/^.* md_multipath_\([a-z]*: .*\)$/\1/p' $tracing/trace >"$work/trace"
	cat "$work/trace"
}

# traced_lines REGEX LINE...: those that match are these, in this order.
traced_lines() {
	local regex=$1
	shift
	equal "$(printf '%s\n' "$@")" "$(grep -E -- "$regex" "$work/trace")"
}

claim "there are events for map, error, verdict, retry, park and release" equal \
	"md_multipath_error md_multipath_map md_multipath_park md_multipath_release md_multipath_retry md_multipath_verdict" \
	"$(cd $events && echo md_multipath_*)"

pattern "$work/block" 1
dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1
settle

one_write() {
	traced write_at $md 10 1 "$work/block"
	traced_lines '^[a-z]*: md0 W[A-Z]* 80 ' "map: md0 WS 80 + 8 path 0"
}
claim "a write is traced once, with the array, its operation, place, length and path" one_write
one_read() {
	traced eval "read_at $md 11 1 | cat >/dev/null"
	traced_lines '^[a-z]*: md0 R[A-Z]* 88 ' "map: md0 RS 88 + 8 path 0"
}
claim "so is a read" one_read
numbers() {
	local dev
	dev=$(<"/sys/block/$(kname "$1")/dev")
	printf '%s' "${dev/:/,}"
}
remaps() {
	echo 1 >$tracing/events/block/block_bio_remap/enable
	: >$tracing/trace
	write_at $md 12 1 "$work/block"
	echo 0 >$tracing/events/block/block_bio_remap/enable
	grep -E "block_bio_remap: $(numbers /dev/mapper/mp0) W[A-Z]* 96 \+ 8 <- \($(numbers $md)\) 96$" $tracing/trace
}
claim "block_bio_remap shows the write as well" remaps

# udev, which looks at the array, is not to find out first.
settle
dm_break mp0
fails() {
	traced write_at $md 20 1 "$work/block"
	traced_lines '^[a-z]*: md0 W[A-Z]* 160 ' \
		"map: md0 WS 160 + 8 path 0" \
		"error: md0 WS 160 + 8 path 0 IOERR" \
		"verdict: md0 WS 160 + 8 path 0 IOERR: ambiguous" \
		"retry: md0 WS 160 + 8 path 1" \
		"map: md0 WS 160 + 8 path 1"
}
claim "an error is traced with its path and status, its verdict, and the path of the retry" fails
wait_state '[2/1] [_U]'
dm_break mp1
disk_says() {
	traced refused "Input/output error" write_at $md 30 1 "$work/block"
	traced_lines '^[a-z]*: md0 W[A-Z]* 240 ' \
		"map: md0 WS 240 + 8 path 1" \
		"error: md0 WS 240 + 8 path 1 IOERR" \
		"verdict: md0 WS 240 + 8 path 1 IOERR: ambiguous" \
		"retry: md0 WS 240 + 8 path 1" \
		"map: md0 WS 240 + 8 path 1" \
		"error: md0 WS 240 + 8 path 1 IOERR" \
		"verdict: md0 WS 240 + 8 path 1 IOERR: ambiguous"
}
claim "without another path the one that is left is asked once more, and no more" disk_says
dm_mend mp0 /dev/path0
dm_mend mp1 /dev/path1
remove $md /dev/mapper/mp0
readd $md /dev/mapper/mp0
all_up 2
stop $md
dm_remove mp0 mp1

build $md /dev/path0 /dev/path1
settle
deleted() {
	local host
	host=$(scsi_host /dev/path0)
	scsi_delete /dev/path0
	traced write_at $md 40 1 "$work/block"
	scsi_rescan "$host"
	grep -E '^verdict: md0 W[A-Z]* 320 \+ 8 path 0 [A-Z]+: path down$' "$work/trace"
	traced_lines '^retry: md0 W[A-Z]* 320 ' "retry: md0 WS 320 + 8 path 1"
}
claim "a device that is gone: the verdict is that the path is down" deleted
filtered() {
	echo 'sector == 400' >$events/filter
	traced eval 'write_at $md 50 1 "$work/block"; write_at $md 51 1 "$work/block"'
	echo 0 >$events/filter
	equal "map: md0 WS 400 + 8 path 1" "$(<"$work/trace")"
}
claim "events can be filtered by their fields" filtered
fields() {
	local field
	for field in array sector sectors rwbs slot; do
		grep -E "^	field:.*[ ]$field(\[|;)" $events/md_multipath_map/format
	done
}
claim "an event's format names its fields" fields
silent() {
	: >$tracing/trace
	write_at $md 60 1 "$work/block"
	not grep -q md_multipath_ $tracing/trace
}
claim "switched off, nothing is traced" silent
stop $md
