#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 600
#
# Writes are lost.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 4
dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1
# One is changed on the disk, behind the array.
pattern "$work/data" 64
write_at $md 0 64 "$work/data"
dd if=/dev/zero of=/dev/mapper/mp1 bs=4k seek=13 count=1 oflag=direct conv=notrunc status=none
claim "the data read back" holds "$work/data" $md 0
# From now on the first path drops them, and says that they are done. There is no block that was not written
# before: what is read is older, and nothing else.
io_begin lost $md --size=256k
witness direct direct $md $((80 << 20))
witness buffered buffered $md $((81 << 20))
wait_for more_ios $md $(($(ios $md) + 320))
dm_change mp0 "0 $(sectors /dev/path0) flakey /dev/path0 0 0 1 1 drop_writes"
for pid in "${io_pids[@]}"; do wait_for -t 30 not kill -0 "$pid" || :; done
io_end
claim "fio reads what it wrote" io_clean lost
claim "the witness reads what it wrote" witness_right direct
claim "what was written through the page cache is on the disk" witness_right buffered
stop $md
dm_remove mp0 mp1
