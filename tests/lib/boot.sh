# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For the tests that boot a system whose root file system is on an array, of tests/lib/system.sh. Sourced after
# runner.sh; the caller has set `out` and `plan`, the number of claims of each run, and the disk is $out/disk.
# shellcheck disable=SC2034,SC2154 # these

# How scripts/vm makes a disk; a copy of it has another WWN.
disk() {
	printf 'scsi-hd,id=path%d,bus=%s,drive=disk,share-rw=on,serial=multipath-disk,wwn=0x5000c500a1b2c3d%d' "$1" "$2" "$3"
}

# answer PID: does what the guest asks for in its log, as long as PID runs; see tests/boot/init.
answer() {
	local line action number monitor
	exec {monitor}<>"$OUT/monitor.in"
	tail -n +1 -f --pid="$1" "$OUT/console.log" 2>/dev/null | while IFS= read -r line; do
		[[ $line =~ boot-test:\ (unplug|plug|copy)\ ([0-9]) ]] || continue
		action=${BASH_REMATCH[1]} number=${BASH_REMATCH[2]}
		case $action in
		unplug) printf 'device_del path%d\n' "$number" ;;
		plug) printf 'device_add %s\n' "$(disk "$number" "${bus[number]}" 4)" ;;
		copy) printf 'device_add %s\n' "$(disk "$number" "${bus[number]}" 5)" ;;
		esac >&"$monitor"
	done
}

# boot RUN INITRD PATHS [OPTION]... -- WORD...: OPTION is one more of scripts/vm, WORD of the kernel's command line.
boot() {
	local name=$1 initrd=$2 paths=$3 options=() vm status=0
	shift 3
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	export OUT=$out/$name
	mkdir -p "$OUT"
	mkfifo "$OUT/monitor.in" "$OUT/monitor.out"
	: >"$OUT/console.log"
	bus=(hba0.0 hba1.0)
	[ "$paths" -eq 2 ] || bus[1]=hba0.0,scsi-id=1
	scripts/vm --topology virtio-scsi --paths "$paths" --disk "$out/disk" --initrd "$initrd" --timeout 2400 "${options[@]}" \
		--qemu -chardev --qemu "pipe,id=monitor,path=$OUT/monitor" --qemu -mon --qemu chardev=monitor,mode=readline \
		-- "boot-test=$name" ro "$@" >"$OUT/ktap" 2>"$OUT/vm.log" </dev/null &
	vm=$!
	answer "$vm" &
	wait "$vm" || status=$?
	wait
	rm -f "$OUT"/monitor.*
	adopt "$name" "${plan[$name]}" "$OUT/ktap" "$(tail -n 1 "$OUT/vm.log")"
	if [ "$status" -gt 1 ]; then
		ktap_failed=1
		printf '# scripts/vm ends with status %d: %s\n' "$status" "$(tail -n 1 "$OUT/vm.log")"
	fi
}

# No guest's kernel has complained.
quiet() {
	local log complaint
	for log in "$out"/*/console.log; do
		complaint=$(scripts/complaint "$log")
		[ -z "$complaint" ] || {
			printf '%s: %s\n' "$log" "$complaint"
			return 1
		}
	done
}
