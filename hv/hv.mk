# The hypervisor core. Two builds of the same sources: build/hv/tithe.elf with every check, for tests and daily use, and
# build/hv-release/tithe.elf without them, for measurements.

# hv/steward is the ring-3 program's, save for its half in the core.
HV_DIRS ?= $(filter-out hv/steward hv/steward/% hv/include hv/include/%,$(shell find hv -mindepth 1 -type d)) hv/steward/core
HV_SRCS := $(sort $(wildcard $(HV_DIRS:%=%/*.c) $(HV_DIRS:%=%/*.S)))

HV_FLAGS := -Ihv -Ihv/include -ffreestanding -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic -fno-pie \
    -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none -fno-common
HV_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 \
    -Wl,-T,hv/boot/tithe.ld

# LZ4, for the compression tier: Debian's, one object of its archive, and only while it keeps to what hv/x86/lz4.c provides for.
HV_LZ4 := $(BUILD)/hv/lz4.o
$(HV_LZ4): $(wildcard $(shell $(CC) -print-file-name=liblz4.a)) hv/hv.mk
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)ar p $$($(CC) -print-file-name=liblz4.a) lz4.o >$@
	$(Q)! objdump -d --no-show-raw-insn $@ | grep -E '%[yz]mm|%mm[0-7]|%st|mxcsr|%gs|%fs:[^0]|%fs:0x([^2]|2[^8])'

# $(call hv_build,directory,flags)
define hv_build
$(1)_OBJS := $$(HV_SRCS:%=$(1)/obj/%.o)
$$($(1)_OBJS): $(1)/obj/%.o: % hv/hv.mk
	$$(call say,CC,$$<)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$(HV_FLAGS) $(2) $$(DEPFLAGS) -c -o $$@ $$<
# Linked twice: the table of function names, for backtraces, comes behind the text and so does not move it.
$(1)/tithe.elf: $$($(1)_OBJS) $$(HV_LZ4) hv/boot/tithe.ld hv/x86/symbols.sh
	$$(call say,LD,$$@)
	$$(Q)sh hv/x86/symbols.sh </dev/null >$(1)/symbols0.S
	$$(Q)$$(CC) $$(HV_FLAGS) $$(HV_LDFLAGS) -o $(1)/pass1.elf $(1)/symbols0.S $$($(1)_OBJS) $$(HV_LZ4)
	$$(Q)nm -n $(1)/pass1.elf | sh hv/x86/symbols.sh >$(1)/symbols.S
	$$(Q)$$(CC) $$(HV_FLAGS) $$(HV_LDFLAGS) -o $$@ $(1)/symbols.S $$($(1)_OBJS) $$(HV_LZ4)
-include $$($(1)_OBJS:.o=.d)
endef
$(eval $(call hv_build,$(BUILD)/hv,-DTITHE_DEBUG))
$(eval $(call hv_build,$(BUILD)/hv-release,))

.PHONY: hv
hv: $(BUILD)/hv/tithe.elf ## build the hypervisor core alone
