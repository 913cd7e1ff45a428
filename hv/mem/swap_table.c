/* SPDX-License-Identifier: MIT */
#include "mem/swap_table.h"

#include "mem/frame.h"
#include "mem/origin.h"
#include "mem/p2m_tables.h"

#define PAGE_SECTORS (PAGE_BYTES / DISK_SECTOR_BYTES)

/* At most so many slots for each frame of the machine: the records then cost 1.6 % of its memory. */
#define SLOTS_PER_FRAME 4u

struct swap swap = {.lock = LOCK_INIT(LOCK_SWAP), .random = 0x2545f4914f6cdd1d};

/* ---- slots ---- */

static bool is_used(uint32_t slot)
{
    return swap.used[slot / 64] >> slot % 64 & 1;
}

uint32_t swap_slots_take(uint32_t want, uint32_t *first)
{
    uint32_t got = 0;

    lock_acquire(&swap.lock);
    uint32_t at = swap.cursor;
    for (uint32_t looked = 0; swap.free && looked < swap.count;) {
        if (at >= swap.count) at = 0;
        const uint32_t step = at % 64 == 0 && swap.used[at / 64] == UINT64_MAX ? 64 : 1;
        if (step == 1 && !is_used(at)) break;
        at += step;
        looked += step;
    }
    *first = at;
    for (; swap.free && got < want && at < swap.count && !is_used(at); at++, got++, swap.free--) {
        swap.used[at / 64] |= 1ull << at % 64;
    }
    swap.cursor = at;
    lock_release(&swap.lock);
    return got;
}

void swap_slot_release(uint32_t slot, bool bad)
{
    swap.slots[slot] = (struct swap_slot){.state = bad ? SLOT_BAD : SLOT_FREE};
    lock_acquire(&swap.lock);
    if (bad) {
        swap.bad++;
    } else {
        swap.used[slot / 64] &= ~(1ull << slot % 64);
        swap.free++;
    }
    lock_release(&swap.lock);
}

/* ---- requests ---- */

struct swap_request *swap_request_get(struct p2m *p2m, enum disk_op op, bool needed)
{
    struct swap_request *found = NULL;

    lock_acquire(&swap.lock);
    const uint32_t from = needed ? SWAP_CLUSTERS : 0, to = needed ? SWAP_REQUESTS : SWAP_CLUSTERS;
    for (uint32_t i = from; i < to && !found; i++) {
        if (!swap.request[i].busy) found = &swap.request[i];
    }
    if (found)
        found->busy = true;
    else if (needed)
        swap.starved = true;
    lock_release(&swap.lock);
    if (found) {
        found->disk.op = op;
        found->needed = needed;
        found->p2m = p2m;
        found->owner = p2m->owner;
        found->count = 0;
        found->origin = false;
    }
    return found;
}

void swap_request_put(struct swap_request *r)
{
    lock_acquire(&swap.lock);
    r->busy = false;
    lock_release(&swap.lock);
}

void swap_request_add(struct swap_request *r, uint32_t slot, gfn_t gfn, enum swap_state state, mfn_t frame)
{
    struct swap_slot *s = &swap.slots[slot];

    r->slot[r->count] = slot;
    r->frame[r->count] = frame;
    s->gfn = gfn & ((1ull << 36) - 1);
    s->owner = (uint8_t)r->owner;
    s->state = (uint64_t)state & 7;
    s->request = (uint64_t)(r - swap.request) & 63;
    s->page = r->count++ & 31;
}

void swap_request_submit(struct swap_request *r)
{
    if (!r->origin) {
        r->disk.disk = swap.disk;
        r->disk.sector = swap.first_sector + (uint64_t)r->slot[0] * PAGE_SECTORS;
    }
    r->disk.segments = r->segments;
    r->disk.segment_count = r->count;
    const enum disk_status status = disk_submit(&r->disk);
    if (status == DISK_OK) return;
    r->disk.status = status;
    __atomic_store_n(&r->refused, true, __ATOMIC_RELEASE);
    __atomic_store_n(&swap.refused, true, __ATOMIC_RELEASE);
    swap_wanted();
}

/* ---- the whole ---- */

static void buffers_free(void)
{
    for (uint32_t i = 0; i < SWAP_REQUESTS; i++) {
        for (uint32_t page = 0; page < SWAP_CLUSTER; page++) {
            const mfn_t mfn = swap.request[i].segments[page].mfn;
            if (mfn != MFN_NONE) frame_free(mfn);
        }
    }
}

static bool buffers_alloc(void)
{
    bool ok = true;

    for (uint32_t i = 0; i < SWAP_REQUESTS; i++) {
        struct swap_request *r = &swap.request[i];
        *r = (struct swap_request){.room = i < SWAP_CLUSTERS ? SWAP_CLUSTER : 1,
                                   .disk.done = swap_request_ended};
        for (uint32_t page = 0; page < SWAP_CLUSTER; page++) {
            const bool wanted = ok && page < r->room;
            const mfn_t mfn =
                wanted ? frame_alloc_within(FRAME_CORE, FRAME_OWNER_CORE, 0, 0, disk_dma_limit()) : MFN_NONE;
            r->segments[page] = (struct disk_segment){.mfn = mfn, .bytes = PAGE_BYTES};
            if (wanted && mfn == MFN_NONE) ok = false;
        }
    }
    if (!ok) buffers_free();
    return ok;
}

