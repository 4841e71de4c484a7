#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 120
#
# /proc/mdstat shows an array exactly as the C driver of Linux 6.1 and earlier did.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 16

a=$(kname /dev/path0)
b=$(kname /dev/path1)
blocks=$(($(sectors /dev/path0) / 2))
up="      $blocks blocks super non-persistent [2/2] [UU]"
first_down="      $blocks blocks super non-persistent [2/1] [_U]"
second_down="      $blocks blocks super non-persistent [2/1] [U_]"

personalities() {
	local line
	read -r line </proc/mdstat
	[[ $line == 'Personalities : '*'[multipath]'* ]] || equal 'Personalities : … [multipath] …' "$line"
}

claim "the first line names the personality" personalities

build $md /dev/path0 /dev/path1
claim "build: both paths, [2/2] [UU]" mdstat_is md0 "md0 : active multipath ${b}[1] ${a}[0]" "$up"
claim "build: the array has the size of a path" equal "$(sectors /dev/path0)" "$(sectors $md)"

mdadm --quiet $md --fail /dev/path0
claim "fail: the path has (F), [2/1] [_U]" mdstat_is md0 "md0 : active multipath ${b}[1] ${a}[0](F)" "$first_down"

remove $md /dev/path0
claim "remove: the path is gone, [2/1] [_U]" mdstat_is md0 "md0 : active multipath ${b}[1]" "$first_down"

readd $md /dev/path0
all_up 2
claim "add: the path has a new number in its old slot, [2/2] [UU]" \
	mdstat_is md0 "md0 : active multipath ${a}[2] ${b}[1]" "$up"

mdadm --quiet $md --fail /dev/path1
claim "fail of the other: [2/1] [U_]" mdstat_is md0 "md0 : active multipath ${a}[2] ${b}[1](F)" "$second_down"

remove $md /dev/path1
claim "remove of the other: [2/1] [U_]" mdstat_is md0 "md0 : active multipath ${a}[2]" "$second_down"

readd $md /dev/path1
all_up 2
claim "add of the other: [2/2] [UU]" mdstat_is md0 "md0 : active multipath ${b}[3] ${a}[2]" "$up"

lists() {
	mdadm --detail $md >"$work/detail"
	cat "$work/detail"
	grep -Eq '^ +Raid Level : multipath$' "$work/detail"
	grep -Eq '^ +State : .*(clean|active)' "$work/detail"
	grep -Eq '^ +Raid Devices : 2$' "$work/detail"
	grep -Eq '^ +Active Devices : 2$' "$work/detail"
	grep -Eq '^ +Failed Devices : 0$' "$work/detail"
}
claim "mdadm --detail: level multipath, two active devices" lists
claim "sysfs: level multipath" equal multipath "$(</sys/block/md0/md/level)"

stop $md
claim "stop: no line is left" not mdstat md0
unused() {
	local line last=''
	while IFS= read -r line; do last=$line; done </proc/mdstat
	equal 'unused devices: <none>' "$last"
}
claim "stop: no unused device is left" unused
claim "stop: nothing holds the paths" unheld /dev/path0 /dev/path1

build $md /dev/path1 /dev/path0
claim "slots are in the order of the command line" mdstat_is md0 "md0 : active multipath ${a}[1] ${b}[0]" "$up"
stop $md

clean_messages() {
	local lines foreign
	lines=$(log_since)
	foreign=$(grep 'multipath' <<<"$lines" | grep -Ev '^md/multipath:md0: |^selftest |^md_multipath|^md: ' || :)
	equal '' "$foreign"
}
claim "each line of the driver in the kernel log begins with md/multipath:md0:" clean_messages
