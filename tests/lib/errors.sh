# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Counts the I/Os of arrays that end with an error, whoever they are for. Sourced after lib.sh.
# shellcheck disable=SC2034,SC2154 # for the tests; from lib.sh

errors=/sys/kernel/tracing/instances/errors

# errors_begin ARRAY...: from here on each I/O of these that ends with an error is counted: as one of a time when a
# path was whole, or when none was, as `errors_mark` says; and the I/Os that wait for a path. Not read-ahead, and not
# what must not wait and would have to (EAGAIN): fio, which asks for none of that, sees such an error itself.
errors_begin() {
	local array filter='' numbers
	mkdir $errors
	echo global >$errors/trace_clock
	for array; do
		numbers=$(<"/sys/block/$array/dev")
		filter+=" || dev == $((${numbers%:*} << 20 | ${numbers#*:}))"
	done
	echo "error != 0 && error != -11 && (${filter# || })" >$errors/events/block/block_bio_complete/filter
	echo 1 >$errors/events/block/block_bio_complete/enable
	echo 1 >$errors/events/md_multipath/md_multipath_park/enable
	python3 -I -S -c '
import re, sys
down, wrong, expected, parked, first = False, 0, 0, 0, []
for line in open(sys.argv[1]):
    if "errors: end" in line: break
    if "errors: down" in line: down = True
    elif "errors: up" in line: down = False
    elif "md_multipath_park:" in line: parked += 1
    elif re.search("block_bio_complete: [0-9,]+ [A-Z]*A", line): pass
    elif "LOST" not in line and down: expected += 1
    else:
        wrong += 1
        if wrong <= 10: first.append(line)
print(wrong, expected, parked)
print(*first, sep="")' $errors/trace_pipe >"$work/errors" &
	errors_pid=$!
}
# errors_mark up|down
errors_mark() {
	printf 'errors: %s\n' "$1" >$errors/trace_marker
}
errors_end() {
	errors_mark end
	wait "$errors_pid"
	echo 0 >$errors/events/enable
	rmdir $errors
	read -r wrong expected parked <"$work/errors"
}
no_wrong_errors() {
	cat "$work/errors"
	[ "$wrong" -eq 0 ]
}
