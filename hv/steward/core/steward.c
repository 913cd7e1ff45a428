/* SPDX-License-Identifier: MIT
 *
 * The life of the steward: started, held to its budgets, and after a death started again at once with the
 * last good policy. Guests notice nothing.
 */
#include "steward/core/steward.h"

#include "boot/boot_info.h"
#include "drv/serial.h"
#include "lib/cpio.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/frame.h"
#include "steward/core/policy_store.h"
#include "steward/core/process.h"
#include "vm/event.h"
#include "vm/image.h"
#include "vm/run.h"
#include "vm/snapshot.h"
#include "x86/fpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/time.h"

static struct process process;
uint64_t process_wakes;
static struct cpio_file file;
static uint64_t restarts;
static uint64_t arena_pages;
static uint64_t policy_budget_ns;
static uint64_t protocol_budget_ns;
static bool alive;

/* A steward that dies again and again before it has once come to wait is retried only this often, so that it
 * cannot eat the machine. One that worked is back at once, however often it was killed: guests may need its
 * policy. */
#define RETRY_NS     1000000000ull
#define QUICK_DEATHS 3u
static uint32_t quick_deaths;
static uint64_t retry_ns;

static const char *start(void)
{
    /* CPU time already used stays charged: dying is no way to get more of it. */
    const struct fpu_state fpu = process.fpu;
    memset(&process.sched + 1, 0, sizeof process - sizeof process.sched);
    process.fpu = fpu;
    const char *error = process_load(&process, file.data, file.bytes, arena_pages);
    if (error != NULL) {
        return error;
    }
    if (!snapshot_map(&process.space)) {
        process_unload(&process);
        return "no memory for its snapshot";
    }
    fpu_state_reset(&process.fpu);
    process.fpu.xcr0 = fpu_host_xcr0();
    process.phase_ns = process.sched.cpu_ns;
    process.waited_ns = process.sched.cpu_ns;
    alive = true;
    sched_wake(&process.sched);
    return NULL;
}

const char *steward_init(void)
{
    if (!image_archive_find("steward", &file)) {
        return "the module archive has no file 'steward': build the image again (make iso)";
    }
    struct frame_counts frames;
    frames_counts(&frames);
    const uint64_t arena_mib = boot_option_u64("steward_mib", 12);
    if (arena_mib == 0 || arena_mib > frames.total * PAGE_BYTES / MIB) {
        return "steward_mib on the command line is none, or more than the machine has";
    }
    arena_pages = arena_mib * (MIB / PAGE_BYTES);
    policy_budget_ns = boot_option_u64("policy_ms", 400) * 1000000;
    protocol_budget_ns = boot_option_u64("protocol_ms", 5000) * 1000000;
    sched_init(&process.sched, this_cpu()->index, 4 * SCHED_WEIGHT, SCHED_STEWARD);
    process.sched.pinned = true;
    if (!fpu_state_init(&process.fpu)) {
        return "no memory for its FPU state";
    }
    return start();
}

/* ---- death ---- */

/* What it says it was doing; it may lie or have overwritten it, so it is text to show and nothing else. */
static void read_note(char *out, size_t size)
{
    struct tithe_note note;
    out[0] = '\0';
    if (process.note != 0 && user_copy_in(&process.space, process.note, &note, sizeof note)) {
        note.where[sizeof note.where - 1] = '\0';
        text_copy(out, size, note.where);
    }
}

static void bury(void)
{
    char where[TITHE_REASON_MAX];
    read_note(where, sizeof where);
    event_emit(TITHE_EVENT_STEWARD_DIED, 0, restarts + 1, 0, "%s%s%s (rip %llx)", process.died,
               where[0] != '\0' ? ", in " : "", where, (unsigned long long)process.user.rip);
    /* A candidate under `policy check` is not the active policy's fault. */
    if (!process.blameless && strncmp(where, "candidate ", strlen("candidate ")) != 0) {
        policy_store_blame(process.died, where);
    }
    alive = false;
    process_unload(&process);
    restarts++;

    quick_deaths = process.has_waited ? 0 : quick_deaths + 1;
    retry_ns = time_now_ns() + (quick_deaths > QUICK_DEATHS ? RETRY_NS : 0);
}

