#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology nvme --paths 2
# timeout: 300
#
# Who is not root changes no setting, and can do no more with an array than with its paths. Nothing that the
# driver says or shows tells where the kernel is in memory.
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/addresses.sh
. "${BASH_SOURCE[0]%/*}/../lib/addresses.sh"
selftest_begin 21

sys=/sys/block/md0/md
tables=(/sys/kernel/debug/md_multipath/md0/{paths,settings})

# as WHAT ARG...: see security.py.
as() {
	python3 -I -S "${BASH_SOURCE[0]%/*}/security.py" "$@"
}

# --- files -----------------------------------------------------------------------------------------

# all_are OUTCOME WHAT FILE...: there are such files, and each gives that.
all_are() {
	local wanted=$1
	shift
	as "$@" >"$work/outcomes"
	grep -v "^$wanted	" "$work/outcomes" || :
	equal $(($# - 1)) "$(grep -c "^$wanted	" "$work/outcomes")"
}

build $md /dev/path0 /dev/path1
settle
a=$(kname /dev/path0)
b=$(kname /dev/path1)
settings=("$sys"/{path_policy,no_path_timeout_ms,no_path_max_parked,write_retry_hold_ms}
	"$sys"/dev-{"$a","$b"}/multipath/priority)
mapfile -t every < <(find $sys/ /sys/block/md0/queue/ -type f)
every+=("${tables[@]}")

modes() {
	equal "644 0 0" "$(stat -c '%a %u %g' -- "${settings[@]}" | uniq)"
	equal "400 0 0" "$(stat -c '%a %u %g' -- "${tables[@]}" | uniq)"
	not grep . < <(find $sys/ -type f \( -perm /o+w -o ! -uid 0 -o ! -gid 0 \))
}
claim "all files are root's, for root to write: the settings 644, those in debugfs 400" modes
claim "nobody can open a file of the array for writing" all_are EACCES write "${every[@]}"
claim "nobody can read the settings" all_are allowed read "${settings[@]}"
secret() {
	local status=0
	# Some open debugfs to all.
	chmod 755 /sys/kernel/debug
	all_are EACCES read "${tables[@]}" || status=1
	chmod 700 /sys/kernel/debug
	return $status
}
claim "nobody can read the files in debugfs, even where its directory is open" secret
claim "root without CAP_SYS_ADMIN cannot write the settings" all_are EACCES store "${settings[@]}"
claim "nobody can open the paths" all_are EACCES read /dev/path0 /dev/path1
stop $md

# --- addresses -------------------------------------------------------------------------------------

# no_address FILE...: there is something in each, and no address of the kernel.
no_address() {
	local file
	for file; do [ -s "$file" ] || { echo "$file is empty" && return 1; }; done
	not addresses "$@"
}
# look: adds all that the files of the array show now. Some can only be written.
look() {
	grep -r '' $sys/ "${tables[@]}" >>"$work/shown" 2>/dev/null || :
}
waits() {
	grep '^parked [1-9]' "${tables[1]}"
}

scsi_debug dev_size_mb=32
mark_log
udevadm monitor --kernel --property --subsystem-match=block >"$work/events" 2>&1 &
monitor=$!
wait_for grep -q "KERNEL - the kernel uevent" "$work/events"
: >/sys/kernel/tracing/trace
echo 1 >/sys/kernel/tracing/events/md_multipath/enable
build $md "${debug[@]}"
pattern "$work/data" 16
eventful() {
	local writer
	echo 600000 >$sys/no_path_timeout_ms
	look
	break_path 0
	write_at $md 0 16 "$work/data"
	wait_state '[2/1] [_U]'
	look
	break_path 1
	write_at $md 0 16 "$work/data" &
	writer=$!
	wait_for waits
	look
	mend_path 0
	mend_path 1
	wait $writer
	remove $md "${debug[0]}"
	not eval "echo 65 >$sys/raid_disks"
	mdadm --quiet $md --add /dev/path0
	wait_for log_has '^md/multipath:md0: .* sectors'
	remove $md /dev/path0
	readd $md "${debug[0]}"
	all_up 2
	look
}
claim "a path fails, I/O waits, slots and a path are refused, the path comes back" eventful
echo 0 >/sys/kernel/tracing/events/md_multipath/enable
cat /sys/kernel/tracing/trace >"$work/trace"
kill "$monitor"
wait "$monitor" || :
log_since >"$work/log"
told() {
	grep -E '^md/multipath:md0: ' "$work/log"
	grep -E "(/no_path_timeout_ms:600000|/paths:0 .* TRANSPORT )" "$work/shown"
	grep -E 'md_multipath_(error|verdict|retry|park|release): ' "$work/trace"
	grep '^MD_MULTIPATH_EVENT=' "$work/events"
}
claim "the log, the files, the trace and the events tell of that" told
claim "no address of the kernel is in the log" no_address "$work/log"
claim "… nor in the files of the array, or in debugfs" no_address "$work/shown"
claim "… nor in the trace" no_address "$work/trace"
claim "… nor in the events" no_address "$work/events"
planted() {
	mark_log
	# Not in the driver's name: a line of its own with an address makes any test fail.
	printf '<6>planted: path at ffff888012345678\n' >/dev/kmsg
	log_since >"$work/log"
	refused ffff888012345678 no_address "$work/log"
	printf 'md0 (0xffffffffc0a1b2c3)\n' >>"$work/trace"
	refused ffffffffc0a1b2c3 no_address "$work/trace"
}
claim "an address that is planted in the log or in the trace is found" planted

# --- ioctls ----------------------------------------------------------------------------------------

# node NAME DEV: one that all may read and write, and udev does not know.
node() {
	local numbers
	numbers=$(<"/sys/block/$(kname "$2")/dev")
	mknod --mode=666 "$work/$1" b "${numbers%:*}" "${numbers#*:}"
}
# no_more WHAT N: N ioctls or more are tried on both, and none is allowed on the array that is not on the path.
no_more() {
	as "$1" "$work/array" "$work/path" >"$work/ioctls"
	[ "$(grep -c . "$work/ioctls")" -ge "$2" ]
	not grep '^worse' "$work/ioctls"
}
# swapped: what the path allows and the array does not is seen as such, the other way round.
swapped() {
	as ioctls "$work/path" "$work/array" >"$work/ioctls"
	grep "^worse	rw	$1" "$work/ioctls"
}
# of_md: the array tells what /proc/mdstat does, and nothing can be done by md's own.
of_md() {
	local before
	before=$(mdstat)
	as md "$work/array" "$work/path" >"$work/ioctls"
	cat "$work/ioctls"
	equal 6 "$(grep -Ec '^worse	..	(RAID_VERSION|GET_(ARRAY|DISK)_INFO)	allowed	' "$work/ioctls")"
	equal 24 "$(grep -c '	EACCES	[A-Z]*$' "$work/ioctls")"
	equal "$before" "$(mdstat)"
}
# ioctls_of KIND DEV NAME: of an ioctl with a command of the disk.
ioctls_of() {
	node array $md
	node path "$2"
	claim "$1: nobody's ioctls can do no more with the array than with its path" no_more ioctls 100
	claim "$1: a difference is seen: the path takes the disk's commands, which the array does not" swapped "$3"
	claim "$1: nobody can do no more by any number of the same families either" no_more numbers 4000
	claim "$1: nobody is told by md's ioctls what all are told, and can do nothing" of_md
	rm "$work/array" "$work/path"
	stop $md
}
ioctls_of SCSI "${debug[0]}" "SG_IO read"
rmmod scsi_debug
build $md /dev/path0 /dev/path1
ioctls_of NVMe /dev/path0 "NVME_IOCTL_IO_CMD read"
