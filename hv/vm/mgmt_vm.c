/* SPDX-License-Identifier: MIT */
#include "vm/mgmt_vm.h"

#include "lib/log.h"
#include "mem/share.h"
#include "mem/swap.h"
#include "vm/event.h"
#include "vm/vm.h"

/* What a VM must be like for an operation. */
enum want { ANY, ALIVE };

static struct vm *find(struct tithe_mgmt *m, enum want want, int *error)
{
    struct vm *vm = vm_find(m->vm);
    if (vm == NULL) {
        fmt_string(m->reason, sizeof m->reason, "no VM %u: it never was, or has been destroyed", m->vm);
        *error = TITHE_ENOENT;
        return NULL;
    }
    if (want == ALIVE && vm->state == TITHE_VM_STOPPED) {
        fmt_string(m->reason, sizeof m->reason, "VM %s has ended: create it again", vm->name);
        *error = TITHE_EBUSY;
        return NULL;
    }
    *error = 0;
    return vm;
}

int mgmt_destroy(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ANY, &error);
    if (vm != NULL) {
        vm_destroy(vm);
    }
    return error;
}

int mgmt_pause(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm != NULL && !vm_pause(vm)) {
        fmt_string(m->reason, sizeof m->reason, "VM %s is %s already", vm->name,
                   vm->state == TITHE_VM_SUSPENDED ? "suspended" : "paused");
        return TITHE_EBUSY;
    }
    return error;
}

int mgmt_unpause(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm != NULL && !vm_unpause(vm)) {
        fmt_string(m->reason, sizeof m->reason, "VM %s is %s", vm->name,
                   vm->state == TITHE_VM_SUSPENDED ? "suspended: resume it" : "not paused");
        return TITHE_EBUSY;
    }
    return error;
}

int mgmt_suspend(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm == NULL) {
        return error;
    }
    if (!vm_fits_in_swap(vm)) {
        struct swap_counts c;
        swap_counts(&c);
        fmt_string(m->reason, sizeof m->reason,
                   c.slots == 0
                       ? "the machine has no swap to put VM %s in: give it a disk with a swap partition"
                       : "VM %s has %llu pages, and swap has no room for so many beside what is reserved",
                   vm->name, (unsigned long long)(vm->p2m.present_pages + swap_pages_out(&vm->p2m)));
        return TITHE_ENOSPC;
    }
    vm_suspend(vm);
    return 0;
}

int mgmt_resume(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm != NULL && !vm_resume(vm, m->u.set.value)) {
        fmt_string(m->reason, sizeof m->reason, "VM %s is not suspended", vm->name);
        return TITHE_EBUSY;
    }
    return error;
}

static void changed(struct vm *vm, const char *what, uint64_t value)
{
    event_emit(TITHE_EVENT_VM_CHANGED, vm->id, value, 0, "%s %s %llu", vm->name, what,
               (unsigned long long)value);
}

/* The target keeps to new limits at once; what to do beyond that is the policy's, which the event wakes. */
static void clamp_target(struct vm *vm)
{
    const uint64_t target = vm->target_pages < vm->min_pages   ? vm->min_pages
                            : vm->target_pages > vm->max_pages ? vm->max_pages
                                                               : vm->target_pages;
    if (target != vm->target_pages) {
        vm->target_pages = target;
        vm_apply_target(vm);
    }
}

int mgmt_set_target(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm == NULL) {
        return error;
    }
    const uint64_t pages = m->u.set.value;
    if (pages == TITHE_AUTO) {
        vm->held = false;
        changed(vm, "target released", vm->target_pages);
        return 0;
    }
    if (pages < vm->min_pages || pages > vm->max_pages) {
        fmt_string(m->reason, sizeof m->reason, "%llu pages: VM %s takes %llu (its min) to %llu (its max)",
                   (unsigned long long)pages, vm->name, (unsigned long long)vm->min_pages,
                   (unsigned long long)vm->max_pages);
        return TITHE_ERANGE;
    }
    vm->held = true;
    vm->target_pages = pages;
    vm_apply_target(vm);
    changed(vm, "target held at", pages);
    return 0;
}