static void try_start(void)
{
    const char *error = start();
    if (error != NULL) {
        log_line("steward: cannot be started: %s; trying again in a second", error);
        retry_ns = time_now_ns() + RETRY_NS;
    }
}

/* ---- waking ---- */

void steward_wake(uint64_t bits)
{
    if ((__atomic_fetch_or(&process_wakes, bits, __ATOMIC_SEQ_CST) & bits) != bits) {
        run_poke(0);
    }
}

static void end_wait(uint64_t bits)
{
    process.waiting = false;
    process.user.gpr[RAX] = bits;
    process.woke_for = bits;
    process.woke_ns = process.sched.cpu_ns;
    process.phase_ns = process.sched.cpu_ns;
    process.waited_ns = process.sched.cpu_ns;
    sched_wake(&process.sched);
}

uint64_t steward_poll(uint64_t now_ns)
{
    if (!alive) {
        if (file.bytes == 0 || retry_ns > now_ns) {
            return file.bytes == 0 ? NO_DEADLINE : retry_ns;
        }
        try_start();
        return NO_DEADLINE;
    }
    if (!process.waiting) {
        return NO_DEADLINE;
    }
    const uint64_t bits = process_take_wakes(process.wait_until_ns, now_ns);
    if (bits != 0) {
        end_wait(bits);
        return NO_DEADLINE;
    }
    return process.wait_until_ns;
}

bool steward_runnable(void)
{
    return alive && !process.waiting;
}

uint64_t steward_restarts(void)
{
    return restarts;
}

/* ---- running ---- */

static void on_fault(void)
{
    static char text[96];
    if (process.user.vector == VECTOR_PF) {
        fmt_string(text, sizeof text, "it touched address %llx, which is not its own",
                   (unsigned long long)process.user.cr2);
    } else {
        fmt_string(text, sizeof text, "it raised exception %llu", (unsigned long long)process.user.vector);
    }
    process.died = text;
}

/* Makes it run its alarm function next, as tithe/abi.h says. A stack pointer that is no good is left for its
 * own next push to find out. */
static void raise_alarm(void)
{
    enum { RED_ZONE_BYTES = 128 };
    const uint64_t frame[2] = {process.user.rflags, process.user.rip};
    const uint64_t rsp = process.user.gpr[RSP] - RED_ZONE_BYTES - sizeof frame;
    process.alarmed = true;
    if (process.alarm != 0 && user_copy_out(&process.space, rsp, frame, sizeof frame)) {
        process.user.gpr[RSP] = rsp;
        process.user.rip = process.alarm;
    }
}

static void hold_to_budget(uint64_t entered_ns)
{
    const uint64_t cpu_ns = process.sched.cpu_ns + run_steward_ns(entered_ns);
    const uint64_t used = cpu_ns - process.phase_ns;
    if (process.phase == TITHE_PHASE_POLICY && used > policy_budget_ns) {
        process.died = "policy code spent its budget";
    } else if (process.phase == TITHE_PHASE_POLICY && used > policy_budget_ns / TITHE_ALARM_PART &&
               !process.alarmed) {
        raise_alarm();
    } else if (cpu_ns - process.waited_ns > protocol_budget_ns) { /* however many phases it has begun */
        process.died = "it spent its budget without waiting once";
    }
}

void steward_turn(void)
{
    const uint64_t entered_ns = time_now_ns();
    process.turn_ns = entered_ns;
    fpu_switch(NULL, &process.fpu);
    do {
        switch (user_enter(&process.user, process.space.root)) {
        case USER_SYSCALL:
            process_syscall(&process);
            smp_send_kicks();
            break;
        case USER_INTERRUPT:
            this_cpu()->resched = true;
            hold_to_budget(entered_ns);
            break;
        case USER_FAULT: on_fault(); break;
        }
    } while (process.died == NULL && !process.waiting && !this_cpu()->resched);
    fpu_switch(&process.fpu, NULL);
    if (process.died != NULL) {
        bury();
        if (retry_ns <= time_now_ns()) {
            try_start();
        }
    }
}
