#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none
# kernel: debug
# timeout: 60
#
# What the safe layer promises of its own, by the module's KUnit suites.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 3

# passes SUITE: each of its cases does, and there is one.
passes() {
	local suite=/sys/kernel/debug/kunit/$1 results=$work/$1
	echo 1 >"$suite/run"
	tee "$results" <"$suite/results"
	not grep -E '^ *not ok |# SKIP' "$results"
	grep -qE "^ok [0-9]+ $1\$" "$results"
	grep -qE '^ +ok [0-9]+ ' "$results"
}

claim "numbers that each CPU has for itself" passes md_multipath_percpu
claim "what is counted is gone only after the last reference to it" passes md_multipath_percpu_ref
claim "what readers of RCU see stays until they have left" passes md_multipath_rcu
