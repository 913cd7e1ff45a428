/* SPDX-License-Identifier: MIT
 *
 * Pages on their way to the swap partition and back.
 */
#include "mem/swap_table.h"

#include "lib/log.h"
#include "mem/compress.h"
#include "mem/frame.h"
#include "mem/origin.h"
#include "mem/p2m_tables.h"
#include "mem/page.h"
#include "mem/share.h"
#include "mem/store.h"
#include "x86/cpu.h"

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

/* The frame that the request has for this slot's page; it has no more. */
static mfn_t take_frame(const struct swap_slot *s)
{
    mfn_t *frame = &swap.request[s->request].frame[s->page];
    const mfn_t mfn = *frame;

    *frame = MFN_NONE;
    return mfn;
}

/* ---- pages; the map's lock is held ---- */

static struct swap_slot *slot_of(const struct p2m *p2m, uint64_t entry)
{
    const uint32_t slot = p2m_entry_slot(entry);

    if (slot >= swap.count || swap.slots[slot].owner != p2m->owner) {
        panic("VM slot %u: swap slot %u is not its", p2m->owner, slot);
    }
    return &swap.slots[slot];
}

mfn_t swap_frame(const struct p2m *p2m, uint64_t entry)
{
    const struct swap_slot *s = slot_of(p2m, entry);

    return s->state == SLOT_STORED ? MFN_NONE : swap.request[s->request].frame[s->page];
}

static uint32_t number_of(const struct swap_slot *s)
{
    return (uint32_t)(s - swap.slots);
}

static mfn_t map_again(struct p2m *p2m, uint64_t *entry, const struct swap_slot *s)
{
    const mfn_t mfn = take_frame(s);
    uint64_t bits = 0;

    if (s->origin && origin_return(p2m, s->gfn)) bits = PT_ORIGIN;
    pt_store(entry, pt_leaf(p2m->format, mfn << PAGE_SHIFT, 1, PT_RWX) | bits);
    p2m->swap.pages--;
    return mfn;
}

/* The frame of a page that is on the disk, or stays there. */
static void give_up_frame(struct p2m *p2m, const struct swap_slot *s, mfn_t *parked)
{
    frame_park(take_frame(s), p2m->owner, parked);
    frames_parked(1);
    p2m->present_pages--;
}

/* A frame for a stored page, and it is in the request. */
static bool read_page(struct p2m *p2m, struct swap_request *r, uint32_t slot, gfn_t gfn)
{
    const mfn_t mfn = frame_alloc_copy(MFN_NONE, p2m->owner, gfn);

    if (mfn == MFN_NONE) return false;
    swap_request_add(r, slot, gfn, SLOT_IN, mfn);
    r->origin = swap.slots[slot].origin;
    if (r->origin) origin_place(p2m, gfn, &r->disk.disk, &r->disk.sector);
    p2m->present_pages++;
    p2m->swap.reading++;
    return true;
}

enum p2m_touch swap_touch(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *mfn)
{
    const uint64_t start = rdtsc();
    struct swap_slot *s = slot_of(p2m, pt_load(entry));

    if (s->state == SLOT_IN) return P2M_TOUCH_WAIT;
    if (s->state == SLOT_OUT) {
        *mfn = map_again(p2m, entry, s);
        s->state = SLOT_DROPPED;
        return P2M_TOUCH_OK;
    }
    struct swap_request *r = swap_request_get(p2m, DISK_READ, true);
    if (!r) return P2M_TOUCH_WAIT;
    if (!read_page(p2m, r, number_of(s), gfn)) {
        swap_request_put(r);
        return P2M_TOUCH_NO_MEMORY;
    }
    swap_request_submit(r);
    took(DISK_READ, start);
    return P2M_TOUCH_WAIT;
}

