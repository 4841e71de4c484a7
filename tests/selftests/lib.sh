# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Shared by the selftests. Sourced, in the guest, as root. A test runs alone as well:
#
#     scripts/vm --topology virtio-scsi --paths 2 -- tests/selftests/mdstat.sh
#
# A test says how many claims it has (`ktap_plan`), makes each with `claim`, and ends. A command that
# fails outside a claim ends the test: the plan then shows how many claims were never made.

set -Eeuo pipefail

export LC_ALL=C
export LVM_SUPPRESS_FD_WARNINGS=1

test_name=${0##*/}
test_name=${test_name%.sh}
# shellcheck disable=SC2034 # for the tests
md=/dev/md0
work=/run/selftest/$test_name
mnt=/mnt/selftest
# The dead line of every wait: far above what anything takes, even on a busy emulated machine. A kernel that
# checks itself takes several times as long.
patience=300
slower=1
case $(</proc/sys/kernel/osrelease) in *-debug | *-kcsan) slower=5 ;; esac

# A descriptor that never has anything to read: `read -t` on it is a pause that starts no program.
exec {never}<> <(:)

# --- KTAP ------------------------------------------------------------------------------------------

ktap_planned=0
ktap_made=0
ktap_failed=0

ktap_plan() {
	ktap_planned=$1
	printf 'KTAP version 1\n1..%d\n' "$1"
}

diag() {
	local line
	while IFS= read -r line; do printf '# %s\n' "$line"; done <<<"$*"
}

ok() {
	ktap_made=$((ktap_made + 1))
	printf 'ok %d - %s\n' "$ktap_made" "$1"
}

not_ok() {
	ktap_made=$((ktap_made + 1))
	ktap_failed=$((ktap_failed + 1))
	printf 'not ok %d - %s\n' "$ktap_made" "$1"
}

# skip TEXT REASON
skip() {
	ktap_made=$((ktap_made + 1))
	printf 'ok %d - %s # SKIP %s\n' "$ktap_made" "$1" "$2"
}

# claim TEXT CMD [ARG]...: CMD runs in a subshell of its own, with `set -e`.
claim() {
	local text=$1 status=0
	shift
	# Asynchronous, because `set -e` would be ignored in what `||` follows.
	(
		trap - EXIT ERR TERM INT
		set -e
		"$@"
	) >"$work/claim" 2>&1 &
	wait $! || status=$?
	if [ "$status" -eq 0 ]; then
		ok "$text"
		return
	fi
	not_ok "$text"
	diag "command: $* (status $status)"
	diag "$(<"$work/claim")"
	if [ -e /proc/mdstat ]; then
		diag "/proc/mdstat:" && diag "$(</proc/mdstat)"
	fi
	diag "last lines of the kernel log:" && diag "$(dmesg | tail -n 15)"
}

# --- waiting and comparing -------------------------------------------------------------------------

# wait_for [-t SECONDS] CMD [ARG]...: until CMD succeeds.
wait_for() {
	local limit=$patience end
	if [ "$1" = -t ]; then
		limit=$2
		shift 2
	fi
	limit=$((limit * slower))
	end=$((SECONDS + limit))
	while ! "$@" 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			printf 'not within %d s: %s\n' "$limit" "$*"
			return 1
		fi
		read -r -t 0.05 -u "$never" || :
	done
}

# equal WANTED SEEN
equal() {
	[ "$1" != "$2" ] || return 0
	printf 'wanted:\n%s\nseen:\n%s\n' "$1" "$2"
	return 1
}

# at_most LIMIT NUMBER
at_most() {
	! [ "$2" -le "$1" ] || return 0
	printf 'wanted at most %s, seen %s\n' "$1" "$2"
	return 1
}

not() {
	! "$@"
}

absent() {
	[ ! -e "$1" ] && [ ! -L "$1" ]
}

# refused TEXT CMD [ARG]...: CMD fails, is not killed, and its output holds TEXT.
refused() {
	local text=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	printf '%s\n(status %d)\n' "$output" "$status"
	[ "$status" -ne 0 ] && [ "$status" -lt 124 ] || return 1
	[[ $output == *"$text"* ]]
}

# within SECONDS PROGRAM [ARG]...: its status; the claim fails if it takes longer.
within() {
	local status=0 limit=$(($1 * slower))
	shift
	timeout --kill-after=5 "$limit" "$@" || status=$?
	[ "$status" -ne 124 ] && [ "$status" -ne 137 ] || echo "not within $limit s: $*"
	return "$status"
}

