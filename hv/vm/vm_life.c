/* SPDX-License-Identifier: MIT
 *
 * A VM's life after its creation: pause, reboot, end.
 */
#include "lib/log.h"
#include "lib/string.h"
#include "mem/compress.h"
#include "mem/sample.h"
#include "mem/swap.h"
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/paging.h"
#include "vm/run.h"
#include "vm/solo.h"
#include "vm/stats.h"
#include "vm/vm_boot.h"
#include "vm/vm_disk.h"
#include "vm/vm_table.h"
#include "vm/work.h"
#include "x86/time.h"

void vm_charge(struct vm *vm, uint64_t since_ns)
{
    /* Else a guest that reboots for ever, or keeps its devices busy, would have the CPU for nothing. */
    if (vm->vcpu_count > 0) {
        sched_charge(&vm->vcpu[0]->sched, time_now_ns() - since_ns);
    }
}

/* ---- asked for on any CPU ---- */

void vm_ask(struct vm *vm, enum vm_pending what)
{
    __atomic_fetch_or(&vm->pending, (uint32_t)what, __ATOMIC_SEQ_CST);
    vm_set_add(&vms_pending, vm);
    run_poke(0);
}

void vm_ask_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code)
{
    if ((vm->pending & VM_PENDING_STOP) == 0) {
        vm->stop_reason = why;
        vm->exit_code = exit_code;
        vm_ask(vm, VM_PENDING_STOP);
    }
}

void vm_crash(struct vcpu *v, const char *why)
{
    struct vm *vm = v->vm;
    log_line("vm %s: vCPU %u: %s", vm->name, v->index, why);
    log_line("vm %s: rip %016llx rsp %016llx rflags %08llx cr0 %08llx cr3 %08llx cr4 %08llx efer %04llx",
             vm->name, (unsigned long long)v->regs.rip, (unsigned long long)v->regs.gpr[RSP],
             (unsigned long long)v->regs.rflags, (unsigned long long)vendor->get_sys(v, SYS_CR0),
             (unsigned long long)vendor->get_sys(v, SYS_CR3), (unsigned long long)vendor->get_sys(v, SYS_CR4),
             (unsigned long long)vendor->get_sys(v, SYS_EFER));
    for (int i = 0; i < GPR_COUNT; i += 4) {
        log_line("vm %s: gpr%02d %016llx %016llx %016llx %016llx", vm->name, i,
                 (unsigned long long)v->regs.gpr[i], (unsigned long long)v->regs.gpr[i + 1],
                 (unsigned long long)v->regs.gpr[i + 2], (unsigned long long)v->regs.gpr[i + 3]);
    }
    lock_acquire(&vm->platform.lock);
    vm_ask_stop(vm, TITHE_STOP_CRASH, 0);
    lock_release(&vm->platform.lock);
}

/* ---- the boot CPU's ---- */

void vm_start(struct vm *vm)
{
    lock_acquire(&vm->platform.lock);
    vm->state = TITHE_VM_RUNNING;
    timer_set(&vm->poll_timer, 0);
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *v = vm->vcpu[i];
        timer_set(&v->timer, v->lapic.timer_deadline_ns);
        vcpu_kick(v); /* something may have come while the VM was paused */
        if (v->state == VCPU_RUNNABLE) {
            sched_wake(&v->sched);
        }
    }
    lock_release(&vm->platform.lock);
}

/* Afterwards none of its vCPUs runs or will be woken, and no timer of it fires. */
static void quiesce(struct vm *vm, enum tithe_vm_state state)
{
    lock_acquire(&vm->platform.lock);
    vm->state = state;
    lock_release(&vm->platform.lock);
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        sched_sync(&vm->vcpu[i]->sched);
    }
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        timer_cancel(&vm->vcpu[i]->timer);
    }
    timer_cancel(&vm->poll_timer);
}

bool vm_pause(struct vm *vm)
{
    if (vm->state != TITHE_VM_RUNNING) {
        return false;
    }
    quiesce(vm, TITHE_VM_PAUSED);
    event_emit(TITHE_EVENT_VM_PAUSED, vm->id, 0, 0, "%s", vm->name);
    return true;
}

bool vm_unpause(struct vm *vm)
{
    if (vm->state != TITHE_VM_PAUSED) {
        return false;
    }
    vm_start(vm);
    event_emit(TITHE_EVENT_VM_UNPAUSED, vm->id, 0, 0, "%s", vm->name);
    return true;
}

/* Slots for all that it has, beyond those that were set aside for it. */
static uint64_t slots_to_suspend(const struct vm *vm)
{
    const uint64_t all = vm->p2m.present_pages + swap_pages_out(&vm->p2m);
    return all > vm->p2m.swap.reserved ? all : vm->p2m.swap.reserved;
}

bool vm_fits_in_swap(const struct vm *vm)
{
    struct swap_counts c;
    swap_counts(&c);
    return c.slots != 0 && c.reserved - vm->p2m.swap.reserved + c.bad + slots_to_suspend(vm) <= c.slots;
}

