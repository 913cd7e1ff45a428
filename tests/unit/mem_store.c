/* SPDX-License-Identifier: MIT
 *
 * The store of compressed pages against an exact model: pieces of any length, put in and taken out in any order; all are found again as they
 * were, the frames add up, and no more of them are used than there should be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_env.h"
#include "mem/compress.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/p2m_tables.h"
#include "mem/page_codec.h"
#include "mem/store.h"
#include "reference.h"

#define FRAMES 1200u
#define PAGES  1000u

static struct p2m p2m;
static struct {
    uint32_t bytes; /* 0: the page is present */
    uint8_t fill;
} model[PAGES];

static void ledger(void)
{
    struct p2m *maps[] = {&p2m};
    struct tithe_ledger out;

    ledger_check(maps, 1, &out);
    check(out.differences == 0, "%s", out.first);
}

static uint64_t *slot_of(gfn_t gfn)
{
    unsigned level = 0;
    uint64_t *slot = p2m_find(&p2m, gfn, &level);
    check(level == 1, "gfn 0x%lx has an entry of level %u", gfn, level);
    return slot;
}

/* A present page goes into the store as this piece. */
static bool put(gfn_t gfn, uint32_t bytes)
{
    uint8_t piece[STORE_PIECE_MAX];
    const uint8_t fill = (uint8_t)random_below(256);
    mfn_t parked = MFN_NONE;
    uint64_t entry;

    memset(piece, fill, bytes);
    piece[0] = piece[bytes - 1] = (uint8_t)gfn;
    lock_acquire(&p2m.lock);
    compress_unmap(&p2m, slot_of(gfn));
    const mfn_t own = p2m_store_mfn(pt_load(slot_of(gfn)));
    mfn_t mfn = own;
    const uint64_t frames = p2m.store.frames;
    const bool kept = store_put(&p2m, gfn, piece, bytes, &mfn, &entry);
    if (!kept) {
        check(mfn == own && frames == p2m.store.limit, "%u bytes were refused with %lu frames", bytes,
              frames);
        (void)compress_map_again(&p2m, slot_of(gfn));
    } else {
        check((mfn == MFN_NONE) == (p2m.store.frames == frames + 1), "a frame went wrong");
        pt_store(slot_of(gfn), entry);
        p2m.present_pages--;
        if (mfn != MFN_NONE) {
            frame_park(mfn, p2m.owner, &parked);
            frames_parked(1);
        }
        model[gfn].bytes = bytes;
        model[gfn].fill = fill;
    }
    lock_release(&p2m.lock);
    frames_unpark(&parked);
    return kept;
}

static void compare(gfn_t gfn)
{
    uint32_t bytes;
    const uint8_t *piece = store_get(&p2m, gfn, pt_load(slot_of(gfn)), &bytes);

    check(bytes == model[gfn].bytes, "gfn 0x%lx: %u bytes, not %u", gfn, bytes, model[gfn].bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        const uint8_t expected = i == 0 || i == bytes - 1 ? (uint8_t)gfn : model[gfn].fill;
        check(piece[i] == expected, "gfn 0x%lx: byte %u of %u is %u", gfn, i, bytes, piece[i]);
    }
}

/* Its entry becomes untouched, and then present. */
static void take(gfn_t gfn)
{
    FLUSH_BATCH(batch, &p2m);

    compare(gfn);
    check(p2m_discard(&p2m, gfn, 1, &batch) == 0, "gfn 0x%lx had a frame", gfn);
    flush_discharge(&batch);
    model[gfn].bytes = 0;
    check(p2m_touch(&p2m, gfn, true) == P2M_TOUCH_OK, "gfn 0x%lx", gfn);
}

/* Short ones, long ones, or both. */
static uint32_t some_length(unsigned kind)
{
    const uint32_t range[][2] = {{PAGE_CODEC_LEAST, 60}, {900, 1500}, {2000, STORE_PIECE_MAX}};
    const uint32_t *r = range[kind < 3 ? kind : random_below(3)];
    return r[0] + (uint32_t)random_below(r[1] - r[0] + 1);
}

static void make(uint64_t limit)
{
    const struct p2m_range range = {.start = 0, .count = PAGES};

    host_env_reset(FRAMES);
    frames_init(mfn_to_virt(0), FRAMES);
    const uint64_t table = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_add(0, table, FRAME_CORE);
    frames_add(table, FRAMES - table, FRAME_FREE);
    check(p2m_create(&p2m, random_below(2) ? &pt_format_ept : &pt_format_npt, 3, &range, 1), "no map");
    compress_set_limit(&p2m, limit, COMPRESS_PERCENT_MAX);
    memset(model, 0, sizeof model);
    for (gfn_t gfn = 0; gfn < PAGES; gfn++) check(p2m_touch(&p2m, gfn, true) == P2M_TOUCH_OK, "no frame");
}

