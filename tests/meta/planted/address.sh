#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# The driver says where it is in memory. That another says so is not its fault.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
printf '<6>other: at ffff888012345670\n<6>md/multipath:md0: path at ffff888012345678\n' >/dev/kmsg
claim "all is well" true
