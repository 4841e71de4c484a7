#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# timeout: 240
#
# path_policy: which path takes the I/O.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 24
# Each I/O is counted, and udev reads what it hears of.
udev_off

policy=/sys/block/md0/md/path_policy

null_disks plain0 plain1

# reads DEV COUNT
reads() {
	fio --name=reads --filename="$1" --direct=1 --rw=randread --bs=4k --ioengine=libaio --iodepth=32 \
		--number_ios="$2" --size=100% >"$work/fio"
}

# spread COUNT: I/Os that each path took of COUNT, into `first` and `second`.
spread() {
	first=$(ios /dev/plain0) second=$(ios /dev/plain1)
	reads $md "$1"
	first=$(($(ios /dev/plain0) - first)) second=$(($(ios /dev/plain1) - second))
	echo "first path: $first, second path: $second"
}

all_on_first() {
	spread 512
	[ "$second" -eq 0 ] && [ "$first" -ge 512 ]
}

evenly() {
	spread 2048
	[ "$first" -ge 900 ] && [ "$second" -ge 900 ]
}

set_policy() {
	echo "$1" >$policy
	equal "$1" "$(<$policy)"
}

unchanged_by() {
	local before status=0
	before=$(<$policy)
	printf '%b' "$1" >$policy || status=$?
	[ "$status" -ne 0 ] && equal "$before" "$(<$policy)"
}

# --- the setting ---

build $md /dev/plain0 /dev/plain1
claim "the policy is first by default" equal first "$(<$policy)"
claim "first: one path takes everything" all_on_first
claim "the policy can be changed to round-robin" set_policy round-robin
claim "round-robin: both paths take about the same" evenly
claim "the policy can be changed to queue-depth" set_policy queue-depth
claim "queue-depth: equal paths take about the same" evenly
claim "the policy can be changed back to first" set_policy first
claim "… and one path takes everything again" all_on_first
claim "a policy that does not exist is refused" unchanged_by 'least-pending\n'
claim "a policy in other letters is refused" unchanged_by 'First\n'
claim "an empty line is refused" unchanged_by '\n'
claim "two policies are refused" unchanged_by 'first round-robin\n'
claim "bytes that are no text are refused" unchanged_by '\xff\xfe\n'
long() {
	local before
	before=$(<$policy)
	not dd if=/dev/zero of=$policy bs=1M count=1 status=none
	equal "$before" "$(<$policy)"
}
claim "a megabyte of zeroes is refused" long
claim "only root may write it" equal "644 root" "$(stat -c '%a %U' $policy)"

under_load() {
	local pid name changes=0
	reads $md 60000 &
	pid=$!
	wait_for busy $md
	while kill -0 $pid 2>/dev/null; do
		for name in round-robin queue-depth first; do
			set_policy $name
			changes=$((changes + 1))
		done
	done
	wait $pid
	echo "$changes changes"
	[ "$changes" -ge 6 ]
}
claim "it changes under load, and no I/O fails" under_load
# --- priorities ---

priority() {
	echo "$2" >"/sys/block/md0/md/dev-$1/multipath/priority"
}
all_on_second() {
	spread 512
	[ "$first" -eq 0 ] && [ "$second" -ge 512 ]
}
priority plain1 10
claim "a path of higher priority takes everything" all_on_second
echo round-robin >$policy
claim "… under round-robin too" all_on_second
echo first >$policy
mdadm --quiet $md --fail /dev/plain1
claim "when it fails, the lower one does" all_on_first
remove $md /dev/plain1
readd $md /dev/plain1
all_up 2
claim "when it is back, it has its priority and takes everything again" all_on_second
priority plain1 0
claim "priorities can be made equal again" all_on_first
mdadm --quiet $md --fail /dev/plain0
remove $md /dev/plain0
wait_for mdadm --quiet $md --add --write-mostly /dev/plain0
all_up 2
claim "a path marked as write-mostly takes nothing while there is another" all_on_second
claim "… and has the lowest priority" equal -1000 "$(</sys/block/md0/md/dev-plain0/multipath/priority)"
stop $md
claim "the setting is gone with the array" absent $policy

null_disks_gone plain0 plain1