int mgmt_set_max(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm == NULL) {
        return error;
    }
    if (m->u.set.value < vm->min_pages || m->u.set.value > vm->config.size_pages || m->u.set.value == 0) {
        fmt_string(m->reason, sizeof m->reason,
                   "%llu pages: the max of VM %s lies between its min, %llu, and its size, %llu",
                   (unsigned long long)m->u.set.value, vm->name, (unsigned long long)vm->min_pages,
                   (unsigned long long)vm->config.size_pages);
        return TITHE_ERANGE;
    }
    if (!vm_reserve_swap(vm, vm->min_pages, m->u.set.value, m->reason)) {
        return TITHE_ENOMEM;
    }
    vm->max_pages = m->u.set.value;
    clamp_target(vm);
    changed(vm, "max", vm->max_pages);
    return 0;
}

int mgmt_set_min(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm == NULL) {
        return error;
    }
    if (m->u.set.value > vm->max_pages) {
        fmt_string(m->reason, sizeof m->reason, "%llu pages: the min of VM %s is at most its max, %llu",
                   (unsigned long long)m->u.set.value, vm->name, (unsigned long long)vm->max_pages);
        return TITHE_ERANGE;
    }
    if (!vm_reserve_swap(vm, m->u.set.value, vm->max_pages, m->reason)) {
        return TITHE_ENOMEM;
    }
    vm->min_pages = m->u.set.value;
    clamp_target(vm);
    changed(vm, "min", vm->min_pages);
    return 0;
}

/* The VM whose shares `m` changes, when it may. */
static struct vm *find_for_shares(struct tithe_mgmt *m, int *error)
{
    struct vm *vm = find(m, ALIVE, error);
    if (vm != NULL && (m->u.set.value == 0 || m->u.set.value > SHARES_MAX)) {
        fmt_string(m->reason, sizeof m->reason, "shares %llu: give 1 to %u",
                   (unsigned long long)m->u.set.value, SHARES_MAX);
        *error = TITHE_ERANGE;
        return NULL;
    }
    return vm;
}

int mgmt_set_shares(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find_for_shares(m, &error);
    if (vm != NULL) {
        vm->shares = m->u.set.value;
        changed(vm, "shares", vm->shares);
    }
    return error;
}

int mgmt_set_cpu_shares(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find_for_shares(m, &error);
    if (vm != NULL) {
        vm_set_cpu_shares(vm, m->u.set.value);
        changed(vm, "cpu_shares", vm->cpu_shares);
    }
    return error;
}

int mgmt_set_group(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    if (vm == NULL) {
        return error;
    }
    if (m->u.set.value > SHARE_GROUPS_MAX) {
        fmt_string(m->reason, sizeof m->reason, "share group %llu: give 1 to %u, or 0 for none",
                   (unsigned long long)m->u.set.value, SHARE_GROUPS_MAX);
        return TITHE_ERANGE;
    }
    share_set_group(&vm->p2m, (uint8_t)m->u.set.value);
    changed(vm, "share_group", m->u.set.value);
    return 0;
}

int mgmt_console_read(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ANY, &error);
    struct tithe_io *io = &m->u.io;
    if (vm != NULL) {
        const uint64_t want = io->length < TITHE_IO_MAX ? io->length : TITHE_IO_MAX;
        lock_acquire(&vm->platform.lock);
        io->length = uart_console_read(&vm->platform.uart, &io->offset, io->data, want);
        io->total = uart_console_offset(&vm->platform.uart);
        lock_release(&vm->platform.lock);
    }
    return error;
}

int mgmt_console_write(struct tithe_mgmt *m)
{
    int error;
    struct vm *vm = find(m, ALIVE, &error);
    struct tithe_io *io = &m->u.io;
    if (vm != NULL) {
        const uint64_t want = io->length < TITHE_IO_MAX ? io->length : TITHE_IO_MAX;
        lock_acquire(&vm->platform.lock);
        io->length = uart_console_input(&vm->platform.uart, io->data, want);
        lock_release(&vm->platform.lock);
    }
    return error;
}
