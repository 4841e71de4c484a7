#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 10
#
# It never ends.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
build $md /dev/path0 /dev/path1
claim "something happens that never does" wait_for -t 1000000 false
