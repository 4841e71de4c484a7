#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# More claims than planned.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
claim "one" true
claim "two" true
