/* SPDX-License-Identifier: MIT
 *
 * From the memory map to a frame table and the core's own tables.
 */
#include "boot/boot_priv.h"
#include "boot/layout.h"
#include "lib/log.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/host_map.h"
#include "x86/leave.h"

/* First instructions of other CPUs, and what old firmware believes to own. */
#define LOW_MEMORY  (1 * MIB)
/* Above are the video memory and firmware; start-up vectors A0-BF are reserved (SDM 3A 11.6.1). */
#define LOW_RAM     (640 * KIB)
/* A core that can run one small guest and a steward. */
#define SPARE_BYTES (24 * MIB)
/* Larger machines would need their frame table above 4 GiB. */
#define RAM_LIMIT   (512 * GIB)

/* What is in use when the frame table is made: image, module, the frame table itself. Ascending. */
struct taken {
    hpa_t start, end;
};
static struct taken taken[3];
static size_t taken_count;

static void take(hpa_t start, hpa_t end)
{
    size_t i = taken_count++;

    start &= PAGE_MASK;
    end = (end + PAGE_BYTES - 1) & PAGE_MASK;
    for (; i > 0 && taken[i - 1].start > start; i--) taken[i] = taken[i - 1];
    taken[i] = (struct taken){start, end};
}

/* The part of a RAM range that the core manages; empty: start >= end. */
static struct taken usable(const struct boot_mem *m)
{
    struct taken r = {m->start, m->end};

    if (m->type != BOOT_MEM_RAM) r.end = r.start;
    if (r.start < LOW_MEMORY) r.start = LOW_MEMORY;
    if (r.end > RAM_LIMIT) r.end = RAM_LIMIT;
    return r;
}

/* Low memory counts: GRUB puts a small module there. */
static bool inside_ram(hpa_t start, hpa_t end)
{
    for (size_t i = 0; i < boot_info.mem_count; i++) {
        const struct boot_mem *m = &boot_info.mem[i];
        if (m->type == BOOT_MEM_RAM && m->start <= start && end <= m->end && end <= RAM_LIMIT) return true;
    }
    return false;
}

hpa_t boot_low_page(hpa_t below)
{
    for (hpa_t page = (below < LOW_RAM ? below : LOW_RAM) - PAGE_BYTES; page > 0; page -= PAGE_BYTES)
        if (inside_ram(page, page + PAGE_BYTES) &&
            (page + PAGE_BYTES <= boot_info.module || page >= boot_info.module + boot_info.module_bytes))
            return page;
    return 0;
}

/* Highest room for `bytes` that the early tables reach, 0 if there is none. */
static hpa_t find_room(uint64_t bytes)
{
    for (size_t i = boot_info.mem_count; i > 0; i--) {
        struct taken r = usable(&boot_info.mem[i - 1]);
        hpa_t end = r.end < EARLY_LIMIT ? r.end : EARLY_LIMIT;
        for (size_t t = taken_count + 1; t > 0; t--) {
            if (end > r.start && end - r.start >= bytes && (t == 1 || taken[t - 2].end <= end - bytes))
                return end - bytes;
            if (t > 1 && taken[t - 2].start < end) end = taken[t - 2].start;
        }
    }
    return 0;
}

_Noreturn static void too_small(uint64_t has, uint64_t needs)
{
    log_line("tithe: this machine has too little memory: %llu MiB are usable, Tithe needs at least %llu MiB",
             has / MIB, (needs + MIB - 1) / MIB);
    machine_leave(1);
}

/* Enters RAM in [from, to) into the frame table: what is taken as the core's, the rest as free. */
static void add_frames(hpa_t from, hpa_t to)
{
    for (size_t t = 0; t < taken_count && from < to; t++) {
        hpa_t start = taken[t].start < to ? taken[t].start : to, end = taken[t].end < to ? taken[t].end : to;
        if (end <= from) continue;
        if (start > from)
            frames_add(from >> PAGE_SHIFT, (start - from) >> PAGE_SHIFT, FRAME_FREE);
        else
            start = from;
        if (end > start) frames_add(start >> PAGE_SHIFT, (end - start) >> PAGE_SHIFT, FRAME_CORE);
        from = end > from ? end : from;
    }
    if (from < to) frames_add(from >> PAGE_SHIFT, (to - from) >> PAGE_SHIFT, FRAME_FREE);
}

static void add_all_frames(hpa_t from, hpa_t to)
{
    for (size_t i = 0; i < boot_info.mem_count; i++) {
        struct taken r = usable(&boot_info.mem[i]);
        add_frames(r.start > from ? r.start : from, r.end < to ? r.end : to);
    }
}

static void check_module(void)
{
    if (boot_info.module_bytes == 0) return;
    hpa_t start = boot_info.module, end;
    const char *why = NULL;

    if (__builtin_add_overflow(start, boot_info.module_bytes, &end) || end > UINT64_MAX - PAGE_BYTES ||
        !inside_ram(start, end))
        why = "is not in RAM";
    else if (start < image_to_hpa(image_end) && end > image_to_hpa(image_start))
        why = "overlaps the core";
    if (why == NULL) {
        take(start, end);
        return;
    }
    log_line("tithe: the boot module at 0x%lx, %lu bytes, %s: ignored", start, boot_info.module_bytes, why);
    boot_info.module = boot_info.module_bytes = 0;
}

void boot_memory(void)
{
    uint64_t bytes = 0;
    hpa_t limit = 0;

    for (size_t i = 0; i < boot_info.mem_count; i++) {
        struct taken r = usable(&boot_info.mem[i]);
        if (r.start >= r.end) continue;
        bytes += r.end - r.start;
        limit = r.end;
    }
    if (!inside_ram(image_to_hpa(image_start), image_to_hpa(image_end)))
        panic("the memory map has no RAM where the core is");
    take(image_to_hpa(image_start), image_to_hpa(image_end));
    check_module();

    uint64_t table_bytes = (frames_bytes(limit >> PAGE_SHIFT) + PAGE_BYTES - 1) & PAGE_MASK;
    uint64_t needed =
        table_bytes + boot_info.module_bytes + (uint64_t)(image_end - image_start) + SPARE_BYTES;
    hpa_t table = find_room(table_bytes);
    if (bytes < needed || table == 0) too_small(bytes, needed);
    take(table, table + table_bytes);

    frames_init(hpa_to_virt(table), limit >> PAGE_SHIFT);
    /* The early tables reach 4 GiB; only then is the rest of memory there. */
    add_all_frames(0, EARLY_LIMIT);
    host_map_init(&boot_info);
    add_all_frames(EARLY_LIMIT, UINT64_MAX);
}
