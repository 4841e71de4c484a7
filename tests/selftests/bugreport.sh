#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 180
#
# `make bugreport` collects what is needed, and nothing that names the machine or its disks.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 15

repo=$(cd -- "${BASH_SOURCE[0]%/*}/../.." && pwd -P)
report=$work/report
before=$(</proc/sys/kernel/hostname)

# lacks REGEX...: no line of the report matches.
lacks() {
	local regex
	for regex; do
		! grep -niE -- "$regex" "$report" || {
			echo "the report holds $regex"
			return 1
		}
	done
}

# part NAME: the lines of a part of the report, without its head.
part() {
	awk -v head="=== $1:" 'index($0, "=== ") == 1 { inside = index($0, head) == 1; next } inside' "$report"
}

# has PART REGEX...
has() {
	local name=$1 regex lines
	shift
	# Not by a pipe: who writes to one fails when its reader has seen enough.
	lines=$(part "$name")
	for regex; do
		grep -qE -- "$regex" <<<"$lines" || {
			printf 'no line of the part %s matches %s:\n%s\n' "$name" "$regex" "$lines"
			return 1
		}
	done
}

without_arrays() {
	"$repo/scripts/bugreport" "$work/none"
	grep -q '^Personalities' "$work/none"
}
claim "it works without an array" without_arrays

echo planted-host >/proc/sys/kernel/hostname
mdadm --quiet --create $md --run --metadata=1.2 --homehost=planted-home --name=sub --level=multipath --raid-devices=2 \
	/dev/path0 /dev/path1
all_up 2
uuid=$(mdadm --detail $md | sed -n 's/.*UUID : //p')
serial=multipath-disk
wwn=5000c500a1b2c3d4
printf '<6>md: planted at 192.0.2.17, 2001:db8::17 and 52:54:00:12:34:56 on planted-host\n' >/dev/kmsg
printf '<6>other: a line of another driver\n' >/dev/kmsg

make=(make --no-print-directory -C "$repo" bugreport "FILE=$report")
says() {
	"${make[@]}" >"$work/said"
	cat "$work/said"
	equal 9 "$(grep -c '^  [a-z]' "$work/said")"
	# Each part that it told of is there, and has something in it.
	local name
	while read -r name; do has "$name" .; done < <(sed -n 's/^  \([a-z]*\) .*/\1/p' "$work/said")
}
claim "it says what goes in, and all of that is there" says
claim "versions: kernel, mdadm" has versions "^Linux [0-9.]+[^ ]* #" "^.*Debian" "^mdadm - v"
claim "modules: which builds they are, and the parameters" has modules "^[0-9]+ [0-9]+ .*/md_multipath.ko" \
	"^[0-9]+ [0-9]+ .*/md-mod.ko" "^vermagic: +[0-9.]+" "^parm: +same_disk_check:" "md_mod/parameters/start_ro: "
claim "the array's state and settings" has settings "/md/path_policy: first" "/md/raid_disks: 2" \
	"/multipath/priority: 0"
tables() {
	has mdstat "^md0 : active multipath"
	has tables "^slot +device" "^no_path_timeout_ms 0"
}
claim "mdstat, and debugfs" tables
claim "each path: state, timeout, and where it is" has paths "device/state: running" "device/timeout: [0-9]" \
	"^$(kname /dev/path0) of md0: /sys/devices/pci0000:00/0000:00:08.0/"
superblocks() {
	has superblocks "Raid Level : multipath" "Magic : a92b4efc"
	has devices "^NAME"
}
claim "superblocks and devices" superblocks
log() {
	has log "md/multipath:md0: "
	lacks "a line of another driver"
}
claim "of the kernel log md's lines, and no others" log
claim "no name of the host, nor of the one that made the array" lacks planted-host planted-home
addresses() {
	has log "planted at ADDRESS, ADDRESS and ID[0-9]+ on HOST"
	lacks "192\.0\.2" 2001:db8 52:54:00
}
claim "no address" addresses
disks() {
	[ -n "$uuid" ]
	# md itself writes the UUID with hyphens, in other places.
	lacks "$serial" "$wwn" "$uuid" "${uuid%%:*}"
}
claim "no serial number, WWN or UUID" disks
same() {
	local mask
	mask=$(part tables | sed -n 's/^disk NAA //p')
	echo "the disk is called $mask"
	[[ $mask =~ ^ID[0-9]+$ ]]
}
claim "a name that is masked is told from others by its number" same
once() {
	local sum
	sum=$(cksum <"$report")
	refused "is there already" "$repo/scripts/bugreport" "$report"
	equal "$sum" "$(cksum <"$report")"
	equal 600 "$(stat -c %a "$report")"
}
claim "a file that is there is not written over, and only root may read the report" once
user() {
	# Where others can read it.
	mkdir -p "$work/copy/scripts"
	cp "$repo"/scripts/{bugreport,lib.sh} "$work/copy/scripts/"
	refused "run it as root" setpriv --reuid=65534 --clear-groups "$work/copy/scripts/bugreport" "$work/other"
}
claim "who is not root is told why not" user
printf '%s\n' "$before" >/proc/sys/kernel/hostname
stop $md
