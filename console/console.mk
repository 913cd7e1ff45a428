# The console: the program of the build host. hv/steward/wire is compiled into it as it is into the steward.

CONSOLE_WIRE := hv/steward/wire
CONSOLE_SRCS := $(wildcard console/*.c) $(wildcard $(CONSOLE_WIRE)/*.c)
CONSOLE_OBJS := $(CONSOLE_SRCS:%.c=$(BUILD)/console/obj/%.o)
CONSOLE_CFLAGS := -D_GNU_SOURCE -Iconsole -I$(CONSOLE_WIRE) -Ihv/include -I/usr/include/lua5.4
CONSOLE_LIBS := -lcbor -llua5.4 -lncursesw -lz -lm

$(CONSOLE_OBJS): $(BUILD)/console/obj/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CONSOLE_CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(BUILD)/console/tithe: $(CONSOLE_OBJS)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(CONSOLE_OBJS) $(CONSOLE_LIBS)

-include $(CONSOLE_OBJS:.o=.d)
