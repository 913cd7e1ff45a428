/* SPDX-License-Identifier: MIT
 *
 * All that can happen to guests' memory, in a random order, against the plainest model there is: what each guest has written. Verbs come in
 * plans (vm/plan.c) and are done by the worker and the boot CPU (vm/work.c, vm/paging.c); guests, devices and disks go on in the middle of
 * everything. SEED and STEPS choose other runs, RUN one of them alone; every seed gives the same one.
 */
#define _DEFAULT_SOURCE
#include "verbs.h"

#include "vm/paging.h"
#include "vm/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEVER       UINT64_MAX
#define USUAL_STEPS 150000u
#define LIFE                                                                                                 \
    50000u /* steps till a machine begins anew, with the next seed: so many reproduce what is found */

static const struct kind {
    const char *name;
    unsigned hash_bits;
    uint32_t count_max;
    bool swap;
    struct faults faults;
    bool goes; /* the disk, half way */
} kinds[] = {
    {"on a disk that works", 64, COUNT_MAX, true, {0}, false},
    {"without swap, counts that overflow", 64, 3, false, {0}, false},
    {"on a disk that fails, hashes of 2 bits", 2, COUNT_MAX, true, {.fail = true}, false},
    {"on a disk that fails and tears writes, hashes of 1 bit, counts that overflow at 1",
     1,
     1,
     true,
     {.fail = true, .lie = true},
     false},
    {"on a disk that is gone one day", 64, COUNT_MAX, true, {0}, true},
};

static void one_step(void)
{
    const uint64_t what = random_below(10000);
    struct guest *g = random_guest();

    if (!g) {
        create(&guests[random_below(VMS)]);
        return;
    }
    host_env_cpu((uint32_t)random_below(CPUS));
    if (what < 4100)
        guest_step();
    else if (what < 4450)
        device_step(g);
    else if (what < 4550)
        pin_step(g);
    else if (what < 4750)
        pinned_step(true);
    else if (what < 5700)
        io_step(g);
    else if (what < 6900)
        (void)disk_step(true);
    else if (what < 7200)
        balloon_step(g);
    else if (what < 7900)
        worker_step();
    else if (what < 8800)
        boot_step();
    else if (what < 9200)
        plan_step();
    else if (what < 9600)
        scan_step(g);
    else if (what < 9700)
        move_step(g);
    else if (what < 9720)
        image_step();
    else if (what < 9985)
        create(&guests[random_below(VMS)]);
    else if (what < 9990)
        life_step(g);
    else
        frames_set_reserve(random_below(random_below(4) ? 60 : 600));
    check(host_env_locks() == 0, "locks held");
}

static void begin(const struct kind *k)
{
    random_begin();
    memset(guests, 0, sizeof guests);
    host_env_reset(FRAMES);
    frames_init(direct_base, FRAMES);
    frames_set_colour_count(COLOURS);
    const uint64_t core = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_add(0, core, FRAME_CORE);
    frames_add(core, FRAMES - core, FRAME_FREE);
    share_hash_bits(k->hash_bits);
    share.count_max = k->count_max;
    faults = k->faults;
    swap.count = 0;
    swap.free = swap.reserved = swap.bad = swap.errors = swap.corrupt = 0;
    disk_reset();
    work_init();
    if (k->swap) paging_init();
    check((swap.count == SLOTS) == k->swap, "%u slots", swap.count);
    create(guests);
    check(guests->exists, "no memory for the first VM");
}

/* No failures any more: everything that is not lost is there; and then everything is given back. */
static void finish(void)
{
    struct frame_counts f;

    faults.lied = faults.lie;
    faults.fail = faults.lie = false;
    frames_set_reserve(0);
    drop_images();
    while (disk_step(true) || swap.refused) boot_step();
    compare();
    for (struct guest *g = guests; g < guests + VMS; g++) {
        if (has_map(g)) read_everything(g);
        if (g->exists) end(g);
    }
    while (pins()) pinned_step(true);
    while (disk_step(true) || swap.refused) boot_step();
    compare();
    frames_counts(&f);
    check(f.guest == 0 && f.table == 0 && f.promised == 0, "%lu frames of guests are left",
          f.guest + f.table);
}

