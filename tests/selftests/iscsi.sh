#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology iscsi --paths 2
# timeout: 300
#
# iSCSI, on loopback: a session is logged out, and a portal is firewalled, under verified I/O on both paths.
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lib/transports.sh
. "${BASH_SOURCE[0]%/*}/../lib/transports.sh"
selftest_begin 22

pattern "$work/before" 256
a=$(kname /dev/path0)
b=$(kname /dev/path1)

one_unit() {
	[ -n "$(<"/sys/block/$a/device/wwid")" ]
	equal "$(<"/sys/block/$a/device/wwid")" "$(<"/sys/block/$b/device/wwid")"
	equal 0 "$(log_count 'it may be another disk')"
}
build $md /dev/path0 /dev/path1
echo round-robin >/sys/block/md0/md/path_policy
claim "the two sessions lead to one disk, and the driver sees that" one_unit
write_at $md 0 256 "$work/before"

# --- a session is logged out -----------------------------------------------------------------------

mark_log
io_begin logout $md
session 0 --logout
claim "logout: the path is failed, [2/1] [_U]" wait_state '[2/1] [_U]'
claim "logout: I/O goes on by the other" goes_on /dev/path1
claim "logout: one line in the kernel log says so" equal 1 "$(log_count "^md/multipath:md0: path $a failed")"
claim "logout: the missing path can be removed" wait_for mdadm --quiet $md --remove failed
session 0 --login
claim "logout: the disk is there after the next login" wait_for logged_in 0
readd $md /dev/path0
claim "logout: the path comes back, [2/2] [UU]" all_up 2
claim "logout: I/O goes on by it" goes_on /dev/path0
ended logout

# --- a portal is firewalled ------------------------------------------------------------------------

mark_log
io_begin firewall $md
firewall 1
claim "firewall: the path is failed, [2/1] [U_]" wait_state '[2/1] [U_]'
claim "firewall: I/O goes on by the other" goes_on /dev/path0
claim "firewall: one line in the kernel log says so" equal 1 "$(log_count "^md/multipath:md0: path $b failed")"
firewall_off
claim "firewall: the session comes back by itself" wait_for logged_in 1
remove $md /dev/path1
readd $md /dev/path1
claim "firewall: the path comes back, [2/2] [UU]" all_up 2
claim "firewall: I/O goes on by it" goes_on /dev/path1
ended firewall

# --- both portals are firewalled -------------------------------------------------------------------

# SCSI answers as for a bad sector then: by IOERR, from every path.
echo 600000 >/sys/block/md0/md/no_path_timeout_ms
io_begin both-portals $md
firewall 0/31
claim "both portals: I/O waits for a path" wait_for parked
firewall_off
for n in 0 1; do wait_for logged_in $n; done
claim "both portals: I/O goes on" goes_on $md
failed=0
[ "$(state)" = '[2/1] [_U]' ] || failed=1
remove $md /dev/path$failed
readd $md /dev/path$failed
claim "both portals: the path that was failed comes back, [2/2] [UU]" all_up 2
ended "both portals"
claim "what was written before reads back from both paths" \
	eval 'holds "$work/before" /dev/path0 0; holds "$work/before" /dev/path1 0'
stop $md
claim "the array stops" wait_for array_gone
