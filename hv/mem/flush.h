/* SPDX-License-Identifier: MIT
 *
 * Flush obligations. Taking a present entry away leaves stale translations in TLBs; until they are
 * gone its frame must not be reused. So whoever takes entries away does it under a batch: frames are
 * parked in it, and flush_discharge flushes once and only then frees them. A batch that goes
 * out of scope with an obligation open is a bug and panics, in every build.
 */
#ifndef TITHE_MEM_FLUSH_H
#define TITHE_MEM_FLUSH_H

#include "tithe/types.h"

struct p2m;

#define FLUSH_SHARED_MAX 32u

struct flush_batch {
    struct p2m *p2m;
    mfn_t parked;       /* list through the frame table, MFN_NONE when empty */
    uint64_t count;     /* private frames parked */
    uint64_t accounted; /* ... of which the frame table knows */
    bool owed;          /* an entry was taken away since the last discharge */
    /* Shared frames that entries have mapped: one of several is still in use, and none may become somebody's own before the flush. */
    uint32_t shared_count;
    struct flush_shared {
        uint32_t mfn, entries;
    } shared[FLUSH_SHARED_MAX];
};

/* All but the list of shared frames: it is long, and mostly stays empty. */
static inline void flush_batch_init(struct flush_batch *batch, struct p2m *p2m)
{
    batch->p2m = p2m;
    batch->parked = MFN_NONE;
    batch->count = batch->accounted = 0;
    batch->owed = false;
    batch->shared_count = 0;
}
void flush_batch_check(const struct flush_batch *batch);

#define FLUSH_BATCH(name, the_p2m)                                                                           \
    struct flush_batch name __attribute__((cleanup(flush_batch_check)));                                     \
    flush_batch_init(&name, (the_p2m))

/* Flushes if owed, then frees what is parked and gives up parts in shared frames. Cheap when nothing is owed. The p2m's lock must not be held. */
void flush_discharge(struct flush_batch *batch);

#endif
