/* SPDX-License-Identifier: MIT */
#include "mem/share_table.h"

#include "lib/log.h"
#include "lib/string.h"

struct share share = {.lock = LOCK_INIT(LOCK_SHARE)};

static uint64_t buckets(mfn_t limit)
{
    uint64_t n = 1;

    while (n * 2 <= limit) n *= 2;
    return n;
}

size_t share_table_bytes(mfn_t limit)
{
    return buckets(limit) * sizeof(uint32_t);
}

void share_table_init(void *at, mfn_t limit)
{
    memset(&share, 0, sizeof(share));
    share.lock = (struct lock)LOCK_INIT(LOCK_SHARE);
    share.bucket = at;
    share.bucket_mask = (uint32_t)buckets(limit) - 1;
    share.count_max = COUNT_MAX;
    share.hash_mask = UINT64_MAX;
    for (uint32_t i = 0; i <= share.bucket_mask; i++) share.bucket[i] = CHAIN_END | i;
}

void share_hash_bits(unsigned bits)
{
    share.hash_mask = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
}

/* ---- chains ---- */

/* The bits that choose the bucket are others, unless there are 4 G of them. */
static uint16_t check_of(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}
static uint16_t check2_of(uint64_t hash)
{
    return (uint16_t)(hash >> 32);
}

mfn_t share_find(uint64_t hash, uint8_t key, bool zero, mfn_t self, bool *met, bool *room)
{
    uint32_t at = share.bucket[hash & share.bucket_mask];
    unsigned length = 0;
    mfn_t hint = MFN_NONE;

    *met = false;
    for (; !(at & CHAIN_END); at = frame_pool.table[at].link, length++) {
        const struct frame *f = &frame_pool.table[at];
        if (f->check != check_of(hash)) continue;
        if (frame_state_of(f) == FRAME_SHARED) {
            if (f->owner == key && f->check2 == check2_of(hash) && !(f->state & FRAME_ZERO) == !zero)
                return at;
        } else if (at == self) {
            *met = true;
        } else if (hint == MFN_NONE) {
            const struct p2m *map = share.map[f->owner];
            if (map && share_key(map) == key) hint = at;
        }
    }
    *room = length < CHAIN_MAX;
    return hint;
}

static void chain_insert(mfn_t mfn, uint64_t hash)
{
    struct frame *f = &frame_pool.table[mfn];
    uint32_t *bucket = &share.bucket[hash & share.bucket_mask];

    f->check = check_of(hash);
    f->link = *bucket;
    *bucket = (uint32_t)mfn;
}

static void chain_remove(mfn_t mfn)
{
    const uint32_t next = frame_pool.table[mfn].link;
    uint32_t at = next;

    while (!(at & CHAIN_END)) at = frame_pool.table[at].link;
    uint32_t *from = &share.bucket[at & ~CHAIN_END];
    while (*from != mfn) {
        if (*from & CHAIN_END) panic("frame 0x%lx is not in its chain of the hash table", mfn);
        from = &frame_pool.table[*from].link;
    }
    *from = next;
}

void share_hint(mfn_t mfn, uint64_t hash)
{
    struct frame *f = &frame_pool.table[mfn];

    chain_insert(mfn, hash);
    frame_set_state(f, f->state | FRAME_HINTED);
}

void share_unhint(mfn_t mfn)
{
    struct frame *f = &frame_pool.table[mfn];

    chain_remove(mfn);
    frame_set_state(f, f->state & ~FRAME_HINTED);
}

void frame_unflag(mfn_t mfn, uint16_t owner)
{
    const struct frame *f = &frame_pool.table[mfn];

    if (frame_state_of(f) != FRAME_GUEST || f->owner != owner) frame_wrong_state("park", mfn);
    share_drop_hint(mfn);
}

/* ---- shared frames ---- */

static struct frame *shared(mfn_t mfn)
{
    if (frame_state(mfn) != FRAME_SHARED) frame_wrong_state("share", mfn);
    return &frame_pool.table[mfn];
}

void share_make(mfn_t mfn, uint64_t hash, uint8_t key, bool zero)
{
    struct frame *f = &frame_pool.table[mfn];

    if (frame_state_of(f) != FRAME_GUEST || f->state & FRAME_HINTED) frame_wrong_state("share", mfn);
    frame_set_state(f, FRAME_SHARED | (zero ? FRAME_ZERO : 0));
    f->owner = key;
    f->count = 1;
    f->check2 = check2_of(hash);
    chain_insert(mfn, hash);
    __atomic_fetch_add(&frame_pool.count[FRAME_SHARED], 1, __ATOMIC_RELAXED);
}

