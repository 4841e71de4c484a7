# SPDX-License-Identifier: GPL-2.0-or-later
#
# For people. Kbuild is what the kernel's build system reads.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := modules

# Kbuild's own variables, handed on where they are set.
kbuild_args := $(foreach v,LLVM V W KCFLAGS CLIPPY CC,$(if $($(v)),$(if $(filter command line environment,$(origin $(v))),$(v)=$($(v)))))

.PHONY: modules current install clean check test demo bench profile help

ifneq ($(KDIR),)

# Against a tree of the user's, with the tools of this machine.
kdir := $(abspath $(KDIR))
output := $(or $(OUTPUT),$(CURDIR)/build/kdir/$(notdir $(kdir))-$(firstword $(shell printf '%s' '$(kdir)' | cksum)))

modules current:
	@scripts/check-kdir '$(kdir)' $(kbuild_args)
	@mkdir -p '$(output)'
	@+$(MAKE) --no-print-directory -C '$(kdir)' M='$(CURDIR)' MO='$(output)' $(kbuild_args) modules
	@echo 'built $(output)/md_multipath.ko'

install: modules
	@scripts/install '$(output)/md_multipath.ko' "$$(cat '$(kdir)/include/config/kernel.release')"

else

# Against the stock kernel, in the build root.
modules:
	@scripts/prepare all
	@scripts/build-stock $(kbuild_args)

# As `modules`, but silent, and at once where nothing has changed: for the scripts.
current:
	@scripts/build-stock --if-changed

install: modules
	@. scripts/lib.sh; scripts/install "build/$$(kernel_release)/md_multipath.ko" "$$(kernel_release)"

endif

clean:
	rm -rf build

check:
	@scripts/check

test:
	@tests/run $(T)

demo:
	@scripts/demo

bench:
	@bench/run

profile:
	@bench/profile

help:
	@echo 'make                   build the module for the stock Debian kernel'
	@echo 'make KDIR=DIR          build it for a prepared kernel build tree (LLVM=1 where that is clang-built)'
	@echo 'make install [KDIR=…]  install it for that kernel (INSTALL_MOD_PATH=DIR: below DIR)'
	@echo 'make check             format, lints and rules'
	@echo 'make test [T=NAME]     all tests, or one'
	@echo 'make demo              a multipath array in a virtual machine, narrated'
	@echo 'make bench             benchmark table'
	@echo 'make profile           instructions of one I/O by function'
	@echo 'make clean             remove build/ (scripts/prepare --clean looks after the cache)'