static void run(unsigned kind, uint64_t limit, uint64_t steps)
{
    uint64_t refused = 0, bytes = 0, frames = 0;

    make(limit);
    for (step = 0; step < steps; step++) {
        /* Fuller for a while, then emptier. */
        const uint64_t in = step / 2000 % 2 ? 3 : 7;
        const gfn_t gfn = random_below(PAGES);
        if (model[gfn].bytes == 0 && random_below(10) < in)
            refused += !put(gfn, some_length(kind));
        else if (model[gfn].bytes != 0 && random_below(10) >= in)
            take(gfn);
        else if (model[gfn].bytes != 0)
            compare(gfn);
        check(!store_is_full(&p2m) || p2m.store.frames == limit, "full with %lu frames", p2m.store.frames);
        if (step % 500 == 0) ledger();
        bytes += p2m.store.bytes;
        frames += p2m.store.frames;
    }
    ledger();
    /* Half empty frames are merged: the store as a whole is never much worse. */
    printf("# %lu %% of the frames' bytes hold pieces, %lu pieces were refused\n",
           bytes * 100 / (frames * PAGE_BYTES), refused);
    static const uint64_t least[] = {60, 80, 55, 80};
    check(bytes * 100 > frames * PAGE_BYTES * least[kind], "too many frames");
    check(limit > 300 || refused, "the limit was never reached");
    p2m_destroy(&p2m);
    struct frame_counts f;
    frames_counts(&f);
    check(f.guest == 0 && f.store == 0 && f.parked == 0, "%lu frames are left", f.guest + f.parked);
    host_env_end();
}

static void test_oldest(void)
{
    gfn_t gfns[PAGES];

    make(100);
    for (gfn_t gfn = 0; gfn < 40; gfn++) check(put(gfn, 2000), "no room");
    check(store_oldest(&p2m, gfns, 6) == 6, "not six");
    for (gfn_t i = 0; i < 6; i++) check(gfns[i] == i, "gfn 0x%lx is no %lu", gfns[i], i);
    store_set_writer(&p2m, 0, pt_load(slot_of(0)), 9);
    check(store_oldest(&p2m, gfns, PAGES) == 39 && gfns[0] == 1, "one that is being written is offered");
    check(store_writer(&p2m, 0, pt_load(slot_of(0))) == 9, "another writer");
    p2m_destroy(&p2m);
    host_env_end();
}

/* Every kind of damage is seen: entries that name what is not theirs, and a frame that is not as it should be. */
static void test_damage(void)
{
    struct p2m *maps[] = {&p2m};
    struct tithe_ledger out;
    uint32_t bytes;

    make(10);
    check(put(1, 1000) && put(2, 1000), "no room");
    const uint64_t one = pt_load(slot_of(1)), two = pt_load(slot_of(2));
    check(PANICS("names nothing in the store", store_get(&p2m, 1, two, &bytes)), "another's piece");
    pt_store(slot_of(1), two);
    ledger_check(maps, 1, &out);
    check(out.differences != 0, "an entry that names another's piece");
    pt_store(slot_of(1), one);
    uint8_t *frame = mfn_to_virt(p2m_store_mfn(one));
    for (unsigned i = 0; i < 40; i++) {
        /* Its neighbours in its bin, padding, and who writes a piece. */
        if ((i >= 8 && i < 16) || i == 23 || i == 31 || i == 39) continue;
        frame[i] ^= 0xff;
        ledger_check(maps, 1, &out);
        frame[i] ^= 0xff;
        check(out.differences != 0, "byte %u is damaged, and the ledger balances", i);
    }
    ledger();
    p2m_destroy(&p2m);
    host_env_end();
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"short pieces", "pieces of a third of a page", "long pieces",
                                        "any pieces"};
    const uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 30000;

    printf("1..6\n");
    for (unsigned kind = 0; kind < 4; kind++) {
        seed = kind + 1;
        random_begin();
        run(kind, kind == 0 ? 1000 : 100, steps);
        printf("ok %u - %s\n", kind + 1, names[kind]);
    }
    test_oldest();
    printf("ok 5 - the oldest first\n");
    test_damage();
    printf("ok 6 - what is not a page's piece is not found\n");
    return 0;
}
