# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads the output of one test in KTAP (Documentation/dev-tools/ktap.rst, without subtests), and writes
# one line for each result:
#
#     pass<TAB>claim    skip<TAB>claim    fail<TAB>what failed
#
# The output must begin with a version line, hold one plan before the first result, and as many results
# as planned, numbered from 1. Whatever is wrong with that is a failure too. Lines that are neither
# version, plan nor result are diagnostics.

function result(kind, text) {
	print kind "\t" text
}

/^KTAP version / {
	if (versions++ || plans || results)
		result("fail", "a KTAP version line where none belongs")
	else if ($0 != "KTAP version 1")
		result("fail", "unknown KTAP version: " $0)
	next
}

/^1\.\.[0-9]+[ \t]*$/ {
	if (plans++)
		result("fail", "a second plan: " $0)
	else {
		planned = substr($0, 4) + 0
		if (results)
			result("fail", "the plan comes after the first result")
	}
	next
}

/^(not )?ok([ \t]|$)/ {
	results++
	failed = /^not /
	line = $0
	sub(/^(not )?ok[ \t]*/, "", line)
	number = "none"
	if (match(line, /^[0-9]+/)) {
		number = substr(line, 1, RLENGTH) + 0
		line = substr(line, RLENGTH + 1)
	}
	sub(/^[ \t]*-?[ \t]*/, "", line)
	if (number != results)
		result("fail", "result " results " has the number " number ": " line)
	else if (line == "")
		result("fail", "result " results " makes no claim")
	else if (failed)
		result("fail", line)
	else if (line ~ / # SKIP/)
		result("skip", line)
	else
		result("pass", line)
	next
}

END {
	if (!versions)
		result("fail", "no KTAP version line")
	if (!plans)
		result("fail", "no plan")
	else if (planned == 0)
		result("fail", "a plan of no claim")
	else if (results > planned)
		result("fail", results " results, " planned " planned")
	if (plans && results + 1 == planned)
		result("fail", "claim " planned " of " planned " was never made")
	else if (plans && results < planned)
		result("fail", "claims " results + 1 " to " planned " of " planned " were never made")
}
