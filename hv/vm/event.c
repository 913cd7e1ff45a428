/* SPDX-License-Identifier: MIT */
#include "vm/event.h"

#include "lib/lock.h"
#include "lib/log.h"
#include "steward/core/steward.h"
#include "vm/vm.h"
#include "x86/time.h"

static struct tithe_event ring[EVENT_RING];
static uint64_t next_seq = 1;
static struct lock lock = LOCK_INIT(LOCK_EVENTS);

static const char *const names[] = {
    [TITHE_EVENT_VM_CREATED] = "created",
    [TITHE_EVENT_VM_STOPPED] = "stopped",
    [TITHE_EVENT_VM_DESTROYED] = "destroyed",
    [TITHE_EVENT_VM_PAUSED] = "paused",
    [TITHE_EVENT_VM_UNPAUSED] = "unpaused",
    [TITHE_EVENT_VM_REBOOTED] = "rebooted",
    [TITHE_EVENT_VM_CHANGED] = "changed",
    [TITHE_EVENT_POLICY_ACTIVE] = "policy active",
    [TITHE_EVENT_POLICY_ROLLBACK] = "policy rolled back",
    [TITHE_EVENT_POLICY_GOOD] = "policy good",
    [TITHE_EVENT_PLAN_REFUSED] = "plan refused",
    [TITHE_EVENT_STEWARD_DIED] = "steward died",
    [TITHE_EVENT_RESERVE] = "reserve reached",
    [TITHE_EVENT_BALLOON_UP] = "balloon driver up",
    [TITHE_EVENT_VM_MEMORY_WAIT] = "waits for memory",
    [TITHE_EVENT_VM_POPULATED] = "populated",
    [TITHE_EVENT_SWAP_LOST] = "page lost in swap",
    [TITHE_EVENT_SWAP_WRITE] = "swap not written",
    [TITHE_EVENT_VM_SUSPENDED] = "suspended",
    [TITHE_EVENT_VM_RESUMED] = "resumed",
};

static const char *event_name(uint32_t kind)
{
    return kind < ARRAY_LEN(names) && names[kind] != NULL ? names[kind] : "event";
}

void event_emit(enum tithe_event_kind kind, uint32_t vm_id, uint64_t value, uint64_t value2, const char *fmt,
                ...)
{
    struct tithe_event event = {
        .ns = time_now_ns(), .kind = (uint32_t)kind, .vm = vm_id, .value = value, .value2 = value2};
    va_list args;
    va_start(args, fmt);
    fmt_vstring(event.text, sizeof event.text, fmt, args);
    va_end(args);

    lock_acquire(&lock);
    event.seq = next_seq++;
    ring[event.seq % EVENT_RING] = event;
    lock_release(&lock);

    log_line("event %llu: vm=%u %s%s%s", (unsigned long long)event.seq, vm_id, event_name(event.kind),
             event.text[0] != '\0' ? ": " : "", event.text);
    steward_wake(TITHE_WAKE_EVENT);
}

void event_of_guest(struct vm *vm, enum tithe_event_kind kind, uint64_t value)
{
    const uint64_t now_ns = time_now_ns();
    const uint64_t due_ns = vm->guest_events_ns > now_ns ? vm->guest_events_ns : now_ns;
    if (due_ns - now_ns < EVENT_BURST * EVENT_PERIOD_NS) {
        vm->guest_events_ns = due_ns + EVENT_PERIOD_NS;
        event_emit(kind, vm->id, value, 0, "%s", vm->name);
    }
}

bool event_read(uint64_t seq, struct tithe_event *out)
{
    bool found = false;
    lock_acquire(&lock);
    const uint64_t oldest = next_seq > EVENT_RING ? next_seq - EVENT_RING : 1;
    if (seq < oldest) {
        seq = oldest;
    }
    if (seq < next_seq) {
        *out = ring[seq % EVENT_RING];
        found = true;
    }
    lock_release(&lock);
    return found;
}

uint64_t events_contended(void)
{
    return lock_contended(&lock);
}

uint64_t event_next_seq(void)
{
    return __atomic_load_n(&next_seq, __ATOMIC_RELAXED);
}

void panic_events(void)
{
    const uint64_t last = next_seq;
    for (uint64_t seq = last > 16 ? last - 16 : 1; seq < last; seq++) {
        const struct tithe_event *e = &ring[seq % EVENT_RING];
        log_line_panic("panic:   event %llu at %llu us: vm=%u %s %s", (unsigned long long)e->seq,
                       (unsigned long long)(e->ns / 1000), e->vm, event_name(e->kind), e->text);
    }
}
