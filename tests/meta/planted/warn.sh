#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# The kernel warns.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
insmod "${BASH_SOURCE[0]%/*}/../../../build/meta-stock/planted.ko"
rmmod planted
claim "all is well" true
