#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 60
#
# It leaves an array behind: it does not use the clean-up of lib.sh.
printf 'KTAP version 1\n1..1\n'
mdadm --quiet --build /dev/md5 --level=multipath --raid-devices=2 /dev/path0 /dev/path1 && echo "ok 1 - one"
