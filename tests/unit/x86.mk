# hv/x86, natively: what reads the firmware's tables, and what two CPUs say to each other.
UNIT_TESTS += x86_acpi x86_tsc_sync
x86_acpi_SRCS := tests/unit/x86_acpi.c hv/x86/acpi.c
x86_acpi_CFLAGS := -Ihv -Ihv/include -fsanitize=address,undefined -fno-sanitize-recover=all
x86_acpi_LIBS := -lcmocka -fsanitize=address,undefined
x86_tsc_sync_SRCS := tests/unit/x86_tsc_sync.c hv/x86/tsc_sync.c
x86_tsc_sync_CFLAGS := -Ihv -Ihv/include -fsanitize=thread
x86_tsc_sync_LIBS := -lcmocka -fsanitize=thread
