#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none --mem 1G
# timeout: 900
#
# Storms in which all paths may go. I/O fails only while none is up; where no_path_timeout_ms is set, it does not
# fail at all. Nobody reads a wrong byte, and nobody hangs. SEED and EVENTS in the environment choose the storm.
#
# The paths are four disks of scsi_debug over one store, and not of device mapper, which lives on when the disk
# below it goes.
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/storm.sh
. "${BASH_SOURCE[0]%/*}/../lib/storm.sh"
selftest_begin 16
storm_begin 300

# --- paths -----------------------------------------------------------------------------------------

# Array mdA's path N is partition A of the disk behind adapter N. What is wrong with that is in `offline`, `gone`
# and `faulted`.
# In `met`, by kind, how often commands have met what was for a few of them only.
declare -A offline gone faulted disk met
storm_state=(offline gone faulted disk met)
hosts=()
# The path that is whole for sure, or nothing; and since when there is none.
sure=0 since=0
parks=''

name() {
	[ -n "${gone[$2]:-}" ] || printf '%s%d' "${disk[$2]}" $((${1#md} + 1))
}
fit() {
	[ -z "${gone[$2]:-}${offline[$2]:-}${faulted[$2]:-}" ]
}
fault_file() {
	local place
	place=$(readlink -f "/sys/block/${disk[$1]}/device")
	printf '/sys/kernel/debug/scsi_debug/%s/error' "${place##*/}"
}
# fault N COUNT HOSTBYTE: every command ends so, or, with a negative COUNT, so many.
fault() {
	look "$1"
	echo "2 $2 0xff $3 0 0 0 0 0" >"$(fault_file "$1")" || return
	faulted[$1]="2 $2"
}
# silence N COUNT: so many commands get no answer. They are given up after a second each.
silence() {
	look "$1"
	echo 1 >"/sys/block/${disk[$1]}/device/timeout" && echo "0 -$2 0xff" >"$(fault_file "$1")" || return
	faulted[$1]="0 -$2"
}
# look N: each command that has met the last fault of the path has counted it up.
look() {
	local kind=glitch type count _
	case ${faulted[$1]:-} in '0 '*) kind=silent ;; '2 -'*) ;; *) return 0 ;; esac
	while read -r type count _; do
		[ "$type $count" != "${faulted[$1]}" ] || return 0
	done <"$(fault_file "$1")"
	met[$kind]=$((${met[$kind]:-0} + 1))
}
mend() {
	local kind
	[ -z "${gone[$1]:-}" ] && [ -n "${faulted[$1]:-}" ] || return
	look "$1"
	# What was for a few commands may be over.
	for kind in 0 2; do echo "- $kind 0xff" >"$(fault_file "$1")" || :; done 2>/dev/null
	echo 30 >"/sys/block/${disk[$1]}/device/timeout"
	faulted[$1]=''
	# After commands without an answer the kernel asks a disk whether it is ready; if it says no, that puts it
	# offline.
	must recovered "${hosts[$1]}"
	[ "$(<"/sys/block/${disk[$1]}/device/state")" != offline ] || offline[$1]=1
}
# recovered HOST: its error handler has nothing to do.
recovered() {
	local state
	state=$(<"/sys/class/scsi_host/host$1/state")
	[ "$state" = running ]
}
rescan() {
	[ -n "${gone[$1]:-}" ] || return
	scsi_rescan "${hosts[$1]}"
	must find_disk "$1" 1 2
	gone[$1]='' offline[$1]='' faulted[$1]=''
}
running() {
	# The kernel asks such a disk for its size.
	[ -n "${offline[$1]:-}" ] && [ -z "${faulted[$1]:-}" ] || return
	echo running >"/sys/block/${disk[$1]}/device/state"
	offline[$1]=''
}
# whole N: everything that is wrong with the path ends, and both arrays use it.
whole() {
	local array
	rescan "$1" || :
	mend "$1" || :
	running "$1" || :
	until joined "$1" && drained && joined "$1" now; do :; done
	[ -n "$sure" ] || errors_mark up
	sure=$1
}
# joined N [now]
joined() {
	local array
	for array in "${arrays[@]}"; do
		if [ $# -eq 2 ]; then in_sync "$array" "$1" || return; else must joins "$array" "$1"; fi
	done
}
# All I/O that began before has ended: what it tells of a path is known, and what fails from now on has not met
# the time when none was up. With parking none fails.
drained() {
	local array
	[ -z "$parks" ] && [ "${#io_pids[@]}" -gt 0 ] || return 0
	for array in "${arrays[@]}"; do suspend_ends "$array"; done
	kill -STOP "${io_pids[@]}" || storm_fails "the I/O has ended"
	for array in "${arrays[@]}"; do must idle "/dev/$array"; done
	kill -CONT "${io_pids[@]}"
}

# another N: a path other than this one is whole, and is the one that is so for sure from here on. With parking
# nobody asks.
another() {
	local i
	for ((i = 0; i < count; i++)); do
		if [ "$i" -ne "$1" ] && [ -z "$parks" ] && fit md0 "$i" && joined "$i" now && drained && joined "$i" now; then
			sure=$i
			return
		fi
	done
	return 1
}

# --- events ----------------------------------------------------------------------------------------

harm() {
	local n=$2 value=$4
	[ -z "${gone[$n]:-}" ] || return
	case $1 in
	offline)
		[ -z "${offline[$n]:-}" ] || return
		echo offline >"/sys/block/${disk[$n]}/device/state" || return
		offline[$n]=1
		;;
	delete)
		look "$n"
		echo 1 >"/sys/block/${disk[$n]}/device/delete" || return
		gone[$n]=1 offline[$n]='' faulted[$n]=''
		;;
	# DID_TRANSPORT_FAILFAST, all or a few; and DID_NO_CONNECT, which the disk might have said as well.
	transport) fault "$n" 1 0x0f ;;
	glitch) fault "$n" $((-1 - value % 6)) 0x0f ;;
	silent) silence "$n" $((1 + value % 3)) ;;
	error) fault "$n" 1 0x01 ;;
	esac
}
event() {
	local kind=$1 n=$2 i status=1
	case $kind in
	offline | delete | transport | glitch | silent | error) harm "$@" ;;
	all)
		# Each in its own way.
		for ((i = 0; i < count; i++)); do
			! harm "${harms[($4 >> 2 * i) % ${#harms[@]}]}" "$i" "$3" "$4" || status=0
		done
		return "$status"
		;;
	running) running "$n" ;;
	rescan) rescan "$n" ;;
	mend) mend "$n" ;;
	whole) whole "$n" ;;
	size) resize "$3" $((16384 + $4 % 5 * 1024)) ;;
	*) array_event "$@" ;;
	esac 2>/dev/null
}
before() {
	local i=$1 n=$2 kind=$3
	[ -n "$sure" ] || [ $((i - since)) -lt 10 ] || whole "$n"
	case $kind in
	all) ;;
	offline | delete | transport | glitch | silent | error | fail)
		[ "$n" = "$sure" ] || return 0
		! another "$n" || return 0
		;;
	*) return 0 ;;
	esac
	[ -z "$sure" ] || since=$i
	[ -z "$sure" ] || errors_mark down
	sure=''
}
after() {
	local array
	[ -n "$sure" ] || return 0
	for array in "${arrays[@]}"; do
		in_sync "$array" "$sure" || storm_fails "$array does not use path $sure, which is whole"
	done
}

