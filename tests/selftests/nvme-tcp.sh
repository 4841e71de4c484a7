#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology nvme-tcp --paths 2
# timeout: 600
#
# NVMe over TCP, on loopback: the target drops a port, and packets are lost, under verified I/O on both paths.
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/transports.sh
. "${BASH_SOURCE[0]%/*}/../lib/transports.sh"
selftest_begin 27

pattern "$work/before" 256
a=$(kname /dev/path0)
b=$(kname /dev/path1)

one_namespace() {
	[ -n "$(<"/sys/block/$a/wwid")" ]
	equal "$(<"/sys/block/$a/wwid")" "$(<"/sys/block/$b/wwid")"
	equal 0 "$(log_count 'it may be another disk')"
}
build $md /dev/path0 /dev/path1
echo round-robin >/sys/block/md0/md/path_policy
claim "the two paths lead to one namespace, and the driver sees that" one_namespace
write_at $md 0 256 "$work/before"

# comes_back N: the connection does by itself, the path by hand.
comes_back() {
	wait_for live "$1"
	remove $md "/dev/path$1"
	readd $md "/dev/path$1"
	all_up 2
}

# --- the target closes the port --------------------------------------------------------------------

mark_log
io_begin port $md
port_down 0
claim "port: the path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "port: I/O goes on by the other" goes_on /dev/path1
claim "port: one line in the kernel log says so" equal 1 "$(log_count "^md/multipath:md0: path $a failed")"
port_up 0
claim "port: the path comes back, [2/2] [UU]" comes_back 0
claim "port: I/O goes on by it" goes_on /dev/path0
ended port

# --- some packets are lost -------------------------------------------------------------------------

io_begin some-packets $md
lose 5 1
claim "some packets: I/O goes on by this path" wait_for more_ios /dev/path1 $(($(ios /dev/path1) + 100))
lost() {
	# bytes, packets, then what was dropped
	[[ $(tc -s qdisc show dev lo) =~ netem.*dropped\ ([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -gt 0 ]
}
claim "some packets: some were lost" lost
claim "some packets: no path is failed, [2/2] [UU]" state_is '[2/2] [UU]'
lose_none
ended "some packets"

# --- all packets are lost --------------------------------------------------------------------------

mark_log
io_begin all-packets $md
lose 100 1
claim "all packets: the path is failed, [2/1] [U_]" wait_state '[2/1] [U_]'
claim "all packets: I/O goes on by the other" goes_on /dev/path0
claim "all packets: one line in the kernel log says so" equal 1 "$(log_count "^md/multipath:md0: path $b failed")"
lose_none
claim "all packets: the path comes back, [2/2] [UU]" comes_back 1
claim "all packets: I/O goes on by it" goes_on /dev/path1
ended "all packets"

# --- the target closes both ports ------------------------------------------------------------------

echo 600000 >/sys/block/md0/md/no_path_timeout_ms
io_begin both-ports $md
port_down 0
wait_state '[2/1] [_U]'
# What is in flight from now on was sent with no other path to go to.
goes_on /dev/path1
port_down 1
claim "both ports: I/O waits for a path" wait_for parked
port_up 0
port_up 1
claim "both ports: I/O goes on" goes_on $md
claim "both ports: the path that was failed comes back, [2/2] [UU]" comes_back 0
ended "both ports"

# --- the target closes both ports at the same moment -----------------------------------------------

# With much in flight on both, some of it comes back from the one path without having been tried in earnest, and
# from the other as lost.
at_once() {
	local n
	rm "$nvmet"/ports/[01]/subsystems/*
	wait_for parked
	port_up 0
	port_up 1
	goes_on $md
	for n in 0 1; do
		wait_for live "$n"
		! is_faulty "/dev/path$n" || comes_back "$n"
	done
	all_up 2
}

io_begin at-once $md --iodepth=32 --rate_iops=2000,2000
for round in once twice "three times"; do
	claim "at once: I/O waits for a path, and goes on, $round" at_once
done
ended "at once"
claim "what was written before reads back from both paths" \
	eval 'holds "$work/before" /dev/path0 0; holds "$work/before" /dev/path1 0'
stop $md
claim "the array stops" wait_for array_gone