void swap_drop(struct p2m *p2m, uint64_t old, struct flush_batch *batch)
{
    struct swap_slot *s = slot_of(p2m, old);

    if (s->origin) origin_forget(p2m, s->gfn);
    p2m->swap.pages--;
    if (s->state == SLOT_STORED) {
        swap_slot_release(number_of(s), false);
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

static bool is_writable(void)
{
    return swap.count && !swap.dead;
}

/* Whether the page at `entry` is to go. Sharing saves a page for nothing, so what is shared stays. */
static bool is_victim(struct p2m *p2m, uint64_t *entry, enum swap_pick pick, struct flush_batch *batch)
{
    return p2m_is_settled(p2m->format, pt_load(entry)) &&
           (pick != SWAP_COLD || !p2m_was_accessed(p2m, entry, batch));
}

/* A page that equals a block of the guest's disk goes at once, and needs a slot for its record only. */
static bool leave_with_block(struct p2m *p2m, gfn_t gfn, uint64_t *entry, struct flush_batch *batch)
{
    uint32_t slot;

    if (!origin_is_clean(p2m, gfn, pt_load(entry)) || !is_writable() || !swap_slots_take(1, &slot))
        return false;
    const uint64_t old = pt_exchange(entry, p2m_swapped(p2m->format, slot));
    batch->owed = true;
    if (!origin_is_clean(p2m, gfn, old)) { /* no more: a CPU has just written to it */
        pt_store(entry, old);
        swap_slot_release(slot, false);
        return false;
    }
    /* It was not dirty, so no CPU can write to it any more, flushed or not. */
    swap.slots[slot] =
        (struct swap_slot){.hash = hash_of(mfn_to_virt(p2m_entry_mfn(p2m->format, old)), gfn, slot),
                           .gfn = gfn & ((1ull << 36) - 1),
                           .owner = (uint8_t)p2m->owner,
                           .state = SLOT_STORED,
                           .origin = 1};
    origin_leave(p2m, gfn);
    p2m_park(p2m, old, batch);
    p2m->present_pages -= p2m_parked(batch);
    p2m->swap.pages++;
    p2m->swap.writes_avoided++;
    return true;
}

/* Victims leave the map, and are in transit. Returns how many; *left counts those that are gone for good. */
static uint32_t unmap_victims(struct p2m *p2m, gfn_t *gfns, uint32_t want, enum swap_pick pick,
                              struct flush_batch *batch, uint32_t *looked, uint32_t *left)
{
    uint32_t count = 0;

    lock_acquire(&p2m->lock);
    /* The core may be in the middle of an instruction that must find what it found a moment ago. */
    if (__atomic_load_n(&p2m->swap.steady, __ATOMIC_SEQ_CST)) want = 0;
    for (; count + *left < want && *looked < SWAP_LOOKS; ++*looked) {
        if (p2m->swap.cursor >= p2m->limit) p2m->swap.cursor = 0;
        const gfn_t gfn = pick == SWAP_COLD ? p2m->swap.cursor++ : next_random() % p2m->limit;
        unsigned level;
        uint64_t *entry = p2m_find(p2m, gfn, &level);
        if (!entry || level != 1 || !is_victim(p2m, entry, pick, batch)) continue;
        if (leave_with_block(p2m, gfn, entry, batch)) {
            ++*left;
            continue;
        }
        compress_unmap(p2m, entry);
        gfns[count++] = gfn;
        batch->owed = true;
    }
    lock_release(&p2m->lock);
    return count;
}

/* Whether the page, which is in transit and which nobody can reach any more, can go without being written: zeros are what an
 * untouched page has, too, and one that is equal to a shared frame maps that. */
static bool goes_unwritten(struct p2m *p2m, uint64_t *entry, mfn_t *parked)
{
    const struct pt_format *f = p2m->format;
    const mfn_t mfn = p2m_store_mfn(pt_load(entry));

    if (page_is_zero(mfn_to_virt(mfn))) {
        pt_store(entry, pt_absent(f, P2M_UNTOUCHED));
        p2m->present_pages--;
    } else {
        const mfn_t equal = share_join(p2m, mfn, parked);
        if (equal == MFN_NONE) return false;
        pt_store(entry, pt_leaf(f, equal << PAGE_SHIFT, 1, PT_READ | PT_EXEC) | PT_SHARED);
    }
    frame_park(mfn, p2m->owner, parked);
    frames_parked(1);
    p2m->swap.unwritten++;
    return true;
}

/* After the flush nobody writes to victims any more. Those that are still in transit are shared, or go into the store; what does
 * neither stays in the list. Returns how many do. */
static uint32_t compress_victims(struct p2m *p2m, gfn_t *gfns, uint32_t *count)
{
    mfn_t parked = MFN_NONE;
    uint32_t kept = 0, left = 0;

    for (uint32_t i = 0; i < *count; i++) {
        unsigned level;
        /* One at a time: the guest's other pages are not to wait for all of them. */
        lock_acquire(&p2m->lock);
        uint64_t *entry = p2m_find(p2m, gfns[i], &level);
        if (compress_in_transit(p2m, pt_load(entry))) {
            if (goes_unwritten(p2m, entry, &parked) || compress_keep(p2m, gfns[i], entry, &parked))
                kept++;
            else
                gfns[left++] = gfns[i];
        }
        lock_release(&p2m->lock);
    }
    frames_unpark(&parked);
    *count = left;
    return kept;
}

/* Of what is still in transit the first `got` pages go to the request, into slots from `first` on, and the others back. */
static void write_victims(struct p2m *p2m, struct swap_request *r, const gfn_t *gfns, uint32_t count,
                          uint32_t first, uint32_t got)
{
    lock_acquire(&p2m->lock);
    for (uint32_t i = 0; i < count; i++) {
        unsigned level;
        uint64_t *entry = p2m_find(p2m, gfns[i], &level);
        if (!compress_in_transit(p2m, pt_load(entry))) continue;
        if (!r || r->count == got) {
            (void)compress_map_again(p2m, entry);
            continue;
        }
        const uint32_t slot = first + r->count;
        const mfn_t mfn = p2m_store_mfn(pt_load(entry));
        void *buffer = mfn_to_virt(r->segments[r->count].mfn);
        page_copy(buffer, mfn_to_virt(mfn));
        swap_request_add(r, slot, gfns[i], SLOT_OUT, mfn);
        swap.slots[slot].hash = hash_of(buffer, gfns[i], slot);
        pt_store(entry, p2m_swapped(p2m->format, slot));
        p2m->swap.pages++;
    }
    lock_release(&p2m->lock);
}

/* Gives back slots that a request has not used, and begins it. Returns how many pages it has. */
static uint32_t write_begin(struct swap_request *r, uint32_t first, uint32_t got)
{
    const uint32_t count = r->count;

    for (uint32_t i = count; i < got; i++) swap_slot_release(first + i, false);
    if (count)
        swap_request_submit(r);
    else
        swap_request_put(r);
    return count;
}

/* Whether the store may take another page. */
static bool takes(const struct p2m *p2m)
{
    return compress_is_on(p2m) && !store_is_full(p2m);
}

uint64_t swap_room(const struct p2m *p2m)
{
    const uint64_t out = swap_pages_out(p2m);

    if (!is_writable() && !takes(p2m)) return 0;
    return p2m->swap.reserved > out ? p2m->swap.reserved - out : 0;
}

bool swap_can(const struct p2m *p2m)
{
    return swap_room(p2m) || (is_writable() && p2m->store.pages);
}

uint32_t swap_evict(struct p2m *p2m)
{
    gfn_t gfns[SWAP_CLUSTER];
    uint32_t first;

    struct swap_request *r = is_writable() ? swap_request_get(p2m, DISK_WRITE, false) : NULL;
    if (!r) return 0;
    const uint32_t got = swap_slots_take(SWAP_CLUSTER, &first);
    lock_acquire(&p2m->lock);
    const uint32_t count = store_oldest(p2m, gfns, got);
    for (uint32_t i = 0; i < count; i++) {
        unsigned level;
        const uint64_t entry = pt_load(p2m_find(p2m, gfns[i], &level));
        void *buffer = mfn_to_virt(r->segments[i].mfn);
        compress_expand(p2m, gfns[i], entry, buffer);
        swap_request_add(r, first + i, gfns[i], SLOT_EVICTED, MFN_NONE);
        swap.slots[first + i].hash = hash_of(buffer, gfns[i], first + i);
        store_set_writer(p2m, gfns[i], entry, (uint8_t)(r - swap.request + 1));
    }
    lock_release(&p2m->lock);
    return write_begin(r, first, got);
}

uint32_t swap_out(struct p2m *p2m, uint32_t pages, enum swap_pick pick, uint32_t *looked)
{
    const uint64_t may = swap_room(p2m);
    const uint64_t start = rdtsc(), compressing = p2m->store.ticks_in;
    gfn_t gfns[SWAP_CLUSTER];
    uint32_t first = 0, got = 0, left = 0;

    *looked = 0;
    if (pages > SWAP_CLUSTER) pages = SWAP_CLUSTER;
    if (!pages || !p2m->limit) return 0;
    if (p2m->store.pages && (!may || (compress_is_on(p2m) && store_is_full(p2m))) && swap_evict(p2m))
        return 0;
    if (pages > may) pages = (uint32_t)may;
    struct swap_request *r = is_writable() ? swap_request_get(p2m, DISK_WRITE, false) : NULL;
    if (!r && !takes(p2m)) return 0;
    FLUSH_BATCH(batch, p2m);
    uint32_t count = unmap_victims(p2m, gfns, pages, pick, &batch, looked, &left);
    flush_discharge(&batch);
    const uint32_t gone = compress_victims(p2m, gfns, &count);
    if (count && r) got = swap_slots_take(count, &first);
    if (count) write_victims(p2m, r, gfns, count, first, got);
    const uint32_t written = r ? write_begin(r, first, got) : 0;
    if (written) took(DISK_WRITE, start + p2m->store.ticks_in - compressing);
    return left + gone + written;
}

/* ---- in ---- */

uint32_t swap_prefetch(struct p2m *p2m, uint32_t pages, uint32_t *looked)
{
    const uint64_t start = rdtsc();
    uint32_t slot = UINT32_MAX;

    *looked = 0;
    if (!p2m->swap.pages) return 0;
    struct swap_request *r = swap_request_get(p2m, DISK_READ, false);
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
        const struct swap_slot *s = &swap.slots[slot];
        if (s->owner != p2m->owner || s->state != SLOT_STORED || (r->count && s->origin) ||
            !read_page(p2m, r, slot, s->gfn) || r->origin)
            break;
    }
    const uint32_t count = r->count;
    lock_release(&p2m->lock);
    if (count)
        swap_request_submit(r);
    else
        swap_request_put(r);
    took(DISK_READ, start);
    return count;
}

/* ---- the end of a request; boot CPU ---- */

static void write_ended(struct p2m *p2m, struct swap_slot *s, bool ok, mfn_t *parked)
{
    if (ok) {
        give_up_frame(p2m, s, parked);
        s->state = SLOT_STORED;
        p2m->swap.outs++;
        return;
    }
    unsigned level;
    (void)map_again(p2m, p2m_find(p2m, s->gfn, &level), s);
    swap_slot_release(number_of(s), true);
}

/* From now on the page's entry leads to the slot; unless the page was wanted meanwhile, or could not be written. */
static void evict_ended(struct p2m *p2m, const struct swap_request *r, struct swap_slot *s, bool ok)
{
    const uint8_t writer = (uint8_t)(r - swap.request + 1);
    const gfn_t gfn = s->gfn;
    unsigned level;
    uint64_t *entry = p2m ? p2m_find(p2m, gfn, &level) : NULL;
    const uint64_t old = entry ? pt_load(entry) : 0;
    const bool waits = entry && p2m_entry_type(p2m->format, old) == P2M_COMPRESSED &&
                       !compress_in_transit(p2m, old) && store_writer(p2m, gfn, old) == writer;

    if (!waits || !ok) {
        if (waits) store_set_writer(p2m, gfn, old, 0);
        swap_slot_release(number_of(s), !ok);
        return;
    }
    pt_store(entry, p2m_swapped(p2m->format, number_of(s)));
    store_drop(p2m, gfn, old);
    s->state = SLOT_STORED;
    p2m->swap.pages++;
    p2m->swap.outs++;
    p2m->store.evicted++;
}

/* NULL, or why the page is not what it was. */
static const char *read_ended(struct p2m *p2m, struct swap_slot *s, const void *buffer, const char *why,
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
    page_copy(mfn_to_virt(swap.request[s->request].frame[s->page]), buffer);
    (void)map_again(p2m, entry, s);
    p2m->swap.ins++;
    swap_slot_release(number_of(s), false);
    return NULL;
}

void swap_request_ended(struct disk_request *disk)
{
    struct swap_request *r = (struct swap_request *)(void *)disk;
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
        struct swap_slot *s = &swap.slots[r->slot[i]];
        if (s->state == SLOT_DROPPED) {
            swap_slot_release(r->slot[i], wrote && failed);
        } else if (s->state == SLOT_EVICTED) {
            evict_ended(p2m, r, s, !failed);
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
    swap_request_put(r);
    took(disk->op, start);
    const bool starved = __atomic_exchange_n(&swap.starved, false, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&swap.completions, 1, __ATOMIC_SEQ_CST);
    swap_came(owner, starved);
}

void swap_poll(void)
{
    if (!__atomic_exchange_n(&swap.refused, false, __ATOMIC_ACQ_REL)) return;
    for (uint32_t i = 0; i < SWAP_REQUESTS; i++) {
        if (__atomic_exchange_n(&swap.request[i].refused, false, __ATOMIC_ACQ_REL)) {
            swap_request_ended(&swap.request[i].disk);
        }
    }
}
