/* SPDX-License-Identifier: MIT */
#include "mem/flush.h"

#include "lib/log.h"
#include "mem/frame_table.h"
#include "mem/p2m.h"

void flush_batch_check(const struct flush_batch *batch)
{
    if (batch->owed || batch->parked != MFN_NONE) {
        panic("a flush batch of VM slot %u ended with %lu frames parked and %s", batch->p2m->owner,
              batch->count, batch->owed ? "a flush owed" : "no flush owed");
    }
}

void flush_discharge(struct flush_batch *batch)
{
    if (batch->owed && batch->p2m->flush) batch->p2m->flush(batch->p2m);
    batch->owed = false;
    frames_unpark(&batch->parked);
    batch->count = 0;
}
