#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 360
#
# A path dies under verified I/O: nobody above the array sees an error. Offline, deleted from the bus
# and found again, and I/O errors.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 29

pattern "$work/before" 256

# --- SCSI device offline ---

build $md /dev/path0 /dev/path1
write_at $md 0 256 "$work/before"
mark_log
io_begin offline $md
scsi_state /dev/path0 offline
claim "offline: the path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "offline: I/O goes on" goes_on $md
claim "offline: I/O takes the other path" goes_on /dev/path1
claim "offline: one line in the kernel log says so" \
	equal 1 "$(log_count "^md/multipath:md0: path $(kname /dev/path0) failed")"
scsi_state /dev/path0 running
remove $md /dev/path0
readd $md /dev/path0
claim "offline: the path comes back, [2/2] [UU]" all_up 2
claim "offline: I/O goes on after that" goes_on $md
# No I/O goes that way: md learns of it from mdadm, which opens the device.
mdadm --quiet $md --fail /dev/path1
scsi_state /dev/path1 offline
claim "offline: the second path may fail next, [2/1] [U_]" wait_state '[2/1] [U_]'
claim "offline: I/O goes on by the path that came back" goes_on /dev/path0
scsi_state /dev/path1 running
remove $md /dev/path1
readd $md /dev/path1
all_up 2
io_end
claim "offline: no I/O saw an error, and all data are right" io_clean offline
claim "offline: what was written before reads back through the array" holds "$work/before" $md 0
claim "offline: … and from the first path" holds "$work/before" /dev/path0 0
claim "offline: … and from the second path" holds "$work/before" /dev/path1 0
stop $md

# --- SCSI device deleted, and found again ---

build $md /dev/path0 /dev/path1
pattern "$work/before" 256
write_at $md 512 256 "$work/before"
io_begin deleted $md
host=$(scsi_host /dev/path0)
scsi_delete /dev/path0
claim "deleted: the path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "deleted: I/O goes on" goes_on $md
claim "deleted: the missing path can be removed" wait_for mdadm --quiet $md --remove failed
claim "deleted: nothing but the other path is left in the array" \
	mdstat_is md0 "md0 : active multipath $(kname /dev/path1)[1]" \
	"      $(($(sectors $md) / 2)) blocks super non-persistent [2/1] [_U]"
scsi_rescan "$host"
settle
claim "deleted: the rescan finds the disk" wait_for present /dev/path0
readd $md /dev/path0
claim "deleted: the path comes back, [2/2] [UU]" all_up 2
claim "deleted: I/O goes on by it" goes_on /dev/path0
io_end
claim "deleted: no I/O saw an error, and all data are right" io_clean deleted
claim "deleted: what was written before reads back from the new disk" holds "$work/before" /dev/path0 512
claim "deleted: … and from the other" holds "$work/before" /dev/path1 512
stop $md

# --- I/O errors on one path only ---

dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1
pattern "$work/before" 256
write_at $md 1024 256 "$work/before"
mark_log
io_begin errors $md
dm_break mp0
claim "errors: the path is failed once its I/O succeeds on the other, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "errors: I/O goes on" goes_on $md
claim "errors: one line in the kernel log says so" \
	equal 1 "$(log_count "^md/multipath:md0: path $(kname /dev/mapper/mp0) failed")"
dm_mend mp0 /dev/path0
remove $md /dev/mapper/mp0
readd $md /dev/mapper/mp0
claim "errors: the path comes back, [2/2] [UU]" all_up 2
claim "errors: I/O goes on by it" goes_on /dev/mapper/mp0
io_end
claim "errors: no I/O saw an error, and all data are right" io_clean errors
claim "errors: what was written before reads back from both paths" \
	eval 'holds "$work/before" /dev/path0 1024; holds "$work/before" /dev/path1 1024'
stop $md
dm_remove mp0 mp1
