/* SPDX-License-Identifier: MIT */
#include "mem/flush.h"

#include "lib/log.h"
#include "mem/frame_table.h"
#include "mem/p2m.h"
#include "mem/share_table.h"

void flush_batch_check(const struct flush_batch *batch)
{
    if (batch->owed || batch->parked != MFN_NONE || batch->shared_count) {
        panic("a flush batch of VM slot %u ended with %lu frames parked and %s", batch->p2m->owner,
              batch->count, batch->owed ? "a flush owed" : "no flush owed");
    }
}

static void put_shared(struct flush_batch *batch)
{
    lock_acquire(&share.lock);
    for (uint32_t i = 0; i < batch->shared_count; i++) {
        while (batch->shared[i].entries--) share_put(batch->shared[i].mfn, &batch->parked);
    }
    lock_release(&share.lock);
    batch->shared_count = 0;
}

void flush_discharge(struct flush_batch *batch)
{
    if (batch->owed && batch->p2m->flush) batch->p2m->flush(batch->p2m);
    batch->owed = false;
    if (batch->shared_count) put_shared(batch);
    frames_unpark(&batch->parked);
    batch->count = batch->accounted = 0;
}