# --- kernel log ------------------------------------------------------------------------------------

log_mark=''

# What follows in the kernel log is what `log_since` gives.
mark_log() {
	log_mark="selftest $test_name: mark $EPOCHREALTIME"
	printf '<6>%s\n' "$log_mark" >/dev/kmsg
}

log_since() {
	dmesg --notime | awk -v mark="$log_mark" '
		seen { print }
		$0 == mark { seen = 1 }
		END { if (!seen) { print "the kernel log has lost the mark"; exit 1 } }'
}

# log_count REGEX: how many lines since the mark match. Without the mark nobody knows: then no number, so that no
# claim about it holds.
log_count() {
	local lines
	# `set -e` does not reach into most `$(…)`.
	lines=$(log_since) || {
		printf 'unknown: %s\n' "$lines"
		return 1
	}
	grep -Ec -- "$1" <<<"$lines" || :
}

# log_has REGEX: at least one does.
log_has() {
	local count
	count=$(log_count "$1") && [ "$count" -gt 0 ] && return
	printf 'no line of the kernel log matches %s\n' "$1"
	log_since
	return 1
}

# log_lacks REGEX: none does.
log_lacks() {
	local lines
	lines=$(log_since) || {
		printf '%s\n' "$lines"
		return 1
	}
	! grep -E -- "$1" <<<"$lines"
}

# --- arrays ----------------------------------------------------------------------------------------

