#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology virtio-scsi --paths 2
# timeout: 300
#
# mdmultipath shows what is so, judges it with the exit status that monitoring knows, hears of events, and
# writes commands that make an array. Needs md core with patches/.
. "${BASH_SOURCE[0]%/*}/lib.sh"
selftest_begin 29

tool=$(readlink -f "${BASH_SOURCE[0]%/*}/../../build/tool/mdmultipath")

# status_is N CMD...: its exit status.
status_is() {
	local wanted=$1 status=0
	shift
	"$@" || status=$?
	equal "$wanted" "$status"
}
# json EXPRESSION: Python's, about what `status --json` shows as `report`, its first array as `a`.
json() {
	"$tool" status --json >"$work/json"
	python3 -m json.tool "$work/json" >/dev/null
	# shellcheck disable=SC2016 # Python
	py 'import json
report = json.load(open(sys.argv[1]))
a = report["arrays"][0]
print(json.dumps(a))
assert eval("(" + sys.argv[2] + ")"), sys.argv[2]' "$work/json" "$1"
}
says() {
	local text=$1 output
	shift
	output=$("$@") || :
	printf '%s\n' "$output"
	[[ $output == *"$text"* ]]
}

claim "without an array: status says so" says "no multipath arrays" "$tool" status
claim "without an array: check cannot tell, status 3" status_is 3 "$tool" check
claim "wrong usage is status 3, not what monitoring takes for critical" status_is 3 "$tool" check --nonsense

# --- healthy ---

build $md /dev/path0 /dev/path1
a=$(kname /dev/path0)
settle
claim "healthy: status shows the array and both paths" says "md0: clean, 2 of 2 paths work" "$tool" status
claim "healthy: JSON has the paths by slot, with state, name and port" json \
	'[p["state"] for p in a["paths"]] == ["up", "up"] and a["paths"][0]["device"] == "'"$a"'"
	and a["paths"][0]["identity"] == a["paths"][1]["identity"] and a["paths"][0]["port"] != a["paths"][1]["port"]'
counted() {
	dd if=$md of=/dev/null bs=4k count=16 iflag=direct status=none
	json 'a["paths"][0]["counters"]["ios"] >= 16 and a["parked"] == 0'
}
claim "healthy: JSON has what the module has counted" counted
claim "healthy: check has status 0" status_is 0 "$tool" check
claim "healthy: check knows the array by its device as well" says "md0: OK" "$tool" check $md
claim "an array that is not there is status 3" refused "no multipath array has this name" "$tool" status md77
metrics() {
	"$tool" status --prometheus >"$work/metrics"
	grep -qxF 'md_multipath_paths_working{array="md0"} 2' "$work/metrics"
	# Each line is a comment or a sample; each sample's name had its type before.
	py 'import re
typed = set()
for line in open(sys.argv[1]):
    line = line.rstrip("\n")
    if line.startswith("# TYPE "):
        name, kind = line.split()[2:]
        assert name not in typed and kind in ("gauge", "counter"), line
        typed.add(name)
    elif not line.startswith("# HELP "):
        found = re.fullmatch(r"([a-z_]+)(\{([a-z_]+=\"[^\"]*\",?)+\})? [0-9.eE+-]+", line)
        assert found and found[1] in typed, line
assert len(typed) > 10' "$work/metrics"
}
claim "the text for Prometheus parses" metrics
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups)
claim "status works for an ordinary user" says "md0: clean, 2 of 2 paths work" "${ordinary[@]}" "$tool" status

# --- events and a failed path ---

"$tool" watch >"$work/events" 2>"$work/watch" &
watcher=$!
"$tool" watch --json >"$work/events.json" 2>"$work/watch.json" &
watcher_json=$!
wait_for grep -q waiting "$work/watch"
wait_for grep -q waiting "$work/watch.json"
mdadm --quiet $md --fail /dev/path0
wait_state '[2/1] [_U]'
claim "failed: check has status 2, as one path is left" status_is 2 "$tool" check
claim "failed: … and says what that means" says "only 1 of 2 paths works" "$tool" check
claim "failed: JSON says that one works" json 'a["working"] == 1 and a["slots"] == 2'
# The member stays, without its slot, and is told to work again.
again() {
	echo re-add >"/sys/block/md0/md/dev-$a/state"
}
wait_for again
all_up 2
claim "watch hears that the path failed or has left" wait_for grep -Eq " md0: PATH_(FAILED|REMOVED) $a, slot 0, 1 paths left" "$work/events"
claim "watch hears that it is back" wait_for grep -Eq " md0: PATH_REINSTATED $a, slot 0, 2 paths left" "$work/events"
lines() {
	wait_for grep -q PATH_REINSTATED "$work/events.json"
	py 'import json
events = [json.loads(line) for line in open(sys.argv[1])]
assert all(e["array"] == "md0" and e["slot"] == 0 for e in events), events
assert events[-1]["event"] == "PATH_REINSTATED", events' "$work/events.json"
}
claim "watch --json writes one object a line" lines
kill "$watcher" "$watcher_json"
wait "$watcher" "$watcher_json" || :
claim "back: check has status 0 again" status_is 0 "$tool" check
stop $md

