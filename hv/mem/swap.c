/* SPDX-License-Identifier: MIT
 *
 * Slots, requests and pages on their way. A slot's record is changed under the lock of its owner's map, or by the boot CPU once nobody's
 * entry names it; which slots and requests are free, under the swap lock.
 */
#include "mem/swap.h"

#include "drv/disk.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/frame.h"
#include "mem/p2m_tables.h"
#include "mem/page.h"
#include "x86/cpu.h"

#define PAGE_SECTORS (PAGE_BYTES / DISK_SECTOR_BYTES)

/* Requests that write, or read ahead, move a cluster; those that somebody waits for a page, so that he does not wait for
 * others' too. */
#define CLUSTERS 4u
#define SINGLES  16u
#define REQUESTS (CLUSTERS + SINGLES)

/* At most so many slots for each frame of the machine: the records then cost 1.6 % of its memory. */
#define SLOTS_PER_FRAME 4u

enum slot_state {
    SLOT_FREE = 0,
    SLOT_STORED,
    SLOT_OUT,     /* being written; the page's frame is in the request */
    SLOT_IN,      /* being read; the page's new frame is in the request */
    SLOT_DROPPED, /* nobody's any more; free when its request ends */
    SLOT_BAD,
};

struct slot {
    uint64_t hash;
    uint64_t gfn : 36, owner : 8, state : 3, request : 6, page : 5, marked : 1;
};
_Static_assert(sizeof(struct slot) == 16, "a slot costs 16 bytes");
_Static_assert(REQUESTS <= 64 && SWAP_CLUSTER <= 32, "the fields of a slot hold them");

struct request {
    struct disk_request disk;                   /* first: it is found by it */
    struct disk_segment segments[SWAP_CLUSTER]; /* the buffers */
    uint32_t slot[SWAP_CLUSTER];
    mfn_t frame[SWAP_CLUSTER]; /* the pages' own, MFN_NONE once they have no more to do with it */
    uint32_t room, count;
    bool busy, refused;
    bool needed; /* a guest waits for it */
    uint16_t owner;
    struct p2m *p2m; /* NULL: gone */
};

static struct {
    struct lock lock;
    struct slot *slots;
    uint64_t *used; /* a bit each */
    uint64_t first_sector, free, reserved, bad, errors, corrupt, completions, random;
    uint64_t ticks[2]; /* by enum disk_op; atomic */
    uint32_t disk, count, cursor;
    bool dead; /* no more writes */
    bool starved, refused;
    struct request request[REQUESTS];
} swap = {.lock = LOCK_INIT(LOCK_SWAP)};

/* ---- slots ---- */

static bool is_used(uint32_t slot)
{
    return swap.used[slot / 64] >> slot % 64 & 1;
}

/* Takes the next free run of at most `want` slots. Returns its length, 0 when none is free. */
static uint32_t slots_take(uint32_t want, uint32_t *first)
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

static void slot_release(uint32_t slot, bool bad)
{
    swap.slots[slot] = (struct slot){.state = bad ? SLOT_BAD : SLOT_FREE};
    lock_acquire(&swap.lock);
    if (bad) {
        swap.bad++;
    } else {
        swap.used[slot / 64] &= ~(1ull << slot % 64);
        swap.free++;
    }
    lock_release(&swap.lock);
}

/* Of the page and where it belongs, so that one from elsewhere is not it. */
static uint64_t hash_of(const void *page, gfn_t gfn, uint32_t slot)
{
    return page_hash(page, gfn << 28 ^ slot);
}

/* What the core does for pages that go or come has taken the time since `start`. */
static void took(enum disk_op op, uint64_t start)
{
    __atomic_fetch_add(&swap.ticks[op], rdtsc() - start, __ATOMIC_RELAXED);
}

/* ---- requests ---- */

static struct request *request_get(struct p2m *p2m, enum disk_op op, bool needed)
{
    struct request *found = NULL;

    lock_acquire(&swap.lock);
    const uint32_t from = needed ? CLUSTERS : 0, to = needed ? REQUESTS : CLUSTERS;
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
    }
    return found;
}

