# hv/mem, natively: unit tests, and a long random run against a reference model. Its misuse panics are tested, too.
MEM_TEST_SRCS := $(wildcard hv/mem/*.c) tests/unit/host_env.c
# What has no swap, has these instead of a disk.
MEM_TEST_NO_SWAP := tests/unit/swap_stubs.c
MEM_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
MEM_TEST_CFLAGS := -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(MEM_TEST_SANITIZE)

UNIT_TESTS += mem
mem_SRCS := tests/unit/mem_main.c tests/unit/mem_tables.c tests/unit/mem_frame.c tests/unit/mem_pt.c tests/unit/mem_host_map.c \
            tests/unit/mem_p2m.c tests/unit/mem_ledger.c tests/unit/mem_share.c $(MEM_TEST_SRCS) $(MEM_TEST_NO_SWAP)
mem_CFLAGS := $(MEM_TEST_CFLAGS)
mem_LIBS := -lcmocka $(MEM_TEST_SANITIZE)

UNIT_TESTS += mem_property
mem_property_SRCS := tests/unit/mem_property.c tests/unit/mem_model.c tests/unit/reference.c $(MEM_TEST_SRCS) $(MEM_TEST_NO_SWAP)
mem_property_CFLAGS := $(MEM_TEST_CFLAGS)
mem_property_LIBS := $(MEM_TEST_SANITIZE)

UNIT_TESTS += mem_sample
mem_sample_SRCS := tests/unit/mem_sample.c $(MEM_TEST_SRCS) $(MEM_TEST_NO_SWAP)
mem_sample_CFLAGS := $(MEM_TEST_CFLAGS)
mem_sample_LIBS := -lcmocka $(MEM_TEST_SANITIZE)

# The walker alone, all formats; `make build/tests/fuzz/mem_walker` makes the fuzzer.
UNIT_TESTS += mem_walker
MEM_WALKER_SRCS := tests/fuzz/mem_walker.c tests/unit/mem_tables.c tests/unit/host_env.c \
                   $(wildcard hv/mem/pt*.c) hv/mem/direct.c
mem_walker_SRCS := tests/fuzz/mem_walker_random.c $(MEM_WALKER_SRCS)
mem_walker_CFLAGS := $(MEM_TEST_CFLAGS)
mem_walker_LIBS := -lcmocka $(MEM_TEST_SANITIZE)
$(BUILD)/tests/fuzz/mem_walker: $(MEM_WALKER_SRCS)
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -Ihv -Ihv/include -Itests/unit -o $@ $^ -lcmocka

# The flush protocol: a model of it, and threads that use it.
UNIT_TESTS += mem_tlb_model
mem_tlb_model_SRCS := tests/unit/mem_tlb_model.c
mem_tlb_model_LIBS :=

UNIT_TESTS += mem_threads
mem_threads_SRCS := tests/unit/mem_threads.c hv/x86/lock.c $(MEM_TEST_SRCS) $(MEM_TEST_NO_SWAP)
mem_threads_CFLAGS := -Itests/unit/mem_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG -fsanitize=thread
mem_threads_LIBS := -fsanitize=thread -pthread

# Sharing, by threads. Whole pages are read while guests write to them: there, races are none.
UNIT_TESTS += mem_share_threads
mem_share_threads_SRCS := tests/unit/mem_share_threads.c hv/x86/lock.c $(MEM_TEST_SRCS) $(MEM_TEST_NO_SWAP)
mem_share_threads_CFLAGS := -Itests/unit/mem_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG -fsanitize=thread
mem_share_threads_LIBS := -fsanitize=thread -pthread
$(BUILD)/tests/unit/mem_share_threads.d/hv/mem/page_hash.c.o: mem_share_threads_CFLAGS += -fno-sanitize=thread

# The scanner's speed, and how much it finds: for tests/bench.
$(BUILD)/tests/share_bench: tests/unit/share_bench.c tests/unit/host_env.c $(MEM_TEST_NO_SWAP) $(wildcard hv/mem/*.c) $(wildcard hv/mem/*.h)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Ihv -Ihv/include -Itests/unit -o $@ $(filter %.c,$^)

# Where pages came from: guests, their disks and swap, and an exact reference.
UNIT_TESTS += origin_property
origin_property_SRCS := tests/unit/origin_property.c tests/unit/reference.c tests/unit/page_codec.c $(MEM_TEST_SRCS)
origin_property_CFLAGS := $(MEM_TEST_CFLAGS)
origin_property_LIBS := $(MEM_TEST_SANITIZE) -llz4

# The store of compressed pages, against an exact model.
UNIT_TESTS += mem_store
mem_store_SRCS := tests/unit/mem_store.c tests/unit/reference.c $(MEM_TEST_SRCS) $(MEM_TEST_NO_SWAP)
mem_store_CFLAGS := $(MEM_TEST_CFLAGS)
mem_store_LIBS := $(MEM_TEST_SANITIZE)

# All that hv/mem can do with several VMs, as plans ask for it: parts of hv/vm are in it.
UNIT_TESTS += verbs_property
verbs_property_SRCS := $(addprefix tests/unit/,verbs_property.c verbs_core.c verbs_guest.c verbs_device.c verbs_disk.c \
                         verbs_compare.c verbs_stubs.c reference.c page_codec.c) $(MEM_TEST_SRCS) \
                       $(addprefix hv/vm/,plan.c work.c paging.c vm_disk.c vm_life.c vm_move.c vm_table.c)
verbs_property_CFLAGS := -Itests/unit/vm_host $(MEM_TEST_CFLAGS)
verbs_property_LIBS := $(MEM_TEST_SANITIZE) -Wl,--wrap=origin_overwrite,--wrap=origin_start -llz4
