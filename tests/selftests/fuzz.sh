#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 3 --mem 1G
# timeout: 600
#
# Three tasks call md's ioctls and use its files at random, with arguments that make sense and that make none, on
# two arrays that have I/O while disks go and come. SEED and CALLS in the environment choose the calls; both are in
# the log, and each call is in the kernel log before it is made:
#
#     scripts/vm --kernel debug OPTION... -- env SEED=4711 CALLS=100000 tests/selftests/fuzz.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 7

seed=${SEED:-4711} calls=${CALLS:-3000}
diag "SEED=$seed CALLS=$calls"

# Arrays as the storms have them: mdA's path N is half A of what host adapter N shows.
half=$(($(sectors /dev/path0) / 2))
for array in 0 1; do
	for n in 0 1 2; do dm_over "a${array}p$n" "/dev/path$n" "$half" $((array * half)); done
	# A spare for what is added; it is the disk as well.
	dm_over "a${array}p3" /dev/path0 "$half" $((array * half))
done
null_disks other size=64
build /dev/md0 /dev/mapper/a0p{0,1,2}
create /dev/md1 1.2 /dev/mapper/a1p{0,1,2}
settle
udev_off
# Another personality would be what is tested from then on.
modprobe=$(</proc/sys/kernel/modprobe)
echo >/proc/sys/kernel/modprobe

fuzz() {
	grep -v '^#' "${BASH_SOURCE[0]%/*}/../../scripts/splats" >"$work/splats"
	python3 -I -S "${BASH_SOURCE[0]%/*}/fuzz.py" "$seed" "$calls" 3 "$work/splats" \
		/dev/mapper/a0p0,/dev/mapper/a0p1,/dev/mapper/a0p2,/dev/mapper/a0p3 \
		/dev/mapper/a1p0,/dev/mapper/a1p1,/dev/mapper/a1p2,/dev/mapper/a1p3 /dev/other >"$work/said" 2>&1 || {
		cat "$work/said"
		dmesg | grep 'fuzz: ' | tail -n 30
		return 1
	}
}
claim "$calls calls return, and the kernel does not complain" fuzz

# Of all tasks: kind, what became of it, how often.
awk -F'\t' '{ sum[$1 FS $2] += $3 } END { for (kind in sum) print kind FS sum[kind] }' "$work/said" |
	sort >"$work/kinds"

# seen HOW KIND...: each, an extended regular expression, has been answered so.
seen() {
	local how=$1 kind
	shift
	for kind; do
		grep -E "^($kind)	$how" "$work/kinds"
	done
}
ioctls=(ADD_NEW_DISK HOT_ADD_DISK HOT_REMOVE_DISK SET_DISK_FAULTY STOP_ARRAY STOP_ARRAY_RO)
both_ways() {
	local how settings=(path_policy no_path_timeout_ms no_path_max_parked write_retry_hold_ms priority raid_disks)
	cat "$work/kinds"
	# What becomes of an ioctl depends on what the other tasks have just done.
	seen '' "${ioctls[@]}"
	for how in taken refused; do seen $how "${settings[@]}" "$(IFS='|' && echo "${ioctls[*]}")"; done
}
claim "each setting, and md's main ioctls, have taken some and refused some" both_ways
sum() {
	awk -F'\t' -v what="$1" '$2 == what { sum += $3 } END { print sum + 0 }' "$work/kinds"
}
diag "taken: $(sum taken), refused: $(sum refused), no array to open: $(sum "no array")"
echo "$modprobe" >/proc/sys/kernel/modprobe

works() {
	pattern "$work/data" 64
	write_at "$1" 512 64 "$work/data"
	holds "$work/data" "$1" 512
}
claim "the array is whole again, and has I/O" works /dev/md0
claim "… and so has the one with superblocks" works /dev/md1
stops() {
	stop /dev/md0
	stop /dev/md1
	unheld /dev/mapper/a{0,1}p{0,1,2,3} /dev/other
}
claim "both can be stopped, and let go of all devices" stops
reloads() {
	rmmod md_multipath
	modprobe md_multipath
}
claim "the module can be unloaded and loaded" reloads
fresh() {
	build $md /dev/mapper/a0p{0,1,2}
	all_up 3
	works $md
	mdadm --quiet $md --fail /dev/mapper/a0p0
	remove $md /dev/mapper/a0p0
	readd $md /dev/mapper/a0p0
	all_up 3
	stop $md
}
claim "a new array works, fails a path and gets it back" fresh
dm_remove a{0,1}p{0,1,2,3}
null_disks_gone other
udev_on
