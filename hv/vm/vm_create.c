/* SPDX-License-Identifier: MIT
 *
 * From a configuration to a running VM.
 */
#include "boot/boot_info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "mem/origin.h"
#include "mem/permute.h"
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/vm_boot.h"
#include "vm/vm_disk.h"
#include "vm/vm_table.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/time.h"

/* A Linux kernel does not even unpack below this, and smaller guests still need a page or two. */
#define SIZE_MIN_PAGES (1 * MIB / PAGE_BYTES)
/* Below the device window (0xC0000000) the guest's RAM is one range; the rest starts at 4 GiB. */
#define LOW_RAM_PAGES  (0xC0000000ull / PAGE_BYTES)
#define HIGH_RAM_GFN   (4 * GIB / PAGE_BYTES)
/* 52-bit physical addresses at most, and far from overflow. */
#define SIZE_MAX_PAGES (1ull << 31) /* frames note gfns in 32 bits */

static uint32_t last_id;

static size_t ram_ranges(uint64_t size_pages, struct p2m_range ranges[2])
{
    const uint64_t low = size_pages < LOW_RAM_PAGES ? size_pages : LOW_RAM_PAGES;
    ranges[0] = (struct p2m_range){.start = 0, .count = low};
    ranges[1] = (struct p2m_range){.start = HIGH_RAM_GFN, .count = size_pages - low};
    return size_pages > low ? 2 : 1;
}

static bool name_ok(const char *name)
{
    const size_t length = strnlen(name, TITHE_NAME_MAX);
    if (length == 0 || length >= TITHE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        const char c = name[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (!letter && !(i > 0 && (digit || c == '-' || c == '_' || c == '.'))) {
            return false;
        }
    }
    return true;
}

/* Everything about the configuration that does not depend on what is free just now. */
static int config_check(const struct tithe_create *c, char *reason)
{
    if (!name_ok(c->name)) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "a VM's name is 1 to %u letters, digits, '-', '_' or '.', a letter first",
                   TITHE_NAME_MAX - 1);
        return TITHE_EINVAL;
    }
    if (vm_find_name(c->name) != NULL) {
        fmt_string(reason, TITHE_REASON_MAX, "a VM named %s exists: choose another name, or destroy it first",
                   c->name);
        return TITHE_EEXIST;
    }
    if (c->size_pages < SIZE_MIN_PAGES || c->size_pages > SIZE_MAX_PAGES) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "size of %llu pages: a VM has %llu pages (1 MiB) or more, and less than 2^36",
                   (unsigned long long)c->size_pages, SIZE_MIN_PAGES);
        return TITHE_ERANGE;
    }
    if (c->min_pages > c->max_pages || c->max_pages > c->size_pages || c->max_pages == 0) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "min %llu, max %llu, size %llu pages: it must be min <= max <= size",
                   (unsigned long long)c->min_pages, (unsigned long long)c->max_pages,
                   (unsigned long long)c->size_pages);
        return TITHE_ERANGE;
    }
    if (c->shares == 0 || c->shares > SHARES_MAX) {
        fmt_string(reason, TITHE_REASON_MAX, "shares %llu: give 1 to %u", (unsigned long long)c->shares,
                   SHARES_MAX);
        return TITHE_ERANGE;
    }
    if (c->cpu_shares > SHARES_MAX) {
        fmt_string(reason, TITHE_REASON_MAX, "cpu_shares %llu: give 1 to %u",
                   (unsigned long long)c->cpu_shares, SHARES_MAX);
        return TITHE_ERANGE;
    }
    if (c->vcpus == 0 || c->vcpus > VCPUS_MAX) {
        fmt_string(reason, TITHE_REASON_MAX, "%u vCPUs: a VM has 1 to %u", c->vcpus, VCPUS_MAX);
        return TITHE_ERANGE;
    }
    return 0;
}

/* Can this machine ever hold it? Its minimum and its overhead must fit in what is not the core's. */
static int admission_check(const struct tithe_create *c, char *reason)
{
    struct p2m_range ranges[2];
    const size_t range_count = ram_ranges(c->size_pages, ranges);
    const uint64_t tables = p2m_table_pages(ranges, range_count);
    struct frame_counts f;
    frames_counts(&f);
    const uint64_t usable = f.total > f.core + f.reserve ? f.total - f.core - f.reserve : 0;
    if (c->min_pages + tables > usable) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "min of %llu pages and %llu of tables can never fit: this machine has %llu for guests; "
                   "lower min or size",
                   (unsigned long long)c->min_pages, (unsigned long long)tables, (unsigned long long)usable);
        return TITHE_ENOMEM;
    }
    return 0;
}

