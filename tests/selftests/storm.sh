#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 4 --mem 1G
# timeout: 900
#
# Storms: what a data centre does to paths, at random, under verified I/O on two arrays over the same disk, one
# of them with a superblock and a file system. At any time one path is whole: no I/O fails, and no byte is wrong.
# SEED and EVENTS in the environment choose the storm; both are in the log.
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/storm.sh
. "${BASH_SOURCE[0]%/*}/../lib/storm.sh"
selftest_begin 6
storm_begin 220

# --- paths -----------------------------------------------------------------------------------------

# Array mdA's path N is the device aAp<N>, a part of the disk as host adapter N shows it. What is wrong with it
# is in `offline` and `gone`, by path, and in `broken` and `hung`, by array and path.
declare -A offline gone broken hung disk mapped
storm_state=(offline gone broken hung disk safe)
hosts=()
half=$(($(sectors /dev/path0) / 2))

name() {
	printf '%s' "${mapped[$1$2]}"
}
fit() {
	[ -z "${gone[$2]:-}${offline[$2]:-}${broken[$1$2]:-}${hung[$1$2]:-}" ]
}
table() {
	printf '0 %d linear /dev/%s %d' "$half" "${disk[$2]}" $((${1#md} * half))
}
reload() {
	dm_change "${1/md/a}p$2" "$3"
	broken[$1$2]='' hung[$1$2]=''
}
release() {
	[ -n "${hung[$1$2]:-}" ] || return
	dm_unhang "${1/md/a}p$2"
	hung[$1$2]=''
}
mend() {
	release "$1" "$2" || :
	[ -z "${broken[$1$2]:-}" ] || reload "$1" "$2" "$(table "$1" "$2")"
}
rescan() {
	local array
	[ -n "${gone[$1]:-}" ] || return
	scsi_rescan "${hosts[$1]}"
	must find_disk "$1"
	gone[$1]='' offline[$1]=''
	for array in "${arrays[@]}"; do reload "$array" "$1" "$(table "$array" "$1")"; done
}
running() {
	[ -n "${offline[$1]:-}" ] || return
	echo running >"/sys/block/${disk[$1]}/device/state"
	offline[$1]=''
}
# whole N: everything that is wrong with the path ends. Both arrays get it anew, so that no I/O that is under
# way remembers what was wrong with it: it would convict it later.
whole() {
	local array
	rescan "$1" || :
	running "$1" || :
	for array in "${arrays[@]}"; do
		mend "$array" "$1"
		echo faulty >"$(member_dir "$array" "$1")/state" 2>/dev/null || :
		must leaves "$array" "$1"
		must joins "$array" "$1"
	done
}

# --- events ----------------------------------------------------------------------------------------

event() {
	local n=$2 array=$3
	case $1 in
	offline)
		[ -z "${offline[$n]:-}${gone[$n]:-}" ] || return
		echo offline >"/sys/block/${disk[$n]}/device/state" || return
		offline[$n]=1
		;;
	running) running "$n" ;;
	delete)
		[ -z "${gone[$n]:-}" ] || return
		echo 1 >"/sys/block/${disk[$n]}/device/delete" || return
		gone[$n]=1 offline[$n]=''
		;;
	rescan) rescan "$n" ;;
	error)
		[ -z "${broken[$array$n]:-}${hung[$array$n]:-}" ] || return
		reload "$array" "$n" "0 $half error"
		broken[$array$n]=1
		;;
	hang)
		# md core waits for its superblock to be written on a path: an array that has one would hang too.
		array=md0
		[ -z "${hung[$array$n]:-}" ] || return
		dm_hang "${array/md/a}p$n"
		hung[$array$n]=$number
		;;
	mend)
		# Device mapper takes no disk that is gone or offline.
		if release "$array" "$n"; then return; fi
		[ -n "${broken[$array$n]:-}" ] && [ -z "${gone[$n]:-}${offline[$n]:-}" ] || return
		mend "$array" "$n"
		;;
	whole) whole "$n" ;;
	size)
		# The file system would not like it.
		resize md0 $((300000 - $4 % 5 * 4096))
		;;
	detail)
		# mdadm reads the paths of an array without superblocks itself.
		[[ ${hung[*]} != *[0-9]* ]] && array_event "$@"
		;;
	*) array_event "$@" ;;
	esac
}
kinds=(offline offline running running delete rescan rescan error error hang mend mend fail fail remove add add
	readd whole slots size policy priority hold timeout suspend cpu memory detail)

