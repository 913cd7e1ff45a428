/* SPDX-License-Identifier: MIT */
#include "mem/store.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/frame.h"
#include "mem/p2m_tables.h"
#include "mem/page_codec.h"

struct piece {
    uint32_t gfn;
    uint32_t offset : 12, bytes : 12, writer : 8; /* bytes 0: no piece */
};

/* The beginning of a frame. Pieces lie from `floor` to its end. */
struct leaf {
    uint32_t older, younger; /* FRAME_NO_LINK at the ends */
    uint32_t prev, next;     /* in its bin */
    uint16_t free;           /* bytes in no piece, nor in head or directory */
    uint16_t floor;
    uint8_t places; /* in the directory */
    uint8_t pieces;
    uint8_t bin;
    uint8_t zero;
    struct piece piece[];
};

#define HEAD      ((uint32_t)sizeof(struct leaf))
#define DIRECTORY ((uint32_t)sizeof(struct piece))
_Static_assert(sizeof(struct leaf) == 24 && sizeof(struct piece) == 8, "what it costs");
_Static_assert((PAGE_BYTES - sizeof(struct leaf)) / (PAGE_CODEC_LEAST + sizeof(struct piece)) < UINT8_MAX,
               "places are counted in 8 bits");
_Static_assert(STORE_PIECE_MAX + sizeof(struct piece) + sizeof(struct leaf) <= PAGE_BYTES - 64,
               "an empty frame is in a bin whose frames have room for any piece");

/* Bins hold frames by the room they have, in steps of so many bytes. */
#define BIN_BYTES 64u
_Static_assert(PAGE_BYTES / BIN_BYTES == ARRAY_LEN(((struct p2m_store *)0)->bin), "a bin for any room");

static struct leaf *leaf_at(uint64_t mfn)
{
    return mfn_to_virt(mfn);
}

/* ---- frames ---- */

static void bin_add(struct p2m_store *s, uint32_t mfn)
{
    struct leaf *l = leaf_at(mfn);

    l->bin = (uint8_t)(l->free / BIN_BYTES);
    l->prev = FRAME_NO_LINK;
    l->next = s->bins >> l->bin & 1 ? s->bin[l->bin] : FRAME_NO_LINK;
    if (l->next != FRAME_NO_LINK) leaf_at(l->next)->prev = mfn;
    s->bin[l->bin] = mfn;
    s->bins |= 1ull << l->bin;
}

static void bin_remove(struct p2m_store *s, uint32_t mfn)
{
    const struct leaf *l = leaf_at(mfn);

    if (l->next != FRAME_NO_LINK) leaf_at(l->next)->prev = l->prev;
    if (l->prev != FRAME_NO_LINK)
        leaf_at(l->prev)->next = l->next;
    else if (l->next != FRAME_NO_LINK)
        s->bin[l->bin] = l->next;
    else
        s->bins &= ~(1ull << l->bin);
}

/* The fullest frame, but for a step, that has room for a piece; MFN_NONE for none. */
static mfn_t find_room(const struct p2m_store *s, uint32_t bytes)
{
    const uint32_t bin = (bytes + DIRECTORY + BIN_BYTES - 1) / BIN_BYTES;
    const uint64_t fit = bin < ARRAY_LEN(s->bin) ? s->bins & ~0ull << bin : 0;

    return fit ? s->bin[__builtin_ctzll(fit)] : MFN_NONE;
}

static void frame_in(struct p2m_store *s, uint32_t mfn)
{
    struct leaf *l = leaf_at(mfn);

    *l = (struct leaf){.older = s->frames ? s->youngest : FRAME_NO_LINK,
                       .younger = FRAME_NO_LINK,
                       .free = PAGE_BYTES - HEAD,
                       .floor = PAGE_BYTES};
    if (s->frames++)
        leaf_at(s->youngest)->younger = mfn;
    else
        s->oldest = mfn;
    s->youngest = mfn;
    bin_add(s, mfn);
}

static void frame_out(struct p2m_store *s, uint32_t mfn)
{
    const struct leaf *l = leaf_at(mfn);

    if (l->older != FRAME_NO_LINK)
        leaf_at(l->older)->younger = l->younger;
    else
        s->oldest = l->younger;
    if (l->younger != FRAME_NO_LINK)
        leaf_at(l->younger)->older = l->older;
    else
        s->youngest = l->older;
    s->frames--;
    frame_free(mfn);
}

/* ---- pieces of one frame ---- */

