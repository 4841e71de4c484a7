#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# timeout: 62
#
# What is freed is read.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 1
echo 0 >/proc/sys/kernel/panic_on_warn
insmod "${BASH_SOURCE[0]%/*}/../../../build/meta-debug/planted.ko" fault=freed
rmmod planted
claim "all is well" true
