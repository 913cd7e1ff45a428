# The guest kernels that Tithe's tests run: mite and the Multiboot test kernels.

MITE_DIR := guest-tools/mite
TESTKERNELS_DIR := guest-tools/testkernels
MITE_OUT := $(BUILD)/guest
MITE_OBJ := $(MITE_OUT)/obj

MITE_CFLAGS := $(CFLAGS) -m32 -march=i686 -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fcf-protection=none -fno-tree-loop-distribute-patterns \
    -mgeneral-regs-only
MITE_LDFLAGS := -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
    -Wl,--no-warn-rwx-segments -Wl,-T,$(MITE_DIR)/mite.ld

# What every guest kernel is linked with.
MITE_BASE := start.S console.c memory.c trap.c
MITE_BASE_OBJS := $(patsubst %,$(MITE_OBJ)/mite/%.o,$(MITE_BASE))

MITE_SRCS := $(filter-out $(MITE_BASE),$(notdir $(wildcard $(MITE_DIR)/*.[cS])))
MITE_OBJS := $(MITE_BASE_OBJS) $(patsubst %,$(MITE_OBJ)/mite/%.o,$(MITE_SRCS))

MBINFO_OBJS := $(MITE_BASE_OBJS) $(MITE_OBJ)/testkernels/mbinfo.c.o
LEGACY_OBJS := $(MITE_BASE_OBJS) $(patsubst %,$(MITE_OBJ)/mite/%.o,apic.c clock.c text.c) \
    $(MITE_OBJ)/testkernels/legacy.c.o
SMP_OBJS := $(MITE_BASE_OBJS) $(patsubst %,$(MITE_OBJ)/mite/%.o,ap.S apic.c clock.c madt.c power.c smp.c text.c) \
    $(patsubst $(TESTKERNELS_DIR)/%,$(MITE_OBJ)/testkernels/%.o,$(wildcard $(TESTKERNELS_DIR)/smp*.c))
STALE_OBJS := $(MITE_BASE_OBJS) $(patsubst %,$(MITE_OBJ)/mite/%.o,ap.S apic.c clock.c madt.c smp.c text.c virtio.c) \
    $(MITE_OBJ)/testkernels/stale.c.o

MITE_KERNELS := $(patsubst %,$(MITE_OUT)/%.elf,mite mbinfo legacy smp stale)

test-host: $(MITE_KERNELS)

$(MITE_OUT)/mite.elf: $(MITE_OBJS)
$(MITE_OUT)/mbinfo.elf: $(MBINFO_OBJS)
$(MITE_OUT)/legacy.elf: $(LEGACY_OBJS)
$(MITE_OUT)/smp.elf: $(SMP_OBJS)
$(MITE_OUT)/stale.elf: $(STALE_OBJS)
$(MITE_KERNELS): $(MITE_DIR)/mite.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(MITE_LDFLAGS) -o $@ $(filter %.o,$^)

$(MITE_OBJ)/testkernels/%.c.o: $(TESTKERNELS_DIR)/%.c $(MITE_DIR)/mite.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MITE_CFLAGS) -I$(MITE_DIR) $(DEPFLAGS) -c -o $@ $<

$(MITE_OBJ)/mite/%.c.o: $(MITE_DIR)/%.c $(MITE_DIR)/mite.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MITE_CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(MITE_OBJ)/mite/%.S.o: $(MITE_DIR)/%.S $(MITE_DIR)/mite.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MITE_CFLAGS) $(DEPFLAGS) -c -o $@ $<

-include $(sort $(patsubst %.o,%.d,$(MITE_OBJS) $(MBINFO_OBJS) $(LEGACY_OBJS) $(SMP_OBJS) $(STALE_OBJS)))
