/* SPDX-License-Identifier: MIT
 *
 * What device models ask of the VM they are in.
 */
#include "mem/flush.h"
#include "lib/log.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/vm.h"
#include "vm/vm_disk.h"
#include "x86/time.h"

static bool settle(struct vm *vm, bool done, gpa_t gpa, size_t bytes)
{
    vm->platform.mem_away |= !done && vm_is_ram(vm, gpa, bytes);
    return done;
}

static bool mem_read(void *ctx, gpa_t gpa, void *out, size_t bytes)
{
    return settle(ctx, vm_read(ctx, gpa, out, bytes), gpa, bytes);
}

static bool mem_write(void *ctx, gpa_t gpa, const void *in, size_t bytes)
{
    return settle(ctx, vm_write(ctx, gpa, in, bytes), gpa, bytes);
}

static struct lapic *lapic_of(void *ctx, uint32_t index)
{
    struct vm *vm = ctx;
    return index < vm->vcpu_count ? &vm->vcpu[index]->lapic : NULL;
}

static void kick(void *ctx, uint32_t index)
{
    struct vm *vm = ctx;
    if (index < vm->vcpu_count) {
        vcpu_kick(vm->vcpu[index]);
    }
}

static void init_vcpu(void *ctx, uint32_t index)
{
    struct vm *vm = ctx;
    if (index < vm->vcpu_count) {
        vcpu_init(vm->vcpu[index]);
    }
}

static void start_vcpu(void *ctx, uint32_t index, uint8_t vector)
{
    struct vm *vm = ctx;
    if (index < vm->vcpu_count) {
        vcpu_sipi(vm->vcpu[index], vector);
    }
}

static void nmi(void *ctx, uint32_t index)
{
    struct vm *vm = ctx;
    if (index < vm->vcpu_count) {
        vcpu_nmi(vm->vcpu[index]);
    }
}

static void stop(void *ctx, int why, uint64_t code)
{
    vm_ask_stop(ctx, (enum tithe_stop)why, code);
}

static void reboot(void *ctx)
{
    vm_ask(ctx, VM_PENDING_REBOOT);
}

static size_t balloon_give(void *ctx, const uint32_t *gfns, size_t count)
{
    struct vm *vm = ctx;
    FLUSH_BATCH(batch, &vm->p2m);
    const size_t taken = p2m_balloon_pages(&vm->p2m, gfns, count, &batch);
    flush_discharge(&batch);
    return taken;
}

static size_t balloon_take(void *ctx, const uint32_t *gfns, size_t count)
{
    struct vm *vm = ctx;
    return p2m_unballoon_pages(&vm->p2m, gfns, count);
}

static uint64_t balloon_report(void *ctx, const struct balloon_range *ranges, size_t count)
{
    struct vm *vm = ctx;
    uint64_t taken = 0;
    FLUSH_BATCH(batch, &vm->p2m);
    for (size_t i = 0; i < count; i++) {
        taken += p2m_discard(&vm->p2m, ranges[i].gfn, ranges[i].count, &batch);
    }
    flush_discharge(&batch);
    return taken;
}

static void balloon_driver(void *ctx, bool up)
{
    struct vm *vm = ctx;
    if (up == vm->balloon_driver) {
        return;
    }
    vm->balloon_driver = up;
    if (up) {
        event_of_guest(vm, TITHE_EVENT_BALLOON_UP, 0);
        platform_balloon_target(&vm->platform, vm->config.size_pages - vm->target_pages);
    } else {
        p2m_pop_all(&vm->p2m);
    }
}

static uint64_t wall_ns(void *ctx)
{
    (void)ctx;
    return wall_ns_at_boot() + time_now_ns();
}

const struct platform_ops vm_platform_ops = {
    .mem_read = mem_read,
    .mem_write = mem_write,
    .lapic = lapic_of,
    .kick = kick,
    .init_vcpu = init_vcpu,
    .start_vcpu = start_vcpu,
    .nmi = nmi,
    .stop = stop,
    .reboot = reboot,
    .balloon_give = balloon_give,
    .balloon_take = balloon_take,
    .balloon_report = balloon_report,
    .balloon_driver = balloon_driver,
    .wall_ns = wall_ns,
    .disk_start = vm_disk_start,
};

void vm_poll(struct timer *timer, uint64_t now_ns)
{
    struct vm *vm = CONTAINER_OF(timer, struct vm, poll_timer);
    lock_acquire(&vm->platform.lock);
    if (vm->state == TITHE_VM_RUNNING) {
        uint64_t next_ns = platform_poll(&vm->platform, now_ns);
        if (platform_has_work(&vm->platform)) {
            /* It goes on after a slice: at once would cut every other turn to nothing. */
            const uint64_t pit_ns = vm->platform.pit.next_ns;
            next_ns = pit_ns < now_ns + run_slice_ns() ? pit_ns : now_ns + run_slice_ns();
        }
        timer_set(timer, next_ns);
    }
    lock_release(&vm->platform.lock);
    vm_charge(vm, now_ns);
}
