/* SPDX-License-Identifier: MIT
 *
 * The p2m's table pages: reserved for the worst case when the VM is admitted, taken when needed.
 */
#include "mem/p2m_tables.h"

#include "lib/log.h"
#include "mem/frame.h"

static mfn_t table_alloc(void *ctx)
{
    struct p2m *p2m = ctx;

    if (!p2m->promised) panic("VM slot %u needs more table pages than its worst case", p2m->owner);
    p2m->promised--;
    p2m->table_pages++;
    return frame_alloc_promised(p2m->owner);
}

static void table_free(void *ctx, mfn_t mfn)
{
    struct p2m *p2m = ctx;

    p2m->table_pages--;
    frame_free(mfn);
}

struct pt p2m_tables(struct p2m *p2m)
{
    return (struct pt){.format = p2m->format,
                       .root = p2m->root,
                       .table_alloc = table_alloc,
                       .table_free = table_free,
                       .ctx = p2m};
}

uint64_t *p2m_split(struct p2m *p2m, gfn_t gfn)
{
    struct pt pt = p2m_tables(p2m);

    return pt_ensure(&pt, gfn, 1);
}
