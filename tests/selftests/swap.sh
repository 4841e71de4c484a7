#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2 --mem 512M
# timeout: 1200
#
# Swap and dirty pages on the array while memory is short and paths come and go: what frees memory needs some
# itself, and nothing waits for ever.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 7

# hungry BYTES FILE: so much memory, page by page, and then looked at, again and again until FILE is there.
hungry='
size = int(sys.argv[1]) // 4096
pages = buffer(size * 4096)
# A page says in each 16 bytes which it is, and where in it they are.
places = [b"%08d" % i for i in range(256)]
def content(i):
    number = b"%08d" % i
    return number.join(places) + number
for i in range(size): pages[i * 4096:(i + 1) * 4096] = content(i)
wrong = set()
while True:
    wrong.update(i for i in range(size) if pages[i * 4096:(i + 1) * 4096] != content(i))
    if os.path.exists(sys.argv[2]): break
print("wrong pages:", len(wrong))'

swapped() {
	local total free
	total=$(awk '/^SwapTotal/ { print $2 }' /proc/meminfo)
	free=$(awk '/^SwapFree/ { print $2 }' /proc/meminfo)
	[ $((total - free)) -ge "$1" ]
}
# come_and_go: for as long as memory is short. What was found failed, and came back before it no longer was, is noted.
come_and_go() {
	local path turns=0
	while kill -0 "$hungry_pid"; do
		for path in /dev/path0 /dev/path1; do
			scsi_state $path offline
			wait_for is_faulty $path
			goes_on $md
			scsi_state $path running
			remove $md $path
			readd $md $path
			all_up 2
			! kill -0 "$hungry_pid" || echo "$path" >>"$work/returned"
		done
		turns=$((turns + 1))
		[ "$turns" -lt 2 ] || : >"$work/enough"
	done
}
returns() {
	grep -cx "$1" "$work/returned" || :
}

build $md /dev/path0 /dev/path1
# With the first path only, nobody would notice that the other one is gone.
echo round-robin >/sys/block/md0/md/path_policy
: >"$work/returned"
dm_over swap $md $((700 * 2048))
dm_over dirty $md $((200 * 2048)) $((700 * 2048))
udev_off
mkswap --quiet /dev/mapper/swap
swapon /dev/mapper/swap
# What the kernel then says of allocations that failed is no complaint.
echo "<6>selftest swap: memory is short" >/dev/kmsg
available=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
io_begin dirty /dev/mapper/dirty --direct=0 --ioengine=psync --fsync=64 --size=64M --rate_iops=50,50
witness dirty buffered /dev/mapper/dirty $((160 << 20))
py "$hungry" $((available * 1024 * 5 / 4)) "$work/enough" >"$work/hungry" 2>&1 &
hungry_pid=$!
claim "more memory is used than there is: some of it is on the array" wait_for -t 900 swapped 65536
claim "… while paths go offline, fail and come back" come_and_go
each_returned() {
	cat "$work/returned"
	[ "$(returns /dev/path0)" -gt 0 ] && [ "$(returns /dev/path1)" -gt 0 ]
}
claim "… each of them at least once while that memory was in use" each_returned
diag "failed and came back meanwhile: path0 $(returns /dev/path0) times, path1 $(returns /dev/path1) times"
: >"$work/enough"
ended() {
	wait_for not kill -0 $hungry_pid
	equal "wrong pages: 0" "$(<"$work/hungry")"
}
claim "… and all of it is as it was written" ended
echo "<6>selftest swap: memory is there again" >/dev/kmsg
io_end
claim "I/O beside it through the page cache saw no error and no wrong byte" io_clean dirty
# An error would explain what is lost.
none_lost() {
	witness_right dirty
	[[ $(tail -n 1 "$work/witness-dirty") == *' errors 0' ]]
}
claim "what was dirty there was written to the disk, and none lost" none_lost
claim "the swap is emptied again" swapoff /dev/mapper/swap
dm_remove swap dirty
stop $md
udev_on
