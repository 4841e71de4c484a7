#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In dracut's initramfs: rd.md.uuid= names the arrays to start.

# shellcheck source=/dev/null
command -v getargs >/dev/null || . /lib/dracut-lib.sh
uuids=$(getargs rd.md.uuid -d rd_MD_UUID=)
if [ -n "$uuids" ]; then
	# shellcheck disable=SC2086 # one line
	echo $uuids >/etc/md-multipath-only
fi
