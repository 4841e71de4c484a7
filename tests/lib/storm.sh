# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Shared by the storms: a seed chooses what is done to two arrays over the same disk while verified I/O runs on
# them. Sourced after lib.sh. SEED and EVENTS in the environment choose the storm; both are in the log, and each
# event is in the kernel log before it happens. With MINUTES the storm ends after so long, with fewer events:
#
#     scripts/vm OPTION... -- env SEED=4711 EVENTS=1000 tests/selftests/storm.sh
#
# A storm defines
#
#     name ARRAY N      the kernel's name of array ARRAY's path N, or nothing while it is gone
#     fit ARRAY N       nothing is wrong with that path's device
#     event KIND N ARRAY VALUE
#                       what its own kinds do; status 1 if that cannot be done now. For other kinds it calls
#                       `array_event`.
#     before I N KIND VALUE
#                       called before event I; may set `chosen` to another path
#     after             called after each event
#     whole N           ends all that is wrong with a path
#     kinds             of events
#     storm_state       the names of its variables
#     safe              a path that is whole, where there has to be one
# shellcheck disable=SC2034,SC2154 # for the tests; from lib.sh and from them

# shellcheck source=tests/lib/errors.sh
. "${BASH_SOURCE[0]%/*}/errors.sh"

arrays=(md0 md1)
count=4
safe=0
# How many events have come.
number=0
declare -A tried happened

# find_disk N [PART]...: `disk[N]` is what the host of path N has, with these partitions, under whatever name
# it came.
find_disk() {
	local place dev parts=("${@:2}")
	for place in "/sys/class/scsi_host/host${hosts[$1]}"/device/target*/*/block/*; do
		dev=/dev/${place##*/}
		present "$dev" "${parts[@]/#/$dev}" || continue
		disk[$1]=${dev#/dev/}
		return
	done
	return 1
}

# storm_begin EVENTS: how many there are by default.
storm_begin() {
	seed=${SEED:-4711} events=${EVENTS:-$1} minutes=${MINUTES:-}
	diag "SEED=$seed EVENTS=$events"
	RANDOM=$((seed % 32768))
}

# --- arrays ----------------------------------------------------------------------------------------

member_dir() {
	printf '/sys/block/%s/md/dev-%s' "$1" "$(name "$1" "$2")"
}
# member ARRAY N: what the array says of the path, in `state`: `in_sync`, `faulty`, …, or nothing.
member() {
	state=''
	{ read -r state <"$(member_dir "$1" "$2")/state"; } 2>/dev/null || :
}
in_sync() {
	local state
	member "$1" "$2"
	[[ $state == *in_sync* && $state != *faulty* ]]
}
# leaves ARRAY N: a path that failed is taken out. Succeeds when it is.
leaves() {
	local state
	member "$1" "$2"
	case $state in
	'') return ;;
	*faulty*) echo remove >"$(member_dir "$1" "$2")/state" || : ;;
	esac 2>/dev/null
	return 1
}
# joins ARRAY N: a path that failed is taken out and added again. Succeeds when it is in use.
joins() {
	local state
	bury "$1"
	member "$1" "$2"
	case $state in
	*faulty*) leaves "$1" "$2" || : ;;
	'') mdadm --quiet "/dev/$1" --add "/dev/$(name "$1" "$2")" || : ;;
	*in_sync*) return ;;
	esac 2>/dev/null
	return 1
}
# bury ARRAY: paths whose device is gone leave, as soon as they may.
bury() {
	local dir
	for dir in "/sys/block/$1"/md/dev-*; do
		[ ! -e "/sys/class/block/${dir##*/dev-}" ] || continue
		echo faulty >"$dir/state" || :
		echo remove >"$dir/state" || :
	done 2>/dev/null
}

# --- events ----------------------------------------------------------------------------------------

