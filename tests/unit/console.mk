# The console's parts that need no machine, and a bad line to test the rest against.

UNIT_TESTS += console
console_SRCS := tests/unit/console_test.c console/size.c console/error.c console/options.c console/prompt_words.c \
                console/template.c console/loglines.c console/verdict.c console/platform.c console/files.c console/cpuline.c \
                console/envelope.c console/json.c $(wildcard hv/steward/wire/*.c)
console_CFLAGS := -D_GNU_SOURCE -Iconsole -Ihv/steward/wire -Ihv/include -fsanitize=address,undefined -fno-sanitize-recover=all
console_LIBS := -fsanitize=address,undefined -lcmocka -lcbor -lz

HOST_TEST_NEEDS += $(BUILD)/tests/console-proxy

$(BUILD)/tests/console-proxy: tests/unit/console_proxy.c hv/steward/wire/frame.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -D_GNU_SOURCE -Ihv/steward/wire -o $@ $^ -lz
