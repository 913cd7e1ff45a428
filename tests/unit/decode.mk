# The instruction decoder, what it feeds, and guest-virtual addresses, natively.
UNIT_TESTS += decode interpret emulate
decode_SRCS := tests/unit/decode_test.c hv/vm/decode.c
decode_CFLAGS := -Ihv -Ihv/include -fsanitize=address,undefined -fno-sanitize-recover=all
decode_LIBS := -lcmocka -fsanitize=address,undefined

interpret_SRCS := tests/unit/decode_interpret.c hv/vm/decode.c hv/vm/gva.c hv/vm/interpret.c hv/vm/interpret_alu.c \
    hv/vm/interpret_mmio.c hv/vm/interpret_pio.c
interpret_CFLAGS := -mno-red-zone -Ihv -Ihv/include -fsanitize=address,undefined -fno-sanitize-recover=all
interpret_LIBS := -lcmocka -fsanitize=address,undefined

emulate_SRCS := tests/unit/emulate_test.c hv/vm/emulate.c
emulate_CFLAGS := -mno-red-zone -Ihv -Ihv/include -fsanitize=address,undefined -fno-sanitize-recover=all
emulate_LIBS := -lcmocka -fsanitize=address,undefined

# `make build/tests/fuzz/decode` makes the fuzzer.
$(BUILD)/tests/fuzz/decode: tests/fuzz/decode.c hv/vm/decode.c
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -Ihv -Ihv/include -o $@ $^
