/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sim.h"
#include "text.h"

#define ARENA_BYTES  (20u * 1024 * 1024) /* data, bss and heap; the core gives as much */
#define NS_PER_MS    1000000ull
#define MAX_PAGES    (1ull << 28)
#define EXIT_CRASHED 1

static const char usage[] =
    "usage: steward --sim [vms=N] [drivers=N] [cpus=N] [pages=N] [seed=N] [tick-ms=N] [step-ms=N] [ticks=N] "
    "[policies=DIR]\n"
    "                     [test=0|1] [budget-ms=N] [restarts=N]\n"
    "\n"
    "Serves the management protocol on standard input and output for a simulated machine.\n"
    "\n"
    "  vms=N         VMs at the start (4), half as large again in all as the machine\n"
    "  drivers=N     so many of the first VMs have a balloon driver (all)\n"
    "  cpus=N        CPUs of the machine (1)\n"
    "  pages=N       memory of the machine in pages of 4096 bytes (65536)\n"
    "  seed=N        of the guests' behaviour (1)\n"
    "  tick-ms=N     simulated time between two ticks of the policy (1000)\n"
    "  step-ms=N     real time that a tick takes (1000); 0: as fast as can be\n"
    "  ticks=N       leave after so many waits (0: when the input ends)\n"
    "  policies=DIR  where the first policy, proportional.lua, and others lie (policy-lua)\n"
    "  test=1        tithe.test exists for policies\n"
    "  budget-ms=N   CPU time for policy code before the steward is killed (1000)\n"
    "  restarts=N    leave after so many deaths of the steward (0: never)\n";

static bool number_option(const char *argument, const char *name, uint64_t low, uint64_t high,
                          uint64_t *value)
{
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0 || argument[length] != '=') return false;
    const char *text = argument + length + 1;
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0 || *value < low || *value > high) {
        fprintf(stderr, "steward: %s is not a whole number from %llu to %llu\n", argument,
                (unsigned long long)low, (unsigned long long)high);
        exit(2);
    }
    return true;
}

static struct sim_options read_options(int argc, char **argv)
{
    struct sim_options o = {.vms = 4,
                            .drivers = UINT64_MAX,
                            .cpus = 1,
                            .pages = 65536,
                            .seed = 1,
                            .tick_ms = 1000,
                            .step_ms = 1000,
                            .budget_ms = 1000,
                            .policies = "policy-lua"};
    uint64_t vms = o.vms, test = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--sim") == 0) continue;
        if (strcmp(a, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        if (number_option(a, "vms", 0, TITHE_VMS_MAX, &vms) ||
            number_option(a, "drivers", 0, TITHE_VMS_MAX, &o.drivers) ||
            number_option(a, "cpus", 1, TITHE_CPUS_MAX, &o.cpus) ||
            number_option(a, "pages", 4096, MAX_PAGES, &o.pages) ||
            number_option(a, "seed", 0, UINT64_MAX, &o.seed) ||
            number_option(a, "tick-ms", 1, 3600000, &o.tick_ms) ||
            number_option(a, "step-ms", 0, 3600000, &o.step_ms) || number_option(a, "test", 0, 1, &test) ||
            number_option(a, "ticks", 0, UINT64_MAX, &o.ticks) ||
            number_option(a, "budget-ms", 1, 3600000, &o.budget_ms) ||
            number_option(a, "restarts", 0, UINT64_MAX, &o.restarts)) {
            continue;
        }
        if (strncmp(a, "policies=", 9) == 0) {
            o.policies = a + 9;
            continue;
        }
        fprintf(stderr, "steward: unknown option '%s'; 'steward --help' lists them\n", a);
        exit(2);
    }
    o.vms = (uint32_t)vms;
    o.test_mode = test != 0;
    return o;
}

static void add_image(struct sim *sim, const char *name, uint64_t bytes)
{
    struct tithe_image *image = &sim->images[sim->image_count++].about;
    text_copy(image->name, sizeof image->name, name);
    image->bytes = bytes;
    image->sealed = 1;
}

static void add_vms(struct sim *sim)
{
    static struct tithe_mgmt m;
    for (uint32_t i = 0; i < sim->options.vms; i++) {
        memset(&m, 0, sizeof m);
        m.op = TITHE_OP_CREATE;
        struct tithe_create *c = &m.u.create;
        snprintf(c->name, sizeof c->name, "vm%u", i + 1);
        text_copy(c->kernel, sizeof c->kernel, "vmlinuz");
        c->size_pages = c->max_pages = sim->options.pages * 3 / 2 / sim->options.vms;
        c->min_pages = c->size_pages / 8;
        c->shares = 1000 * (1 + i % 3);
        c->vcpus = 1 + i % 3;
        if (i % 2 == 1) text_copy(c->disk, sizeof c->disk, c->name);
        if (sim_vm_op(sim, &m) < 0) fprintf(stderr, "steward: VM %s: %s\n", c->name, m.reason);
    }
}

static void start_machine(struct sim *sim)
{
    struct tithe_snapshot *s = &sim->snap;
    sim->random = sim->options.seed * 2 + 0x9E3779B97F4A7C15ull;
    s->abi_version = TITHE_ABI_VERSION;
    s->boot_id = sim_random(sim);
    s->now_ns = sim->sim_start_ns = 1000 * NS_PER_MS;
    s->wall_ns = 1767225600000ull * NS_PER_MS; /* 2026-01-01 */
    s->tsc_hz = 1000000000;
    s->total_pages = sim->options.pages;
    s->reserve_pages = s->total_pages / 100;
    s->swap_pages = 4 * s->total_pages;
    s->core_pages = s->total_pages / 64;
    s->dma_limit_pages = s->total_pages / 4;
    sim->low_free_pages = 32;
    sim_account(sim);
    s->cpus = sim->options.cpus;
    s->colours = 16;
    for (uint32_t i = 0; i < s->cpus; i++) s->cpu[i].apic_id = i;
    s->test_mode = sim->options.test_mode;
    s->tick_ns = sim->options.tick_ms * NS_PER_MS;
    text_copy(s->vendor, sizeof s->vendor, "sim");
    text_copy(s->machine, sizeof s->machine, "sim");
    add_image(sim, "vmlinuz", 8 << 20);
    add_image(sim, "initrd", 2 << 20);
    add_image(sim, "mite", 32 << 10);
    add_vms(sim);
    sim_log(sim, "simulated machine is up");
}

/* The steward proper, in a process that may die. */
static _Noreturn void child(struct sim *sim)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#ifndef __SANITIZE_ADDRESS__
    setrlimit(RLIMIT_DATA, &(struct rlimit){ARENA_BYTES, ARENA_BYTES});
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    steward_run(sim_machine(sim));
    _exit(0);
}

int sim_main(int argc, char **argv)
{
    struct sim_options options = read_options(argc, argv);
    struct sim *sim = mmap(NULL, sizeof *sim, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sim == MAP_FAILED) {
        fprintf(stderr, "steward: no memory for the simulated machine\n");
        return EXIT_CRASHED;
    }
    sim->options = options;
    start_machine(sim);
    for (;;) {
        int status;
        pid_t pid = fork();
        if (pid == 0) child(sim);
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return EXIT_CRASHED;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return sim->exit_status;
        sim_steward_died(sim, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it left");
        if (sim->options.restarts != 0 && sim->snap.steward_restarts >= sim->options.restarts)
            return EXIT_CRASHED;
    }
}
