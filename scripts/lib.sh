# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Shared by the scripts of this directory: places, messages, progress, locks and the cache.
# Sourced, never run. Sets `self` for messages; the caller has already set `set -euo pipefail`.

self=${0##*/}
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${MD_MULTIPATH_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}}/md_multipath

# The kernels that the module is made for, oldest first.
# shellcheck disable=SC2034 # the callers read it
kernel_series=(7.2 7.3)

# Of the tool, of the packages and of what DKMS builds.
project_version() {
	sed -n 's/^version = "\(.*\)"$/\1/p' "$repo/tool/Cargo.toml"
}

die() {
	printf '%s: %s\n' "$self" "$*" >&2
	exit 1
}

usage_error() {
	printf '%s: %s\n' "$self" "$*" >&2
	exit 2
}

notice() {
	printf '%s: %s\n' "$self" "$*" >&2
}

# need TOOL PACKAGE: TOOL must be on this machine.
need() {
	command -v "$1" >/dev/null || die "$1 not found: install the package $2"
}

# Kbuild, qemu and apt each give a meaning to some of these characters in a path.
check_path() {
	case $2 in
	/*) ;;
	*) die "$1 '$2' is not an absolute path" ;;
	esac
	case $2 in
	*[[:space:]]* | *[:%,\#\$\'\"\\*?\;\&\|\<\>\(\)\[\]\`]*)
		die "$1 '$2' holds a character that kernel builds cannot take (space, colon, comma, …): use another directory"
		;;
	esac
}

check_path "the repository's path" "$repo"
check_path "the cache's path" "$cache"

# put MODE FILE PLACE: installs FILE, below $DESTDIR where that is set.
put() {
	install -D -m "$1" "$2" "${DESTDIR:-}$3"
	printf 'installed %s\n' "${DESTDIR:-}$3"
}

# The words of a plain data file: no comment lines, no blank lines.
data() {
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"
}

# The cache. An entry is a directory whose `.ready` file is written last; one without it is a leftover
# of an interrupted run and is removed by the next, under the entry's lock. Entries are built in place
# because a kernel build tree records absolute paths.

entry_ready() {
	[ -e "$cache/$1/.ready" ]
}

# entry_begin NAME: an empty directory for the entry; the caller holds the lock.
entry_begin() {
	entry_drop "$1"
	mkdir -p "$cache/$1"
}

entry_commit() {
	sync -f "$cache/$1"
	: >"$cache/$1/.ready.new"
	mv "$cache/$1/.ready.new" "$cache/$1/.ready"
}

entry_drop() {
	[ -e "$cache/$1" ] || return 0
	rm -f "$cache/$1/.ready"
	remove_tree "$cache/$1"
}

# Below a user namespace files belong to mapped ids, which only that namespace may remove.
remove_tree() {
	rm -rf --one-file-system "$1" 2>/dev/null && return
	if [ "$(id -u)" -ne 0 ]; then
		unshare --user --map-auto --map-root-user rm -rf --one-file-system "$1" && return
	fi
	die "cannot remove $1"
}

# lock NAME: held until the process ends; waits for another holder, and says so.
lock() {
	mkdir -p "$cache/lock" 2>/dev/null ||
		die "cannot write to $cache: set MD_MULTIPATH_CACHE to a directory that can be written"
	exec {lock_fd}>"$cache/lock/$1" || die "cannot write to $cache/lock"
	flock -n "$lock_fd" && return
	notice "another run prepares '$1': waiting for it"
	flock "$lock_fd"
}

unlock() {
	exec {lock_fd}>&-
	unset lock_fd
}

# step NAME LOG CMD…: runs CMD with its output in LOG. One line at the start, one every 15 s, one at
# the end; on failure the last 20 lines of LOG. CMD is killed when this process dies.
step() {
	local name=$1 log=$2 start=$SECONDS heart status=0 never
	shift 2
	printf '%s: %s\n' "$self" "$name ..." >&2
	exec {never}<> <(:)
	(
		trap 'exit 0' TERM
		[ -z "${lock_fd:-}" ] || exec {lock_fd}>&-
		while [ -d "/proc/$$" ]; do
			read -r -t 15 -u "$never" ||
				printf '%s: %s ... %d s\n' "$self" "$name" $((SECONDS - start)) >&2
		done
	) &
	heart=$!
	{
		printf '+'
		printf ' %q' "$@"
		printf '\n'
	} >>"$log"
	setpriv --pdeathsig KILL "$@" </dev/null >>"$log" 2>&1 || status=$?
	exec {never}>&-
	kill "$heart" 2>/dev/null || :
	wait "$heart" 2>/dev/null || :
	if [ "$status" -ne 0 ]; then
		printf '%s: %s: failed (status %d) after %d s; the last lines of %s:\n' \
			"$self" "$name" "$status" $((SECONDS - start)) "$log" >&2
		tail -n 20 "$log" | sed 's/^/    /' >&2
		return "$status"
	fi
	printf '%s: %s: done in %d s\n' "$self" "$name" $((SECONDS - start)) >&2
}

# Keys of the cache entries.

root_suites=(trixie trixie-updates trixie-backports trixie-security)
# packages_in FILE: the packages it names, sorted.
packages_in() {
	data "$1" | tr -s '[:space:]' '\n' | LC_ALL=C sort -u
}

root_packages() {
	packages_in "$repo/scripts/root-packages"
}

# key_of PACKAGE...: of a root with these packages.
key_of() {
	printf '%s\n' "$@" "${root_suites[@]}" "recipe 1" | sha256sum | cut -c1-12
}

root_key() {
	# shellcheck disable=SC2046 # into words
	key_of $(root_packages)
}

# The root in which `make deb` makes packages.
package_packages() {
	packages_in "$repo/scripts/package-packages"
}

package_entry() {
	# shellcheck disable=SC2046 # into words
	printf 'package-%s' "$(key_of $(package_packages))"
}

# The system on which the test `package` installs them: the stock kernel, and in apt's cache those that it is
# to be changed for.
system_packages() {
	packages_in "$repo/tests/package/system-packages"
}

system_entry() {
	# shellcheck disable=SC2046 # into words
	printf 'system-%s-%s' "$(key_of $(system_packages) "${other_kernels[@]}")" "$(kernel_release)"
}

# Kernels that the test `package` changes to: one more that the module is made for, and one that it is not.
other_kernels=(7.2 6.12)

root_entry() {
	printf 'root-%s' "$(root_key)"
}

# What is asked for: a release, or a series such as 7.2; of the series of scripts/kernel-release, that release.
wanted_release() {
	local usual
	usual=$(data "$repo/scripts/kernel-release")
	case ${MD_MULTIPATH_KERNEL:-} in
	'' | "${usual%%+*}" | "${usual%.*}") printf '%s' "$usual" ;;
	*) printf '%s' "$MD_MULTIPATH_KERNEL" ;;
	esac
}

# The release really used: what the archive offered when the kernel was fetched.
kernel_release() {
	local wanted chosen
	wanted=$(wanted_release)
	chosen=$cache/release-$wanted
	if [ -s "$chosen" ]; then cat "$chosen"; else printf '%s' "$wanted"; fi
}

# The release that `make` has built for last, maybe as another user: the archive may have had a newer one then than
# the one that is wanted, and only that user's cache knows.
built_release() {
	cat "$repo/build/release-$(wanted_release)" 2>/dev/null || kernel_release
}

kernel_entry() {
	printf 'kernel-%s' "$(kernel_release)"
}

tree_entry() {
	printf 'tree-%s-%s' "$(root_key)" "$(kernel_release)"
}

# The image the guest boots from and its first program.
guest_entry() {
	printf 'guest-%s-%s-%s' "$(root_key)" "$(sha256sum <"$repo/scripts/vm-start.c" | cut -c1-4)" "$(kernel_release)"
}

guest_dir() {
	printf '%s/%s' "$cache" "$(guest_entry)"
}

stock_image() {
	printf '%s/x/usr/lib/modules/%s/vmlinuz' "$(kernel_dir)" "$(kernel_release)"
}

# Debian 12's kernel, with the C module: its release rolls, so the one that was fetched counts.
original_entry() {
	printf 'original-%s' "$(cat "$cache/release-original" 2>/dev/null || echo none)"
}

original_kernel() {
	printf '%s/%s/lib/modules/%s/vmlinuz' "$cache" "$(original_entry)" "$(cat "$cache/release-original")"
}

# Debian releases whose mdadm is tested beside the build root's.
mdadm_suites=(bookworm forky)
mdadm_entry() {
	printf 'mdadm-%s' "$(
		IFS=-
		printf '%s' "${mdadm_suites[*]}"
	)"
}

# The upstream version of the build root's mdadm, such as 4.4.
mdadm_version() {
	sed -n '/^Package: mdadm$/,/^$/s/^Version: \(.*\)-[^-]*$/\1/p' "$(root_dir)/var/lib/dpkg/status" 2>/dev/null
}

# Its source, and what scripts/build-mdadm makes of it.
mdadm_source_entry() {
	printf 'mdadm-source-%s' "$(mdadm_version)"
}

mdadm_patched_entry() {
	printf 'mdadm-patched-%s-%s-%s' "$(mdadm_version)" "$(root_key)" \
		"$(cat "$repo"/patches/mdadm/*.patch "$repo/scripts/build-mdadm" | sha256sum | cut -c1-12)"
}

# Kernels built here, each of scripts/NAME.config.
own_kernels=(debug kcsan)

is_own() {
	[[ " ${own_kernels[*]} " == *" $1 "* ]]
}

# own_config NAME: its options. A file with the line `# base: FILE` holds what is otherwise than there.
own_config() {
	local file=$repo/scripts/$1.config base
	base=$(sed -n 's/^# base: *//p' "$file")
	[ -z "$base" ] || data "$repo/scripts/$base" | grep -vE "^($(data "$file" | cut -d= -f1 | paste -sd'|'))="
	data "$file"
}

