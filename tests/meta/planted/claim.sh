#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# A claim that does not hold.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 2
build $md /dev/path0 /dev/path1
claim "the array has a failed path" state_is '[2/1] [_U]'
claim "the array has two paths" state_is '[2/2] [UU]'
stop $md
