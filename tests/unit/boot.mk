# hv/boot, natively: everything that reads what a boot loader says.
UNIT_TESTS += boot
boot_SRCS := tests/unit/boot_test.c hv/boot/options.c hv/boot/memmap.c hv/boot/multiboot2.c hv/boot/pvh.c hv/boot/rsdp.c \
    hv/lib/fmt.c
boot_CFLAGS := -Ihv -Ihv/include -fsanitize=address,undefined -fno-sanitize-recover=all
boot_LIBS := -lcmocka -fsanitize=address,undefined