static void request_put(struct request *r)
{
    lock_acquire(&swap.lock);
    r->busy = false;
    lock_release(&swap.lock);
}

/* `frame` is with this request from now on. */
static void request_add(struct request *r, uint32_t slot, gfn_t gfn, enum slot_state state, mfn_t frame)
{
    struct slot *s = &swap.slots[slot];

    r->slot[r->count] = slot;
    r->frame[r->count] = frame;
    s->gfn = gfn & ((1ull << 36) - 1);
    s->owner = (uint8_t)r->owner;
    s->state = (uint64_t)state & 7;
    s->request = (uint64_t)(r - swap.request) & 63;
    s->page = r->count++ & 31;
}

static void request_submit(struct request *r)
{
    r->disk.disk = swap.disk;
    r->disk.sector = swap.first_sector + (uint64_t)r->slot[0] * PAGE_SECTORS;
    r->disk.segments = r->segments;
    r->disk.segment_count = r->count;
    const enum disk_status status = disk_submit(&r->disk);
    if (status == DISK_OK) return;
    r->disk.status = status;
    __atomic_store_n(&r->refused, true, __ATOMIC_RELEASE);
    __atomic_store_n(&swap.refused, true, __ATOMIC_RELEASE);
    swap_wanted();
}

/* The frame that the request has for this slot's page; it has no more. */
static mfn_t take_frame(const struct slot *s)
{
    mfn_t *frame = &swap.request[s->request].frame[s->page];
    const mfn_t mfn = *frame;

    *frame = MFN_NONE;
    return mfn;
}

/* ---- pages; the map's lock is held ---- */

static struct slot *slot_of(const struct p2m *p2m, uint64_t entry)
{
    const uint32_t slot = p2m_entry_slot(entry);

    if (slot >= swap.count || swap.slots[slot].owner != p2m->owner) {
        panic("VM slot %u: swap slot %u is not its", p2m->owner, slot);
    }
    return &swap.slots[slot];
}

static uint32_t number_of(const struct slot *s)
{
    return (uint32_t)(s - swap.slots);
}

static mfn_t map_again(struct p2m *p2m, uint64_t *entry, const struct slot *s)
{
    const mfn_t mfn = take_frame(s);

    pt_store(entry, pt_leaf(p2m->format, mfn << PAGE_SHIFT, 1, PT_RWX));
    p2m->swap.pages--;
    return mfn;
}

/* The frame of a page that is on the disk, or stays there. */
static void give_up_frame(struct p2m *p2m, const struct slot *s, mfn_t *parked)
{
    frame_park(take_frame(s), p2m->owner, parked);
    frames_parked(1);
    p2m->present_pages--;
}

/* A frame for a stored page, and it is in the request. */
static bool read_page(struct p2m *p2m, struct request *r, uint32_t slot, gfn_t gfn)
{
    const mfn_t mfn = frame_alloc(FRAME_GUEST, p2m->owner, gfn);

    if (mfn == MFN_NONE) return false;
    request_add(r, slot, gfn, SLOT_IN, mfn);
    p2m->present_pages++;
    p2m->swap.reading++;
    return true;
}

enum p2m_touch swap_touch(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *mfn)
{
    const uint64_t start = rdtsc();
    struct slot *s = slot_of(p2m, pt_load(entry));

    if (s->state == SLOT_IN) return P2M_TOUCH_WAIT;
    if (s->state == SLOT_OUT) {
        *mfn = map_again(p2m, entry, s);
        s->state = SLOT_DROPPED;
        return P2M_TOUCH_OK;
    }
    struct request *r = request_get(p2m, DISK_READ, true);
    if (!r) return P2M_TOUCH_WAIT;
    if (!read_page(p2m, r, number_of(s), gfn)) {
        request_put(r);
        return P2M_TOUCH_NO_MEMORY;
    }
    request_submit(r);
    took(DISK_READ, start);
    return P2M_TOUCH_WAIT;
}

