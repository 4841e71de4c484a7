# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For what runs in the build root and makes a system that a test boots. Sourced; the caller has set `repo`,
# `dir`, a directory of its own, and `view`, where it sees the system.
# shellcheck disable=SC2154 # these

# overlay LOWER NAME PLACE: a writable layer over LOWER, at PLACE.
overlay() {
	local options=lowerdir=$1,upperdir=$dir/$2-upper,workdir=$dir/$2-work
	mkdir -p "$dir/$2-upper" "$dir/$2-work" "$3"
	# The second way is for an ordinary user.
	mount -t overlay overlay -o "$options" "$3" 2>/dev/null || mount -t overlay overlay -o "$options,userxattr" "$3"
}

# places: what a system needs to run programs in it.
places() {
	local place
	export TMPDIR=/tmp
	for place in proc dev sys; do mount --rbind "/$place" "$view/$place"; done
	mount -t tmpfs tmpfs "$view/run"
	mount -t tmpfs tmpfs "$view/tmp"
}

# closure PACKAGE...: with all that they depend on.
closure() {
	# shellcheck disable=SC2016 # dpkg's and awk's own
	dpkg-query --root="$view" -W -f '${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n' | awk -F '\t' -v wanted="$*" '
		function names(list, out,   n, i) {
			n = split(list, out, /[,|] */)
			for (i = 1; i <= n; i++) {
				sub(/^ */, "", out[i])
				sub(/[ :(].*/, "", out[i])
			}
			return n
		}
		{
			there[$1] = 1
			needs[$1] = $3
			n = names($2, provided)
			for (i = 1; i <= n; i++) provider[provided[i]] = $1
		}
		function take(name,   list, n, i) {
			if (!(name in there)) name = provider[name]
			if (name == "" || name in taken) return
			taken[name] = 1
			print name
			n = names(needs[name], list)
			for (i = 1; i <= n; i++) take(list[i])
		}
		END { n = split(wanted, list, " "); for (i = 1; i <= n; i++) take(list[i]) }'
}

# tree PACKAGE... -- FILE...: a root file system in $dir/tree, with what these packages need and FILE... beside,
# whose first program is tests/boot/init, and with data that can be checked.
tree() {
	local named=() packages
	while [ "$1" != -- ]; do
		named+=("$1")
		shift
	done
	shift
	mapfile -t packages < <(closure base-files base-passwd bash dash coreutils util-linux mount kmod grep sed gawk procps \
		e2fsprogs "${named[@]}")
	mkdir "$dir/tree"
	{
		dpkg-query --root="$view" -L "${packages[@]}" | grep -vE '^/\.$|^/usr/share/(doc|man|info|locale|lintian|bug|zoneinfo)/'
		printf '%s\n' /etc/{passwd,group,fstab,hostname,ld.so.cache,mdadm/mdadm.conf,alternatives/awk} /usr/bin/{awk,sh} "$@"
	} | LC_ALL=C sort -u | sed 's,^/,./,' | (
		cd "$view" || exit
		while read -r file; do
			if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\n' "$file"; fi
		done | tar --create --no-recursion --files-from=-
	) | tar --extract -C "$dir/tree"
	mkdir -p "$dir/tree"/{proc,sys,dev,run,tmp,out,data}
	install "$repo/tests/boot/init" "$dir/tree/usr/sbin/init"
	install -D -m 644 "$repo/tests/selftests/lib.sh" "$dir/tree/usr/lib/boot-test/lib.sh"
	head -c 8M /dev/urandom >"$dir/tree/data/pattern"
	(cd "$dir/tree/data" && sha256sum pattern >sum)
}