# jobs_of_all SIZES DIRECT BUFFERED [FIO-OPTION]...: the sizes of blocks of each job; options of the first job
# alone, and of the second.
jobs_of_all() {
	local sizes first=$2 second=$3
	read -r -a sizes <<<"$1"
	shift 3
	jobs=()
	# shellcheck disable=SC2086 # words
	job direct md0 --rate_iops=$often --offset=1M --size=6M "--${sizes[0]}" "$@" $first
	job sync md0 --rate_iops=$often --offset=8M --size=6M --ioengine=psync "--${sizes[1]}" --fsync=8 "$@" \
		"$second"
	job small md1 --rate_iops=$often --offset=1M --size=6M --ioengine=psync "--${sizes[2]}" --fdatasync=16 \
		"$@"
	job large md1 --rate_iops=$seldom --offset=8M --size=6M "--${sizes[3]}" --iodepth=4 "$@"
	for array in "${arrays[@]}"; do witness "$array" direct "/dev/$array" $((15 << 20)); done
}
few_met() {
	# shellcheck source=/dev/null
	. "$work/state"
	declare -p met
	[ "$number" -lt 150 ] || { [ "${met[glitch]:-0}" -gt 0 ] && [ "${met[silent]:-0}" -gt 0 ]; }
}
# round TEXT ERRORS: a storm, and what became of its I/O; ERRORS as for `data_right`.
round() {
	met=()
	errors_begin "${arrays[@]}"
	jobs_begin
	claim "$1: up to $events events of seed $seed, and a path that is whole stays in use" storm
	claim "$1: most of them could be done" most_happened
	claim "$1: commands met what was for a few of them" few_met
	io_end
	errors_end
	claim "$1: all paths are whole again" healed
	claim "$1: I/O failed only as it may" no_wrong_errors
	claim "$1: all data are right" data_right "$2"
	storm_saw
}
scsi_debug add_host=$count dev_size_mb=64 num_parts=2 ndelay=20000
# shellcheck disable=SC2154 # debug: from scsi_debug
for ((n = 0; n < count; n++)); do
	hosts+=("$(scsi_host "${debug[n]}")")
	wait_for find_disk "$n" 1 2
