# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What tells where the kernel is in memory. Sourced.

# addresses FILE...: the lines that hold an address of the kernel, with their numbers; status 1 where none does.
addresses() {
	grep -Ein '(^|[^0-9a-f]|0x)ffff[0-9a-f]{12}([^0-9a-f]|$)' "$@"
}

# addresses_of_driver LOG: the same, of what the driver has said in a kernel log without times.
addresses_of_driver() {
	grep -E '^md(/multipath:|_multipath: )' "$1" | addresses -
}