# What is done to an array and to its paths as it sees them. What cannot be done now is not done.
array_event() {
	local kind=$1 n=$2 array=$3 value=$4 sys=/sys/block/$3/md dev state
	dev=$(name "$array" "$n")
	case $kind in
	fail) [ -n "$dev" ] && mdadm --quiet "/dev/$array" --fail "/dev/$dev" ;;
	remove)
		# For one that is in use mdadm tries hundreds of times.
		member "$array" "$n"
		[[ $state == *faulty* ]] && mdadm --quiet "/dev/$array" --remove "/dev/$dev"
		;;
	add)
		fit "$array" "$n" && ! in_sync "$array" "$n" || return
		leaves "$array" "$n" || leaves "$array" "$n" || return
		mdadm --quiet "/dev/$array" --add "/dev/$dev"
		;;
	readd)
		# The distribution's mdadm never does that for this level.
		fit "$array" "$n" || return
		member "$array" "$n"
		[[ $state == *faulty* ]] && echo re-add >"$(member_dir "$array" "$n")/state"
		;;
	slots) echo $((4 + value % 9)) >"$sys/raid_disks" ;;
	policy)
		local policies=(first round-robin queue-depth)
		echo "${policies[value % 3]}" >"$sys/path_policy"
		;;
	priority) echo $((value % 5)) >"$sys/dev-$dev/multipath/priority" ;;
	hold) echo $((value % 40)) >"$sys/write_retry_hold_ms" ;;
	timeout)
		echo $((value % 3 * 1000)) >"$sys/no_path_timeout_ms" &&
			echo $((1 + value % 4096)) >"$sys/no_path_max_parked"
		;;
	suspend)
		# Writes to the half of the array that its I/O is in wait.
		[ -z "${suspended[$array]:-}" ] || return
		echo $((value % 2 * 16384)) >"$sys/suspend_lo" && echo 262144 >"$sys/suspend_hi" || return
		suspended[$array]=$number
		;;
	cpu)
		[ -z "$cpu_since" ] && echo 0 >$cpu1 || return
		cpu_since=$number
		;;
	memory)
		[ -z "$hog" ] || return
		storm_note "memory is short"
		python3 -I -S -c '
import signal, sys
open("/proc/self/oom_score_adj", "w").write("1000")
pages = bytearray(int(sys.argv[1]) * 1024 // 100 * 95)
for i in range(0, len(pages), 4096): pages[i] = 1
signal.pause()' "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" &
		hog=$! hog_since=$number
		;;
	detail) mdadm --detail "/dev/$array" >/dev/null ;;
	esac 2>/dev/null
}

