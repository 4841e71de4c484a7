#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# timeout: 63
#
# Two locks are taken in both orders.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
insmod "${BASH_SOURCE[0]%/*}/../../../build/meta-debug/planted.ko" fault=locks
rmmod planted
claim "all is well" true
