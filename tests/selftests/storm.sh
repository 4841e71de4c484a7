#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 4
# timeout: 900
#
# Storms: what a data centre does to paths, at random, under verified I/O on two arrays over the same disk.
# One path is whole at any time: no I/O fails, and no byte is wrong. SEED and EVENTS in the environment choose
# the storm; both are in the log.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 6

seed=${SEED:-$EPOCHSECONDS}
events=${EVENTS:-150}
arrays=(md0 md1)
count=4
diag "SEED=$seed EVENTS=$events"

# --- paths -----------------------------------------------------------------------------------------

# Array A's path N is the device a<A>p<N>: half of the disk as /dev/path<N> shows it. What is wrong with it
# is in `offline`, `gone`, `broken` and `hung`.
declare -A offline gone broken hung
hosts=()
for ((n = 0; n < count; n++)); do hosts+=("$(scsi_host "/dev/path$n")"); done
half=$(($(sectors /dev/path0) / 2))

device() {
	printf '/dev/mapper/%sp%d' "${1/md/a}" "$2"
}
table() {
	printf '0 %d linear /dev/path%d %d' "$half" "$2" $((${1#md} * half))
}
reload() {
	dmsetup reload "${1/md/a}p$2" --table "$3"
	dmsetup suspend --nolockfs --noflush "${1/md/a}p$2"
	dmsetup --noudevsync resume "${1/md/a}p$2"
}
mend() {
	[ -z "${broken[$1$2]:-}${hung[$1$2]:-}" ] || reload "$1" "$2" "$(table "$1" "$2")"
	broken[$1$2]='' hung[$1$2]=''
}
# return_ N: its disk is found again, under whatever name.
return_() {
	local array
	[ -n "${gone[$1]:-}" ] || return 0
	scsi_rescan "${hosts[$1]}"
	wait_for present "/dev/path$1"
	gone[$1]='' offline[$1]=''
	for array in "${arrays[@]}"; do reload "$array" "$1" "$(table "$array" "$1")"; done
	for array in "${arrays[@]}"; do broken[$array$1]='' hung[$array$1]=''; done
}
# member ARRAY N: what the array says of it: `in_sync`, `faulty`, …, or nothing.
member() {
	local name state=''
	name=$(kname "$(device "$1" "$2")")
	[ ! -e "/sys/block/$1/md/dev-$name" ] || read -r state <"/sys/block/$1/md/dev-$name/state"
	printf '%s' "$state"
}
in_sync() {
	local state
	state=$(member "$1" "$2")
	[[ $state == *in_sync* && $state != *faulty* ]]
}
# joins ARRAY N: a path that failed is taken out, and added again.
joins() {
	local state
	state=$(member "$1" "$2")
	case $state in
	*faulty*) mdadm --quiet "/dev/$1" --remove "$(device "$1" "$2")" && return 1 ;;
	'') mdadm --quiet "/dev/$1" --add "$(device "$1" "$2")" && return 1 ;;
	*in_sync*) return ;;
	esac
	return 1
}
# whole N: everything that is wrong with the path ends, and both arrays use it.
whole() {
	local array
	return_ "$1"
	[ -z "${offline[$1]:-}" ] || scsi_state "/dev/path$1" running
	offline[$1]=''
	for array in "${arrays[@]}"; do
		mend "$array" "$1"
		wait_for joins "$array" "$1"
	done
}

# --- events ----------------------------------------------------------------------------------------