before() {
	local key
	# What hangs does so for a dozen events, so that nobody takes it for a task that is stuck.
	for key in "${!hung[@]}"; do
		if [ -z "${hung[$key]}" ] || [ $((number - hung[$key])) -lt 12 ]; then continue; fi
		release md0 "${key#md0}"
	done
	# Another path is the whole one from here on.
	if [ $(($4 % 16)) -eq 0 ] && [ "$2" -ne "$safe" ]; then
		storm_note "$number: path $2 is to be the whole one"
		whole "$2"
		safe=$2
	fi
	[ "$2" -ne "$safe" ] || chosen=$(((chosen + 1) % count))
}
after() {
	local array
	for array in "${arrays[@]}"; do
		in_sync "$array" "$safe" || storm_fails "$array does not use path $safe, which is whole"
		blameless "$array" "$safe" || storm_fails "I/O of $array failed on path $safe, which is whole"
	done
}
# blameless ARRAY N: no I/O has failed on the path since it is what it is.
blameless() {
	local rows row device errors
	# All at once: a path that leaves makes its row shorter.
	mapfile -t rows <"/sys/kernel/debug/md_multipath/$1/paths"
	for row in "${rows[@]}"; do
		read -r _ device _ _ _ errors <<<"$row"
		[ "$device" = "${mapped[$1$2]}" ] || continue
		[[ $errors =~ ^0\ +0\ +0\  ]]
		return
	done
	return 1
}

for ((n = 0; n < count; n++)); do
	hosts+=("$(scsi_host "/dev/path$n")")
	find_disk "$n"
done
for array in "${arrays[@]}"; do
	devices=()
	for ((n = 0; n < count; n++)); do
		dm_make "${array/md/a}p$n" "$(table "$array" "$n")"
		mapped[$array$n]=$(kname "/dev/mapper/${array/md/a}p$n")
		devices+=("/dev/${mapped[$array$n]}")
	done
	if [ "$array" = md0 ]; then build /dev/md0 "${devices[@]}"; else create /dev/md1 1.2 "${devices[@]}"; fi
done
mkfs.ext4 -q -E nodiscard,lazy_itable_init=1 /dev/md1
mount /dev/md1 "$mnt"
settle
udev_off

# Each job has a part of its own: direct and deep, buffered with fsync, small and synchronous, large.
errors_begin "${arrays[@]}"
job direct md0 --rate_iops=$often --bs=32k
job buffered md0 --rate_iops=$often --offset=80M --direct=0 --ioengine=psync --fsync=8
io_file=$mnt/small job small md1 --rate_iops=$often --offset=0 --direct=0 --ioengine=psync --bs=4k --fdatasync=16
io_file=$mnt/large job large md1 --rate_iops=$seldom --offset=0 --bs=512k --iodepth=4
witness direct direct /dev/md0 $((100 << 20))
witness buffered buffered /dev/md0 $((101 << 20))
witness file-direct direct "$mnt/direct" 0
witness file-buffered buffered "$mnt/buffered" 0
claim "up to $events events of seed $seed, and the path that is whole stays in use and fails nothing" storm
claim "most of them could be done" most_happened
io_end
errors_end
claim "all paths are whole again" healed
claim "no I/O of an array failed" no_wrong_errors
claim "all data are right" data_right 0
storm_saw
umount "$mnt"
claim "the file system is whole" e2fsck -fn /dev/md1
udev_on
# It has not heard of those that came meanwhile.
udevadm trigger --action=add --subsystem-match=block
wait_for present "${paths_at_start[@]}"
stop /dev/md1
stop /dev/md0
