/* SPDX-License-Identifier: MIT */
#include "boot/layout.h"
#include "lib/log.h"
#include "mem/frame.h"
#include "x86/cpu.h"
#include "x86/host_map.h"
#include "x86/msr.h"
#include "x86/percpu.h"

/* What the direct map has room for. */
#define DIRECT_MAX_BYTES (64ull << 40)

static mfn_t table_alloc(void *ctx)
{
    (void)ctx;
    return frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
}

static void table_free(void *ctx, mfn_t mfn)
{
    (void)ctx;
    frame_free(mfn);
}

struct pt host_pt = {.format = &pt_format_host, .table_alloc = table_alloc, .table_free = table_free};

static unsigned largest_page(void)
{
    return cpuid(0x80000001, 0).edx & 1u << 26 ? 3 : 2;
}

static void map(uint64_t va, hpa_t hpa, uint64_t bytes, unsigned rights)
{
    if (!pt_map(&host_pt, va, hpa, bytes, rights | PT_GLOBAL, largest_page()))
        panic("no memory for the core's own tables");
}

/* Part of the image, in both places it can be seen: only as writable as it must be. */
static void map_image_part(const char *start, const char *end, unsigned rights)
{
    hpa_t hpa = image_to_hpa(start);
    uint64_t bytes = ((uint64_t)(end - start) + PAGE_BYTES - 1) & PAGE_MASK;

    map((uint64_t)(uintptr_t)start, hpa, bytes, rights);
    map(DIRECT_BASE + hpa, hpa, bytes, rights & ~(unsigned)PT_EXEC);
}

static void unmap_guard(const char *page)
{
    if (!pt_unmap(&host_pt, (uint64_t)(uintptr_t)page, PAGE_BYTES))
        panic("no memory for the core's own tables");
}

void host_map_cpu_init(void)
{
    struct cpuid seven = cpuid(0, 0).eax >= 7 ? cpuid(7, 0) : (struct cpuid){0};
    uint64_t cr4 = read_cr4() | CR4_PGE | CR4_DE | CR4_MCE;

    if (seven.ebx & 1u << 7) cr4 |= CR4_SMEP;
    if (seven.ebx & 1u << 20) cr4 |= CR4_SMAP;
    if (seven.ecx & 1u << 2) cr4 |= CR4_UMIP;
    this_cpu()->core_cr3 = host_pt.root;
    wrmsr(MSR_PAT, PAT_RESET); /* firmware may have had other ideas; pt_format_host counts on these */
    write_cr3(host_pt.root);
    write_cr4(cr4);
}

void host_map_init(const struct boot_info *boot)
{
    if (!pt_create(&host_pt)) panic("no memory for the core's own tables");
    for (size_t i = 0; i < boot->mem_count; i++) {
        const struct boot_mem *m = &boot->mem[i];
        if (m->type == BOOT_MEM_RESERVED || m->end > DIRECT_MAX_BYTES) continue;
        map(DIRECT_BASE + m->start, m->start, m->end - m->start,
            m->type == BOOT_MEM_RAM ? PT_READ | PT_WRITE : PT_READ);
    }
    map_image_part(text_start, text_end, PT_READ | PT_EXEC);
    map_image_part(rodata_start, rodata_end, PT_READ);
    map_image_part(data_start, image_end, PT_READ | PT_WRITE);
    unmap_guard(boot_stacks);
    for (size_t i = 0; i < IST_STACKS; i++)
        unmap_guard(boot_stacks + PAGE_BYTES + STACK_BYTES + i * (PAGE_BYTES + IST_STACK_BYTES));
    host_map_cpu_init();
}

const char *host_map_stacks(uint32_t which)
{
    const uint64_t base = STACKS_BASE + which * BOOT_STACKS_BYTES;

    for (uint64_t at = 0; at < BOOT_STACKS_BYTES; at += PAGE_BYTES) {
        const bool guard = at <= STACK_BYTES
                               ? at == 0
                               : (at - PAGE_BYTES - STACK_BYTES) % (PAGE_BYTES + IST_STACK_BYTES) == 0;
        if (guard) continue;
        mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
        if (mfn == MFN_NONE ||
            !pt_map(&host_pt, base + at, mfn << PAGE_SHIFT, PAGE_BYTES, PT_READ | PT_WRITE | PT_GLOBAL, 1))
            return NULL;
    }
    return (const char *)(uintptr_t)base;
}

/* Maps those pages of a range that are not there. */
static void *map_missing(hpa_t hpa, uint64_t bytes, unsigned rights)
{
    if (bytes == 0 || bytes > DIRECT_MAX_BYTES || hpa > DIRECT_MAX_BYTES - bytes) return NULL;
    for (hpa_t page = hpa & PAGE_MASK; page < hpa + bytes; page += PAGE_BYTES)
        if (!pt_lookup(&host_pt, DIRECT_BASE + page, NULL, NULL) &&
            !pt_map(&host_pt, DIRECT_BASE + page, page, PAGE_BYTES, rights | PT_GLOBAL, 1))
            return NULL;
    return hpa_to_virt(hpa);
}

const void *host_map_firmware(hpa_t hpa, uint64_t bytes)
{
    return map_missing(hpa, bytes, PT_READ);
}

volatile void *host_map_device(hpa_t hpa, uint64_t bytes)
{
    return map_missing(hpa, bytes, PT_READ | PT_WRITE | PT_UNCACHED);
}