# --- parked ---

scsi_debug dev_size_mb=32
build $md "${debug[@]}"
echo 600000 >/sys/block/md0/md/no_path_timeout_ms
settle
break_path 0
break_path 1
dd if=/dev/zero of=$md bs=4k count=1 oflag=direct status=none &
writer=$!
parked() {
	"$tool" status --json | jq -e '.arrays[0].parked > 0'
}
claim "parked: status shows that I/O waits" wait_for parked
claim "parked: check has status 2" status_is 2 "$tool" check
claim "parked: … and says so" says "I/Os wait for one" "$tool" check
mend_path 0
mend_path 1
wait "$writer"
stop $md

# --- from a map, and back ---

# In the guest nothing else has loaded it.
modprobe dm_multipath
modprobe dm_round_robin
pattern "$work/data" 16
write_at /dev/path0 0 16 "$work/data"
dm_make mpt "0 $(sectors /dev/path0) multipath 0 0 2 1 round-robin 0 1 1 $(<"/sys/block/$(kname /dev/path0)/dev") 1 round-robin 0 1 1 $(<"/sys/block/$(kname /dev/path1)/dev") 1"
settle
other_disk() {
	dmsetup table --target multipath | "$tool" convert | sed 's/naa\.[0-9a-f]*/naa.0/' >"$work/commands"
	refused "another disk" sh "$work/commands"
	dmsetup table mpt
}
claim "convert: the commands stop at another disk, and leave the map" other_disk
converted() {
	dmsetup table --target multipath | "$tool" convert >"$work/commands"
	cat "$work/commands"
	equal 2 "$(grep -c '^path.*/dev/disk/by-path/' "$work/commands")"
	sh "$work/commands"
	name=$(kname /dev/md/mpt)
	all_up 2 "$name"
	equal 1 "$(<"/sys/block/$name/md/dev-$a/multipath/priority")"
	holds "$work/data" /dev/md/mpt 0
}
claim "convert: the commands make an array of the map, with its data and priorities" converted
settle
back() {
	local name
	name=$(kname /dev/md/mpt)
	"$tool" convert --back "$name" >"$work/commands"
	cat "$work/commands"
	sh "$work/commands"
	dmsetup table "$name" | grep " multipath 0 0 2 1 " >/dev/null
	holds "$work/data" "/dev/mapper/$name" 0
	dm_remove "$name"
}
claim "convert --back: the commands make a map of the array" back
# A WWID, as multipath-tools names maps, is a character longer than what mdadm takes.
wwid=3600508b400105e210000900000490000
dm_make $wwid "0 $(sectors /dev/path0) multipath 0 0 1 1 round-robin 0 1 1 $(<"/sys/block/$(kname /dev/path0)/dev") 1"
settle
single() {
	local name
	dmsetup table --target multipath | "$tool" convert >"$work/commands"
	cat "$work/commands"
	sh "$work/commands"
	name=$(kname /dev/md/${wwid#3})
	all_up 1 "$name"
	holds "$work/data" "/dev/$name" 0
}
claim "convert: a map of one path that is named by a long WWID becomes an array" single
settle
stop "/dev/$(kname /dev/md/${wwid#3})"
claim "convert: what is no map is refused" refused "no map" "$tool" convert /dev/null

# --- an array that does not run ---

mdadm --quiet --create $md --run --level=multipath --metadata=1.2 --raid-devices=2 --homehost=any /dev/path0 /dev/path1
all_up 2
stop $md
# mdadm waits for the other path, and has not told md the level.
mdadm --quiet --incremental /dev/path0
line=$(grep -m 1 '^md.* : inactive ' /proc/mdstat)
name=${line%% *}
inactive() {
	equal "" "$(<"/sys/block/$name/md/level")"
	status_is 2 "$tool" check
	says "$name: CRITICAL: the array is inactive: mdadm --run /dev/$name " "$tool" check
}
claim "inactive, without a level: check has status 2 and says how to start it" inactive
not_told() {
	status_is 3 "${ordinary[@]}" "$tool" check
	says "$name: UNKNOWN: the array is inactive, and its level cannot be told" "${ordinary[@]}" "$tool" check
}
claim "inactive: to an ordinary user, who may not read the path, it has status 3" not_told
runs() {
	mdadm --quiet --run "/dev/$name"
	says "$name: CRITICAL: only 1 of 2 paths works" "$tool" check
}
claim "inactive: … which starts it" runs
stop "/dev/$name"
mdadm --quiet --zero-superblock /dev/path0
