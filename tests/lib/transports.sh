# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What happens to networks and targets, on the topologies nvme-tcp and iscsi of scripts/vm: path N's portal is
# 127.0.1.N there. Sourced after lib.sh.

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

# firewall N: what is sent to path N's portal is dropped, without a word.
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