static void unshare(mfn_t mfn, unsigned state)
{
    chain_remove(mfn);
    frame_set_state(&frame_pool.table[mfn], state);
    __atomic_fetch_sub(&frame_pool.count[FRAME_SHARED], 1, __ATOMIC_RELAXED);
}

bool share_unmake(mfn_t mfn, uint16_t owner, gfn_t gfn)
{
    struct frame *f = shared(mfn);

    if (f->count != 1) return false;
    unshare(mfn, FRAME_GUEST | FRAME_BROKEN);
    f->owner = (uint8_t)owner;
    f->gfn = (uint32_t)gfn;
    return true;
}

static uint32_t piece(void)
{
    return (share.count_max + 1) / 2;
}

static struct large_count *find_large(mfn_t mfn)
{
    for (uint32_t i = 0; i < share.large_count; i++) {
        if (share.large[i].mfn == mfn) return &share.large[i];
    }
    panic("shared frame 0x%lx is not in the table of large counts", mfn);
}

bool share_get(mfn_t mfn)
{
    struct frame *f = shared(mfn);

    if ((f->count & COUNT_MAX) == share.count_max) {
        if (!(f->count & COUNT_MORE)) {
            if (share.large_count == LARGE_COUNTS_MAX) {
                share.counts.refused++;
                return false;
            }
            share.large[share.large_count++] = (struct large_count){.mfn = (uint32_t)mfn};
        }
        find_large(mfn)->pieces++;
        f->count = (uint16_t)((f->count - piece()) | COUNT_MORE);
    }
    f->count++;
    return true;
}

void share_put(mfn_t mfn, mfn_t *list)
{
    struct frame *f = shared(mfn);

    f->count--;
    if ((f->count & COUNT_MAX) != 0) return;
    if (f->count & COUNT_MORE) {
        struct large_count *large = find_large(mfn);
        f->count = (uint16_t)(piece() | COUNT_MORE);
        if (--large->pieces == 0) {
            f->count = (uint16_t)piece();
            *large = share.large[--share.large_count];
        }
        return;
    }
    unshare(mfn, FRAME_PARKED);
    f->next = (uint32_t)*list;
    *list = mfn;
    frames_parked(1);
}

uint64_t share_count(mfn_t mfn, struct large_count **large)
{
    const struct frame *f = shared(mfn);

    *large = f->count & COUNT_MORE ? find_large(mfn) : NULL;
    return (f->count & COUNT_MAX) + (*large ? (uint64_t)(*large)->pieces * piece() : 0);
}

/* ---- maps ---- */

void share_register(struct p2m *p2m)
{
    lock_acquire(&share.lock);
    if (share.map[p2m->owner]) panic("VM slot %u has a map already", p2m->owner);
    share.map[p2m->owner] = p2m;
    lock_release(&share.lock);
}

struct p2m *p2m_hold(uint16_t slot)
{
    struct p2m *map = NULL;

    lock_acquire(&share.lock);
    if (slot <= FRAME_OWNERS_MAX) map = share.map[slot];
    if (map) __atomic_fetch_add(&share.held[slot], 1, __ATOMIC_RELAXED);
    lock_release(&share.lock);
    return map;
}

void p2m_release(struct p2m *p2m)
{
    __atomic_fetch_sub(&share.held[p2m->owner], 1, __ATOMIC_RELEASE);
}

void p2m_retire(struct p2m *p2m)
{
    lock_acquire(&share.lock);
    if (share.map[p2m->owner] == p2m) share.map[p2m->owner] = NULL;
    lock_release(&share.lock);
    while (__atomic_load_n(&share.held[p2m->owner], __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
}

void share_set_group(struct p2m *p2m, uint8_t group)
{
    if (group > SHARE_GROUPS_MAX) panic("share group %u", group);
    lock_acquire(&p2m->lock);
    lock_acquire(&share.lock);
    p2m->sharing.group = group;
    lock_release(&share.lock);
    lock_release(&p2m->lock);
}

void share_counts(struct share_counts *out)
{
    lock_acquire(&share.lock);
    *out = share.counts;
    out->frames = __atomic_load_n(&frame_pool.count[FRAME_SHARED], __ATOMIC_RELAXED);
    out->entries = __atomic_load_n(&share.entries, __ATOMIC_RELAXED);
    out->zero_entries = __atomic_load_n(&share.zero_entries, __ATOMIC_RELAXED);
    lock_release(&share.lock);
}

uint64_t share_contended(void)
{
    return lock_contended(&share.lock);
}
