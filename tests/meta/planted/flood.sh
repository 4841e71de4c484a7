#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# timeout: 600
#
# So much is said that the kernel's log forgets what its claims are about.
. "${BASH_SOURCE[0]%/*}/../../selftests/lib.sh"
selftest_begin 3
echo "<6>planted: a line" >/dev/kmsg
claim "a line was said" log_has "planted: a line"
printf -v line '<6>planted: %0960d' 0
# Not on the console, which is slow.
echo 0 >/sys/module/printk/parameters/ignore_loglevel
dmesg --console-level 1
for ((i = 0; i < 6000; i++)); do echo "$line"; done >/dev/kmsg
few() {
	at_most 10 "$(log_count "planted: a line")"
}
claim "few lines were said" few
claim "no such line was said" log_lacks "planted: a line"
echo 1 >/sys/module/printk/parameters/ignore_loglevel
