# The steward: a static program, the same for ring 3 and for the build host.

STEWARD := $(BUILD)/steward
STEWARD_SRCS := $(wildcard hv/steward/*.c hv/steward/wire/*.c hv/steward/lua/*.c hv/steward/sim/*.c)
STEWARD_SRCS := $(filter-out hv/steward/so_to_asm.c,$(STEWARD_SRCS))
STEWARD_OBJS := $(STEWARD_SRCS:%.c=$(STEWARD)/%.o) $(STEWARD)/library.o $(STEWARD)/libcbor.o
STEWARD_CFLAGS := -D_GNU_SOURCE -Ihv/include -Ihv/steward -Ihv/steward/wire -I/usr/include/lua5.4 -fno-pie
LUA_LIBRARY := $(wildcard policy-lua/lib/*.lua)

# Debian has libcbor only as a shared object, and the steward has no loader: see so_to_asm.c. Its segments go below
# the program's own.
LIBCBOR_SO = $(realpath $(shell $(CC) -print-file-name=libcbor.so))
LIBCBOR_BASE := 0x400000
STEWARD_LDFLAGS := -static -no-pie -Wl,-Ttext-segment=0x500000 -Wl,-z,noexecstack

$(STEWARD)/so_to_asm: hv/steward/so_to_asm.c
	$(call say,HOSTCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $<

$(STEWARD)/libcbor.s: $(STEWARD)/so_to_asm
	$(call say,GEN,$@)
	$(Q)$< $(LIBCBOR_SO) $(LIBCBOR_BASE) $@ $(STEWARD)/libcbor.opts

$(STEWARD)/library.s: hv/steward/embed.sh $(LUA_LIBRARY) policy-lua/lib
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)hv/steward/embed.sh policy-lua > $@

$(STEWARD)/%.o: $(STEWARD)/%.s
	$(call say,AS,$<)
	$(Q)$(CC) -c -o $@ $<

$(STEWARD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(STEWARD_CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(STEWARD)/steward: $(STEWARD_OBJS)
	$(call say,LD,$@)
	$(Q)$(CC) $(STEWARD_LDFLAGS) -o $@ $^ @$(STEWARD)/libcbor.opts -llua5.4 -lz -lm

-include $(STEWARD_SRCS:%.c=$(STEWARD)/%.d)
