/* SPDX-License-Identifier: MIT
 *
 * One page at a time: touching it, and reading and writing what is in it.
 */
#include "mem/p2m.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/compress.h"
#include "mem/frame.h"
#include "mem/origin.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/swap.h"

bool p2m_is_ram(struct p2m *p2m, gfn_t gfn)
{
    unsigned level;

    lock_acquire(&p2m->lock);
    const uint64_t *slot = p2m_find(p2m, gfn, &level);
    const bool ram = slot && p2m_entry_type(p2m->format, pt_load(slot)) != P2M_HOLE;
    lock_release(&p2m->lock);
    return ram;
}

/* A first touch is what guests do most of all that comes here: one function, without calls that could be spared. */
#define INLINE static inline __attribute__((always_inline))

/* With the lock held, for an entry that is not present. */
INLINE enum p2m_touch populate(struct p2m *p2m, gfn_t gfn, uint64_t *slot, unsigned level, enum p2m_type was,
                               mfn_t *mfn)
{
    if (was == P2M_HOLE) return P2M_TOUCH_HOLE;
    if (was == P2M_SWAPPED) return swap_touch(p2m, gfn, slot, mfn);
    if (was == P2M_COMPRESSED) return compress_touch(p2m, gfn, slot, mfn);
    *mfn = frame_alloc(p2m->page, p2m->owner, gfn);
    if (*mfn == MFN_NONE) return P2M_TOUCH_NO_MEMORY;
    slot = p2m_narrow(p2m, gfn, slot, level);
    pt_store(slot, pt_leaf(p2m->format, *mfn << PAGE_SHIFT, 1, PT_RWX));
    p2m->present_pages++;
    if (was == P2M_BALLOONED) {
        p2m->ballooned_pages--;
        p2m->pops++;
    } else {
        p2m->first_touches++;
    }
    return P2M_TOUCH_OK;
}

/* A write to a page that is present and read-only. With the lock held, but not throughout.
 *
 * A copy must not be written to while some CPU's TLB may still lead to the frame it was made of: whoever saw the write, and then looks
 * there, would find what was before it. So the copy's entry is read-only till a flush. The stamp tells it from a later copy: this
 * one's flush is none for that. A page that was just protected has kept its frame and need not wait.
 *
 * The slot is of level 1, and so the page's as long as the map lives. */
static __attribute__((noinline)) enum p2m_touch touch_readonly(struct p2m *p2m, gfn_t gfn, uint64_t *slot,
                                                               mfn_t *mfn)
{
    const struct pt_format *f = p2m->format;
    uint32_t flushed = 0;
    FLUSH_BATCH(batch, p2m);

    for (;;) {
        uint64_t entry = pt_load(slot);

        if (p2m_entry_type(f, entry) == P2M_SAMPLED) entry = sample_restore(p2m, slot, true);
        if (!pt_present(f, entry)) return populate(p2m, gfn, slot, 1, (enum p2m_type)pt_type(f, entry), mfn);
        *mfn = p2m_entry_mfn(f, entry);
        if (entry & f->write) return P2M_TOUCH_OK;
        const struct frame *frame = &frame_pool.table[*mfn];
        if (entry & PT_SHARED) {
            if (!p2m_break(p2m, gfn, slot, &batch)) return P2M_TOUCH_NO_MEMORY;
        } else if (frame->state & FRAME_COPIED && frame->stamp != flushed) {
            flushed = frame->stamp;
            batch.owed = true;
            lock_release(&p2m->lock);
            flush_discharge(&batch);
            lock_acquire(&p2m->lock);
        } else {
            p2m_end_copy(p2m, slot);
        }
    }
}

/* With the lock held, on return too: *mfn is the page's frame as long as it is. */
INLINE enum p2m_touch touch(struct p2m *p2m, gfn_t gfn, bool write, mfn_t *mfn)
{
    unsigned level;
    uint64_t *slot = p2m_find(p2m, gfn, &level);

    if (!slot) return P2M_TOUCH_HOLE;
    const struct pt_format *f = p2m->format;
    uint64_t entry = pt_load(slot);
    if (!pt_present(f, entry)) {
        const enum p2m_type type = (enum p2m_type)pt_type(f, entry);
        if (type != P2M_SAMPLED) return populate(p2m, gfn, slot, level, type, mfn);
        entry = sample_restore(p2m, slot, true);
    }
    if (write && !(entry & f->write)) return touch_readonly(p2m, gfn, slot, mfn);
    *mfn = p2m_entry_mfn(f, entry);
    return P2M_TOUCH_OK;
}

enum p2m_touch p2m_touch_held(struct p2m *p2m, gfn_t gfn, bool write, mfn_t *mfn)
{
    return touch(p2m, gfn, write, mfn);
}