own_entry() {
	printf '%s-%s-%s-%s' "$1" "$(root_key)" "$(own_config "$1" | sha256sum | cut -c1-8)" "$(kernel_release)"
}

# Its build tree, what KDIR names for it, with the image `vmlinux`; lib/modules/R is in own_modules.
own_tree() {
	printf '%s/%s/build' "$cache" "$(own_entry "$1")"
}

own_modules() {
	printf '%s/%s/modules' "$cache" "$(own_entry "$1")"
}

# target NAME: the kernel that modules are built for, stock or one of own_kernels. Sets target_release, target_tree,
# its build tree, target_make, what make has to be told, and target_key, which changes with the tree.
# shellcheck disable=SC2034 # the callers read them
target() {
	if [ "$1" = stock ]; then
		target_release=$(kernel_release)
		target_tree=$(tree_dir)
		target_key=$(tree_entry)
		target_make=(LOCALVERSION="$(local_version "$target_release")")
	else
		target_tree=$(own_tree "$1")
		target_release=$(cat "$target_tree/include/config/kernel.release")
		target_key=$(own_entry "$1")
		target_make=(LLVM=1)
	fi
}

root_dir() {
	printf '%s/%s/fs' "$cache" "$(root_entry)"
}

kernel_dir() {
	printf '%s/%s' "$cache" "$(kernel_entry)"
}

