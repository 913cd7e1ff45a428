# What a guest sees, natively: devices, CPUID, MSRs, loaders. Random sequences and broken images: tests/fuzz.
DEV_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
DEV_TEST_CFLAGS := -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(DEV_TEST_SANITIZE)

UNIT_TESTS += dev
dev_SRCS := $(addprefix tests/unit/dev_,main.c machine.c vm.c uart.c apic.c ipi.c timer.c legacy.c ports.c virtio.c balloon.c blk.c \
            acpi.c cpuid.c msr.c) tests/unit/host_env.c hv/mem/direct.c $(wildcard hv/dev/*.c) \
            hv/vm/guest_cpuid.c hv/vm/guest_msr.c hv/vm/kvmclock.c
dev_CFLAGS := $(DEV_TEST_CFLAGS)
dev_LIBS := -lcmocka $(DEV_TEST_SANITIZE)

UNIT_TESTS += load
LOAD_TEST_SRCS := tests/unit/load_guest.c tests/unit/host_env.c hv/mem/direct.c hv/vm/load.c hv/vm/load_linux.c hv/vm/load_multiboot.c
load_SRCS := tests/unit/load_main.c $(LOAD_TEST_SRCS)
load_CFLAGS := $(DEV_TEST_CFLAGS)
load_LIBS := -lcmocka $(DEV_TEST_SANITIZE)

# The same under random input. `make fuzz-dev` lets libFuzzer look for more and keeps what it finds in build/.
UNIT_TESTS += dev_fuzz
DEV_FUZZ_SRCS := tests/fuzz/dev_io.c tests/fuzz/dev_load.c tests/unit/dev_machine.c tests/unit/dev_virtio.c tests/unit/load_guest.c \
                 tests/unit/host_env.c hv/mem/direct.c $(wildcard hv/dev/*.c) hv/vm/load.c hv/vm/load_linux.c hv/vm/load_multiboot.c
dev_fuzz_SRCS := tests/fuzz/dev_replay.c $(DEV_FUZZ_SRCS)
dev_fuzz_CFLAGS := $(DEV_TEST_CFLAGS) -Itests/fuzz
dev_fuzz_LIBS := -lcmocka $(DEV_TEST_SANITIZE)

FUZZ_SECONDS ?= 60
.PHONY: fuzz-dev
fuzz-dev: ## fuzz devices and loaders for FUZZ_SECONDS each
	$(Q)mkdir -p $(BUILD)/fuzz/dev_io.found $(BUILD)/fuzz/dev_load.found
	$(Q)for t in io load; do \
	    clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Ihv -Ihv/include -Itests/unit -Itests/fuzz \
	        -DTITHE_DEBUG -DFUZZ_TARGET=fuzz_$$t -o $(BUILD)/fuzz/dev_$$t tests/fuzz/dev_libfuzzer.c $(DEV_FUZZ_SRCS) -lcmocka && \
	    $(BUILD)/fuzz/dev_$$t -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -print_final_stats=1 \
	        $(BUILD)/fuzz/dev_$$t.found tests/fuzz/dev_corpus/$$t || exit 1; \
	done
