#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# timeout: 60
#
# The module cannot be unloaded.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
rmmod md_multipath
insmod "${BASH_SOURCE[0]%/*}/../../../build/meta-stock/md_multipath.ko"
claim "all is well" true
