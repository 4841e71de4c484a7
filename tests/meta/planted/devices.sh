#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# It leaves devices behind: loop, device mapper, a path that is offline.
printf 'KTAP version 1\n1..1\n'
truncate -s 8M /run/planted
modprobe loop
losetup --find /run/planted
dmsetup --noudevsync create planted --table '0 8 zero'
echo offline >/sys/block/sda/device/state
echo "ok 1 - one"