/* What it has above its min must fit in swap, where there is one: so it can always be brought down to its min. */
bool vm_reserve_swap(struct vm *vm, uint64_t min_pages, uint64_t max_pages, char *reason)
{
    struct swap_counts c;
    swap_counts(&c);
    /* One that was suspended may have more there than that, and one that is will have. */
    const uint64_t there =
        swap_pages_out(&vm->p2m) + (vm->state == TITHE_VM_SUSPENDED ? vm->p2m.present_pages : 0);
    const uint64_t slots = max_pages - min_pages > there ? max_pages - min_pages : there;
    if (swap_reserve(&vm->p2m, slots)) {
        return true;
    }
    const uint64_t others = c.reserved + c.bad - vm->p2m.swap.reserved;
    fmt_string(reason, TITHE_REASON_MAX,
               "max less min is %llu pages, and swap has %llu not reserved: raise min, lower max or give the "
               "machine more swap",
               (unsigned long long)(max_pages - min_pages),
               (unsigned long long)(c.slots > others ? c.slots - others : 0));
    return false;
}

static uint64_t pages_of(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

static void *alloc_struct(size_t bytes)
{
    const mfn_t mfn = frame_alloc_run(pages_of(bytes), 1);
    return mfn == MFN_NONE ? NULL : mfn_to_virt(mfn);
}

static void free_struct(void *at, size_t bytes)
{
    frame_free_run(virt_to_hpa(at) >> PAGE_SHIFT, pages_of(bytes));
}

/* The map changed: vCPUs that run leave the guest, and all flush before they enter it again (mem/tlb.h). */
static void flush_map(struct p2m *p2m)
{
    struct vm *vm = vm_of_p2m(p2m);
    const uint64_t generation = tlb_invalidate(&vm->tlb_generation);
    uint64_t gate[VCPUS_MAX];
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        gate[i] = tlb_must_wait(&vm->vcpu[i]->tlb, generation);
        if (gate[i] != 0) {
            smp_kick(vm->vcpu[i]->sched.cpu);
        }
    }
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        while (gate[i] != 0 && tlb_still_in(&vm->vcpu[i]->tlb, gate[i], generation)) {
            cpu_pause();
        }
    }
}

/* Debug builds do without, when asked to, to show that a test can tell. */
static void (*flush_wanted(void))(struct p2m *p2m)
{
#ifdef TITHE_DEBUG
    if (boot_flag("test") && boot_flag("skip_flush")) {
        return NULL;
    }
#endif
    return flush_map;
}

/* Neighbours begin on different CPUs; later they go where there is time. */
static uint32_t next_cpu(void)
{
    static uint32_t last;
    last = (last + 1) % percpu_count();
    return last;
}

static struct vcpu *vcpu_new(struct vm *vm, uint32_t index)
{
    struct vcpu *v = alloc_struct(sizeof *v);
    if (v == NULL) {
        return NULL;
    }
    v->vm = vm;
    v->index = index;
    v->state = VCPU_STOPPED;
    sched_init(&v->sched, next_cpu(), vm_vcpu_weight(vm), SCHED_VCPU);
    timer_init(&v->timer, vcpu_on_timer);
    if (!fpu_state_init(&v->fpu)) {
        free_struct(v, sizeof *v);
        return NULL;
    }
    if (!vendor->vcpu_create(v)) {
        fpu_state_free(&v->fpu);
        free_struct(v, sizeof *v);
        return NULL;
    }
    return v;
}

void vm_free_vcpus(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *v = vm->vcpu[i];
        vm->ended_cpu_ns += v->sched.cpu_ns;
        for (int kind = 0; kind < EXIT_KINDS; kind++) {
            vm->ended_exits[kind] += v->exits[kind];
        }
        vendor->vcpu_destroy(v);
        fpu_state_free(&v->fpu);
        free_struct(v, sizeof *v);
        vm->vcpu[i] = NULL;
    }
    vm->vcpu_count = 0;
}

