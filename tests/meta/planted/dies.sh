#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# A command fails between two claims.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 2
claim "one" true
ls /nowhere
claim "two" true