declare -A happened
# Whether an I/O may end with an error is up to what is whole; what cannot be done now is not done.
event() {
	local kind=$1 n=$2 array=$3 value=$4
	case $kind in
	offline)
		[ -z "${offline[$n]:-}${gone[$n]:-}" ] || return 0
		scsi_state "/dev/path$n" offline
		offline[$n]=1
		;;
	running)
		[ -n "${offline[$n]:-}" ] && [ -z "${gone[$n]:-}" ] || return 0
		scsi_state "/dev/path$n" running
		offline[$n]=''
		;;
	delete)
		[ -z "${gone[$n]:-}" ] || return 0
		scsi_delete "/dev/path$n"
		gone[$n]=1 offline[$n]=''
		wait_for absent "/dev/path$n"
		;;
	rescan) return_ "$n" ;;
	error)
		[ -z "${gone[$n]:-}${hung[$array$n]:-}" ] || return 0
		reload "$array" "$n" "0 $half error"
		broken[$array$n]=1
		;;
	hang)
		[ -z "${gone[$n]:-}${hung[$array$n]:-}" ] || return 0
		dmsetup suspend --nolockfs --noflush "${array/md/a}p$n"
		hung[$array$n]=1
		;;
	mend) [ -n "${gone[$n]:-}" ] || mend "$array" "$n" ;;
	fail) mdadm --quiet "/dev/$array" --fail "$(device "$array" "$n")" || return 0 ;;
	remove) mdadm --quiet "/dev/$array" --remove "$(device "$array" "$n")" || return 0 ;;
	add)
		[ -z "${gone[$n]:-}${offline[$n]:-}${broken[$array$n]:-}${hung[$array$n]:-}" ] || return 0
		joins "$array" "$n" || :
		;;
	whole) whole "$n" ;;
	grow) echo $((4 + value % 9)) >"/sys/block/$array/md/raid_disks" || return 0 ;;
	policy)
		local policies=(first round-robin queue-depth)
		echo "${policies[value % 3]}" >"/sys/block/$array/md/path_policy"
		;;
	priority)
		local name
		name=$(kname "$(device "$array" "$n")")
		echo $((value % 5)) >"/sys/block/$array/md/dev-$name/multipath/priority" || return 0
		;;
	hold) echo $((value % 40)) >"/sys/block/$array/md/write_retry_hold_ms" ;;
	cpu) echo $((value % 2)) >/sys/devices/system/cpu/cpu1/online ;;
	memory)
		echo 3 >/proc/sys/vm/drop_caches
		python3 -I -S -c 'b = bytearray(100 << 20); b[::65536] = bytes(len(b) // 65536)'
		;;
	detail) within 60 mdadm --detail "/dev/$array" >/dev/null ;;
	esac 2>/dev/null
	happened[$kind]=$((${happened[$kind]:-0} + 1))
}
kinds=(offline offline running running delete rescan rescan error error hang mend mend mend fail fail remove add add
	whole whole grow policy priority hold cpu memory detail)

storm() {
	local i n kind array value safe=0
	RANDOM=$((seed % 32768))
	for ((i = 0; i < events; i++)); do
		n=$((RANDOM % count)) kind=${kinds[RANDOM % ${#kinds[@]}]} array=${arrays[RANDOM % 2]} value=$RANDOM
		# Another path is the whole one from here on.
		if [ $((value % 16)) -eq 0 ]; then
			whole "$n"
			safe=$n
		fi
		[ "$n" -ne "$safe" ] || n=$(((n + 1) % count))
		printf '# %d: %s path %d %s %d\n' "$i" "$kind" "$n" "$array" "$value"
		event "$kind" "$n" "$array" "$value"
	done
	declare -p happened >"$work/happened"
	echo 1 >/sys/devices/system/cpu/cpu1/online
	heal
}
heal() {
	local n
	for ((n = 0; n < count; n++)); do whole "$n"; done
}
# The I/O has ended: none of it finds out any more that a path was dead.
healed() {
	heal
	all_in_sync
}

# Each job has a part of its own: direct and deep, buffered with fsync, small and synchronous, large.
jobs_begin() {
	local rate=--rate_iops=40,40
	io_begin direct /dev/md0 $rate --bsrange=4k-64k
	io_begin buffered /dev/md0 $rate --offset=80M --direct=0 --ioengine=psync --fsync=8
	io_begin small /dev/md1 $rate --ioengine=psync --bsrange=4k-8k --fdatasync=16
	io_begin large /dev/md1 --rate_iops=8,8 --offset=80M --bsrange=256k-512k --iodepth=4
}
jobs_clean() {
	local job
	tail -n 20 "$work"/fio-*.log
	for job in direct buffered small large; do io_clean "$job"; done
}

all_in_sync() {
	local n array
	for array in "${arrays[@]}"; do
		for ((n = 0; n < count; n++)); do in_sync "$array" "$n" || return; done
	done
}
of_every_kind() {
	local kind
	local -A wanted=()
	for kind in "${kinds[@]}"; do wanted[$kind]=1; done
	# shellcheck source=/dev/null
	. "$work/happened"
	declare -p happened
	[ "$events" -ge 150 ] || return 0
	for kind in "${!wanted[@]}"; do
		[ "${happened[$kind]:-0}" -gt 0 ] || {
			printf 'never: %s\n' "$kind"
			return 1
		}
	done
}

for array in "${arrays[@]}"; do
	devices=()
	for ((n = 0; n < count; n++)); do
		dmsetup create "${array/md/a}p$n" --table "$(table "$array" "$n")"
		devices+=("$(device "$array" "$n")")
	done
	build "/dev/$array" "${devices[@]}"
done
settle

mark_log
jobs_begin
claim "$events events" storm
claim "each kind of them" of_every_kind
io_end
claim "all paths are whole again" healed
claim "no I/O failed, and all data are right" jobs_clean
claim "no path was looked for in vain" equal 0 "$(log_count 'no path works')"
claim "the last path was never at stake" equal 0 "$(log_count 'is the last one')"
diag "$(<"$work/happened")"
stop /dev/md1
stop /dev/md0
