#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 240
#
# mdadm's --fail, --remove and --stop: what they refuse, and what they do with I/O in flight.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 30

pattern "$work/data" 64

# --- refused ---

build $md /dev/path0 /dev/path1
write_at $md 0 64 "$work/data"
claim "remove of a working path: mdadm says that it is busy" \
	refused "mdadm: hot remove failed for /dev/path0: Device or resource busy" mdadm $md --remove /dev/path0
claim "… and nothing has changed" state_is '[2/2] [UU]'
claim "… and I/O goes on" holds "$work/data" $md 0
mdadm --quiet $md --fail /dev/path0
mark_log
# Whether mdadm is told so depends on md core.
mdadm --quiet $md --fail /dev/path1 || :
claim "fail of the last path: it is not failed, [2/1] [_U]" state_is '[2/1] [_U]'
claim "… and the kernel log says why" log_has "^md/multipath:md0: .*$(kname /dev/path1)"
claim "… and it works" holds "$work/data" $md 0
pattern "$work/data" 64
claim "… for writes and flushes too" \
	eval 'dd if="$work/data" of=$md bs=4k count=64 conv=notrunc,fsync status=none; holds "$work/data" /dev/path1 0'
claim "remove of the last path is refused" \
	refused "Device or resource busy" mdadm $md --remove /dev/path1
remove $md /dev/path0
claim "… also when the other is gone" refused "Device or resource busy" mdadm $md --remove /dev/path1
claim "add of a path that is in the array already is refused" \
	refused "" mdadm $md --add /dev/path1
readd $md /dev/path0
claim "after all that the array comes back, [2/2] [UU]" all_up 2
busy_stop() {
	exec {held}<$md
	refused 'Perhaps a running process' mdadm --stop $md
	state_is '[2/2] [UU]'
	holds "$work/data" $md 0
	exec {held}<&-
}
claim "stop of an array in use is refused, and it goes on" busy_stop
stop $md

# --- I/O in flight: on a path that hangs ---

dm_over mp0 /dev/path0
dm_over mp1 /dev/path1
build $md /dev/mapper/mp0 /dev/mapper/mp1

pending() {
	# $1 reads that go down the first path, which hangs.
	local i
	for ((i = 0; i < $1; i++)); do
		dd if=$md of=/dev/null bs=4k skip=$((i * 8)) count=1 iflag=direct status=none 2>"$work/pending-$i" &
		readers+=($!)
	done
	wait_for in_flight "$1"
}
in_flight() {
	local reads writes
	read -r reads writes </sys/block/md0/inflight
	[ $((reads + writes)) -ge "$1" ]
}
readers=()
readers_end() {
	local pid
	readers_failed=0
	for pid in "${readers[@]}"; do wait "$pid" || readers_failed=$((readers_failed + 1)); done
	readers=()
}

settle
dm_hang mp0
pending 4
mdadm --quiet $md --fail /dev/mapper/mp0
claim "fail with I/O in flight: the path is failed at once, [2/1] [_U]" state_is '[2/1] [_U]'
claim "… and I/O takes the other path, while the first still hangs" holds "$work/data" $md 0
claim "remove with I/O in flight is refused" \
	refused 'Device or resource busy' within 30 mdadm $md --remove /dev/mapper/mp0
claim "… and the path is still there, failed" \
	mdstat_is md0 "md0 : active multipath $(kname /dev/mapper/mp1)[1] $(kname /dev/mapper/mp0)[0](F)" \
	"      $(($(sectors $md) / 2)) blocks super non-persistent [2/1] [_U]"
claim "mdadm answers while a path hangs" within 30 mdadm --detail $md
dm_unhang mp0
readers_end
claim "the I/O in flight succeeds when the path does" equal 0 "$readers_failed"
claim "then the path can be removed" wait_for mdadm --quiet $md --remove /dev/mapper/mp0
readd $md /dev/mapper/mp0
claim "… and added, [2/2] [UU]" all_up 2

# A path that hangs and then fails: what was in flight goes down the other.
settle
dm_hang mp0
pending 4
mdadm --quiet $md --fail /dev/mapper/mp0
dmsetup reload mp0 --table "0 $(sectors /dev/path0) error"
dm_unhang mp0
readers_end
claim "I/O in flight on a path that was failed, and then fails: it succeeds on the other" \
	equal 0 "$readers_failed"
claim "nothing is left in flight" wait_for idle $md
claim "… and the path can be removed" wait_for mdadm --quiet $md --remove /dev/mapper/mp0
dm_mend mp0 /dev/path0
readd $md /dev/mapper/mp0
all_up 2

# Adding a path while another hangs with I/O.
mdadm --quiet $md --fail /dev/mapper/mp0
remove $md /dev/mapper/mp0
settle
dm_hang mp1
pending 4
claim "add while the other path hangs with I/O: the new path is taken in" \
	eval 'within 30 mdadm --quiet $md --add /dev/mapper/mp0; all_up 2'
dm_unhang mp1
readers_end
claim "… and the I/O succeeds" equal 0 "$readers_failed"
stop $md

# --- stop right after I/O, and while its owner dies ---

stops() {
	local _
	for _ in 1 2 3 4 5; do
		build $md /dev/mapper/mp0 /dev/mapper/mp1
		fio --name=stop --thread --filename=$md --direct=1 --ioengine=libaio --iodepth=64 --rw=randrw --bs=4k \
			--size=64M --time_based --runtime=3600 >/dev/null 2>&1 &
		wait_for more_ios $md 100
		kill -KILL $!
		wait $! || :
		stop $md
	done
}
claim "stop as soon as a process with I/O in flight was killed, five times" stops
dm_remove mp0 mp1

# --- the other path is dead, and nobody has found out ---

scsi_debug dev_size_mb=32
stays() {
	# mdadm would refuse it by itself.
	not eval 'echo faulty >"/sys/block/md0/md/dev-$(kname "${debug[0]}")/state"'
	state_is '[2/2] [UU]'
}
# An error that passes: one command ends as on a broken transport.
passes() {
	settle
	inject 0 "2 -1 0xff 0x0f 0 0 0 0 0"
	holds "$work/data" $md 0
	equal 1 "$(cell 0 err-path)"
	state_is '[2/1] [U_]'
}
for how in offline delete; do
	build $md "${debug[@]}"
	write_at $md 0 64 "$work/data"
	settle
	if [ $how = offline ]; then scsi_state "${debug[1]}" offline; else scsi_delete "${debug[1]}"; fi
	claim "the other is dead ($how): the path that is there is not failed for it" stays
	claim "… and an error on it that passes costs no I/O, but the other is failed" passes
	stop $md
	mend_path 0
	[ $how = delete ] || scsi_state "${debug[1]}" running
done
rmmod scsi_debug