/* The piece that lies next below `end`; NULL for none. */
static struct piece *highest_below(struct leaf *l, uint32_t end)
{
    struct piece *found = NULL;

    for (uint32_t i = 0; i < l->places; i++) {
        struct piece *p = &l->piece[i];
        if (p->bytes && p->offset < end && (!found || p->offset > found->offset)) found = p;
    }
    return found;
}

/* All pieces to the end of the frame. */
static void move_together(struct leaf *l)
{
    uint32_t end = PAGE_BYTES, to = PAGE_BYTES;

    for (struct piece *p = highest_below(l, end); p; p = highest_below(l, end)) {
        end = p->offset;
        to -= p->bytes;
        memmove((char *)l + to, (char *)l + end, p->bytes);
        p->offset = to & 0xfff;
    }
    l->floor = (uint16_t)to;
}

/* Returns its place. There is room. */
static uint32_t piece_in(struct leaf *l, const struct piece *what, const void *bytes)
{
    uint32_t place = 0;

    while (place < l->places && l->piece[place].bytes) place++;
    const bool more = place == l->places;
    if (HEAD + (l->places + more) * DIRECTORY + what->bytes > l->floor) move_together(l);
    l->places = (uint8_t)(l->places + more);
    l->pieces++;
    l->free = (uint16_t)(l->free - what->bytes - more * DIRECTORY);
    l->floor = (uint16_t)(l->floor - what->bytes);
    l->piece[place] = *what;
    l->piece[place].offset = (uint32_t)l->floor & 0xfff;
    memcpy((char *)l + l->floor, bytes, what->bytes);
    return place;
}

static void piece_out(struct leaf *l, struct piece *p)
{
    l->free = (uint16_t)(l->free + p->bytes);
    l->pieces--;
    p->bytes = 0;
    while (l->places && !l->piece[l->places - 1].bytes) {
        l->places--;
        l->free = (uint16_t)(l->free + DIRECTORY);
    }
}

/* ---- the map's view ---- */

static struct piece *find(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    const mfn_t mfn = p2m_store_mfn(entry);
    const uint32_t place = p2m_store_place(entry);

    if (frame_state(mfn) != FRAME_STORE || frame_owner(mfn) != p2m->owner) return NULL;
    struct leaf *l = leaf_at(mfn);
    if (place >= l->places || !l->piece[place].bytes || l->piece[place].gfn != gfn) return NULL;
    return &l->piece[place];
}

static struct piece *piece_of(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    struct piece *p = find(p2m, gfn, entry);

    if (!p) panic("VM slot %u, gfn 0x%lx: entry 0x%lx names nothing in the store", p2m->owner, gfn, entry);
    return p;
}

/* Puts a piece into frame `mfn`, which has room. Returns the entry that names it. */
static uint64_t put_at(struct p2m *p2m, mfn_t mfn, const struct piece *what, const void *bytes)
{
    bin_remove(&p2m->store, (uint32_t)mfn);
    const uint32_t place = piece_in(leaf_at(mfn), what, bytes);
    bin_add(&p2m->store, (uint32_t)mfn);
    return p2m_compressed(p2m->format, mfn, place);
}

bool store_put(struct p2m *p2m, gfn_t gfn, const void *piece, uint32_t bytes, mfn_t *frame, uint64_t *entry)
{
    struct p2m_store *s = &p2m->store;
    mfn_t mfn = find_room(s, bytes);

    if (bytes < PAGE_CODEC_LEAST || bytes > STORE_PIECE_MAX) panic("a compressed page of %u bytes", bytes);
    if (mfn == MFN_NONE) {
        if (s->frames >= s->limit) return false;
        mfn = *frame;
        *frame = MFN_NONE;
        frame_to_store(mfn, p2m->owner);
        frame_in(s, (uint32_t)mfn);
    }
    *entry = put_at(p2m, mfn, &(struct piece){.gfn = (uint32_t)gfn, .bytes = bytes & 0xfff}, piece);
    s->pages++;
    s->bytes += bytes;
    return true;
}

bool store_is_full(const struct p2m *p2m)
{
    const struct p2m_store *s = &p2m->store;

    return s->frames >= s->limit && find_room(s, s->most) == MFN_NONE;
}

const void *store_get(const struct p2m *p2m, gfn_t gfn, uint64_t entry, uint32_t *bytes)
{
    const struct piece *p = piece_of(p2m, gfn, entry);

    *bytes = p->bytes;
    return (const char *)leaf_at(p2m_store_mfn(entry)) + p->offset;
}

