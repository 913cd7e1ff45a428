# Tithe: one non-recursive makefile. Each part of the tree adds its rules in a fragment (hv/hv.mk and so on);
# everything that is made goes under build/. `make help` lists the targets, V=1 shows whole command lines.

BUILD := build
HW ?= auto
CC = gcc
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
# As many jobs as there are CPUs; a -j on the command line wins over this one.
MAKEFLAGS += -j$(shell nproc)

# For every fragment: the flags all C in the tree is compiled with (each part appends its own), and the quiet
# output. A rule is written as
#	$(call say,CC,$<)
#	$(Q)$(CC) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<
# and includes its dependency files with -include.
CFLAGS := -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror -O2 -g
DEPFLAGS = -MMD -MP
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

# A fresh machine has neither compiler nor libraries, and fragments may ask them questions while they are parsed.
# So the packages are installed by way of an included file: make brings it up to date before anything else, whenever
# the wish list or the package database has changed since, and then reads all fragments anew.
GOALS := $(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))
ifneq ($(filter-out help clean distclean deps,$(GOALS)),)
ifneq ($(DEPS),no)
include $(BUILD)/deps.mk
endif
endif
$(BUILD)/deps.mk: images/packages.txt $(wildcard /var/lib/dpkg/status)
	$(Q)images/deps $(if $(findstring n,$(firstword -$(MAKEFLAGS))),--check)
	$(Q)mkdir -p $(@D) && touch $@

include hv/hv.mk
include hv/steward/steward.mk
include console/console.mk
include guest-tools/mite/mite.mk
include guest-tools/linux/linux.mk
include images/images.mk
include tests/tests.mk

PRODUCTS := $(addprefix $(BUILD)/,hv/tithe.elf steward/steward console/tithe guest/mite.elf guest/vmlinuz guest/initrd \
                                  images/modules.cpio images/tithe.iso)

FORCE: # a prerequisite for what must be looked at every time
.PHONY: FORCE help deps all iso run test test-host bench format lint clean distclean

help: ## list the targets
	@echo "Targets (variables: HW=vtx|amd|kvm|auto, CMDLINE='...' for the core, V=1 for whole command lines):"
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r t d; do printf '  %-10s %s\n' "$$t" "$$d"; done

deps: ## install the Debian packages that are missing
	$(Q)images/deps

all: $(PRODUCTS) ## build everything (the default)

iso: $(BUILD)/images/tithe.iso ## build the bootable image, for BIOS and UEFI

run: all ## build, then run the demonstration on HW (auto: nested KVM if there is one, else the fastest)
	$(Q)$(BUILD)/console/tithe demo --hw $(HW)

test: all $(HOST_TEST_NEEDS) $(UNIT_PROGRAMS) ## run every test
	$(Q)tests/run-tests --tier all --json $(BUILD)/tests/results.json --summary $(BUILD)/tests/summary

test-host: $(HOST_TEST_NEEDS) $(UNIT_PROGRAMS) ## run the tests that need no emulator: under a minute
	$(Q)tests/run-tests --tier host --json $(BUILD)/tests/results-host.json

bench: all $(BUILD)/hv-release/tithe.elf $(BUILD)/tests/share_bench ## measure, print a table and write build/bench.json
	$(Q)tests/bench --json $(BUILD)/bench.json

C_FILES = $(shell find hv guest-tools console tests images -name '*.[ch]')

format: ## lay out all C as .clang-format says
	$(Q)clang-format -i $(C_FILES)

lint: ## check layout, Lua and file sizes
	$(Q)images/lint

clean: ## remove what was built, but keep the downloaded kernel package
	$(Q)if [ -d $(BUILD) ]; then find $(BUILD) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +; fi

distclean: ## remove everything that was built or downloaded
	$(Q)rm -rf $(BUILD)
