# Scheduler and timers with several CPUs.
SCHED_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

UNIT_TESTS += sched
sched_SRCS := $(addprefix tests/unit/,sched_main.c sched_rules.c sched_model.c sched_fair.c sched_timer.c vm_cpus.c host_env.c) \
              hv/mem/direct.c hv/vm/sched.c hv/vm/timer.c
sched_CFLAGS := -Itests/unit/vm_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(SCHED_TEST_SANITIZE)
sched_LIBS := -lcmocka $(SCHED_TEST_SANITIZE)

# A thread for each CPU.
UNIT_TESTS += sched_threads
sched_threads_SRCS := tests/unit/sched_threads.c tests/unit/vm_cpus.c hv/vm/sched.c hv/vm/timer.c
sched_threads_CFLAGS := -Itests/unit/vm_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG -fsanitize=thread
sched_threads_LIBS := -lpthread -fsanitize=thread
