#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
#
# Every command of Documentation/md-multipath.rst does what stands there. In a block `console` a line
# `# COMMAND` is run, with the names of the paths here for sda and sdb; each line below it is one that
# the command prints, where `…` stands for anything.
. "${BASH_SOURCE[0]%/*}/lib.sh"
repo=$(readlink -f "${BASH_SOURCE[0]%/*}/../..")

a=$(kname /dev/path0)
b=$(kname /dev/path1)
# The blocks' lines, without what indents them.
lines=$(awk '/^\.\. code-block:: console$/ { inside = 1; next }
	inside && /^[^ ]/ { inside = 0 }
	inside && /^   / { print substr($0, 4) }' "$repo/Documentation/md-multipath.rst" |
	sed -e "s/\<sda\>/@A@/g" -e "s/\<sdb\>/$b/g" -e "s/@A@/$a/g")
selftest_begin $(($(grep -c '^# ' <<<"$lines") + 1))
PATH=$repo/build/tool:$PATH
export LC_ALL=C.UTF-8
printf -v any '%q' '…'
# What the manual mounts, and adds to.
mkdir -p /mnt /etc/mdadm

# shows LINE FILE: the file holds the words of LINE, one after the other, with anything for `…`.
shows() {
	local words seen pattern=''
	read -r -d '' -a words <"$2" || :
	seen=" ${words[*]} "
	read -r -a words <<<"$1"
	for word in "${words[@]}"; do
		printf -v word '%q' "$word"
		pattern+=" ${word//"$any"/*}"
	done
	# shellcheck disable=SC2053 # a pattern is meant
	[[ $seen == *$pattern\ * ]] || {
		printf 'not seen: %s\n' "$1"
		return 1
	}
}
# Once it has succeeded it is not run again, but for what only looks.
run_once() {
	local line
	if [ ! -e "$work/done" ] || [[ $command =~ ^(cat|mdmultipath|dmesg|ls)\  ]]; then
		bash -c "set -o pipefail; $command" >"$work/output" 2>&1 || return
		: >"$work/done"
	fi
	for line in "${wanted[@]}"; do shows "$line" "$work/output" || return; done
}
command='' wanted=()
run_command() {
	rm -f "$work/done"
	wait_for -t 30 run_once >"$work/wait" 2>&1 || {
		cat "$work/wait" "$work/output"
		return 1
	}
}
finish() {
	[ -z "$command" ] || {
		claim "$command" run_command
		settle
	}
	command='' wanted=()
}
while IFS= read -r line <&3; do
	case $line in
	'# '*)
		finish
		command=${line#"# "}
		;;
	*) wanted+=("$line") ;;
	esac
done 3<<<"$lines"
finish
claim "the manual leaves nothing behind" wait_for array_gone md0
echo 30 >"/sys/block/$a/device/timeout"
echo 30 >"/sys/block/$b/device/timeout"
rm -f /tmp/to-md /tmp/status.json /etc/mdadm/mdadm.conf
