# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What happens to networks, targets and adapters. On the topologies nvme-tcp and iscsi of scripts/vm path N's
# portal is 127.0.1.N. Sourced after lib.sh.
# shellcheck disable=SC2034,SC2154 # for the tests; from lib.sh

# ended NAME: the I/O that was begun by this name, with `-` for each space, and what it waited for. A claim.
ended() {
	io_end
	claim "$1: no I/O saw an error, and all data are right" io_clean "${1// /-}"
	diag "$1: the slowest I/O took $(longest "${1// /-}") ms"
}

# --- the network -----------------------------------------------------------------------------------

# lose PERCENT N: so many of the packets from and to path N's portal are lost. One portal at a time.
lose() {
	local end
	tc qdisc replace dev lo root handle 1: prio bands 4 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
	tc qdisc replace dev lo parent 1:4 netem loss "$1%"
	for end in src dst; do
		tc filter replace dev lo parent 1: protocol ip u32 match ip $end "127.0.1.$2/32" flowid 1:4
	done
}

# lose_none: all arrive again.
lose_none() {
	tc qdisc delete dev lo root
}

# firewall N: what is sent to path N's portal is dropped, without a word. 0/31: to the first two.
firewall() {
	tc qdisc add dev lo clsact
	tc filter add dev lo ingress protocol ip flower dst_ip "127.0.1.$1" action drop
}

firewall_off() {
	tc qdisc delete dev lo clsact
}

# --- NVMe over TCP ---------------------------------------------------------------------------------

readonly nvmet=/sys/kernel/config/nvmet

# port_down N: the target listens no more on path N's portal, and drops its connections.
port_down() {
	rm "$nvmet/ports/$1/subsystems"/*
}

port_up() {
	ln -s "$nvmet/subsystems"/* "$nvmet/ports/$1/subsystems/"
}

# live N: path N's controller is connected.
live() {
	[ "$(<"/sys/class/nvme/nvme$1/state")" = live ]
}

# --- iSCSI -----------------------------------------------------------------------------------------

# session N ACTION: `--login` or `--logout`.
session() {
	iscsiadm --mode node --targetname iqn.2026-11.guest:multipath-disk --portal "127.0.1.$1:3260" "$2"
}

# logged_in N: path N's session, and its disk takes I/O.
logged_in() {
	present "/dev/path$1" && [ "$(<"/sys/block/$(kname "/dev/path$1")/device/state")" = running ]
}

# --- the machine -----------------------------------------------------------------------------------

# monitor COMMAND ARGUMENTS: has the machine do this, with arguments in JSON (scripts/vm --monitor). What qemu
# says against it goes to standard output.
monitor() {
	local place port='' fd line id status=1
	for place in /sys/class/virtio-ports/*; do
		[ "$(<"$place/name")" != monitor ] || port=/dev/${place##*/}
	done
	id=$EPOCHREALTIME
	exec {fd}<>"$port"
	printf '{"execute": "qmp_capabilities"}\n{"execute": "%s", "arguments": %s, "id": "%s"}\n' "$1" "$2" "$id" >&"$fd"
	# Greetings, events and other answers come as well.
	while read -r -t "$patience" -u "$fd" line; do
		[[ $line == *"\"$id\""* ]] || continue
		[[ $line != *'"return"'* ]] || status=0
		break
	done
	exec {fd}>&-
	[ "$status" -eq 0 ] || printf '%s: %s\n' "$1" "${line:-no answer}"
	return "$status"
}

# With the topology virtio-scsi, one path, and a root port `root-port`.

# plug: one more adapter, behind which is the disk of /dev/path0: in `disk`; the adapter's place in `adapter`.
# The number is 0x5000c500a1b2c3d4.
plug() {
	monitor device_add '{"driver": "virtio-scsi-pci", "id": "adapter", "bus": "root-port", "num_queues": 1}'
	monitor device_add '{"driver": "scsi-hd", "bus": "adapter.0", "drive": "disk", "share-rw": true,
		"serial": "multipath-disk", "wwn": 5764824129537754068}'
	wait_for plugged
	settle
}

plugged() {
	local place
	for place in /sys/bus/pci/devices/*/virtio*/host*/target*/*/block/sd*; do
		disk=/dev/${place##*/} adapter=${place%%/virtio*}
		[ ! -b "$disk" ] || [ "$disk" = "/dev/$(kname /dev/path0)" ] || return 0
	done
	return 1
}

unplug() {
	monitor device_del '{"id": "adapter"}'
}
