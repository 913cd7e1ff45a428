/* SPDX-License-Identifier: MIT */
#include "vm/snapshot.h"

#include "boot/boot_info.h"
#include "drv/disk.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "steward/core/steward.h"
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/plan.h"
#include "vm/run.h"
#include "vm/vm.h"
#include "vm/vm_disk.h"
#include "vm/work.h"
#include "x86/cpu.h"
#include "x86/percpu.h"
#include "x86/time.h"

#define SNAPSHOT_PAGES ((sizeof(struct tithe_snapshot) + PAGE_BYTES - 1) / PAGE_BYTES)

static struct tithe_snapshot *snapshot;
static uint64_t stats_ns;

bool snapshot_init(const char *machine)
{
    const mfn_t mfn = frame_alloc_run(SNAPSHOT_PAGES, 1);
    if (mfn == MFN_NONE) {
        return false;
    }
    snapshot = mfn_to_virt(mfn);
    snapshot->abi_version = TITHE_ABI_VERSION;
    snapshot->boot_id = (rdtsc() ^ wall_ns_at_boot()) * 0x9e3779b97f4a7c15ull;
    snapshot->tsc_hz = tsc_hz();
    snapshot->test_mode = boot_flag("test") ? 1 : 0;
    snapshot->tick_ns = boot_option_u64("tick_ms", 1000) * 1000000;
    stats_ns = boot_option_u64("stats_ms", 1000) * 1000000;
    text_copy(snapshot->vendor, sizeof snapshot->vendor, vendor->name);
    text_copy(snapshot->machine, sizeof snapshot->machine, machine);
    return true;
}

bool snapshot_map(struct user_space *space)
{
    for (uint64_t i = 0; i < SNAPSHOT_PAGES; i++) {
        if (!user_map_frame(space, TITHE_SNAPSHOT_ADDR + i * PAGE_BYTES,
                            (virt_to_hpa(snapshot) >> PAGE_SHIFT) + i, USER_READ)) {
            return false;
        }
    }
    return true;
}

static const uint32_t vcpu_states[] = {
    [VCPU_STOPPED] = TITHE_VCPU_STOPPED, [VCPU_RUNNABLE] = TITHE_VCPU_RUNNABLE,
    [VCPU_HALTED] = TITHE_VCPU_HALTED,   [VCPU_WAIT_MEMORY] = TITHE_VCPU_WAIT_MEMORY,
    [VCPU_WAIT_IO] = TITHE_VCPU_WAIT_IO,
};

static void fill_moves(struct tithe_vm_snapshot *s, struct vm *vm)
{
    struct vm_moves m;
    uint64_t hot[VM_DISK_HOT_LEVELS];
    vm_moves(vm, &m);
    s->remapped_pages = m.remapped;
    s->vacated_pages = m.vacated;
    s->moves_busy = m.busy;
    s->moves_no_frame = m.no_frame;
    s->remap_left = m.remap_left;
    s->vacate_left = m.vacate_left;
    if (vm->disk != NULL) {
        const struct virtio_blk *b = vm->platform.blk;
        vm_disk_hot(vm, hot);
        s->disk = (struct tithe_disk_use){.sectors = b->sectors,
                                          .requests = b->requests,
                                          .errors = b->errors,
                                          .direct = vm->io.direct_pieces,
                                          .copied = vm->io.copied_pieces,
                                          .hot_1 = hot[0],
                                          .hot_4 = hot[1],
                                          .hot_16 = hot[2],
                                          .hot_64 = hot[3],
                                          .hot_256 = hot[4],
                                          .hot_1024 = hot[5]};
    }
}