void vm_suspend(struct vm *vm)
{
    if (vm->state != TITHE_VM_SUSPENDED) {
        vm->resumes = vm->state;
        quiesce(vm, TITHE_VM_SUSPENDED);
        event_emit(TITHE_EVENT_VM_SUSPENDED, vm->id, 0, 0, "%s", vm->name);
    }
    work_cancel(vm);
    lock_acquire(&vm->p2m.lock);
    sample_drop(&vm->p2m); /* nobody touches its pages now; and they are to go, too */
    lock_release(&vm->p2m.lock);
    if (!swap_reserve(&vm->p2m, slots_to_suspend(vm))) {
        log_line("vm %s: swap has no room for all of it: the rest stays in memory", vm->name);
    }
    compress_close(&vm->p2m, true);
    vm->prefetch_wanted = 0;
    paging_want_out(vm, vm->p2m.present_pages, SWAP_COLD); /* which misses none */
}

bool vm_resume(struct vm *vm, uint64_t prefetch)
{
    if (vm->state != TITHE_VM_SUSPENDED) {
        return false;
    }
    vm->swap_out_wanted = 0;
    compress_close(&vm->p2m, false);
    paging_want_in(vm, prefetch);
    event_emit(TITHE_EVENT_VM_RESUMED, vm->id, 0, 0, "%s", vm->name);
    if (vm->resumes == TITHE_VM_RUNNING) {
        vm_start(vm);
    } else {
        quiesce(vm, TITHE_VM_PAUSED);
    }
    return true;
}

void vm_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code)
{
    static const char *const reasons[] = {
        [TITHE_STOP_POWEROFF] = "powered off", [TITHE_STOP_EXIT] = "exited",
        [TITHE_STOP_CRASH] = "crashed",        [TITHE_STOP_DESTROY] = "destroyed",
        [TITHE_STOP_NO_MEMORY] = "no memory",  [TITHE_STOP_SWAP] = "lost a page in swap",
    };
    if (vm->state == TITHE_VM_STOPPED) {
        return;
    }
    quiesce(vm, TITHE_VM_STOPPED);
    work_cancel(vm);
    vm->stop_reason = why;
    vm->exit_code = exit_code;
    vm_disk_close(vm);
    p2m_retire(&vm->p2m); /* others flush it, and that looks at its vCPUs */
    vm_free_vcpus(vm);
    p2m_destroy(&vm->p2m);
    vm->balloon_driver = false;
    event_emit(TITHE_EVENT_VM_STOPPED, vm->id, (uint64_t)why, exit_code, "%s %s, code %llu", vm->name,
               reasons[why], (unsigned long long)exit_code);
    solo_stopped(vm);
}

void vm_destroy(struct vm *vm)
{
    vm_stop(vm, TITHE_STOP_DESTROY, 0);
    event_emit(TITHE_EVENT_VM_DESTROYED, vm->id, 0, 0, "%s", vm->name);
    stats_vm_gone(vm);
    vm_table_drop(vm);
    vm_free(vm);
}

/* Memory is forgotten, images are loaded again, vCPU 0 starts at the entry, the others wait for it. */
static void reboot(struct vm *vm, bool start)
{
    char reason[TITHE_REASON_MAX] = "";
    work_cancel(vm);
    p2m_reset(&vm->p2m);
    vm->swap_out_wanted = vm->prefetch_wanted = 0;
    platform_reset(&vm->platform, time_now_ns());
    vm->balloon_driver = false;
    if (vm_load(vm, reason) != 0) {
        log_line("vm %s: cannot be loaded again: %s", vm->name, reason);
        vm_stop(vm, TITHE_STOP_NO_MEMORY, 0);
        return;
    }
    vm->reboots++;
    event_of_guest(vm, TITHE_EVENT_VM_REBOOTED, vm->reboots);
    if (start) {
        vm_start(vm);
    }
}

void vm_do_pending(struct vm *vm)
{
    if (vm->state == TITHE_VM_STOPPED || vm->pending == 0) {
        return;
    }
    const bool running = vm->state == TITHE_VM_RUNNING, suspended = vm->state == TITHE_VM_SUSPENDED;
    quiesce(vm, TITHE_VM_PAUSED);
    /* Only now: it has kept the vCPUs away. */
    const uint32_t pending = __atomic_exchange_n(&vm->pending, 0, __ATOMIC_SEQ_CST);
    if ((pending & VM_PENDING_STOP) != 0) {
        vm_stop(vm, vm->stop_reason, vm->exit_code);
    } else {
        reboot(vm, running);
    }
    if (suspended && vm->state == TITHE_VM_PAUSED) {
        const enum tithe_vm_state resumes = vm->resumes;
        vm_suspend(vm);
        vm->resumes = resumes;
    }
}

void vm_apply_target(struct vm *vm)
{
    lock_acquire(&vm->platform.lock);
    platform_balloon_target(&vm->platform, vm->config.size_pages - vm->target_pages);
    lock_release(&vm->platform.lock);
}

uint32_t vm_vcpu_weight(const struct vm *vm)
{
    return (uint32_t)(vm->cpu_shares * SCHED_WEIGHT / CPU_SHARES_USUAL / vm->config.vcpus);
}

void vm_set_cpu_shares(struct vm *vm, uint64_t cpu_shares)
{
    vm->cpu_shares = cpu_shares;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        sched_set_weight(&vm->vcpu[i]->sched, vm_vcpu_weight(vm));
    }
}
