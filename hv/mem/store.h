/* SPDX-License-Identifier: MIT
 *
 * Where compressed pages are kept: each VM's in frames of its own, as records are in the slotted pages of a database. A frame holds
 * pieces of any length; a directory at its beginning, which entries of the map point into, says where they are, so that they can be moved
 * together and no room is lost between them. Frames that become half empty are merged.
 *
 * A frame of the store is one of the pages that went into it: nothing has to be allocated to put memory under pressure away. Its
 * contents are believed: no guest or device writes there.
 *
 * All with the lock of the map held.
 */
#ifndef TITHE_MEM_STORE_H
#define TITHE_MEM_STORE_H

#include "mem/p2m.h"

/* Longest piece. */
#define STORE_PIECE_MAX 3072u

/* Keeps a piece for a page, whose entry is then to be *entry. If no frame has room, and the VM may have one more, *frame becomes it, which
 * nothing may lead to any more; *frame is MFN_NONE then. False: no room. */
MUST_CHECK bool store_put(struct p2m *p2m, gfn_t gfn, const void *piece, uint32_t bytes, mfn_t *frame,
                          uint64_t *entry);
/* No frame has room for the longest piece that is kept, and there may be no more frames. */
bool store_is_full(const struct p2m *p2m);
/* The piece that an entry of the map names; it panics if that is not the page's. */
const void *store_get(const struct p2m *p2m, gfn_t gfn, uint64_t entry, uint32_t *bytes);
/* Nothing names the piece any more. Others may move, and their entries with them. */
void store_drop(struct p2m *p2m, gfn_t gfn, uint64_t entry);

/* The request (1 .. 255) that writes the piece to swap, 0: none. */
uint8_t store_writer(const struct p2m *p2m, gfn_t gfn, uint64_t entry);
void store_set_writer(struct p2m *p2m, gfn_t gfn, uint64_t entry, uint8_t request);
/* Pages whose pieces nobody writes, those of the oldest frames first. Returns how many, at most `most`. */
uint32_t store_oldest(const struct p2m *p2m, gfn_t *gfns, uint32_t most);

/* ---- for the ledger ---- */

/* The frames, oldest first; MFN_NONE after the last, `before` MFN_NONE for the first. */
mfn_t store_next(const struct p2m *p2m, mfn_t before);
/* What is wrong with a frame, NULL for nothing; adds what is in it to *pieces and *bytes. */
const char *store_check(const struct p2m *p2m, mfn_t mfn, uint64_t *pieces, uint64_t *bytes);
/* Whether the entry names the page's piece. */
bool store_has(const struct p2m *p2m, gfn_t gfn, uint64_t entry);

#endif
