# hv/drv's disks, natively, on a simulated controller; disk_host/ has what only a real machine can give.
DISK_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
DISK_TEST_CFLAGS := -Itests/unit/disk_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(DISK_TEST_SANITIZE)

UNIT_TESTS += disk
disk_SRCS := tests/unit/disk_main.c tests/unit/disk_machine.c tests/unit/host_env.c hv/mem/direct.c hv/lib/crc32.c \
             $(addprefix hv/drv/,disk.c disk_scan.c gpt.c ide.c pci.c)
disk_CFLAGS := $(DISK_TEST_CFLAGS)
disk_LIBS := $(DISK_TEST_SANITIZE)

# The partition table alone; `make build/tests/fuzz/gpt` makes the fuzzer.
UNIT_TESTS += gpt_fuzz
GPT_FUZZ_SRCS := tests/fuzz/gpt.c hv/drv/gpt.c hv/lib/crc32.c
gpt_fuzz_SRCS := tests/fuzz/gpt_replay.c $(GPT_FUZZ_SRCS)
gpt_fuzz_CFLAGS := -Ihv -Ihv/include $(DISK_TEST_SANITIZE)
gpt_fuzz_LIBS := $(DISK_TEST_SANITIZE)
$(BUILD)/tests/fuzz/gpt: $(GPT_FUZZ_SRCS)
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Ihv -Ihv/include -o $@ $^