enum p2m_touch p2m_touch(struct p2m *p2m, gfn_t gfn, bool write)
{
    mfn_t mfn;

    lock_acquire(&p2m->lock);
    const enum p2m_touch result = touch(p2m, gfn, write, &mfn);
    lock_release(&p2m->lock);
    return result;
}

/* Where `gpa` is in the direct map, NULL with *result unless it could be touched. With the lock held. */
static __attribute__((noinline)) void *reach(struct p2m *p2m, gpa_t gpa, size_t bytes, bool write,
                                             enum p2m_touch *result)
{
    const size_t at = gpa & (PAGE_BYTES - 1);
    mfn_t mfn;

    if (bytes > PAGE_BYTES - at) panic("0x%lx bytes at gpa 0x%lx: across pages", bytes, gpa);
    *result = touch(p2m, gpa >> PAGE_SHIFT, write, &mfn);
    if (*result != P2M_TOUCH_OK) return NULL;
    if (write && p2m->origin) {
        unsigned level;
        origin_written(p2m, p2m_find(p2m, gpa >> PAGE_SHIFT, &level));
    }
    return (uint8_t *)mfn_to_virt(mfn) + at;
}

/* Page tables and ring indices, which the guest's CPUs use at the same time, must not be had by halves, and memcpy
 * promises nothing about the size of its accesses. */
static bool is_one_access(const void *page, size_t bytes)
{
    return bytes - 1 < sizeof(uint64_t) && (bytes & (bytes - 1)) == 0 && ((uintptr_t)page & (bytes - 1)) == 0;
}

static void copy_out(void *out, const void *page, size_t bytes)
{
    uint64_t value;

    if (!is_one_access(page, bytes)) {
        memcpy(out, page, bytes);
        return;
    }
    switch (bytes) {
    case 1: value = __atomic_load_n((const uint8_t *)page, __ATOMIC_ACQUIRE); break;
    case 2: value = __atomic_load_n((const uint16_t *)page, __ATOMIC_ACQUIRE); break;
    case 4: value = __atomic_load_n((const uint32_t *)page, __ATOMIC_ACQUIRE); break;
    default: value = __atomic_load_n((const uint64_t *)page, __ATOMIC_ACQUIRE); break;
    }
    memcpy(out, &value, bytes);
}

static void copy_in(void *page, const void *in, size_t bytes)
{
    uint64_t value = 0;

    if (!is_one_access(page, bytes)) {
        memcpy(page, in, bytes);
        return;
    }
    memcpy(&value, in, bytes);
    switch (bytes) {
    case 1: __atomic_store_n((uint8_t *)page, (uint8_t)value, __ATOMIC_RELEASE); break;
    case 2: __atomic_store_n((uint16_t *)page, (uint16_t)value, __ATOMIC_RELEASE); break;
    case 4: __atomic_store_n((uint32_t *)page, (uint32_t)value, __ATOMIC_RELEASE); break;
    default: __atomic_store_n((uint64_t *)page, value, __ATOMIC_RELEASE); break;
    }
}

enum p2m_touch p2m_read(struct p2m *p2m, gpa_t gpa, void *out, size_t bytes)
{
    enum p2m_touch result;

    lock_acquire(&p2m->lock);
    const void *page = reach(p2m, gpa, bytes, false, &result);
    if (page) copy_out(out, page, bytes);
    lock_release(&p2m->lock);
    return result;
}

enum p2m_touch p2m_write(struct p2m *p2m, gpa_t gpa, const void *in, size_t bytes)
{
    enum p2m_touch result;

    lock_acquire(&p2m->lock);
    void *page = reach(p2m, gpa, bytes, true, &result);
    if (page) copy_in(page, in, bytes);
    lock_release(&p2m->lock);
    return result;
}

enum p2m_touch p2m_cmpxchg(struct p2m *p2m, gpa_t gpa, size_t bytes, uint64_t old, uint64_t value,
                           uint64_t *was)
{
    enum p2m_touch result;
    uint32_t old32 = (uint32_t)old;

    if ((bytes != 4 && bytes != 8) || gpa % bytes) panic("a cmpxchg of %lu bytes at gpa 0x%lx", bytes, gpa);
    lock_acquire(&p2m->lock);
    void *page = reach(p2m, gpa, bytes, true, &result);
    if (page && bytes == 4) {
        (void)__atomic_compare_exchange_n((uint32_t *)page, &old32, (uint32_t)value, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST);
        *was = old32;
    } else if (page) {
        (void)__atomic_compare_exchange_n((uint64_t *)page, &old, value, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST);
        *was = old;
    }
    lock_release(&p2m->lock);
    return result;
}
