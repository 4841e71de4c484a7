#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 1 --monitor --qemu -device --qemu pcie-root-port,id=root-port,addr=7
# timeout: 240
#
# A host adapter is unplugged through the machine's monitor, under verified I/O on both paths, and plugged in
# again. nvme.sh does the like with an NVMe controller.
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/transports.sh
. "${BASH_SOURCE[0]%/*}/../lib/transports.sh"
selftest_begin 14

one_disk() {
	equal "$(<"/sys/block/$(kname /dev/path0)/device/wwid")" "$(<"/sys/block/${disk#/dev/}/device/wwid")"
	equal 0 "$(log_count 'it may be another disk')"
}

pattern "$work/before" 256
plug
build $md /dev/path0 "$disk"
echo round-robin >/sys/block/md0/md/path_policy
claim "an adapter that is plugged in is a path to the same disk" one_disk
write_at $md 0 256 "$work/before"

mark_log
io_begin unplugged $md
unplug
claim "unplugged: the path is failed, [2/1] [U_]" wait_state '[2/1] [U_]'
claim "unplugged: I/O goes on by the other" goes_on /dev/path0
claim "unplugged: one line in the kernel log says so" \
	equal 1 "$(log_count "^md/multipath:md0: path ${disk#/dev/} failed")"
claim "unplugged: the missing path can be removed" wait_for mdadm --quiet $md --remove failed
claim "unplugged: the adapter leaves the bus" wait_for absent "$adapter"
plug
claim "plugged in: the disk is there again" one_disk
readd $md "$disk"
claim "plugged in: the path comes back, [2/2] [UU]" all_up 2
claim "plugged in: I/O goes on by it" goes_on "$disk"
io_end
claim "no I/O saw an error, and all data are right" io_clean unplugged
diag "the slowest I/O took $(longest unplugged) ms"
claim "what was written before reads back from both paths" \
	eval 'holds "$work/before" /dev/path0 0; holds "$work/before" "$disk" 0'
stop $md
claim "the array stops" wait_for array_gone
unplug
claim "the adapter leaves the bus while it is not used" wait_for absent "$adapter"
claim "the monitor refuses what is not there" refused "not found" unplug