bool swap_init(uint32_t disk, uint64_t first_sector, uint64_t slots)
{
    struct frame_counts f;

    frames_counts(&f);
    if (slots > f.total * SLOTS_PER_FRAME) slots = f.total * SLOTS_PER_FRAME;
    if (slots > P2M_SLOTS_MAX) slots = P2M_SLOTS_MAX;
    slots &= ~63ull;
    const uint64_t bytes = slots * sizeof(struct swap_slot) + slots / 8;
    const mfn_t table = slots ? frame_alloc_run((bytes + PAGE_BYTES - 1) / PAGE_BYTES, 1) : MFN_NONE;
    if (table == MFN_NONE) return false;
    if (!buffers_alloc()) {
        frame_free_run(table, (bytes + PAGE_BYTES - 1) / PAGE_BYTES);
        return false;
    }
    swap.slots = mfn_to_virt(table);
    swap.used = (uint64_t *)(swap.slots + slots);
    swap.disk = disk;
    swap.first_sector = first_sector;
    swap.count = (uint32_t)slots;
    swap.free = slots;
    swap.cursor = 0;
    swap.reserved = swap.bad = swap.errors = swap.corrupt = 0;
    swap.dead = false;
    return true;
}

bool swap_reserve(struct p2m *p2m, uint64_t slots)
{
    const uint64_t others = swap.reserved - p2m->swap.reserved;

    if (slots && swap.count && slots + others + swap.bad > swap.count) return false;
    swap.reserved = others + slots;
    p2m->swap.reserved = slots;
    return true;
}

void swap_forget(struct p2m *p2m)
{
    (void)!swap_reserve(p2m, 0);
    for (uint32_t i = 0; i < SWAP_REQUESTS; i++) {
        if (swap.request[i].p2m == p2m) swap.request[i].p2m = NULL;
    }
}

uint32_t swap_writes(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < SWAP_CLUSTERS; i++) count += swap.request[i].busy;
    return count;
}

uint64_t swap_completions(void)
{
    return __atomic_load_n(&swap.completions, __ATOMIC_SEQ_CST);
}

void swap_counts(struct swap_counts *out)
{
    lock_acquire(&swap.lock);
    *out = (struct swap_counts){.slots = swap.count,
                                .free = swap.free,
                                .reserved = swap.reserved,
                                .bad = swap.bad,
                                .errors = swap.errors,
                                .corrupt = swap.corrupt,
                                .out_ticks = __atomic_load_n(&swap.ticks[DISK_WRITE], __ATOMIC_RELAXED),
                                .in_ticks = __atomic_load_n(&swap.ticks[DISK_READ], __ATOMIC_RELAXED)};
    lock_release(&swap.lock);
}

uint64_t swap_contended(void)
{
    return lock_contended(&swap.lock);
}

/* ---- the ledger's ---- */

mfn_t swap_mark(const struct p2m *p2m, gfn_t gfn, uint64_t entry, const char **why)
{
    const uint32_t slot = p2m_entry_slot(entry);
    struct swap_slot *s = &swap.slots[slot];

    *why = NULL;
    if (slot >= swap.count) {
        *why = "names a swap slot beyond the last";
    } else if (s->owner != p2m->owner || s->gfn != gfn) {
        *why = "names a swap slot that is another page's";
    } else if (s->state != SLOT_STORED && s->state != SLOT_OUT && s->state != SLOT_IN) {
        *why = "names a swap slot that is not in use";
    } else if (s->marked) {
        *why = "names a swap slot that another entry names, too";
    } else if (s->origin != origin_is_away(p2m, gfn)) {
        *why = "is with its block on the guest's disk, or is not, and its swap slot does not know";
    } else {
        s->marked = 1;
        if (s->state != SLOT_STORED) return swap.request[s->request].frame[s->page];
    }
    return MFN_NONE;
}

const char *swap_check(uint64_t *slot)
{
    const char *why = NULL;
    uint64_t free = 0, bad = 0;

    for (uint32_t i = 0; i < swap.count; i++) {
        struct swap_slot *s = &swap.slots[i];
        const char *wrong = NULL;
        free += s->state == SLOT_FREE;
        bad += s->state == SLOT_BAD;
        if (is_used(i) != (s->state != SLOT_FREE)) {
            wrong = "is in use and free at once";
        } else if (s->marked != (s->state == SLOT_STORED || s->state == SLOT_OUT || s->state == SLOT_IN)) {
            wrong = "is in use, and no entry names it";
        } else if (s->state >= SLOT_OUT && s->state <= SLOT_DROPPED &&
                   (!swap.request[s->request].busy || swap.request[s->request].slot[s->page] != i)) {
            wrong = "is on its way without a request";
        }
        s->marked = 0;
        if (wrong && !why) {
            why = wrong;
            *slot = i;
        }
    }
    if (!why && (free != swap.free || bad != swap.bad)) {
        why = "is the last; the counter of free or bad ones is wrong";
        *slot = swap.count;
    }
    return why;
}