# kname DEV: the kernel's name of a device, such as sda.
kname() {
	local target numbers
	target=$(readlink -f -- "$1")
	target=${target##*/}
	if [ ! -e "/sys/class/block/$target" ]; then
		numbers=$(stat --dereference --format=%Hr:%Lr -- "$1")
		target=$(readlink -f "/sys/dev/block/$numbers")
		target=${target##*/}
	fi
	printf '%s' "$target"
}

# build MD DEV...: an array over paths, without superblocks.
build() {
	local array=$1
	shift
	mdadm --quiet --build "$array" --level=multipath --raid-devices=$# "$@"
}

# create MD METADATA DEV...: an array with superblocks.
create() {
	local array=$1 metadata=$2
	shift 2
	mdadm --quiet --create "$array" --run --metadata="$metadata" --level=multipath --raid-devices=$# "$@"
}

# mdstat [NAME]: the two lines of an array in /proc/mdstat, without what ends them. As everywhere where what the
# kernel shows may change meanwhile, mapfile takes it in at once; `read` lets it write all anew for each line.
mdstat() {
	local name=${1:-md0} lines i line
	mapfile -t lines </proc/mdstat
	for i in "${!lines[@]}"; do
		[[ ${lines[i]} == "$name : "* ]] || continue
		for line in "${lines[@]:i:2}"; do printf '%s\n' "${line%"${line##*[! ]}"}"; done
		return
	done
	return 1
}

# mdstat_is NAME LINE1 LINE2
mdstat_is() {
	local seen
	seen=$(mdstat "$1") || seen="no $1 in /proc/mdstat"
	equal "$2"$'\n'"$3" "$seen"
}

# state [NAME]: `[2/2] [UU]`
state() {
	local lines
	lines=$(mdstat "${1:-md0}") || return
	[[ $lines =~ (\[[0-9]+/[0-9]+\]\ \[[U_]+\])$ ]] || return
	printf '%s' "${BASH_REMATCH[1]}"
}

# state_is [NAME] STATE: at once.
state_is() {
	local name=md0
	if [ $# -eq 2 ]; then
		name=$1
		shift
	fi
	equal "$1" "$(state "$name" || echo "no $name")"
}

# wait_state [NAME] STATE
wait_state() {
	wait_for state_is "$@" >"$work/wait" || {
		cat "$work/wait"
		state_is "$@"
	}
}

all_up() {
	local dots
	printf -v dots '%*s' "$1" ''
	wait_state "${2:-md0}" "[$1/$1] [${dots// /U}]"
}

# array_gone [NAME]: who opens the node of an array at the moment it goes, as a late udev does, makes it again, empty.
# That stays until somebody stops it.
array_gone() {
	local name=${1:-md0} state=''
	not mdstat "$name" >/dev/null || return
	[ -e "/sys/block/$name" ] || return 0
	{ read -r state <"/sys/block/$name/md/array_state"; } 2>/dev/null || :
	[ "$state" != clear ] || mdadm --quiet --stop "/dev/$name" || :
	return 1
}

# stop MD: what udev has open for a moment is waited for.
stop() {
	wait_for mdadm --quiet --stop "$1"
	wait_for array_gone "${1##*/}"
}

# remove MD DEV: a failed path leaves as soon as its I/O is back.
remove() {
	wait_for mdadm --quiet "$1" --remove "$2"
}

# slots N: of md0, as `mdadm --grow --raid-devices` would ask, which mdadm does not do for this level. md core
# says EBUSY as well while it looks for spares to activate.
slots() {
	wait_for eval "echo $1 >/sys/block/md0/md/raid_disks"
}

# cell SLOT COLUMN: of the table of md0's paths in debugfs, by the column's name.
cell() {
	awk -v slot="$1" -v column="$2" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
		NR > 1 && $1 == slot { print $at }' /sys/kernel/debug/md_multipath/md0/paths
}

# readd MD DEV
readd() {
	wait_for mdadm --quiet "$1" --add "$2"
}

# is_faulty DEV: it is a path of md0, and failed.
is_faulty() {
	[[ $(mdstat) =~ " $(kname "$1")["[0-9]+"](F)" ]]
}

# parked [NAME]: I/O waits for a path.
parked() {
	awk '$1 == "parked" { seen = $2 > 0 } END { exit !seen }' "/sys/kernel/debug/md_multipath/${1:-md0}/settings"
}

module_uses() {
	local count
	count=$(</sys/module/md_multipath/refcnt)
	printf '%s' "$count"
}

# unheld DEV...: no array or other device sits on it.
unheld() {
	local dev name
	for dev in "$@"; do
		name=$(kname "$dev")
		if [ -n "$(ls -A "/sys/class/block/$name/holders")" ]; then
			echo "$dev is held by $(ls "/sys/class/block/$name/holders")"
			return 1
		fi
	done
}

# --- udev ------------------------------------------------------------------------------------------

# Without udev a device costs next to nothing: for tests with many. Devices that come meanwhile have
# their kernel names only.
udev_off() {
	: >/run/selftest/udev-off
	wait_for udev_ended
}

# Being told once was not enough, on a busy machine.
udev_ended() {
	udevadm control --exit 2>/dev/null || :
	not udevadm control --ping --timeout=1
}

udev_on() {
	udevadm control --ping --timeout=1 2>/dev/null || /usr/lib/systemd/systemd-udevd --daemon --resolve-names=never 2>/dev/null
	# Whoever is killed before this leaves it to the one who cleans up.
	rm -f /run/selftest/udev-off
}

# settle [SECONDS]: until udev has done all there was. It may just be going or coming, and hang up.
settle() {
	[ -e /run/selftest/udev-off ] || wait_for -t "${1:-$patience}" udevadm settle --timeout="${1:-$patience}"
}

# --- SCSI paths ------------------------------------------------------------------------------------

# scsi_state DEV STATE: `offline` or `running`.
scsi_state() {
	printf '%s\n' "$2" >"/sys/block/$(kname "$1")/device/state"
}

# scsi_host DEV: the number of its host adapter.
scsi_host() {
	local place
	place=$(readlink -f "/sys/block/$(kname "$1")/device")
	[[ $place =~ /host([0-9]+)/ ]] && printf '%s' "${BASH_REMATCH[1]}"
}

scsi_delete() {
	printf '1\n' >"/sys/block/$(kname "$1")/device/delete"
}

# scsi_rescan HOST: its first target, which is where all our disks are. To ask each of 256 that there are none takes
# five seconds.
scsi_rescan() {
	printf '0 0 -\n' >"/sys/class/scsi_host/host$1/scan"
}

# present DEV...: the links lead to devices.
present() {
	local dev
	for dev in "$@"; do [ -b "$dev" ] || return; done
}

# scsi_debug [PARAMETER]...: by default two hosts with a disk each, over one store; the disks in `debug`.
scsi_debug() {
	local hosts=2 units=1 parameter
	for parameter in "$@"; do
		case $parameter in
		add_host=*) hosts=${parameter#*=} ;;
		max_luns=*) units=${parameter#*=} ;;
		esac
	done
	modprobe scsi_debug add_host=2 uuid_ctl=2 delay=0 dev_size_mb=32 "$@"
	wait_for scsi_debug_is $((hosts * units))
	settle
	scsi_debug_find
}

scsi_debug_find() {
	local place
	debug=()
	for place in /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*; do
		[ -e "$place" ] || continue
		debug+=("/dev/${place##*/}")
	done
}

scsi_debug_is() {
	scsi_debug_find
	[ "${#debug[@]}" -eq "$1" ]
}

# break_path N: whatever goes to scsi_debug's disk N ends as on a broken transport, which is a path's fault and not
# the disk's. 0xff: every command; 0x0f: DID_TRANSPORT_FAILFAST.
break_path() {
	inject "$1" "2 1 0xff 0x0f 0 0 0 0 0"
}

mend_path() {
	# It may be whole already.
	inject "$1" "- 2 0xff" || :
}

inject() {
	local place
	place=$(readlink -f "/sys/block/$(kname "${debug[$1]}")/device")
	printf '%s\n' "$2" >"/sys/kernel/debug/scsi_debug/${place##*/}/error"
}

# --- null_blk --------------------------------------------------------------------------------------

# null_disks NAME... [ATTRIBUTE=VALUE]...: disks /dev/NAME, which keep no data unless told to.
null_disks() {
	local word dir names=() attributes=(size=256)
	for word in "$@"; do
		case $word in
		*=*) attributes+=("$word") ;;
		*) names+=("/dev/$word") ;;
		esac
	done
	modprobe null_blk nr_devices=0
	for dir in "${names[@]/#\/dev/\/sys\/kernel\/config\/nullb}"; do
		mkdir "$dir"
		for word in "${attributes[@]}" power=1; do echo "${word#*=}" >"$dir/${word%%=*}"; done
	done
	wait_for present "${names[@]}"
}

# null_disks_gone NAME...: these, and with them the module.
null_disks_gone() {
	rmdir "${@/#/\/sys\/kernel\/config\/nullb\/}"
	rmmod null_blk
}

# --- device mapper ---------------------------------------------------------------------------------

sectors() {
	local name
	name=$(kname "$1")
	printf '%s' "$(<"/sys/class/block/$name/size")"
}

# dm_make NAME TABLE
dm_make() {
	dmsetup --noudevsync create "$1" --table "$2"
	wait_for present "/dev/mapper/$1"
}

# dm_over NAME DEV [SECTORS [START]]: a linear device, /dev/mapper/NAME.
dm_over() {
	dm_make "$1" "0 ${3:-$(sectors "$2")} linear $2 ${4:-0}"
}

# dm_change NAME TABLE: while it is in use; I/O in flight ends first.
dm_change() {
	dmsetup reload "$1" --table "$2"
	dmsetup suspend --nolockfs --noflush "$1"
	dmsetup --noudevsync resume "$1"
}

# dm_break NAME: every read and write ends with an I/O error, but a flush succeeds.
dm_break() {
	dm_change "$1" "0 $(sectors "/dev/mapper/$1") error"
}

# dm_break_all NAME DEV [NAME DEV]...: flushes as well; all at the same moment, so that no I/O of udev
# finds one broken and the other not.
dm_break_all() {
	local names=() i
	for ((i = 1; i <= $#; i += 2)); do
		names+=("${!i}")
	done
	dmsetup suspend --nolockfs --noflush "${names[@]}"
	while [ $# -gt 0 ]; do
		dmsetup load "$1" --table "0 $(sectors "/dev/mapper/$1") flakey $2 0 0 1 2 error_reads error_writes"
		shift 2
	done
	dmsetup --noudevsync resume "${names[@]}"
}

# dm_mend NAME DEV
dm_mend() {
	dm_change "$1" "0 $(sectors "/dev/mapper/$1") linear $2 0"
}

# dm_hang NAME: I/O neither ends nor fails, until dm_unhang.
dm_hang() {
	dmsetup suspend --nolockfs --noflush "$1"
}

dm_unhang() {
	dmsetup --noudevsync resume "$1"
}

# dm_remove NAME...: what udev has open for a moment is waited for.
dm_remove() {
	local name
	for name in "$@"; do
		wait_for dmsetup --noudevsync remove "$name"
	done
}

# --- I/O -------------------------------------------------------------------------------------------

# write_at DEV OFFSET COUNT FILE: blocks of 4 KiB, past the page cache.
write_at() {
	[ -b "$1" ] || return
	dd if="$4" of="$1" bs=4k seek="$2" count="$3" oflag=direct conv=notrunc status=none
}

# read_at DEV OFFSET COUNT
read_at() {
	dd if="$1" bs=4k skip="$2" count="$3" iflag=direct status=none
}

# holds FILE DEV OFFSET: DEV has FILE's content, from block OFFSET on.
holds() {
	local blocks
	blocks=$(($(stat -c %s "$1") / 4096))
	read_at "$2" "$3" "$blocks" | cmp - "$1"
}

# pattern FILE BLOCKS: a file of 4 KiB blocks, no two alike.
pattern() {
	head -c $(($2 * 4096)) /dev/urandom >"$1"
}

# stat_field DEV N: field N of its statistics: 1 reads, 3 sectors read, 5 writes, 7 sectors written,
# 9 in flight, 12 discards, 16 flushes.
stat_field() {
	local fields name
	name=$(kname "$1")
	read -r -a fields <"/sys/class/block/$name/stat"
	printf '%s' "${fields[$2 - 1]}"
}

ios() {
	local name fields
	name=$(kname "$1")
	read -r -a fields <"/sys/class/block/$name/stat"
	printf '%s' $((fields[0] + fields[4]))
}

# goes_on DEV: I/O completes on it, now.
goes_on() {
	local from
	from=$(ios "$1")
	wait_for more_ios "$1" $((from + 40))
}

more_ios() {
	[ "$(ios "$1")" -ge "$2" ]
}

idle() {
	local name reads writes
	name=$(kname "$1")
	read -r reads writes <"/sys/class/block/$name/inflight"
	[ $((reads + writes)) -eq 0 ]
}

busy() {
	! idle "$1"
}

# Verified I/O in the background, until `io_end`, in a part of the device of its own.
io_pids=()
# io_begin NAME DEV [FIO-OPTION]...: of `io_file`, on a file system on DEV, where that is set. With blocks of one
# size, and loops and no time, fio knows each block's generation: an older one that was left, or came late, is wrong.
io_begin() {
	local name=$1 dev=$2
	shift 2
	(
		cd "$work"
		# Told to end, fio may write to a thread of its own that has ended already.
		trap '' PIPE
		exec fio --name="$name" --thread --filename="${io_file:-$dev}" --direct=1 --ioengine=libaio --iodepth=8 --rw=randrw \
			--bs=8k --offset=64M --size=8M --loops=1000000 --rate_iops=150,150 \
			--verify=crc32c --verify_backlog=16 --verify_fatal=1 --verify_state_save=0 \
			--output-format=json --output="$work/fio-$name.json" \
			--randseed="$RANDOM" "$@"
	) >"$work/fio-$name.log" 2>&1 &
	io_pids+=($!)
	wait_for more_ios "$dev" $(($(ios "$dev") + 40))
}

# fio is told to end; what it saw is for `io_clean`.
io_end() {
	local pid
	io_status=0
	for pid in "${io_pids[@]}"; do
		kill -INT "$pid" 2>/dev/null || :
		# What waits for an I/O that is lost cannot even be killed.
		if wait_for not kill -0 "$pid"; then wait "$pid" || io_status=$?; else io_status=hangs; fi
	done
	io_pids=()
}

# io_clean NAME: the I/O saw no error and read what was written; there was I/O.
io_clean() {
	local numbers
	cat "$work/fio-$1.log"
	numbers=$(sed -n '/^{/,$p' "$work/fio-$1.json" |
		jq -r '.jobs[0] | "\(.error) \(.read.total_ios) \(.write.total_ios)"')
	echo "error, reads, writes: $numbers; status $io_status"
	[[ $numbers =~ ^0\ [1-9][0-9]*\ [1-9] ]] || return
	# 128: ended by a signal, as it was told to.
	[ "$io_status" = 0 ] || [ "$io_status" = 128 ] || return
	! grep -Eq 'verify:|verify failed|io_u error' "$work/fio-$1.log" "$work/fio-$1.json"
}

# many_begin N [FIO-OPTION]...: N writes of blocks of 4 KiB of $md, all in flight at once, in the background, until
# `many_end`. What was written is read again.
many_begin() {
	local n=$1
	shift
	fio --name=many --filename=$md --direct=1 --rw=write --bs=4k --size=$((n * 4))k --ioengine=libaio \
		--iodepth="$n" --verify=crc32c --verify_fatal=1 --verify_state_save=0 "$@" >"$work/many" 2>&1 &
	many_pid=$!
}

# Waits for their end; how that was is for `many_clean`.
many_end() {
	many_status=0
	wait "$many_pid" || many_status=$?
}

# None of them has failed, and what was written is there.
many_clean() {
	cat "$work/many"
	equal 0 "$many_status"
}

# witness NAME direct|buffered FILE OFFSET: a part of a device, or of a file on it, that is watched more closely, until
# `io_end`. Where I/O may fail, or is buffered, fio does not see all that is lost: of buffered blocks it reads most from
# the page cache.
witness() {
	local rate=2
	[ "$slower" -eq 1 ] || rate=0.5
	python3 -I -S "${BASH_SOURCE[0]%/*}/../lib/witness.py" "$2" "$3" "$4" $rate >"$work/witness-$1" 2>&1 &
	io_pids+=($!)
	wait_for grep -q begins "$work/witness-$1"
}

# witness_right NAME: there was I/O, and it read what it had written.
witness_right() {
	tail -n 20 "$work/witness-$1"
	[[ $(tail -n 1 "$work/witness-$1") =~ ^right:\ reads\ [1-9][0-9]*\ writes\ [1-9] ]]
}

# longest NAME: the milliseconds that its slowest I/O took, as fio saw it.
longest() {
	sed -n '/^{/,$p' "$work/fio-$1.json" | jq '.jobs[0] | [.read, .write] | map(.clat_ns.max) | max / 1e6 | round'
}

# py CODE [ARG]...: Python, with `buffer(bytes, content)` and `direct(device)` as below.
py() {
	local code=$1
	shift
	python3 -I -S -c '
import errno, mmap, os, sys
def buffer(n, fill=None):
    b = mmap.mmap(-1, n)
    if fill is not None: b.write(fill)
    return b
def direct(dev, flags=0): return os.open(dev, os.O_RDWR | os.O_DIRECT | flags)
'"$code" "$@"
}

# --- clean-up --------------------------------------------------------------------------------------

# leftovers: one line for each thing that a test may not leave behind.
leftovers() {
	local place rest
	for place in /sys/block/md*; do [ ! -e "$place" ] || echo "array ${place##*/}"; done
	for place in /sys/block/dm-*; do [ ! -e "$place" ] || echo "device-mapper device $(<"$place/dm/name")"; done
	for place in /sys/block/loop*/loop/backing_file; do [ ! -e "$place" ] || echo "loop device over $(<"$place")"; done
	for place in scsi_debug null_blk mpdisk nbd; do
		[ ! -e "/sys/module/$place" ] || echo "module $place"
	done
	for place in sch_netem sch_ingress; do
		{ read -r rest <"/sys/module/$place/refcnt"; } 2>/dev/null || continue
		[ "$rest" -eq 0 ] || echo "packets are lost: $place"
	done
	while read -r rest place _; do
		case $place in "$mnt"*) echo "mount of $rest at $place" ;; esac
	done </proc/self/mounts
	while read -r place _; do
		case $place in /*) echo "swap on $place" ;; esac
	done </proc/swaps
	for place in /sys/block/*/device/state; do
		[ -e "$place" ] || continue
		case $(<"$place") in running | live) ;; *) echo "disk ${place#/sys/block/} $(<"$place")" ;; esac
	done
	for place in ${paths_at_start[@]+"${paths_at_start[@]}"}; do
		[ -b "$place" ] || echo "path $place is missing"
	done
}

nothing_left() {
	[ -z "$(leftovers)" ]
}

paths_at_start=(/dev/path?*)
[ -e "${paths_at_start[0]}" ] || paths_at_start=()

# unblock: no I/O waits for what a test has stopped, or for a path.
unblock() {
	local place name
	for place in /sys/block/dm-*; do
		[ -e "$place" ] || continue
		[ "$(<"$place/dm/suspended")" = 0 ] || dmsetup --noudevsync resume "$(<"$place/dm/name")" || :
	done
	for place in /sys/block/md*; do
		for name in no_path_timeout_ms suspend_hi; do
			[ ! -e "$place/md/$name" ] || echo 0 >"$place/md/$name" || :
		done
	done
}

clean_once() {
	local place name host mounts
	unblock
	for place in /sys/block/*/device/state; do
		[ ! -e "$place" ] || [ "$(<"$place")" != offline ] || echo running >"$place" || :
	done
	# Its pages would go with what it is on.
	swapoff --all || :
	mapfile -t mounts </proc/self/mounts
	for place in "${mounts[@]}"; do
		read -r _ place _ <<<"$place"
		case $place in "$mnt"*) umount "$place" || umount -l "$place" ;; esac
	done
	for place in /sys/block/dm-*; do
		[ -e "$place" ] || continue
		name=$(<"$place/dm/name")
		dmsetup --noudevsync remove "$name" || :
	done
	for place in /sys/block/md*; do
		[ ! -e "$place" ] || mdadm --quiet --stop "/dev/${place##*/}" || :
	done
	for place in /sys/block/loop*/loop; do
		[ ! -e "$place" ] || losetup --detach-all || :
		[ ! -e "$place" ] || break
	done
	if [ "${#paths_at_start[@]}" -gt 0 ] && ! present "${paths_at_start[@]}"; then
		for host in /sys/class/scsi_host/host*; do scsi_rescan "${host##*host}" || :; done
		[ ! -e /sys/class/nvme ] || echo 1 >/sys/bus/pci/rescan || :
		[ ! -e /sys/class/iscsi_transport/tcp ] || iscsiadm --mode node --login || :
		settle || :
	fi
	for place in root clsact; do
		[ ! -e /sys/module/sch_netem ] && [ ! -e /sys/module/sch_ingress ] || tc qdisc delete dev lo "$place" || :
	done
	for place in /sys/kernel/config/nvmet/ports/*/subsystems; do
		[ ! -d "$place" ] || compgen -G "$place/*" >/dev/null || ln -s /sys/kernel/config/nvmet/subsystems/* "$place/" || :
	done
	for place in /sys/kernel/config/nullb/*/; do
		[ ! -e "$place" ] || rmdir "$place" || :
	done
	for name in scsi_debug null_blk mpdisk nbd; do
		[ ! -e "/sys/module/$name" ] || [ "$name" = "${keep_module:-}" ] || rmmod "$name" || :
	done
}

# Makes the machine what it was before the test, as well as that can be done.
clean_up() {
	local pids end=$((SECONDS + 30)) place
	pids=$(jobs -p)
	if [ -n "$pids" ]; then
		# shellcheck disable=SC2086 # one word each
		kill -KILL $pids || :
	fi
	[ ! -e /run/selftest/udev-off ] || udev_on || :
	until nothing_left; do
		clean_once
		if nothing_left; then break; fi
		[ "$SECONDS" -lt "$end" ] || break
		settle 5 || :
		read -r -t 0.1 -u "$never" || :
	done
	# The next test finds an empty disk: no partition, file system or superblock of this one.
	place=${paths_at_start[0]:-}
	if [ -b "$place" ]; then
		wait_for -t 20 blkdiscard --force "$place" || :
		for place in "${paths_at_start[@]}"; do
			! compgen -G "/sys/block/$(kname "$place")/*/partition" >/dev/null || blockdev --rereadpt "$place" || :
		done
	fi
	rm -rf "$work"
}

on_error() {
	local i
	printf '# status %s: %s\n' "$1" "$2"
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		printf '#   %s line %s\n' "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}"
	done
	[ ! -s "$work/last" ] || diag "$(<"$work/last")"
	[ ! -e /proc/mdstat ] || diag "$(</proc/mdstat)"
}

on_exit() {
	local status=$?
	trap - EXIT ERR
	trap '' TERM INT
	set +Ee
	printf '# cleaning up\n'
	clean_up >"$work.cleaning" 2>&1
	if [ "$ktap_made" -ne "$ktap_planned" ]; then
		diag "$ktap_planned claims planned, $ktap_made made"
		[ "$status" -ne 0 ] || status=1
	fi
	[ "$ktap_failed" -eq 0 ] || [ "$status" -ne 0 ] || status=1
	exit "$status"
}

# A test script calls this first.
selftest_begin() {
	trap 'on_error "$?" "$BASH_COMMAND"' ERR
	trap on_exit EXIT
	trap 'exit 143' TERM
	trap 'exit 130' INT
	rm -rf "$work"
	mkdir -p "$work" "$mnt"
	ktap_plan "$1"
	[ -e /sys/module/md_multipath ] || modprobe md_multipath
	settle
	mark_log
}
