#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --module tests/selftests/racing --topology none
# kernel: kcsan
# timeout: 120
#
# Data races are seen, in the module as well, and the module's are told from those of others.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 4

# The C parts of the module have no number that is read and written back.
claim "the module's Rust is instrumented" grep -qa __tsan_read_write8 "$(modinfo -n md_multipath)"

mark_log
modprobe racing
claim "a data race is reported" wait_for log_has '^BUG: KCSAN: data-race in race \[racing\] / race \[racing\]$'
rmmod racing
log_since >"$work/log"
judge() {
	awk -f "${BASH_SOURCE[0]%/*}/../../scripts/races.awk"
}
claim "one of another module is not held against this one" not grep KCSAN <(judge <"$work/log")
claim "one of this module is" grep KCSAN <(sed 's/\[racing\]/[md_multipath]/' "$work/log" | judge)
