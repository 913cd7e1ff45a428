# Life of VMs and steward, natively: what the core is asked by those it does not trust.
# vm_host/ has what only the real machine can give.
VM_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

UNIT_TESTS += vm
vm_SRCS := tests/unit/vm_main.c tests/unit/vm_calls.c tests/unit/vm_mgmt.c tests/unit/vm_life.c \
           tests/unit/host_env.c tests/unit/swap_stubs.c tests/unit/vm_cpus.c $(wildcard hv/mem/*.c) \
           hv/x86/user_space.c hv/steward/core/linux_calls.c hv/steward/core/policy_store.c \
           $(addprefix hv/vm/,sched.c timer.c mgmt.c image.c upload.c vm_life.c vcpu.c vm_table.c work.c) hv/lib/cpio.c
vm_CFLAGS := -Itests/unit/vm_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(VM_TEST_SANITIZE)
vm_LIBS := -lcmocka $(VM_TEST_SANITIZE)

# The worker against the life of VMs.
UNIT_TESTS += work_threads
work_threads_SRCS := tests/unit/work_threads.c hv/vm/work.c hv/vm/vm_table.c hv/lib/string.c
work_threads_CFLAGS := -Itests/unit/vm_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG -fno-builtin -fsanitize=thread
work_threads_LIBS := -lpthread -fsanitize=thread

# Sleep and wake-up of a vCPU, with a thread for its CPU and one for who wakes it.
UNIT_TESTS += vcpu_threads
vcpu_threads_SRCS := tests/unit/vcpu_threads.c hv/vm/vcpu.c
vcpu_threads_CFLAGS := -Ihv -Ihv/include -Itests/unit -D_GNU_SOURCE -fsanitize=thread
vcpu_threads_LIBS := -lpthread -fsanitize=thread
