#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none --cpus 1
# timeout: 60
#
# The kernel panics.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 2
claim "one" true
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
claim "two" true
