/* SPDX-License-Identifier: MIT
 *
 * A VM's life after its creation: pause, reboot, end.
 */
#include "lib/log.h"
#include "lib/string.h"
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/solo.h"
#include "vm/vm_boot.h"
#include "vm/vm_table.h"
#include "x86/percpu.h"
#include "x86/time.h"

void vm_start(struct vm *vm)
{
    vm->state = TITHE_VM_RUNNING;
    vm->poll_ns = 0;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *v = vm->vcpu[i];
        v->irq_check = true;
        if (v->state == VCPU_RUNNABLE) {
            sched_wake(&v->sched);
        } else if (v->state == VCPU_HALTED && vcpu_interrupt_pending(v)) {
            vcpu_kick(v); /* it came while the VM was paused */
        }
    }
}

static void take_off_cpu(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        sched_remove(&vm->vcpu[i]->sched);
    }
}

bool vm_pause(struct vm *vm)
{
    if (vm->state != TITHE_VM_RUNNING) {
        return false;
    }
    vm->state = TITHE_VM_PAUSED;
    take_off_cpu(vm);
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

void vm_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code)
{
    static const char *const reasons[] = {
        [TITHE_STOP_POWEROFF] = "powered off", [TITHE_STOP_EXIT] = "exited",
        [TITHE_STOP_CRASH] = "crashed",        [TITHE_STOP_DESTROY] = "destroyed",
        [TITHE_STOP_NO_MEMORY] = "no memory",
    };
    if (vm->state == TITHE_VM_STOPPED) {
        return;
    }
    vm->state = TITHE_VM_STOPPED;
    vm->stop_reason = why;
    vm->exit_code = exit_code;
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
    vm_table_drop(vm);
    vm_free(vm);
}

void vm_reboot(struct vm *vm)
{
    char reason[TITHE_REASON_MAX] = "";
    const bool running = vm->state == TITHE_VM_RUNNING;
    take_off_cpu(vm);
    p2m_reset(&vm->p2m);
    platform_reset(&vm->platform, time_now_ns());
    vm->balloon_driver = false;
    if (vm_load(vm, reason) != 0) {
        log_line("vm %s: cannot be loaded again: %s", vm->name, reason);
        vm_stop(vm, TITHE_STOP_NO_MEMORY, 0);
        return;
    }
    vm->reboots++;
    event_of_guest(vm, TITHE_EVENT_VM_REBOOTED, vm->reboots);
    if (running) {
        vm_start(vm);
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
    vm->stop_reason = TITHE_STOP_CRASH;
    vm->exit_code = 0;
    vm->pending |= VM_PENDING_STOP;
}

void vm_do_pending(struct vm *vm)
{
    const uint32_t pending = vm->pending;
    vm->pending = 0;
    if ((pending & VM_PENDING_STOP) != 0) {
        vm_stop(vm, vm->stop_reason, vm->exit_code);
    } else if ((pending & VM_PENDING_REBOOT) != 0) {
        vm_reboot(vm);
    }
}

void vm_apply_target(struct vm *vm)
{
    lock_acquire(&vm->platform.lock);
    platform_balloon_target(&vm->platform, vm->config.size_pages - vm->target_pages);
    lock_release(&vm->platform.lock);
}

void vcpu_kick(struct vcpu *v)
{
    v->irq_check = true;
    if (v->state == VCPU_HALTED && v->vm->state == TITHE_VM_RUNNING && (v->regs.rflags & (1u << 9)) != 0) {
        v->state = VCPU_RUNNABLE;
        sched_wake(&v->sched);
    }
}