void swap_drop(struct p2m *p2m, uint64_t old, struct flush_batch *batch)
{
    struct slot *s = slot_of(p2m, old);

    p2m->swap.pages--;
    if (s->state == SLOT_STORED) {
        slot_release(number_of(s), false);
        return;
    }
    if (s->state == SLOT_IN) p2m->swap.reading--;
    frame_park(take_frame(s), p2m->owner, &batch->parked);
    batch->count++;
    s->state = SLOT_DROPPED;
}

/* ---- out ---- */

static uint64_t next_random(void)
{
    swap.random ^= swap.random << 13;
    swap.random ^= swap.random >> 7;
    swap.random ^= swap.random << 17;
    return swap.random;
}

/* Whether the page at `entry` is to go. Sharing saves a page for nothing, so what is shared stays; compression's place is here, too. */
static bool is_victim(struct p2m *p2m, uint64_t *entry, enum swap_pick pick, struct flush_batch *batch)
{
    const uint64_t accessed = p2m->format->accessed;

    /* A private page that is read-only is being shared, or has just been copied: that is not to be disturbed. */
    if (p2m_entry_type(p2m->format, pt_load(entry)) != P2M_PRESENT || !(pt_load(entry) & p2m->format->write))
        return false;
    if (pick != SWAP_COLD || !(pt_load(entry) & accessed)) return true;
    __atomic_fetch_and(entry, ~accessed, __ATOMIC_ACQ_REL);
    batch->owed = true; /* else a CPU that knows the page would not set it again */
    return false;
}

/* Victims leave the map; their frames are the request's. Returns how many entries it looked at. */
static uint32_t unmap_victims(struct p2m *p2m, struct request *r, uint32_t first, uint32_t want,
                              enum swap_pick pick, struct flush_batch *batch)
{
    uint32_t looked = 0;

    lock_acquire(&p2m->lock);
    /* The core may be in the middle of an instruction that must find what it found a moment ago. */
    if (__atomic_load_n(&p2m->swap.steady, __ATOMIC_SEQ_CST)) want = 0;
    for (; r->count < want && looked < SWAP_LOOKS; looked++) {
        if (p2m->swap.cursor >= p2m->limit) p2m->swap.cursor = 0;
        const gfn_t gfn = pick == SWAP_COLD ? p2m->swap.cursor++ : next_random() % p2m->limit;
        unsigned level;
        uint64_t *entry = p2m_find(p2m, gfn, &level);
        if (!entry || level != 1 || !is_victim(p2m, entry, pick, batch)) continue;
        const uint32_t slot = first + r->count;
        const uint64_t old = pt_exchange(entry, p2m_swapped(p2m->format, slot));
        request_add(r, slot, gfn, SLOT_OUT, p2m_entry_mfn(p2m->format, old));
        p2m->swap.pages++;
        batch->owed = true;
    }
    lock_release(&p2m->lock);
    return looked;
}

/* After the flush nobody writes to them any more. */
static void fill_buffers(struct p2m *p2m, struct request *r)
{
    lock_acquire(&p2m->lock);
    for (uint32_t i = 0; i < r->count; i++) {
        struct slot *s = &swap.slots[r->slot[i]];
        if (s->state != SLOT_OUT) continue;
        void *buffer = mfn_to_virt(r->segments[i].mfn);
        memcpy(buffer, mfn_to_virt(r->frame[i]), PAGE_BYTES);
        s->hash = hash_of(buffer, s->gfn, r->slot[i]);
    }
    lock_release(&p2m->lock);
}