# The prepared build tree, what KDIR names.
tree_dir() {
	printf '%s/%s/build' "$cache" "$(tree_entry)"
}

# local_version RELEASE: `+deb13-amd64` of `7.3.4+deb13-amd64`.
local_version() {
	printf '%s' "${1#"${1%%[!0-9.]*}"}"
}

# The source package of RELEASE's series, `linux-source-7.3` of `7.3.4+deb13-amd64`.
source_package() {
	local series=${1%%+*}
	printf 'linux-source-%s' "${series%.*}"
}

# kernel_source DIR: the source of a build tree: itself, or what a build in a directory of its own names.
kernel_source() {
	local included
	if [ -e "$1/Kconfig" ]; then
		printf '%s' "$1"
	elif [ -e "$1/source/Kconfig" ]; then
		(cd -- "$1/source" && pwd -P)
	else
		included=$(sed -n 's/^include \(\/.*\)\/Makefile$/\1/p' "$1/Makefile" 2>/dev/null | head -n 1) || :
		printf '%s' "${included:-$1}"
	fi
}

# apply_patches DIR WHAT PATCH...: to the source in DIR, without fuzz; WHAT ends the message if one does not fit.
apply_patches() {
	local dir=$1 what=$2 patch said number
	shift 2
	for patch; do
		said=$(patch --directory="$dir" --strip=1 --fuzz=0 --forward --no-backup-if-mismatch \
			--reject-file=- --input="$patch" 2>&1) && continue
		printf '%s\n' "$said" >&2
		number=$(sed -n 's/^Hunk #\([0-9]*\) \(FAILED\|ignored\).*/\1/p' <<<"$said" | head -n 1)
		die "${patch#"$repo/"}${number:+, hunk $number,} does not apply to $what"
	done
}

# How this process gets the powers of root that mounting and chroot need; sets `become`.
# Root needs nothing. An ordinary user needs a user namespace with a range of ids.
# shellcheck disable=SC2034 # the caller reads it
become_root() {
	become=()
	need unshare util-linux
	need setpriv util-linux
	if [ "$(id -u)" -eq 0 ]; then
		unshare --mount true 2>/dev/null ||
			die "this root may not make mount namespaces (a container?): it needs the capability CAP_SYS_ADMIN"
		return
	fi
	local me
	me=$(id -un)
	need newuidmap uidmap
	unshare --help | grep -- --map-auto >/dev/null ||
		die "unshare is too old to run as an ordinary user (util-linux 2.38 is needed): run as root"
	grep -qsE "^($me|$(id -u)):" /etc/subuid ||
		die "no range for $me in /etc/subuid: run 'sudo usermod --add-subuids 100000-165535 $me', or run as root"
	grep -qsE "^($me|$(id -u)):" /etc/subgid ||
		die "no range for $me in /etc/subgid: run 'sudo usermod --add-subgids 100000-165535 $me', or run as root"
	if ! unshare --user --map-auto --map-root-user true 2>/dev/null; then
		[ "$(cat /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null)" != 0 ] ||
			die "user namespaces are disabled: run 'sudo sysctl kernel.unprivileged_userns_clone=1', or run as root"
		[ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null)" != 0 ] ||
			die "user namespaces are disabled: run 'sudo sysctl user.max_user_namespaces=10000', or run as root"
		[ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" != 1 ] ||
			die "user namespaces are restricted: run 'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0', or run as root"
		die "a user namespace cannot be made here: $(unshare --user --map-auto --map-root-user true 2>&1 | head -n 1); run as root"
	fi
	become=(unshare --user --map-auto --map-root-user)
}
