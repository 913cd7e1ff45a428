/* SPDX-License-Identifier: MIT
 *
 * The calls of tithe/abi.h. Every argument is copied in before it is looked at, every answer copied out
 * whole.
 */
#include "drv/serial.h"
#include "lib/log.h"
#include "steward/core/process.h"
#include "steward/core/steward.h"
#include "vm/mgmt.h"
#include "vm/plan.h"
#include "vm/run.h"
#include "vm/snapshot.h"
#include "x86/cpu.h"
#include "x86/time.h"

/* CPU time it has used, its present turn included. */
static uint64_t process_cpu_ns(const struct process *p)
{
    return p->sched.cpu_ns + run_steward_ns(p->turn_ns);
}

/* ---- what a tick costs: all of the steward's own time from a wake for the time's sake to its next wait ---- */

static uint64_t tick_count, tick_last_ns;

static void count_tick(const struct process *p)
{
    if (p->woke_for == TITHE_WAKE_TIME) {
        tick_count++;
        tick_last_ns = process_cpu_ns(p) - p->woke_ns;
    }
}

uint64_t policy_ticks(void)
{
    return tick_count;
}

uint64_t policy_tick_last(void)
{
    return ns_to_tsc(tick_last_ns);
}

uint64_t process_take_wakes(uint64_t until_ns, uint64_t now_ns)
{
    uint64_t bits = __atomic_load_n(&process_wakes, __ATOMIC_RELAXED);
    if (bits != 0) {
        bits = __atomic_exchange_n(&process_wakes, 0, __ATOMIC_SEQ_CST);
    }
    return bits | (serial_rx_pending() ? TITHE_WAKE_INPUT : 0) | (until_ns <= now_ns ? TITHE_WAKE_TIME : 0);
}

static int64_t sys_wait(struct process *p, uint64_t until_ns)
{
    count_tick(p);
    p->has_waited = true;
    const uint64_t bits = process_take_wakes(until_ns, time_now_ns());
    p->phase_ns = process_cpu_ns(p);
    p->waited_ns = p->phase_ns;
    if (bits != 0) {
        p->woke_for = bits;
        p->woke_ns = p->phase_ns;
        return (int64_t)bits;
    }
    p->wait_until_ns = until_ns;
    p->waiting = true;
    return 0; /* replaced when it is woken */
}

static int64_t sys_plan(struct process *p, uint64_t actions_at, uint64_t count, uint64_t result_at)
{
    static struct tithe_action actions[TITHE_PLAN_MAX];
    static struct tithe_plan_result result;
    if (count <= TITHE_PLAN_MAX && !user_copy_in(&p->space, actions_at, actions, count * sizeof actions[0])) {
        return -TITHE_EFAULT;
    }
    const bool applied = plan_apply(actions, count, &result);
    if (!user_copy_out(&p->space, result_at, &result, sizeof result)) {
        return -TITHE_EFAULT;
    }
    return applied ? 0 : -TITHE_EINVAL;
}

static uint64_t staging, reload;

uint64_t policy_reload_ticks(void)
{
    return reload;
}

static void count_reload(const struct tithe_mgmt *m, uint64_t took)
{
    if (m->op == TITHE_OP_POLICY_STAGE) {
        staging = m->u.io.offset == 0 ? took : staging + took;
    } else if (m->op == TITHE_OP_POLICY_ACTIVATE) {
        reload = staging + took;
    }
}

/* Most of the structure is room for the data of a chunk, which is copied only where there is any. */
#define CHUNK_AT offsetof(struct tithe_mgmt, u.io.data)

static bool carries_chunk(uint32_t op, const uint32_t *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i] == op) {
            return true;
        }
    }
    return false;
}

static size_t chunk_bytes(const struct tithe_mgmt *m)
{
    return m->u.io.length < TITHE_IO_MAX ? m->u.io.length : TITHE_IO_MAX;
}

/* Operations whose union is not `io` are all smaller than this. */
#define PLAIN_BYTES (offsetof(struct tithe_mgmt, u) + sizeof(struct tithe_create))
_Static_assert(sizeof(struct tithe_create) >= sizeof(struct tithe_ledger), "PLAIN_BYTES");
_Static_assert(sizeof(struct tithe_create) >= sizeof(struct tithe_event), "PLAIN_BYTES");
_Static_assert(sizeof(struct tithe_create) >= sizeof(struct tithe_policy_info), "PLAIN_BYTES");
_Static_assert(PLAIN_BYTES >= CHUNK_AT, "PLAIN_BYTES");

static bool mgmt_in(struct process *p, uint64_t at, struct tithe_mgmt *m)
{
    static const uint32_t ops[] = {TITHE_OP_CONSOLE_WRITE, TITHE_OP_IMAGE_WRITE, TITHE_OP_POLICY_STAGE,
                                   TITHE_OP_POLICY_SAVE};
    if (!user_copy_in(&p->space, at, m, PLAIN_BYTES)) {
        return false;
    }
    return !carries_chunk(m->op, ops, ARRAY_LEN(ops)) ||
           user_copy_in(&p->space, at + CHUNK_AT, m->u.io.data, chunk_bytes(m));
}

static bool mgmt_out(struct process *p, uint64_t at, const struct tithe_mgmt *m)
{
    static const uint32_t ops[] = {TITHE_OP_CONSOLE_READ, TITHE_OP_LOG_READ, TITHE_OP_FILE_READ,
                                   TITHE_OP_POLICY_READ, TITHE_OP_POLICY_SAVED};
    if (carries_chunk(m->op, ops, ARRAY_LEN(ops))) {
        return user_copy_out(&p->space, at, m, CHUNK_AT + chunk_bytes(m));
    }
    return user_copy_out(&p->space, at, m, PLAIN_BYTES);
}

static int64_t sys_mgmt(struct process *p, uint64_t at)
{
    static struct tithe_mgmt m;
    const uint64_t from = rdtsc();
    if (!mgmt_in(p, at, &m)) {
        return -TITHE_EFAULT;
    }
    m.reason[0] = '\0';
    m.repeated = 0;
    if (m.op == TITHE_OP_KILL_STEWARD) {
        p->died = "killed on request";
        p->blameless = true;
        return 0;
    }
    const int error = mgmt_do(&m);
    if (!mgmt_out(p, at, &m)) {
        return -TITHE_EFAULT;
    }
    count_reload(&m, rdtsc() - from);
    return -error;
}

static int64_t sys_tick(struct process *p, uint64_t phase)
{
    p->phase = phase;
    p->alarmed = false;
    p->phase_ns = process_cpu_ns(p);
    return 0;
}

bool tithe_syscall(struct process *p, uint64_t number, const uint64_t arg[3], int64_t *result)
{
    switch (number) {
    case TITHE_SYS_WAIT: *result = sys_wait(p, arg[0]); return true;
    case TITHE_SYS_SNAPSHOT: *result = (int64_t)snapshot_refresh(); return true;
    case TITHE_SYS_PLAN: *result = sys_plan(p, arg[0], arg[1], arg[2]); return true;
    case TITHE_SYS_MGMT: *result = sys_mgmt(p, arg[0]); return true;
    case TITHE_SYS_NOTE:
        p->note = arg[0];
        p->alarm = arg[1];
        *result = 0;
        return true;
    case TITHE_SYS_TICK: *result = sys_tick(p, arg[0]); return true;
    default: return false;
    }
}
