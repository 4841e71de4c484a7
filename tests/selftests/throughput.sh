#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --icount --topology none
# timeout: 300
#
# What several paths together give under each policy. The paths are limited to a number of I/Os a second,
# and the guest's clock counts instructions: how busy the machine is does not matter.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 11

policy=/sys/block/md0/md/path_policy
group=/sys/fs/cgroup/selftest
runtime=5

null_disks plain0 plain1
echo +io >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p $group

# limit DEV IOPS: of the processes in the group.
limit() {
	echo "$(<"/sys/class/block/$(kname "$1")/dev") riops=$2 wiops=$2" >$group/io.max
}

# give WHAT [POLICY]: how many I/Os the array does in a run, into `total`.
give() {
	[ -z "${2:-}" ] || echo "$2" >$policy
	# shellcheck disable=SC2016 # for the inner shell
	bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' $group \
		fio --name=give --filename=$md --direct=1 --rw="$1" --bs=4k --ioengine=libaio --iodepth=32 \
		--size=100% --time_based --runtime=$runtime --output-format=json --output="$work/fio"
	total=$(jq '.jobs[0] | if .error == 0 then .read.total_ios + .write.total_ios else 0 end' "$work/fio")
	echo "$1 ${2:-}: $total I/Os in $runtime s"
}

# at_least_of_one PER-CENT: of what one path gave.
at_least_of_one() {
	echo "one path: $one"
	[ $((total * 100)) -ge $((one * $1)) ]
}

gives_its_limit() {
	[ "$one" -ge $((runtime * 180)) ] && [ "$one" -le $((runtime * 220)) ]
}

two_give() {
	give "$1" "$2"
	at_least_of_one 190
}

fast_and_slow_give() {
	give "$1" "$2"
	at_least_of_one 90
}

# --- two equal paths ---

build $md /dev/plain0 /dev/plain1
limit /dev/plain0 200
limit /dev/plain1 200
for what in randread randwrite; do
	give $what first
	one=$total
	claim "$what: one path gives what it is limited to" gives_its_limit
	claim "$what: two give at least 1.9 times as much under round-robin" two_give $what round-robin
	claim "$what: … and under queue-depth" two_give $what queue-depth
done

# --- one ten times slower ---

limit /dev/plain0 600
limit /dev/plain1 60
for what in randread randwrite; do
	give $what first
	one=$total
	claim "$what: with one path ten times slower queue-depth keeps nine tenths of the other's throughput" \
		fast_and_slow_give $what queue-depth
	claim "$what: … and round-robin does not" not fast_and_slow_give $what round-robin
done
limit /dev/plain0 60
limit /dev/plain1 600
claim "queue-depth keeps it as well if the slow path comes first" fast_and_slow_give randread queue-depth

stop $md
rmdir $group
null_disks_gone plain0 plain1
