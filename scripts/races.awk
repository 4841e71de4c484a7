# SPDX-License-Identifier: GPL-2.0-or-later
#
# The data races in a kernel log (KCSAN): which are the module's, and which only the rest of the kernel's.
#
#     awk -f scripts/races.awk LOG                    the log without the reports of the others
#     awk -v others=1 -f scripts/races.awk LOG        those reports
#
# A race is the module's when one of the two accesses is made by its code, or by a function that its code called
# for that: it is then among the first `near` frames of that stack. Much of the kernel is called by the module
# somehow, as it hands on I/O. A report without an end is the module's, and so is one that is not understood.
#
# An access may be made later than the code has it (`reordered`), and the stack is then one of that later time. KCSAN
# shows it from the access's function on, and says to where it was reordered. Where it does not find that function it
# warns about itself, once, and shows all of the stack: what made the access is then below the last interrupt.

BEGIN {
	near = 3
}

# The time stamp that a console shows.
{
	text = $0
	sub(/\r$/, "", text)
	sub(/^\[ *[0-9]+\.[0-9]+\] ?/, "", text)
}

inside == "" && text ~ /^=+$|^-+\[ cut here \]-+$/ {
	leave()
	keep($0)
	next
}

inside == "" && text ~ /^BUG: KCSAN: / {
	inside = "race"
	stacks = 0
	interrupted = 0
	ours = lost
	lost = 0
	keep($0)
	next
}

inside == "" && text ~ /^Cannot find frame for .* in stack trace$/ {
	inside = "warning"
	# The report of that access is the next.
	lost = text ~ /\[md_multipath\]/
	keep($0)
	next
}

inside == "" {
	leave()
	rest($0)
	next
}

inside == "warning" {
	keep($0)
	if (text ~ /^---\[ end trace /) settle(0)
	next
}

text ~ /^=+$/ {
	keep($0)
	stack_ends()
	# One access has no stack: it is not known who else was there.
	settle(ours || !stacks)
	next
}

text ~ /(read|write|accesses|writes).* to 0x[0-9a-f]+ of [0-9]+ bytes by (task [0-9]+|interrupt) on cpu [0-9]+:$/ {
	stack_ends()
	stacks++
	frame = 0
	below = 99
	later = text ~ /\(.*reordered\)/
	keep($0)
	next
}

text ~ /^ [^ ]+\+0x[0-9a-f]+\/0x[0-9a-f]+( \[[^]]+\])?$/ {
	frame++
	below++
	if (text ~ /\[md_multipath\]$/) {
		if (frame <= near) ours = 1
		if (below <= near) interrupted = 1
	} else if (later && text ~ /^ asm_/) {
		below = 0
		interrupted = 0
	}
	keep($0)
	next
}

text ~ /^  (\||\+-> reordered to: )/ {
	later = 0
	if (text ~ /\[md_multipath\]$/) ours = 1
	keep($0)
	next
}

text ~ /^$|^value changed: |^ bits changed: |^Reported by Kernel Concurrency Sanitizer on:$|^CPU: |^Hardware name: |^Tainted: / {
	keep($0)
	next
}

# Something else that came in between.
{
	rest($0)
}

END {
	leave()
}

function stack_ends() {
	if (later && interrupted) ours = 1
	interrupted = 0
}

function keep(line) {
	kept[++lines] = line
}

function rest(line) {
	if (!others) print line
}

# What was kept is shown where it belongs.
function settle(mine, i) {
	for (i = 1; i <= lines; i++)
		if (mine) rest(kept[i])
		else if (others) print kept[i]
	lines = 0
	inside = ""
}

# What began like a report is none, or has no end.
function leave() {
	settle(1)
}
