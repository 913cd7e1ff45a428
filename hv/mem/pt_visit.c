/* SPDX-License-Identifier: MIT
 *
 * Going through all entries of a range of page tables, and taking tables down.
 */
#include "mem/pt.h"

struct visit {
    const struct pt_format *format;
    const struct pt_visitor *visitor;
    void *ctx;
};

static void visit_table(const struct visit *v, hpa_t table, unsigned level, uint64_t from, uint64_t to)
{
    const uint64_t span = pt_span(level);
    uint64_t *slot = pt_slot(table, level, from);

    for (uint64_t page = from & ~(span - 1); page < to; page += span, slot++) {
        const uint64_t entry = pt_load(slot);

        if (!entry) continue;
        if (!pt_is_table(v->format, entry, level)) {
            if (v->visitor->entry) v->visitor->entry(v->ctx, slot, page, level);
            continue;
        }
        if (v->visitor->enter && !v->visitor->enter(v->ctx, slot, page, level)) continue;
        visit_table(v, pt_address(v->format, entry), level - 1, page < from ? from : page,
                    page + span > to ? to : page + span);
        if (v->visitor->leave) v->visitor->leave(v->ctx, slot, page, level);
    }
}

void pt_visit(const struct pt_format *f, hpa_t root, uint64_t from, uint64_t to,
              const struct pt_visitor *visitor, void *ctx)
{
    const struct visit v = {.format = f, .visitor = visitor, .ctx = ctx};

    visit_table(&v, root, f->levels, from, to);
}

static void free_table(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    const struct pt *pt = ctx;

    (void)page, (void)level;
    pt->table_free(pt->ctx, pt_address(pt->format, *slot) >> PAGE_SHIFT);
}

void pt_destroy(struct pt *pt, uint64_t addr, uint64_t bytes)
{
    const uint64_t from = addr >> PAGE_SHIFT;

    pt_visit(pt->format, pt->root, from, from + (bytes >> PAGE_SHIFT),
             &(struct pt_visitor){.leave = free_table}, pt);
    pt->table_free(pt->ctx, pt->root >> PAGE_SHIFT);
    pt->root = 0;
}
