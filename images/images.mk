# What the core boots with: one archive of modules, and one image for BIOS and UEFI.

# The core's own command line in the image.
CMDLINE ?=

# NAME=SOURCE of every module: what the steward, its policies and the guests are started from.
POLICIES := $(sort $(wildcard policy-lua/*.lua))
MODULES = steward=$(BUILD)/images/steward \
    images/vmlinuz=$(BUILD)/guest/vmlinuz images/initrd=$(BUILD)/guest/initrd \
    $(foreach k,$(MITE_KERNELS),images/$(basename $(notdir $(k)))=$(k)) \
    $(foreach p,$(POLICIES),policy/$(notdir $(p))=$(p))

# Its debug sections stay on the build host: the emulated firmware has enough to read.
$(BUILD)/images/steward: $(BUILD)/steward/steward
	$(Q)mkdir -p $(@D) && objcopy --strip-all $< $@

$(BUILD)/images/modules.cpio: images/mkmodules images/images.mk $(BUILD)/images/steward $(BUILD)/guest/vmlinuz \
                              $(BUILD)/guest/initrd $(MITE_KERNELS) $(POLICIES) policy-lua
	$(call say,CPIO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)images/mkmodules --output $@ $(MODULES)

# Made anew when the command line is another one than last time.
$(BUILD)/images/cmdline: FORCE
	$(Q)mkdir -p $(@D) && printf '%s\n' '$(CMDLINE)' | cmp -s - $@ || printf '%s\n' '$(CMDLINE)' > $@

$(BUILD)/images/tithe.iso: images/mkiso $(BUILD)/hv/tithe.elf $(BUILD)/images/modules.cpio $(BUILD)/images/cmdline
	$(call say,ISO,$@)
	$(Q)images/mkiso --output $@ --cmdline '$(CMDLINE)'

