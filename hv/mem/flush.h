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

struct flush_batch {
    struct p2m *p2m;
    mfn_t parked;   /* list through the frame table, MFN_NONE when empty */
    uint64_t count; /* frames parked */
    bool owed;      /* an entry was taken away since the last discharge */
};

void flush_batch_check(const struct flush_batch *batch);

#define FLUSH_BATCH(name, the_p2m)                                                                           \
    struct flush_batch name __attribute__((cleanup(flush_batch_check))) = {                                  \
        .p2m = (the_p2m), .parked = MFN_NONE, .count = 0, .owed = false}

/* Flushes if owed, then frees what is parked. Cheap when nothing is owed. The p2m's lock must not be held. */
void flush_discharge(struct flush_batch *batch);

#endif
