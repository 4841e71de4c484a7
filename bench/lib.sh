# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What bench/run and bench/profile share. Sourced after scripts/lib.sh.

# shellcheck disable=SC2154 # scripts/lib.sh sets it
built=$repo/bench/out/build

# compile SOURCE RESULT OPTION...: in the build root, if SOURCE is newer.
compile() {
	local source=$repo/bench/$1 result=$built/$2
	shift 2
	mkdir -p "$built"
	[ "$source" -nt "$result" ] || return 0
	"$repo/scripts/enter" --bind-rw "$built" -- gcc -O2 -Wall -Wextra "$@" -o "$result" "$source" ||
		die "$source does not compile"
}

build_io() {
	compile io.c io -static
	compile inflight.c inflight -static
}

build_count() {
	compile count.c count.so -shared -fPIC -fvisibility=hidden
}

# The stock kernel is built without md-linear; its source is in the kernel's source package.
build_linear() {
	local dir=$built/linear source
	source=$(kernel_dir)/source/drivers/md/md-linear.c
	[ -f "$source" ] || die "no $source: this kernel has no md-linear to compare with"
	if [ -s "$dir/linear.ko" ] && [ "$(cat "$dir/tree" 2>/dev/null)" = "$(tree_entry)" ]; then return; fi
	mkdir -p "$dir"
	cp "$source" "$dir/md-linear.c"
	# shellcheck disable=SC2016 # for make
	printf '%s\n' 'obj-m := linear.o' 'linear-y := md-linear.o' 'ccflags-y := -I$(srctree)/drivers/md' >"$dir/Kbuild"
	step "md-linear" "$built/linear.log" "$repo/scripts/enter" --bind-rw "$dir" -- \
		make --no-print-directory -C "$(tree_dir)" M="$dir" LOCALVERSION="$(local_version "$(kernel_release)")" modules ||
		die "md-linear does not build"
	tree_entry >"$dir/tree"
}

# record_host FILE: what the figures depend on and the guest does not know.
record_host() {
	local tree
	tree=$(tree_dir)
	{
		printf '{"commit": "%s",\n' "$(git -c safe.directory="$repo" -C "$repo" describe --always --dirty 2>/dev/null || echo unknown)"
		printf ' "config_sha256": "%s",\n' "$(sha256sum <"$tree/.config" | cut -d' ' -f1)"
		printf ' "cc": "%s",\n' "$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\(.*\)"/\1/p' "$tree/.config")"
		printf ' "rustc": "%s",\n' "$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\(.*\)"/\1/p' "$tree/.config")"
		printf ' "qemu": "%s",\n' "$("$repo/scripts/enter" -- qemu-system-x86_64 --version | head -n 1)"
		printf ' "module_bytes": %s}\n' "$(stat -c %s "$repo/build/$(kernel_release)/md_multipath.ko")"
	} >"$1"
}
