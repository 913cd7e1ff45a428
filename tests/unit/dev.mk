# What a guest sees, natively: devices, CPUID, MSRs, loaders. Random sequences and broken images: tests/fuzz.
DEV_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
DEV_TEST_CFLAGS := -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(DEV_TEST_SANITIZE)

UNIT_TESTS += dev
dev_SRCS := $(addprefix tests/unit/dev_,main.c machine.c vm.c uart.c apic.c timer.c legacy.c ports.c virtio.c balloon.c \
            acpi.c cpuid.c msr.c) tests/unit/host_env.c hv/mem/direct.c $(wildcard hv/dev/*.c) \
            hv/vm/guest_cpuid.c hv/vm/guest_msr.c hv/vm/kvmclock.c
dev_CFLAGS := $(DEV_TEST_CFLAGS)
dev_LIBS := -lcmocka $(DEV_TEST_SANITIZE)