uint32_t swap_out(struct p2m *p2m, uint32_t pages, enum swap_pick pick, uint32_t *looked)
{
    const uint64_t may = p2m->swap.reserved > p2m->swap.pages ? p2m->swap.reserved - p2m->swap.pages : 0;
    const uint64_t start = rdtsc();
    uint32_t first;

    *looked = 0;
    if (pages > SWAP_CLUSTER) pages = SWAP_CLUSTER;
    if (pages > may) pages = (uint32_t)may;
    if (!pages || swap.dead || !p2m->limit) return 0;
    struct request *r = request_get(p2m, DISK_WRITE, false);
    if (!r) return 0;
    const uint32_t got = slots_take(pages, &first);
    FLUSH_BATCH(batch, p2m);
    if (got) *looked = unmap_victims(p2m, r, first, got, pick, &batch);
    flush_discharge(&batch);
    for (uint32_t i = r->count; i < got; i++) slot_release(first + i, false);
    const uint32_t count = r->count;
    if (!count) {
        request_put(r);
        return 0;
    }
    fill_buffers(p2m, r);
    request_submit(r);
    took(DISK_WRITE, start);
    return count;
}

/* ---- in ---- */

uint32_t swap_prefetch(struct p2m *p2m, uint32_t pages, uint32_t *looked)
{
    const uint64_t start = rdtsc();
    uint32_t slot = UINT32_MAX;

    *looked = 0;
    if (!p2m->swap.pages) return 0;
    struct request *r = request_get(p2m, DISK_READ, false);
    if (!r) return 0;
    lock_acquire(&p2m->lock);
    for (; slot == UINT32_MAX && *looked < SWAP_LOOKS; ++*looked, p2m->swap.in_cursor++) {
        if (p2m->swap.in_cursor >= p2m->limit) p2m->swap.in_cursor = 0;
        unsigned level;
        const uint64_t *at = p2m_find(p2m, p2m->swap.in_cursor, &level);
        const uint64_t entry = at ? pt_load(at) : 0;
        if (p2m_entry_type(p2m->format, entry) == P2M_SWAPPED && slot_of(p2m, entry)->state == SLOT_STORED) {
            slot = p2m_entry_slot(entry);
        }
    }
    for (; slot < swap.count && r->count < pages && r->count < SWAP_CLUSTER; slot++) {
        const struct slot *s = &swap.slots[slot];
        if (s->owner != p2m->owner || s->state != SLOT_STORED || !read_page(p2m, r, slot, s->gfn)) break;
    }
    const uint32_t count = r->count;
    lock_release(&p2m->lock);
    if (count)
        request_submit(r);
    else
        request_put(r);
    took(DISK_READ, start);
    return count;
}

/* ---- the end of a request; boot CPU ---- */

static void write_ended(struct p2m *p2m, struct slot *s, bool ok, mfn_t *parked)
{
    if (ok) {
        give_up_frame(p2m, s, parked);
        s->state = SLOT_STORED;
        p2m->swap.outs++;
        return;
    }
    unsigned level;
    (void)map_again(p2m, p2m_find(p2m, s->gfn, &level), s);
    slot_release(number_of(s), true);
}

/* NULL, or why the page is not what it was. */
static const char *read_ended(struct p2m *p2m, struct slot *s, const void *buffer, const char *why,
                              mfn_t *parked)
{
    p2m->swap.reading--;
    if (!why && hash_of(buffer, s->gfn, number_of(s)) != s->hash) {
        swap.corrupt++;
        why = "it is not what was written";
    }
    if (why) {
        give_up_frame(p2m, s, parked);
        s->state = SLOT_STORED;
        return why;
    }
    unsigned level;
    uint64_t *entry = p2m_find(p2m, s->gfn, &level);
    memcpy(mfn_to_virt(swap.request[s->request].frame[s->page]), buffer, PAGE_BYTES);
    (void)map_again(p2m, entry, s);
    p2m->swap.ins++;
    slot_release(number_of(s), false);
    return NULL;
}

