# The Linux guest: Debian's kernel as it is, and an initramfs with a workload program.

KERNEL_CACHE := $(BUILD)/cache/kernel

# Downloaded once; `make distclean` forgets it.
$(KERNEL_CACHE)/.fetched: images/fetch-kernel
	$(call say,FETCH,$(KERNEL_CACHE))
	$(Q)images/fetch-kernel $(KERNEL_CACHE) && touch $@

$(BUILD)/guest/vmlinuz: $(KERNEL_CACHE)/.fetched
	$(Q)mkdir -p $(@D) && install -m 644 $(KERNEL_CACHE)/vmlinuz $@

# musl instead of glibc: 50 KB instead of 800, in the memory of every guest.
MEMLOAD_SRCS := $(wildcard guest-tools/linux/memload/*.c)
MEMLOAD_OBJS := $(MEMLOAD_SRCS:guest-tools/linux/%.c=$(BUILD)/guest/linux/%.o)

$(MEMLOAD_OBJS): $(BUILD)/guest/linux/%.o: guest-tools/linux/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)musl-gcc $(CFLAGS) -D_GNU_SOURCE -Os $(DEPFLAGS) -c -o $@ $<

$(BUILD)/guest/linux/memload/memload: $(MEMLOAD_OBJS)
	$(call say,LD,$@)
	$(Q)musl-gcc -static -s -o $@ $^

$(BUILD)/guest/initrd: guest-tools/linux/mkinitrd guest-tools/linux/init $(BUILD)/guest/linux/memload/memload \
                       $(KERNEL_CACHE)/.fetched
	$(call say,CPIO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)guest-tools/linux/mkinitrd --output $@ --modules $(KERNEL_CACHE)/modules --init guest-tools/linux/init \
	    --memload $(BUILD)/guest/linux/memload/memload

-include $(MEMLOAD_OBJS:.o=.d)

HOST_TEST_NEEDS += $(BUILD)/guest/linux/memload/memload
