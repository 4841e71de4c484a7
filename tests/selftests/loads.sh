#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2 --mem 1G
# timeout: 600
#
# What others test file systems and disks with, on an array whose paths fail and come back meanwhile: stress-ng,
# dbench and fsx see no error and no wrong byte, and the file systems are whole. tests/run makes fsx before it starts
# the guest (`scripts/cargo --program fsx VERSION`).
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/errors.sh
. "${BASH_SOURCE[0]%/*}/../lib/errors.sh"
selftest_begin 11

fsx=$(readlink -f "${BASH_SOURCE[0]%/*}/../../build/fsx/bin/fsx")

# come_and_go: one path after the other, until it is enough; how often, in `turns`.
come_and_go() {
	local path turns=0
	while [ ! -e "$work/enough" ]; do
		for path in /dev/path0 /dev/path1; do
			scsi_state $path offline
			# All may be in the page cache for a while.
			wait_for eval 'failed $path || [ -e "$work/enough" ]'
			scsi_state $path running
			# What is read comes from the disk again.
			echo 1 >/proc/sys/vm/drop_caches
			failed $path || continue
			remove $md $path
			readd $md $path
			all_up 2
			turns=$((turns + 1))
		done
	done
	echo "$turns" >"$work/turns"
}
failed() {
	[[ $(mdstat) == *" $(kname "$1")["[0-9]*"](F)"* ]]
}
# beside CMD [ARG]...: it succeeds, and meanwhile paths fail and come back.
beside() {
	local pid status=0
	rm -f "$work/enough" "$work/turns"
	come_and_go &
	pid=$!
	"$@" || status=$?
	: >"$work/enough"
	wait $pid
	echo "status $status; so many times a path came back: $(<"$work/turns")"
	total=$(($(cat "$work/total" 2>/dev/null || echo 0) + $(<"$work/turns")))
	echo $total >"$work/total"
	[ "$status" -eq 0 ] && [ "$(<"$work/turns")" -gt 0 ]
}
# fs KIND: an empty one, mounted.
fs() {
	case $1 in
	ext4) mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=1 $md ;;
	xfs) mkfs.xfs -q -f -K $md ;;
	esac
	mount $md "$mnt"
}
# whole KIND: unmounted, and found without a fault.
whole() {
	umount "$mnt"
	case $1 in
	ext4) e2fsck -fn $md ;;
	xfs) xfs_repair -n $md ;;
	esac
}

# stress [ARG]...: each with what it verifies.
stress() {
	stress-ng --temp-path "$mnt" --verify --timeout 8 --oom-avoid --no-rand-seed --hdd-bytes 16m --aio-requests 8 \
		--fallocate-bytes 16m --iomix-bytes 16m --sync-file-bytes 16m --seek-size 16m --readahead-bytes 16m "$@"
}
# exercise FILE OPERATIONS
exercise() {
	cat >"$work/fsx.toml" <<-T
		flen = 1048576
		[weights]
		close_open = 1
		read = 10
		write = 20
		mapread = 5
		mapwrite = 5
		invalidate = 1
		truncate = 3
		fsync = 3
		fdatasync = 3
		posix_fallocate = 1
		punch_hole = 1
		sendfile = 1
		posix_fadvise = 5
		copy_file_range = 1
	T
	"$fsx" -q -f "$work/fsx.toml" -P "$work" -S 4711 -N "$2" "$1"
}
on_disk() {
	cat >"$work/fsx.toml" <<-T
		flen = 8388608
		blockmode = true
		nosizechecks = true
		[opsize]
		align = 512
		[weights]
		close_open = 0
		read = 10
		write = 20
		mapread = 5
		mapwrite = 5
		invalidate = 1
		truncate = 0
		fsync = 3
		fdatasync = 3
		posix_fadvise = 5
	T
	"$fsx" -q -f "$work/fsx.toml" -P "$work" -S 4711 -N "$1" $md
}

build $md /dev/path0 /dev/path1
# So that each path is found out.
echo round-robin >/sys/block/md0/md/path_policy
settle
udev_off
mark_log
errors_begin md0
fs ext4
claim "ext4: stress-ng's I/O is right" beside stress --hdd 1 --iomix 1 --aio 1 --io-uring 1 --readahead 1
claim "ext4: … and what else of its stressors writes" \
	beside stress --sync-file 1 --fallocate 1 --seek 1 --hdd 1 --hdd-opts direct,fsync
claim "ext4: dbench" beside dbench -c /usr/share/dbench/client.txt -D "$mnt" -F -t 8 2
claim "ext4: fsx" beside exercise "$mnt/fsx" 4000
claim "ext4: it is whole" whole ext4
fs xfs
claim "xfs: dbench" beside dbench -c /usr/share/dbench/client.txt -D "$mnt" -F -t 8 2
claim "xfs: fsx" beside exercise "$mnt/fsx" 4000
claim "xfs: it is whole" whole xfs
claim "fsx on the array itself" beside on_disk 2000
errors_end
claim "no I/O of the array failed" no_wrong_errors
# blameless: its paths do fail, and the driver says so.
blameless() {
	local lines what='error|fail|lost|abort|corrupt|shut ?down'
	lines=$(log_since)
	! grep -v '^md/multipath:md0: path ' <<<"$lines" |
		grep -Ei "(md0|EXT4|JBD2|XFS).*($what)|($what).*(md0|EXT4|JBD2|XFS)"
}
claim "no file system, and nobody else, has said anything about an error of the array" blameless
diag "paths that failed and came back: $(<"$work/total") times"
udev_on
stop $md