# What lasts for a few events: by array, since which one writes to a range of it wait; the process that has nearly
# all memory, and since when; since when a processor is away, as there are two, and much to do.
declare -A suspended
hog='' hog_since=0 cpu_since=''
cpu1=/sys/devices/system/cpu/cpu1/online
suspend_ends() {
	[ -n "${suspended[$1]:-}" ] || return 0
	echo 0 >"/sys/block/$1/md/suspend_hi"
	suspended[$1]=''
}
memory_ends() {
	[ -n "$hog" ] || return 0
	kill "$hog" || :
	wait "$hog" || :
	hog=''
	storm_note "memory is there again"
}
# passes [NOW]: what has lasted for long enough ends, or all of it.
passes() {
	local array
	for array in "${arrays[@]}"; do
		if [ $# -eq 1 ] || [ $((number - ${suspended[$array]:-$number})) -ge 4 ]; then suspend_ends "$array"; fi
	done
	if [ $# -eq 1 ] || [ $((number - hog_since)) -ge 3 ]; then memory_ends; fi 2>/dev/null
	if [ -n "$cpu_since" ] && { [ $# -eq 1 ] || [ $((number - cpu_since)) -ge 3 ]; }; then
		echo 1 >$cpu1
		cpu_since=''
	fi
}

# resize ARRAY KIB: md core refuses while a path is there that failed, or one that was added to an array without
# superblocks, whose size it does not know.
resize() {
	local n dir
	bury "$1"
	for ((n = 0; n < count; n++)); do leaves "$1" "$n" || :; done
	for dir in "/sys/block/$1"/md/dev-*; do echo 0 >"$dir/size" || :; done 2>/dev/null
	mdadm --quiet --grow "/dev/$1" --size="$2" 2>/dev/null
}

# storm_note TEXT: into the kernel log, where it stands beside what it led to.
storm_note() {
	printf '<6>storm: %s\n' "$*" >/dev/kmsg
}
# storm_saw: the numbers for people.
storm_saw() {
	local kind kinds sum=0 line=''
	# shellcheck source=/dev/null
	. "$work/state"
	mapfile -t kinds < <(printf '%s\n' "${!happened[@]}" | sort)
	for kind in "${kinds[@]}"; do
		line+=" $kind ${happened[$kind]}"
		sum=$((sum + ${happened[$kind]}))
	done
	diag "events: $sum of $number:$line"
	diag "written and read back: $(written) MiB; errors while a path was whole: $wrong, while none was: $expected;" \
		"waited for a path: $parked"
	diag "witness: $(tail -qn 1 "$work"/witness-* | awk '{ reads += $3; writes += $5; errors += $7 }
		END { print "reads " reads + 0 ", writes " writes + 0 ", errors " errors + 0 }')"
}

# done_to N KIND ARRAY VALUE: the event happens to path N; what needs a path in a certain state, to the next
# one in it.
done_to() {
	local n=$1 kind=$2 i tries=1
	case $kind in running | rescan | mend | remove | add | readd | priority) tries=$count ;; esac
	for ((i = 0; i < tries; i++)); do
		! event "$kind" $(((n + i) % count)) "$3" "$4" || return 0
	done
	return 1
}
# The events, one after the other. All `kinds` come once before one comes again; where one is named twice, twice.
storm() {
	local k kind array value chosen deck=() began=$SECONDS
	tried=() happened=()
	# Each claim has a shell of its own, which would choose anew.
	RANDOM=$((seed % 32768))
	for ((number = 0; number < events; number++)); do
		[ -z "$minutes" ] || [ $((SECONDS - began)) -lt $((minutes * 60)) ] || break
		[ "${#deck[@]}" -gt 0 ] || deck=("${kinds[@]}")
		k=$((RANDOM % ${#deck[@]}))
		kind=${deck[k]} chosen=$((RANDOM % count)) array=${arrays[RANDOM % 2]} value=$RANDOM
		deck=("${deck[@]:0:k}" "${deck[@]:k+1}")
		passes
		before "$number" "$chosen" "$kind" "$value"
		storm_note "$number: $kind path $chosen $array $value"
		tried[$kind]=$((${tried[$kind]:-0} + 1))
		! done_to "$chosen" "$kind" "$array" "$value" || happened[$kind]=$((${happened[$kind]:-0} + 1))
		for k in "${io_pids[@]}"; do kill -0 "$k" || storm_fails "the I/O has ended"; done
		after
	done
	passes now
	storm_note "the end"
	heal
	# The shell of a claim ends with it.
	declare -p tried happened number "${storm_state[@]}" | sed 's/^declare /declare -g /' >"$work/state"
}
# storm_fails WHY: in the middle of it, with what there is to see.
storm_fails() {
	echo "$*"
	cat /proc/mdstat /sys/kernel/debug/md_multipath/*/* /sys/block/{md*,sd*}/inflight
	head -n 20 "$work"/fio-*.log "$work"/witness-*
	passes now
	unblock
	kill -CONT "${io_pids[@]}" || :
	exit 1
}
# must CMD [ARG]...: what is waited for in the middle of a storm; else that is its end.
must() {
	wait_for "$@" || storm_fails "waited in vain: $*"
}
# Everything that is wrong with any path ends; the one that is whole comes last.
heal() {
	local i
	for ((i = 1; i <= count; i++)); do whole $(((safe + i) % count)); done
}
# most_happened: what a state of things does not allow does not happen; three of five events do.
most_happened() {
	local kind sum=0
	# shellcheck source=/dev/null
	. "$work/state"
	declare -p tried happened
	for kind in "${!happened[@]}"; do sum=$((sum + ${happened[$kind]})); done
	[ $((5 * sum)) -ge $((3 * number)) ] || return
	# In a few events not every kind comes.
	[ "$number" -ge 150 ] || return 0
	for kind in "${!tried[@]}"; do
		case $kind in
		# A signal may end what writes to a file of md's.
		policy | hold | timeout | slots) missed_at_most $((1 + ${tried[$kind]} / 10)) "$kind" ;;
		size | priority | suspend | cpu | memory | whole | all)
			missed_at_most $(((${tried[$kind]} + 1) / 2)) "$kind"
			;;
		# So seldom that one of the two has to do, in a short storm.
		fail | remove) came "$kind" fail remove ;;
		add | readd) came "$kind" add readd ;;
		mend | running) came "$kind" mend running ;;
		*) came "$kind" "$kind" ;;
		esac || return
	done
}
# missed_at_most NUMBER KIND
missed_at_most() {
	echo "$2 at most $1 times not"
	[ $((${tried[$2]} - ${happened[$2]:-0})) -le "$1" ]
}
# came KIND KIND...: the first, or, of less than 1,000 events, one of the others.
came() {
	local kind kinds=("$1")
	[ "$number" -ge 1000 ] || kinds=("${@:2}")
	echo "one of ${kinds[*]}"
	for kind in "${kinds[@]}"; do [ -z "${happened[$kind]:-}" ] || return 0; done
	return 1
}
all_in_sync() {
	local n array
	for array in "${arrays[@]}"; do
		for ((n = 0; n < count; n++)); do in_sync "$array" "$n" || return; done
	done
}
# The I/O has ended: none of it finds out any more that a path was dead.
healed() {
	# shellcheck source=/dev/null
	. "$work/state"
	heal
	wait_for all_in_sync
}

# --- what became of the I/O ------------------------------------------------------------------------

# How many I/Os a second each job has. Where the kernel checks itself more would leave no time for events.
often=$((40 / slower)),$((40 / slower)) seldom=$((8 / slower)),$((8 / slower))
# job NAME ARRAY [FIO-OPTION]...
jobs=()
job() {
	jobs+=("$1")
	# Overlapping writes that are in flight together may be done in any order.
	io_begin "$1" "/dev/$2" --randseed="$RANDOM" --serialize_overlap=1 "${@:3}" || {
		diag "$(<"$work/fio-$1.log")"
		return 1
	}
}
# fio_field NAME FILTER: what it says of the job.
fio_field() {
	sed -n '/^{/,$p' "$work/fio-$1.json" | jq -r ".jobs[0] | $2"
}
# In MiB. Each block that was written is read after a few others.
written() {
	local name sum=0
	for name in "${jobs[@]}"; do sum=$((sum + $(fio_field "$name" .write.io_bytes))); done
	printf '%d' $((sum >> 20))
}
# data_right ERRORS: there was I/O, and each job read what it had written. It may remember an error of these,
# `5|67`, with which it has gone on.
data_right() {
	local name fields
	for name in "${jobs[@]}"; do
		fields=$(fio_field "$name" '"\(.error) \(.total_err) \(.read.total_ios) \(.write.total_ios)"')
		printf '%s: error, errors, reads, writes: %s\n' "$name" "$fields"
		head -n 20 "$work/fio-$name.log"
	done
	for name in "${jobs[@]}"; do
		fields=$(fio_field "$name" '"\(.error) \(.read.total_ios) \(.write.total_ios)"')
		[[ $fields =~ ^(0|$1)\ [1-9][0-9]*\ [1-9] ]] || return
		! grep -Eq 'verify:|verify failed' "$work/fio-$name.log" "$work/fio-$name.json" || return
	done
	for name in "$work"/witness-*; do witness_right "${name##*/witness-}" || return; done
}