static void request_ended(struct disk_request *disk)
{
    struct request *r = (struct request *)(void *)disk;
    struct p2m *p2m = r->p2m;
    const bool wrote = disk->op == DISK_WRITE;
    const uint64_t start = rdtsc();
    const char *failed = disk->status == DISK_OK ? NULL : disk_status_text(disk->status);
    const char *lost = NULL;
    gfn_t lost_gfn = 0;
    mfn_t parked = MFN_NONE;

    if (failed) swap.errors++;
    if (p2m) lock_acquire(&p2m->lock);
    for (uint32_t i = 0; i < r->count; i++) {
        struct slot *s = &swap.slots[r->slot[i]];
        if (s->state == SLOT_DROPPED) {
            slot_release(r->slot[i], wrote && failed);
        } else if (wrote) {
            write_ended(p2m, s, !failed, &parked);
        } else {
            const gfn_t gfn = s->gfn;
            const char *why = read_ended(p2m, s, mfn_to_virt(r->segments[i].mfn), failed, &parked);
            if (why && !lost) {
                lost = why;
                lost_gfn = gfn;
            }
        }
    }
    if (p2m) lock_release(&p2m->lock);
    frames_unpark(&parked);
    if (wrote && failed) {
        /* One that is gone for good would have every page of every VM tried in vain. */
        if (disk->status == DISK_NO_DISK) swap.dead = true;
        swap_write_failed(failed);
    }
    /* What was read ahead is asked for again by who needs it. */
    if (lost && r->needed) swap_lost(r->owner, lost_gfn, lost);
    const uint16_t owner = r->owner;
    request_put(r);
    took(disk->op, start);
    const bool starved = __atomic_exchange_n(&swap.starved, false, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&swap.completions, 1, __ATOMIC_SEQ_CST);
    swap_came(owner, starved);
}

void swap_poll(void)
{
    if (!__atomic_exchange_n(&swap.refused, false, __ATOMIC_ACQ_REL)) return;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        if (__atomic_exchange_n(&swap.request[i].refused, false, __ATOMIC_ACQ_REL)) {
            request_ended(&swap.request[i].disk);
        }
    }
}

/* ---- the whole ---- */

static void buffers_free(void)
{
    for (uint32_t i = 0; i < REQUESTS; i++) {
        for (uint32_t page = 0; page < SWAP_CLUSTER; page++) {
            const mfn_t mfn = swap.request[i].segments[page].mfn;
            if (mfn != MFN_NONE) frame_free(mfn);
        }
    }
}

static bool buffers_alloc(void)
{
    bool ok = true;

    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct request *r = &swap.request[i];
        *r = (struct request){.room = i < CLUSTERS ? SWAP_CLUSTER : 1, .disk.done = request_ended};
        for (uint32_t page = 0; page < SWAP_CLUSTER; page++) {
            const bool wanted = ok && page < r->room;
            const mfn_t mfn = wanted ? frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) : MFN_NONE;
            r->segments[page] = (struct disk_segment){.mfn = mfn, .bytes = PAGE_BYTES};
            if (wanted && (mfn == MFN_NONE || mfn >= disk_dma_limit())) ok = false;
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
    const uint64_t bytes = slots * sizeof(struct slot) + slots / 8;
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
    swap.random = 0x2545f4914f6cdd1d;
    swap.dead = false;
    return true;
}

bool swap_reserve(struct p2m *p2m, uint64_t slots)
{
    const uint64_t others = swap.reserved - p2m->swap.reserved;

    if (slots && slots + others + swap.bad > swap.count) return false;
    swap.reserved = others + slots;
    p2m->swap.reserved = slots;
    return true;
}

void swap_forget(struct p2m *p2m)
{
    (void)!swap_reserve(p2m, 0);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        if (swap.request[i].p2m == p2m) swap.request[i].p2m = NULL;
    }
}

uint32_t swap_writes(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < CLUSTERS; i++) count += swap.request[i].busy;
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
    struct slot *s = &swap.slots[slot];

    *why = NULL;
    if (slot >= swap.count) {
        *why = "names a swap slot beyond the last";
    } else if (s->owner != p2m->owner || s->gfn != gfn) {
        *why = "names a swap slot that is another page's";
    } else if (s->state != SLOT_STORED && s->state != SLOT_OUT && s->state != SLOT_IN) {
        *why = "names a swap slot that is not in use";
    } else if (s->marked) {
        *why = "names a swap slot that another entry names, too";
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
        struct slot *s = &swap.slots[i];
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