/* A frame that is half empty: its pieces go into others, as far as there is room. It is in no bin. */
static void merge(struct p2m *p2m, mfn_t mfn)
{
    struct leaf *l = leaf_at(mfn);

    while (l->pieces) {
        struct piece *p = &l->piece[l->places - 1];
        const mfn_t to = find_room(&p2m->store, p->bytes);
        if (to == MFN_NONE) return;
        unsigned level;
        uint64_t *slot = p2m_find(p2m, p->gfn, &level);
        const uint64_t was = p2m_compressed(p2m->format, mfn, (uint32_t)(p - l->piece));
        if (!slot || level != 1 || pt_load(slot) != was)
            panic("VM slot %u, gfn 0x%x: a piece in the store is no longer its", p2m->owner, p->gfn);
        pt_store(slot, put_at(p2m, to, p, (const char *)l + p->offset));
        piece_out(l, p);
    }
}

void store_drop(struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    struct p2m_store *s = &p2m->store;
    struct piece *p = piece_of(p2m, gfn, entry);
    const mfn_t mfn = p2m_store_mfn(entry);
    struct leaf *l = leaf_at(mfn);

    s->pages--;
    s->bytes -= p->bytes;
    bin_remove(s, (uint32_t)mfn);
    piece_out(l, p);
    if (l->free >= PAGE_BYTES / 2) merge(p2m, mfn);
    if (l->pieces)
        bin_add(s, (uint32_t)mfn);
    else
        frame_out(s, (uint32_t)mfn);
}

uint8_t store_writer(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    return (uint8_t)piece_of(p2m, gfn, entry)->writer;
}

void store_set_writer(struct p2m *p2m, gfn_t gfn, uint64_t entry, uint8_t request)
{
    piece_of(p2m, gfn, entry)->writer = request;
}

uint32_t store_oldest(const struct p2m *p2m, gfn_t *gfns, uint32_t most)
{
    uint32_t count = 0;

    for (mfn_t mfn = store_next(p2m, MFN_NONE); mfn != MFN_NONE && count < most; mfn = store_next(p2m, mfn)) {
        const struct leaf *l = leaf_at(mfn);
        for (uint32_t i = 0; i < l->places && count < most; i++) {
            if (l->piece[i].bytes && !l->piece[i].writer) gfns[count++] = l->piece[i].gfn;
        }
    }
    return count;
}

/* ---- the ledger's ---- */

mfn_t store_next(const struct p2m *p2m, mfn_t before)
{
    if (before == MFN_NONE) return p2m->store.frames ? p2m->store.oldest : MFN_NONE;
    const uint32_t next = leaf_at(before)->younger;
    return next == FRAME_NO_LINK ? MFN_NONE : next;
}

bool store_has(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    return find(p2m, gfn, entry) != NULL;
}

static bool is_leaf(mfn_t mfn)
{
    return frame_state(mfn) == FRAME_STORE;
}

const char *store_check(const struct p2m *p2m, mfn_t mfn, uint64_t *pieces, uint64_t *bytes)
{
    struct leaf *l = leaf_at(mfn);
    uint32_t end = PAGE_BYTES, used = HEAD + l->places * DIRECTORY, count = 0;

    if (l->older == FRAME_NO_LINK ? p2m->store.oldest != mfn
                                  : !is_leaf(l->older) || leaf_at(l->older)->younger != mfn)
        return "is not in the list of ages";
    if (l->younger == FRAME_NO_LINK ? p2m->store.youngest != mfn
                                    : !is_leaf(l->younger) || leaf_at(l->younger)->older != mfn)
        return "is not in the list of ages";
    for (const struct piece *p = highest_below(l, end); p; p = highest_below(l, end)) {
        if (p->offset + p->bytes > end || p->offset < l->floor) return "has pieces that overlap";
        end = p->offset;
        used += p->bytes;
        count++;
    }
    if (HEAD + l->places * DIRECTORY > l->floor) return "has pieces in its directory";
    if (count != l->pieces || used + l->free != PAGE_BYTES) return "has its room counted wrong";
    if (!count || l->bin != l->free / BIN_BYTES || !(p2m->store.bins >> l->bin & 1)) return "is in no bin";
    *pieces += count;
    for (uint32_t i = 0; i < l->places; i++) *bytes += l->piece[i].bytes;
    return NULL;
}