done
udev_off
for array in "${arrays[@]}"; do
	devices=()
	for ((n = 0; n < count; n++)); do devices+=("/dev/$(name "$array" "$n")"); done
	build "/dev/$array" "${devices[@]}"
done

events=$(((events + 1) / 2))
[ -z "$minutes" ] || minutes=$(((minutes + 1) / 2))
common=(delete delete rescan rescan transport glitch glitch silent mend mend fail fail remove add add all
	readd whole whole slots size policy priority hold suspend cpu memory detail)

# Nothing is buffered: what the page cache could not write it forgets.
harms=(offline delete transport error)
kinds=("${common[@]}" offline running running error)
jobs_begin() {
	local errors=5:19:67:110
	# Of several I/Os at a time that fail fio loses count, and crashes. Of generations it knows nothing when some
	# were not written; without a time it would say so. The witness does.
	jobs_of_all "bsrange=4k-64k bsrange=4k-32k bsrange=4k-8k bsrange=256k-512k" \
		"--numjobs=3 --size=2M --offset_increment=2M --group_reporting" --direct=1 --ioengine=psync \
		--time_based --runtime=1000000 --continue_on_error=io "--ignore_error=$errors,$errors"
}
round "at once" "5|19|67|110"
# some NUMBER: not of a few events.
some() {
	[ "$1" -gt 0 ] || [ "$number" -lt 50 ]
}
claim "at once: some failed while no path was up" some "$expected"

# A disk that is offline says what a disk may say of itself, and is believed.
for array in "${arrays[@]}"; do echo 3600000 >"/sys/block/$array/md/no_path_timeout_ms"; done
parks=1
harms=(delete transport)
kinds=("${common[@]}")
jobs_begin() {
	jobs_of_all "bs=32k bs=8k bs=4k bs=512k" "" --direct=0
	for array in "${arrays[@]}"; do witness "$array-buffered" buffered "/dev/$array" $((31 << 19)); done
}
round "parking" 0
claim "parking: none failed, whatever was up" equal "0 0" "$wrong $expected"
claim "parking: some waited" some "$parked"
claim "parking: and none waits any more" eval "for a in md0 md1; do
	wait_for grep -qx 'parked 0' /sys/kernel/debug/md_multipath/\$a/settings; done"
stop /dev/md0
stop /dev/md1
rmmod scsi_debug
udev_on
