# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For the tests that run on the host and start guests: KTAP of their own, and what the guests claim as part of
# it. Sourced; the caller has set `out`, the directory for the logs, and ends with status `ktap_failed`.
# shellcheck disable=SC2034,SC2154 # these two

ktap_made=0
ktap_failed=0

ktap_plan() {
	printf 'KTAP version 1\n1..%d\n' "$1"
}

# result 'ok'|'not ok' TEXT
result() {
	ktap_made=$((ktap_made + 1))
	[ "$1" = ok ] || ktap_failed=1
	printf '%s %d - %s\n' "$1" "$ktap_made" "$2"
}

# claim TEXT CMD [ARG]...
claim() {
	local text=$1
	shift
	if "$@" >"$out/claim" 2>&1; then
		result ok "$text"
	else
		result 'not ok' "$text"
		tail -n 40 "$out/claim" | sed 's/^/# /'
	fi
}

# adopt NAME N FILE WHY: the N results of the KTAP in FILE; what was not claimed has failed.
adopt() {
	local name=$1 planned=$2 why=$4 seen=0 line
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not\ ok)\ [0-9]+\ -\ (.*) ]]; then
			seen=$((seen + 1))
			result "${BASH_REMATCH[1]}" "$name: ${BASH_REMATCH[2]}"
		elif [[ $line == '#'* ]]; then
			printf '%s\n' "$line"
		fi
	done <"$3"
	if [ "$seen" -gt "$planned" ]; then ktap_failed=1; fi
	while [ "$seen" -lt "$planned" ]; do
		seen=$((seen + 1))
		result 'not ok' "$name: claim $seen of $planned was never made: $why"
	done
}