static void fill_vm(struct tithe_vm_snapshot *s, struct vm *vm, uint64_t now_ns)
{
    const struct frame_coloured coloured = frames_coloured(vm->slot);
    *s = (struct tithe_vm_snapshot){
        .id = vm->id,
        .state = vm->state,
        .size_pages = vm->config.size_pages,
        .max_pages = vm->max_pages,
        .min_pages = vm->min_pages,
        .shares = vm->shares,
        .target_pages = vm->target_pages,
        .held = vm->held ? 1 : 0,
        .consumed_pages = vm->p2m.present_pages + vm->p2m.store.frames,
        .overhead_pages = vm->overhead_pages,
        .balloon_driver = vm->balloon_driver ? 1 : 0,
        .balloon_target_pages = vm->config.size_pages - vm->target_pages,
        .balloon_actual_pages = vm->platform.balloon.actual,
        .ballooned_pages = vm->p2m.ballooned_pages,
        .first_touches = vm->p2m.first_touches,
        .balloon_pops = vm->p2m.pops,
        .populated_pages = vm->p2m.populating.pages,
        .share_group = vm->p2m.sharing.group,
        .shared_pages = vm->p2m.sharing.pages,
        .cow_breaks = vm->p2m.sharing.breaks,
        .scanned_pages = vm->p2m.sharing.scanned,
        .scan_hits = vm->p2m.sharing.hits + vm->p2m.sharing.hint_hits,
        .scan_zeros = vm->p2m.sharing.zeros,
        .scan_left = work_scan_left(vm),
        .colours = frames_colours(vm->slot),
        .coloured_pages = coloured.given,
        .off_colour_pages = coloured.off,
        .recoloured_pages = vm->p2m.colouring.moved,
        .recolour_left = vm->p2m.colouring.left,
        .reported_pages = vm->platform.balloon.reported_pages,
        .swapped_pages = vm->p2m.swap.pages,
        .swap_reserved_pages = vm->p2m.swap.reserved,
        .swapped_out = vm->p2m.swap.outs,
        .swapped_in = vm->p2m.swap.ins,
        .swap_unwritten = vm->p2m.swap.unwritten,
        .swap_out_wanted = vm->swap_out_wanted,
        .prefetch_wanted = vm->prefetch_wanted,
        .compressed_pages = vm->p2m.store.pages,
        .compressed_bytes = vm->p2m.store.bytes,
        .store_pages = vm->p2m.store.frames,
        .store_limit_pages = vm->p2m.store.limit,
        .compress_tried = vm->p2m.store.tried,
        .compress_poor = vm->p2m.store.poor,
        .compress_full = vm->p2m.store.full,
        .expanded_pages = vm->p2m.store.hits,
        .evicted_pages = vm->p2m.store.evicted,
        .compress_ns = tsc_to_ns(vm->p2m.store.ticks_in),
        .expand_ns = tsc_to_ns(vm->p2m.store.ticks_out),
        .swap_writes_avoided = vm->p2m.swap.writes_avoided,
        .swap_reads_avoided = vm->p2m.swap.reads_avoided,
        .expands_avoided = vm->p2m.store.expands_avoided,
        .avoids_double_paging = vm->p2m.swap.avoids,
        .created_ns = vm->created_ns,
        .stop_reason = vm->stop_reason,
        .exit_code = vm->exit_code,
        .reboots = vm->reboots,
        .vcpus = vm->config.vcpus,
        .cpu_shares = vm->cpu_shares,
        .cpu_ns = vm->ended_cpu_ns,
        .console_offset = uart_console_offset(&vm->platform.uart),
        .guest = vm->platform.balloon.stats,
    };
    memcpy(s->name, vm->name, sizeof s->name);
    if (s->colours != 0) {
        lock_acquire(&vm->p2m.lock);
        s->stray_pages = p2m_strays(&vm->p2m);
        lock_release(&vm->p2m.lock);
    }
    fill_moves(s, vm);
    if (vm->sample.counts.period != 0) {
        sample_counts(&vm->p2m, &s->sample);
    }
    for (int kind = 0; kind < EXIT_KINDS; kind++) {
        s->exits += vm->ended_exits[kind];
    }
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        const struct vcpu *v = vm->vcpu[i];
        s->vcpu[i] = (struct tithe_vcpu_snapshot){
            .cpu_ns = v->sched.cpu_ns, .state = vcpu_states[v->state], .cpu = v->sched.cpu};
        s->cpu_ns += s->vcpu[i].cpu_ns;
        for (int kind = 0; kind < EXIT_KINDS; kind++) {
            s->exits += v->exits[kind];
        }
    }
    if (vm->balloon_driver && vm->state == TITHE_VM_RUNNING && now_ns - vm->stats_asked_ns >= stats_ns) {
        vm->stats_asked_ns = now_ns;
        lock_acquire(&vm->platform.lock);
        platform_balloon_poll_stats(&vm->platform);
        lock_release(&vm->platform.lock);
    }
}

static void fill_cpus(void)
{
    snapshot->cpus = percpu_count();
    snapshot->idle_ns = 0;
    for (uint32_t i = 0; i < snapshot->cpus; i++) {
        const struct percpu *cpu = percpu_of(i);
        snapshot->cpu[i] = (struct tithe_cpu_snapshot){.guest_ns = cpu->turns_ns[SCHED_VCPU],
                                                       .steward_ns = cpu->turns_ns[SCHED_STEWARD],
                                                       .worker_ns = cpu->turns_ns[SCHED_WORKER],
                                                       .idle_ns = run_idle_ns(i),
                                                       .apic_id = cpu->apic_id};
        snapshot->idle_ns += snapshot->cpu[i].idle_ns;
    }
}

uint64_t snapshot_ns(void)
{
    return snapshot->now_ns;
}

uint64_t snapshot_refresh(void)
{
    struct frame_counts f;
    struct share_counts shared;
    frames_counts(&f);
    share_counts(&shared);
    snapshot->shared_frames = shared.frames;
    snapshot->shared_entries = shared.entries;
    snapshot->zero_entries = shared.zero_entries;
    snapshot->colours = frames_colour_count();
    snapshot->generation++;
    snapshot->now_ns = time_now_ns();
    snapshot->wall_ns = wall_ns_at_boot() + snapshot->now_ns;
    snapshot->vm_count = 0;
    snapshot->overhead_pages = 0;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        struct vm *vm = vm_at(place);
        if (vm != NULL) {
            /* Slots are reused, ids are not: keep them ascending. */
            uint32_t at = snapshot->vm_count++;
            while (at > 0 && snapshot->vm[at - 1].id > vm->id) {
                snapshot->vm[at] = snapshot->vm[at - 1];
                at--;
            }
            fill_vm(&snapshot->vm[at], vm, snapshot->now_ns);
            snapshot->overhead_pages += vm->overhead_pages;
        }
    }
    snapshot->total_pages = f.total;
    snapshot->free_pages = f.free - f.promised;
    snapshot->reserve_pages = f.reserve;
    struct swap_counts swap;
    swap_counts(&swap);
    snapshot->dma_limit_pages = disk_dma_limit();
    snapshot->swap_pages = swap.slots - swap.bad;
    snapshot->swap_free_pages = swap.free;
    snapshot->swap_reserved_pages = swap.reserved;
    snapshot->swap_errors = swap.errors + swap.corrupt;
    snapshot->core_pages = f.core;
    snapshot->guest_pages = f.guest;
    snapshot->event_seq = event_next_seq();
    snapshot->log_offset = log_offset();
    fill_cpus();
    snapshot->steward_restarts = steward_restarts();
    snapshot->plans_applied = plans_applied();
    snapshot->plans_refused = plans_refused();
    snapshot->reload_core_instructions = policy_reload_ticks();
    return snapshot->generation;
}
