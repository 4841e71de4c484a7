# SPDX-License-Identifier: GPL-2.0-or-later
#
# For people. Kbuild is what the kernel's build system reads.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := modules

# Kbuild's own variables, handed on where they are set. Of the environment Kbuild takes no CC.
kbuild_args := $(foreach v,LLVM V W KCFLAGS CLIPPY CC,$(if $($(v)),$(if $(filter command line $(if $(filter CC,$(v)),,environment),$(origin $(v))),'$(v)=$($(v))')))

# STOCK_MD=1: the kernel's md core stays as it is.
md := $(if $(STOCK_MD),,md-mod)

.PHONY: modules md-mod current install install-boot install-tool install-dkms mdadm install-mdadm deb clean check tool doc rust-analyzer test coverage soak demo bench profile bugreport help

ifneq ($(KDIR),)

# Against a tree of the user's, with the tools of this machine.
kdir := $(abspath $(KDIR))
output := $(or $(OUTPUT),$(CURDIR)/build/kdir/$(notdir $(kdir))-$(firstword $(shell printf '%s' '$(kdir)' | cksum)))

modules current:
	@scripts/check-kdir '$(kdir)' $(kbuild_args)
	@mkdir -p '$(output)'
	@+$(MAKE) --no-print-directory -C '$(kdir)' M='$(CURDIR)' MO='$(output)' $(kbuild_args) modules
	@echo 'built $(output)/md_multipath.ko'

md-mod:
	@+scripts/build-md --kdir '$(kdir)' --out '$(output)' $(kbuild_args)

install: modules $(md)
	@scripts/install "$$(cat '$(kdir)/include/config/kernel.release')" '$(output)/md_multipath.ko' $(md:%='$(output)/%.ko')

else

# Against the stock kernel, in the build root.
modules:
	@scripts/prepare all
	@scripts/build-stock $(kbuild_args)
	@$(if $(STOCK_MD),,scripts/build-md --if-changed)

md-mod:
	@scripts/prepare all
	@scripts/build-md

# As `modules`, but silent, and at once where nothing has changed: for the scripts.
build_current := scripts/build-stock --if-changed$(if $(STOCK_MD),,; scripts/build-md --if-changed)
current:
	@$(build_current)

# What `make` has built, maybe as another user, whose cache it is.
install:
	@. scripts/lib.sh; r=$$(built_release); export MD_MULTIPATH_KERNEL="$$r"; $(build_current); \
		scripts/install "$$r" "build/$$r/md_multipath.ko" $(md:%="build/$$r/%.ko")

endif

install-boot:
	@scripts/install-boot

install-tool:
	@scripts/install-tool

install-dkms:
	@scripts/install-dkms

mdadm:
	@scripts/build-mdadm
	@echo 'built build/patched-mdadm/mdadm'

install-mdadm:
	@scripts/install-mdadm

deb:
	@scripts/build-deb

clean:
	rm -rf build

check:
	@scripts/check

tool:
	@scripts/prepare root
	@scripts/build-tool
	@echo 'built build/tool/mdmultipath'

doc:
	@scripts/doc

rust-analyzer:
	@scripts/rust-analyzer

test:
	@$(if $(KERNELS),tests/kernels '$(KERNELS)',tests/run $(if $(KERNEL),--kernel '$(KERNEL)')) $(T)

coverage:
	@tests/host/coverage $(if $(HTML),--html)

soak:
	@tests/soak $(if $(EVENTS),--events '$(EVENTS)') $(if $(MINUTES),--minutes '$(MINUTES)') $(if $(SEED),--seed '$(SEED)') $(if $(POINTS),--points '$(POINTS)') $(if $(KERNEL),--kernel '$(KERNEL)') $(T)

demo:
	@scripts/demo

bench:
	@bench/run

profile:
	@bench/profile

bugreport:
	@scripts/bugreport $(if $(FILE),'$(FILE)')

help:
	@echo 'make                   build the module for the stock Debian kernel'
	@echo 'make KDIR=DIR          build it for a prepared kernel build tree (LLVM=1 where that is clang-built)'
	@echo 'make md-mod [KDIR=…]   build md core with patches/, for arrays with superblocks'
	@echo 'make install [KDIR=…]  install both, built before, for that kernel (INSTALL_MOD_PATH=DIR: below DIR; STOCK_MD=1: not md core)'
	@echo 'make install-boot      install the udev rule, and the initramfs parts (DESTDIR=DIR: below DIR)'
	@echo 'make install-tool      install mdmultipath, built before, its manual pages and completions (DESTDIR=DIR: below DIR)'
	@echo 'make install-dkms      install the modules'"'"' source for DKMS (DESTDIR=DIR: below DIR)'
	@echo 'make mdadm             build mdadm with patches/mdadm, in build/patched-mdadm'
	@echo 'make install-mdadm     install it, below /usr/local (DESTDIR=DIR: below DIR)'
	@echo 'make deb               Debian packages of all of it, in build/deb'
	@echo 'make tool              build mdmultipath, its manual page and completions, in build/tool'
	@echo 'make doc               the documentation of all layers, in build/doc'
	@echo 'make rust-analyzer     rust-project.json, for editors'
	@echo 'make check             format, lints and rules'
	@echo 'make test [T=NAME]     all tests, or one (KERNEL=debug: the selftests on a kernel that checks itself,'
	@echo '                       KERNEL=kcsan: on one that looks for data races;'
	@echo '                       KERNELS="7.2 7.3": on these, one after the other; T=package: the Debian packages)'
	@echo 'make coverage          what the tests on the host run of the driver (HTML=1: line by line)'
	@echo 'make soak [T=LANE]     long storms, calls at random, all power cuts (EVENTS=10000 a storm, MINUTES=90:'
	@echo '                       it ends after so long, SEED=, POINTS=100: so many power cuts of each phase, KERNEL=stock)'
	@echo 'make demo              a multipath array in a virtual machine, narrated'
	@echo 'make bench             benchmark table'
	@echo 'make profile           instructions of one I/O by function'
	@echo 'make bugreport         collect what a report of a problem needs (FILE=NAME)'
	@echo 'make clean             remove build/ (scripts/prepare --clean looks after the cache)'
