# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For what starts guests: what a kernel that checks itself says of the whole guest. Sourced.

# looked KERNEL DIR: of a guest on that kernel which came to its end, and left its logs in DIR. Lines
# `pass|fail TAB text`; none on a kernel that checks nothing. scripts/vm-init leaves no file where nobody looked.
looked() {
	case $1 in
	debug)
		if [ ! -e "$2/leaks" ]; then
			printf 'fail\tno memory is leaked: nobody looked\n'
		elif [ -s "$2/leaks" ]; then
			printf 'fail\tno memory is leaked: %s objects\n' "$(grep -c '^unreferenced object' "$2/leaks")"
		else
			printf 'pass\tno memory is leaked\n'
		fi
		;;
	kcsan)
		if grep -Eqsx 'setup_watchpoints: [1-9][0-9]*' "$2/kcsan"; then
			printf 'pass\tdata races are looked for\n'
		else
			printf 'fail\tdata races are looked for: nobody did\n'
		fi
		;;
	esac
}
