/* SPDX-License-Identifier: MIT
 *
 * The CPUs' stocks of free frames (mem/frame_table.h).
 */
#include "mem/frame_table.h"

struct frame_stock frame_stocks[CPUS_MAX];

uint32_t frame_stock_fill(struct frame_stock *s)
{
    const uint32_t cpu = (uint32_t)(s - frame_stocks);

    lock_acquire(&frame_pool.lock);
    if (!frame_pool.gathering && frames_spare(FRAME_HANDFUL)) {
        frames_unsort(FRAME_HANDFUL);
        uint32_t mfn = frame_pool.free_head;
        for (uint32_t i = FRAME_HANDFUL; i-- > 0;) {
            struct frame *f = &frame_pool.table[mfn];
            if (f->state != FRAME_FREE) frame_wrong_state("stock", mfn);
            frame_set_state(f, FRAME_STOCKED);
            s->mfn[i] = mfn;
            mfn = f->next;
        }
        frame_pool.free_head = mfn;
        if (mfn != FRAME_NO_LINK) frame_pool.table[mfn].prev = FRAME_NO_LINK;
        frame_pool.count[FRAME_FREE] -= FRAME_HANDFUL;
        if (frame_pool.stocks <= cpu) frame_pool.stocks = cpu + 1;
        frame_stock_set(s, FRAME_HANDFUL);
    }
    lock_release(&frame_pool.lock);
    return s->count;
}

void frames_gather(void)
{
    const uint32_t stocks = frame_pool.stocks;

    /* Nobody fills a stock from now on, so one that is seen empty stays so. */
    frame_pool.gathering++;
    lock_release(&frame_pool.lock);
    for (struct frame_stock *s = frame_stocks; s < frame_stocks + stocks; s++) {
        if (!frame_stock_count(s)) continue;
        lock_acquire(&s->lock);
        lock_acquire(&frame_pool.lock);
        for (uint32_t i = 0; i < s->count; i++) {
            if (frame_pool.table[s->mfn[i]].state != FRAME_STOCKED) frame_wrong_state("gather", s->mfn[i]);
            frame_list_push(s->mfn[i]);
        }
        frame_pool.count[FRAME_FREE] += s->count;
        frame_stock_set(s, 0);
        lock_release(&frame_pool.lock);
        lock_release(&s->lock);
    }
    lock_acquire(&frame_pool.lock);
    frame_pool.gathering--;
}
