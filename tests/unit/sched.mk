# Scheduler and timers with several CPUs.
SCHED_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

UNIT_TESTS += sched
sched_SRCS := $(addprefix tests/unit/,sched_main.c sched_rules.c sched_fair.c vm_cpus.c host_env.c) \
              hv/mem/direct.c hv/vm/sched.c
sched_CFLAGS := -Itests/unit/vm_host -Ihv -Ihv/include -Itests/unit -DTITHE_DEBUG $(SCHED_TEST_SANITIZE)
sched_LIBS := -lcmocka $(SCHED_TEST_SANITIZE)
