/* SPDX-License-Identifier: MIT
 *
 * The balloon: pages the guest gives and takes back. Its driver sends them by the message, mostly neighbours.
 */
#include "lib/log.h"
#include "mem/compress.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/swap.h"

/* The table of 4 KiB entries used last. */
struct near {
    uint64_t table; /* gfn / 512 */
    uint64_t *slots;
};
#define NEAR_NOTHING ((struct near){.table = UINT64_MAX})

/* The 4 KiB entry of gfn. NULL for a hole, and where a wider entry says what may be left so: `split` is
 * false. */
static __attribute__((noinline)) uint64_t *find_far(struct p2m *p2m, gfn_t gfn, bool split, struct near *near)
{
    unsigned level;
    uint64_t *slot = p2m_find(p2m, gfn, &level);

    if (!slot || p2m_entry_type(p2m->format, pt_load(slot)) == P2M_HOLE) return NULL;
    if (level > 1 && !split) return NULL;
    slot = p2m_narrow(p2m, gfn, slot, level);
    *near = (struct near){.table = gfn >> PT_INDEX_BITS, .slots = slot - gfn % PT_ENTRIES};
    return slot;
}

/* Inlined into the loops below: a call would cost as much as the work. */
#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t *find_near(struct p2m *p2m, gfn_t gfn, bool split, struct near *near)
{
    if (gfn >> PT_INDEX_BITS != near->table) return find_far(p2m, gfn, split, near);
    return near->slots + gfn % PT_ENTRIES;
}

static void account(struct p2m *p2m, struct flush_batch *batch)
{
    p2m->present_pages -= p2m_parked(batch);
}

/* The entry at `slot` maps a shared frame. False: the lock was let go to make room in the batch, and nothing else done. */
static __attribute__((noinline)) bool give_shared(struct p2m *p2m, uint64_t *slot, struct flush_batch *batch)
{
    if (p2m_drop_shared(p2m, slot, P2M_BALLOONED, batch)) return true;
    account(p2m, batch);
    lock_release(&p2m->lock);
    flush_discharge(batch);
    lock_acquire(&p2m->lock);
    return false;
}

INLINE enum p2m_give give(struct p2m *p2m, gfn_t gfn, struct flush_batch *batch, struct near *near)
{
    const struct pt_format *f = p2m->format;
    const uint64_t ballooned = pt_absent(f, P2M_BALLOONED);
    uint64_t *slot = find_near(p2m, gfn, true, near);

    if (!slot) return P2M_GIVE_HOLE;
    for (;;) {
        uint64_t entry = pt_load(slot);
        if (!pt_present(f, entry) && pt_type(f, entry) == P2M_SAMPLED)
            entry = sample_restore(p2m, slot, false);
        if (!pt_present(f, entry)) {
            if (pt_type(f, entry) == P2M_HOLE) return P2M_GIVE_HOLE;
            if (entry == ballooned) return P2M_GIVE_ALREADY;
            if (pt_type(f, entry) == P2M_SWAPPED) swap_drop(p2m, entry, batch);
            if (pt_type(f, entry) == P2M_COMPRESSED) compress_drop(p2m, gfn, entry, batch);
            pt_store(slot, ballooned);
        } else if (!(entry & (PT_SHARED | PT_PINNED))) {
            p2m_park(p2m, pt_exchange(slot, ballooned), batch);
        } else if (entry & PT_PINNED) {
            return P2M_GIVE_PINNED;
        } else if (!give_shared(p2m, slot, batch)) {
            continue;
        }
        p2m->ballooned_pages++;
        return P2M_GIVE_OK;
    }
}

INLINE bool take(struct p2m *p2m, gfn_t gfn, struct near *near)
{
    const struct pt_format *f = p2m->format;
    uint64_t *slot = find_near(p2m, gfn, false, near);

    if (!slot || pt_load(slot) != pt_absent(f, P2M_BALLOONED)) return false;
    pt_store(slot, pt_absent(f, P2M_UNTOUCHED));
    p2m->ballooned_pages--;
    return true;
}

static void check_batch(const struct p2m *p2m, const struct flush_batch *batch)
{
    if (batch->p2m != p2m) panic("a flush batch of VM slot %u for VM slot %u", batch->p2m->owner, p2m->owner);
}

enum p2m_give p2m_balloon(struct p2m *p2m, gfn_t gfn, struct flush_batch *batch)
{
    check_batch(p2m, batch);
    lock_acquire(&p2m->lock);
    const enum p2m_give result = give(p2m, gfn, batch, &NEAR_NOTHING);
    account(p2m, batch);
    lock_release(&p2m->lock);
    return result;
}

size_t p2m_balloon_pages(struct p2m *p2m, const uint32_t *gfns, size_t count, struct flush_batch *batch)
{
    struct near near = NEAR_NOTHING;
    size_t given = 0;

    check_batch(p2m, batch);
    lock_acquire(&p2m->lock);
    for (size_t i = 0; i < count; i++) given += give(p2m, gfns[i], batch, &near) == P2M_GIVE_OK;
    account(p2m, batch);
    lock_release(&p2m->lock);
    return given;
}

bool p2m_unballoon(struct p2m *p2m, gfn_t gfn)
{
    lock_acquire(&p2m->lock);
    const bool taken = take(p2m, gfn, &NEAR_NOTHING);
    lock_release(&p2m->lock);
    return taken;
}

size_t p2m_unballoon_pages(struct p2m *p2m, const uint32_t *gfns, size_t count)
{
    struct near near = NEAR_NOTHING;

    lock_acquire(&p2m->lock);
    const uint64_t ballooned = p2m->ballooned_pages;
    for (size_t i = 0; i < count; i++) (void)take(p2m, gfns[i], &near);
    const uint64_t taken = ballooned - p2m->ballooned_pages;
    lock_release(&p2m->lock);
    return taken;
}
