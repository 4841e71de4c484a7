#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 360
#
# What people put on an array: ext4, XFS, dm-crypt, LVM. A path dies while it is in use.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 18

# Writers that go on until they are told to end: files, and a list of their checksums.
write_files() {
	local i=0
	while [ ! -e "$work/enough" ]; do
		i=$((i + 1))
		head -c $((16384 + i % 7 * 30000)) /dev/urandom >"$mnt/file$((i % 40))" || return
		[ $((i % 5)) -ne 0 ] || sync -f "$mnt" || return
		echo "$i" >"$work/written"
	done
	(cd "$mnt" && sha256sum file*) >"$work/sums"
}
written_to() {
	[ "$(cat "$work/written" 2>/dev/null || echo 0)" -ge "$1" ]
}
written_more() {
	local from
	from=$(cat "$work/written")
	wait_for written_to $((from + 6))
}
writer_begin() {
	rm -f "$work/enough" "$work/written" "$work/sums"
	write_files 2>"$work/writer.log" &
	writer=$!
	wait_for written_to 6
}
writer_end() {
	touch "$work/enough"
	writer_status=0
	wait "$writer" || writer_status=$?
}
wrote_well() {
	cat "$work/writer.log"
	equal 0 "$writer_status"
}
sums_right() {
	[ -s "$work/sums" ]
	(cd "$mnt" && sha256sum --check --quiet) <"$work/sums"
}
fail_over() {
	scsi_state /dev/path0 offline
	wait_state '[2/1] [_U]'
	written_more
}
come_back() {
	scsi_state /dev/path0 running
	remove $md /dev/path0
	readd $md /dev/path0
	all_up 2
}

for fs in ext4 xfs; do
	build $md /dev/path0 /dev/path1
	if [ $fs = ext4 ]; then mkfs.ext4 -q -F $md 300M; else mkfs.xfs -q -f $md; fi
	mount -t $fs $md "$mnt"
	writer_begin
	claim "$fs: files are written while a path dies" fail_over
	come_back
	written_more
	mdadm --quiet $md --fail /dev/path1
	written_more
	writer_end
	claim "$fs: no write has failed" wrote_well
	umount "$mnt"
	remove $md /dev/path1
	readd $md /dev/path1
	all_up 2
	if [ $fs = ext4 ]; then
		claim "$fs: fsck finds nothing" fsck.ext4 -f -n $md
	else
		claim "$fs: xfs_repair finds nothing" xfs_repair -n $md
	fi
	mount -t $fs -o ro $md "$mnt"
	claim "$fs: all files are what was written" sums_right
	umount "$mnt"
	stop $md
	if [ $fs = xfs ]; then
		mount -t xfs -o ro,nouuid /dev/path0 "$mnt"
		claim "$fs: … also on the first path alone" sums_right
		umount "$mnt"
	fi
done

# --- dm-crypt ---

build $md /dev/path0 /dev/path1
head -c 64 /dev/urandom >"$work/key"
cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --key-file "$work/key" $md secret
io_begin crypt /dev/mapper/secret
scsi_state /dev/path0 offline
claim "dm-crypt: a path dies, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "dm-crypt: I/O goes on" goes_on /dev/mapper/secret
come_back
io_end
claim "dm-crypt: no I/O saw an error, and all data are right" io_clean crypt
claim "dm-crypt: stop of the array below is refused" refused 'Perhaps a running process' mdadm --stop $md
wait_for cryptsetup close secret
stop $md

# --- LVM ---

build $md /dev/path0 /dev/path1
lvm_() {
	lvm "$@" --config 'devices { filter = [ "a|^/dev/md0$|", "r|.*|" ] use_devicesfile = 0 md_component_detection = 0 } activation { udev_sync = 0 } global { use_lvmpolld = 0 }'
}
volumes() {
	lvm_ pvcreate --yes $md
	lvm_ vgcreate --yes selftest $md
	lvm_ lvcreate --yes --wipesignatures n --zero n --name one --size 200M selftest
	wait_for present /dev/mapper/selftest-one
}
claim "LVM: physical volume, group and volume are made" volumes
io_begin lvm /dev/mapper/selftest-one
scsi_state /dev/path0 offline
claim "LVM: a path dies, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "LVM: I/O goes on" goes_on /dev/mapper/selftest-one
come_back
io_end
claim "LVM: no I/O saw an error, and all data are right" io_clean lvm
bigger() {
	lvm_ lvextend --yes --size +100M selftest/one
	lvm_ vgchange --yes --activate n selftest
	lvm_ vgchange --yes --activate y selftest
	wait_for present /dev/mapper/selftest-one
	[ "$(sectors /dev/mapper/selftest-one)" -ge 614400 ]
	lvm_ vgck selftest
}
claim "LVM: the volume grows, and the group is sound" bigger
lvm_ vgchange --yes --activate n selftest >/dev/null
stop $md
