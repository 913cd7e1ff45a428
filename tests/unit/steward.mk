# Wire library: unit test and replay of the fuzz corpus, both under sanitizers. `make build/tests/fuzz/wire` makes the fuzzer.

WIRE_SRCS := $(wildcard hv/steward/wire/*.c)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined

UNIT_TESTS += test_wire test_wire_fuzz
test_wire_SRCS := tests/unit/test_wire.c $(WIRE_SRCS)
test_wire_CFLAGS := -Ihv/steward/wire $(SANITIZE)
test_wire_LIBS := -lcmocka -lcbor -lz $(SANITIZE)
test_wire_fuzz_SRCS := tests/fuzz/wire_replay.c tests/fuzz/wire.c $(WIRE_SRCS)
test_wire_fuzz_CFLAGS := -D_GNU_SOURCE -Ihv/steward/wire $(SANITIZE)
test_wire_fuzz_LIBS := -lcbor -lz $(SANITIZE)

$(BUILD)/tests/fuzz/wire: tests/fuzz/wire.c $(WIRE_SRCS)
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -Ihv/steward/wire -o $@ $^ -lcbor -lz