void vm_free(struct vm *vm)
{
    free_struct(vm, sizeof *vm);
}

static void native_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpuid r = cpuid(leaf, subleaf);
    out[0] = r.eax;
    out[1] = r.ebx;
    out[2] = r.ecx;
    out[3] = r.edx;
}

/* A VM without vCPUs or contents; NULL when memory is short. */
static struct vm *vm_new(const struct tithe_create *c, uint16_t slot)
{
    struct vm *vm = alloc_struct(sizeof *vm);
    if (vm == NULL) {
        return NULL;
    }
    struct p2m_range ranges[2];
    const size_t range_count = ram_ranges(c->size_pages, ranges);
    if (!p2m_create(&vm->p2m, vendor->second_level, slot, ranges, range_count)) {
        vm_free(vm);
        return NULL;
    }
    vm->p2m.flush = flush_wanted();
    vm->p2m.sample = &vm->sample;
    origin_avoid(&vm->p2m, true);
    vm->sample.accessed = vendor->accessed_bits();
    vm->sample.random = permute_mix(rdtsc());
    vm->slot = slot;
    vm->config = *c;
    memcpy(vm->name, c->name, sizeof vm->name);
    vm->max_pages = c->max_pages;
    vm->min_pages = c->min_pages;
    vm->shares = c->shares;
    vm->cpu_shares = c->cpu_shares != 0 ? c->cpu_shares : CPU_SHARES_USUAL;
    vm->target_pages = c->max_pages;
    vm->created_ns = time_now_ns();
    const struct cpuid_host host = {.cpuid = native_cpuid, .xcr0 = fpu_host_xcr0(), .tsc_hz = tsc_hz()};
    guest_cpuid_init(&vm->cpuid, &host, c->vcpus);
    vm->tlb_generation = 1;
    timer_init(&vm->poll_timer, vm_poll);
    platform_init(&vm->platform, &vm_platform_ops, vm, vm->created_ns);
    return vm;
}

static void vm_undo(struct vm *vm)
{
    vm_disk_close(vm);
    p2m_retire(&vm->p2m);
    vm_free_vcpus(vm);
    p2m_destroy(&vm->p2m);
    vm_free(vm);
}

int vm_create(struct tithe_create *config, char *reason)
{
    int error = config_check(config, reason);
    if (error == 0) {
        error = admission_check(config, reason);
    }
    if (error != 0) {
        return error;
    }
    const uint16_t slot = vm_table_free_slot();
    if (slot == 0) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "there are %u VMs already, the most there can be: destroy one first", TITHE_VMS_MAX);
        return TITHE_ENOSPC;
    }

    struct frame_counts before, after;
    frames_counts(&before);
    struct vm *vm = vm_new(config, slot);
    if (vm == NULL) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "no memory free for the VM's tables just now: destroy a VM or lower targets");
        return TITHE_ENOMEM;
    }
    if (!vm_reserve_swap(vm, config->min_pages, config->max_pages, reason)) {
        vm_undo(vm);
        return TITHE_ENOMEM;
    }
    if (config->disk[0] != '\0') {
        error = vm_disk_open(vm, config->disk, reason);
        if (error != 0) {
            vm_undo(vm);
            return error;
        }
    }
    for (uint32_t i = 0; i < config->vcpus; i++) {
        vm->vcpu[i] = vcpu_new(vm, i);
        if (vm->vcpu[i] == NULL) {
            fmt_string(reason, TITHE_REASON_MAX,
                       "no memory free for a vCPU just now: destroy a VM or lower targets");
            vm_undo(vm);
            return TITHE_ENOMEM;
        }
        vm->vcpu_count = i + 1;
    }
    frames_counts(&after);
    vm->overhead_pages =
        after.core - before.core + after.table - before.table + after.promised - before.promised;

    error = vm_load(vm, reason);
    if (error != 0) {
        vm_undo(vm);
        return error;
    }
    vm->id = ++last_id;
    config->id = vm->id;
    vm_table_put(vm);
    event_emit(TITHE_EVENT_VM_CREATED, vm->id, config->size_pages, 0, "%s", vm->name);
    vm->state = TITHE_VM_PAUSED;
    if (config->paused == 0) {
        vm_start(vm);
    }
    return 0;
}