static void tell(const struct kind *k, bool enough)
{
    const struct happened *h = &happened;
    const struct faults *f = &k->faults;

    printf("# %lu in flushes, %lu plans and %lu refused, %lu VMs or guests begun anew, %lu stopped, %lu "
           "times no memory\n",
           h->nested, h->plans, h->refused, h->resets, h->stopped, h->no_memory);
    printf("# %lu shared, %lu saved at most, %lu zeros, %lu broken, %lu recoloured, %lu moved for disks, %lu "
           "moved besides, %lu populated, %lu sampled\n",
           h->shared, h->most_shared, h->zeros, h->breaks, h->recoloured, h->moved, h->placed, h->populated,
           h->sampled);
    printf("# %lu out, %lu in, %lu unwritten, %lu with their blocks, %lu reads avoided, %lu waits, %lu "
           "suspended; %lu too long, %lu without room, %lu expanded, %lu evicted\n",
           h->outs, h->ins, h->unwritten, h->writes_avoided, h->reads_avoided, h->waits, h->suspended,
           h->poor, h->full, h->expanded, h->evicted);
    printf(
        "# %lu pins, %lu outlived their page, %lu pieces of guests' disks, %lu copied, %lu writes waited for "
        "blocks, %lu requests failed; %lu writes torn, %lu failed, %lu pages lost\n",
        h->pins, h->kept, h->direct, h->copied, h->waited_for, h->io_failed, h->torn, h->write_failures,
        h->lost);
    check(!enough || (h->nested && h->plans && h->refused && h->resets && h->no_memory && h->shared &&
                      h->most_shared > 50 && h->zeros && h->breaks && h->recoloured && h->moved &&
                      h->placed && h->populated && h->sampled && h->unwritten && h->poor && h->expanded &&
                      h->pins && h->kept && h->direct && h->copied),
          "too little happened");
    check(!enough || !k->swap || (h->outs && h->ins && h->waits && h->suspended && h->evicted),
          "too little happened to pages in swap");
    check(!enough || k != kinds || (h->writes_avoided && h->reads_avoided && h->waited_for),
          "too little happened to pages with their blocks");
    check(!enough || !f->fail || (h->write_failures && h->lost && h->stopped && h->io_failed),
          "too little has failed");
    check(!enough || ((!f->lie || h->torn) && (!k->goes || h->write_failures)), "too little has gone wrong");
}

/* A machine's life. LOOKS: from that step on everything is compared after each: what is found is found where it happens. */
static void run(const struct kind *k, uint64_t steps, uint64_t looks)
{
    begin(k);
    for (step = 1; step <= steps; step++) {
        if (k->goes && step == steps / 2) faults.gone = true;
        one_step();
        if (step % 64 == 0 && random_guest()) check_tlbs(random_guest());
        if (step % 1024 == 0 || step >= looks) compare();
    }
    finish();
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *const text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Each machine's life has a process of its own, so that it begins with nothing of the one before, and can be repeated alone. */
static void run_alone(const struct kind *k, uint64_t steps)
{
    static struct happened *shared;
    int status;

    if (!shared) {
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        check(shared != MAP_FAILED, "no memory");
    }
    fflush(stdout);
    const pid_t child = fork();
    check(child >= 0, "no process");
    if (!child) {
        run(k, steps, number("LOOKS", NEVER));
        *shared = happened;
        fflush(stdout);
        _exit(0);
    }
    check(waitpid(child, &status, 0) == child, "no child");
    happened = *shared;
    if (status == 0) return;
    printf("# to see it again: SEED=%lu STEPS=%lu RUN=%u\n", seed, steps, (unsigned)(k - kinds) + 1);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
        printf("not ok - its end, status 0x%x\n", (unsigned)status);
    exit(1);
}

int main(void)
{
    const uint64_t first = number("SEED", 1998), steps = number("STEPS", USUAL_STEPS);

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%lu\n", ARRAY_LEN(kinds));
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        if (number("RUN", i + 1) != i + 1) continue;
        printf("# run %u: %lu steps from seed %lu on\n", i + 1, steps, first);
        memset(&happened, 0, sizeof happened);
        seed = first;
        for (uint64_t left = steps; left; seed++) {
            const uint64_t part = left < LIFE ? left : LIFE;
            run_alone(&kinds[i], part);
            left -= part;
        }
        tell(&kinds[i], steps >= USUAL_STEPS);
        printf("ok %u - everybody finds what he wrote %s\n", i + 1, kinds[i].name);
    }
    host_env_end();
    return 0;
}
