/* SPDX-License-Identifier: MIT */
#include "mem/sample.h"

#include "lib/log.h"
#include "mem/flush.h"
#include "mem/p2m_tables.h"
#include "mem/permute.h"

_Static_assert(TITHE_SAMPLE_MAX <= 1u << PT_NOTE_BITS, "an entry can name every page of a sample");

static uint64_t sampled_entry(const struct pt_format *f, uint64_t index)
{
    return pt_absent(f, P2M_SAMPLED) | index << PT_NOTE_SHIFT;
}

/* Its entry has been taken away, and nobody has touched it yet. */
static bool is_away(const struct sample_page *page)
{
    return page->entry && page->entry != SAMPLE_TOUCHED;
}

/* The page that an entry names; NULL: there is none. */
static struct sample_page *page_of(const struct p2m *p2m, uint64_t entry)
{
    const uint64_t index = entry >> PT_NOTE_SHIFT;

    if (!p2m->sample || index >= p2m->sample->counts.pages) return NULL;
    struct sample_page *page = &p2m->sample->page[index];
    return entry == sampled_entry(p2m->format, index) && is_away(page) ? page : NULL;
}

uint64_t sample_behind(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    const struct sample_page *page = page_of(p2m, entry);

    return page && page->gfn == gfn ? page->entry : 0;
}

static void touch(struct sample *s, struct sample_page *page)
{
    page->entry = SAMPLE_TOUCHED;
    s->counts.touched++;
}

uint64_t sample_restore(struct p2m *p2m, uint64_t *slot, bool touched)
{
    struct sample_page *page = page_of(p2m, pt_load(slot));

    if (!page) panic("VM slot %u: entry 0x%lx names no page of its sample", p2m->owner, pt_load(slot));
    const uint64_t entry = page->entry;
    pt_store(slot, entry);
    page->entry = 0;
    if (touched) touch(p2m->sample, page);
    return entry;
}

static bool is_sampled(const struct p2m *p2m, uint64_t entry)
{
    return !pt_present(p2m->format, entry) && pt_type(p2m->format, entry) == P2M_SAMPLED;
}

/* An entry that is present at the end: was it touched? Without accessed bits: it has become so since the beginning. */
static bool was_touched(const struct p2m *p2m, uint64_t entry)
{
    return pt_present(p2m->format, entry) && (!p2m->sample->accessed || (entry & p2m->format->accessed));
}

/* Looks at the page; at the period's end its entry comes back. */
static void look(struct p2m *p2m, struct sample_page *page, bool end)
{
    unsigned level;

    if (page->entry == SAMPLE_TOUCHED) return;
    uint64_t *slot = p2m_find(p2m, page->gfn, &level);
    const uint64_t entry = pt_load(slot);
    if (is_sampled(p2m, entry)) {
        if (end) (void)sample_restore(p2m, slot, false);
    } else if (was_touched(p2m, entry)) {
        touch(p2m->sample, page);
    }
}

/* Takes the page into the sample: from here on touches of it show. */
static void take(struct p2m *p2m, gfn_t gfn, uint64_t *slot, struct flush_batch *batch)
{
    const struct pt_format *f = p2m->format;
    struct sample *s = p2m->sample;
    const uint32_t index = (uint32_t)s->counts.pages++;
    const uint64_t entry = pt_load(slot);

    s->page[index] = (struct sample_page){.gfn = gfn};
    if (!pt_present(f, entry)) return;
    if (s->counts.method == TITHE_SAMPLE_ABIT) {
        /* What is not accessed is in no TLB (SDM 3C 28.3.3.2, 28.3.5; APM 2 5.4.2). */
        if (entry & f->accessed && __atomic_fetch_and(slot, ~f->accessed, __ATOMIC_ACQ_REL))
            batch->owed = true;
    } else {
        s->page[index].entry = pt_exchange(slot, sampled_entry(f, index));
        batch->owed = true;
    }
}

/* ---- stages, each up to SAMPLE_STEP pages; true: it is over ---- */

static bool look_at_some(struct p2m *p2m, bool end)
{
    struct sample *s = p2m->sample;

    for (unsigned i = 0; i < SAMPLE_STEP && s->at < s->counts.pages; i++) look(p2m, &s->page[s->at++], end);
    return s->at == s->counts.pages;
}

static void finish(struct sample *s)
{
    struct tithe_sample *c = &s->counts;

    c->finished_pages = c->pages;
    c->finished_touched = c->touched;
    c->pages = c->touched = 0;
    c->method = s->method;
    c->period++;
    s->tried = 0;
    s->random = permute_mix(s->random);
}

/* Gfns are tried in a random order, so that those taken are random, and distinct, among all that are RAM. */
static bool take_some(struct p2m *p2m, struct flush_batch *batch)
{
    struct sample *s = p2m->sample;

    for (unsigned i = 0; i < SAMPLE_STEP && s->counts.pages < s->pages && s->tried < p2m->limit; i++) {
        unsigned level;
        const gfn_t gfn = permute(s->tried++, p2m->limit, s->random);
        uint64_t *slot = p2m_find(p2m, gfn, &level);
        if (p2m_entry_type(p2m->format, pt_load(slot)) != P2M_HOLE) take(p2m, gfn, slot, batch);
    }
    return s->counts.pages == s->pages || s->tried == p2m->limit;
}

static void step(struct p2m *p2m, uint64_t now_ns, uint64_t cpu_ns, struct flush_batch *batch)
{
    struct sample *s = p2m->sample;

    switch (s->stage) {
    case SAMPLE_AT_REST: return;
    case SAMPLE_LOOKING:
        if (look_at_some(p2m, false)) s->stage = SAMPLE_AT_REST;
        return;
    case SAMPLE_ENDING:
        if (!look_at_some(p2m, true)) return;
        finish(s);
        s->stage = SAMPLE_BEGINNING;
        return;
    case SAMPLE_BEGINNING:
        if (take_some(p2m, batch)) s->stage = SAMPLE_AT_REST;
        s->counts.started_ns = now_ns;
        s->counts.started_cpu_ns = cpu_ns;
        return;
    }
}

bool sample_step(struct p2m *p2m, uint64_t now_ns, uint64_t cpu_ns)
{
    FLUSH_BATCH(batch, p2m);

    lock_acquire(&p2m->lock);
    step(p2m, now_ns, cpu_ns, &batch);
    const bool more = p2m->sample->stage != SAMPLE_AT_REST;
    lock_release(&p2m->lock);
    flush_discharge(&batch);
    return more;
}

void sample_ask(struct p2m *p2m, uint64_t pages, uint64_t method, uint64_t seen_ns)
{
    struct sample *s = p2m->sample;

    if (pages > TITHE_SAMPLE_MAX || method > TITHE_SAMPLE_UNMAP)
        panic("a sample of %lu pages by method %lu", pages, method);
    lock_acquire(&p2m->lock);
    const bool idle = s->stage == SAMPLE_AT_REST || s->stage == SAMPLE_LOOKING;
    const bool new = s->stage == SAMPLE_BEGINNING || (idle && s->counts.started_ns > seen_ns);
    if (pages && !new) {
        s->pages = pages;
        s->method = s->accessed ? method : TITHE_SAMPLE_UNMAP;
        s->stage = SAMPLE_ENDING;
    } else if (idle) {
        s->stage = SAMPLE_LOOKING;
    }
    if (idle) s->at = 0;
    lock_release(&p2m->lock);
}

void sample_stop(struct p2m *p2m)
{
    if (!p2m->sample) return;
    lock_acquire(&p2m->lock);
    p2m->sample->stage = SAMPLE_AT_REST;
    lock_release(&p2m->lock);
}

void sample_counts(struct p2m *p2m, struct tithe_sample *out)
{
    lock_acquire(&p2m->lock);
    *out = p2m->sample->counts;
    lock_release(&p2m->lock);
}

void sample_drop(struct p2m *p2m)
{
    struct sample *s = p2m->sample;
    unsigned level;

    if (!s) return;
    for (uint64_t i = 0; i < s->counts.pages; i++) {
        if (is_away(&s->page[i])) (void)sample_restore(p2m, p2m_find(p2m, s->page[i].gfn, &level), false);
    }
    s->counts.pages = s->counts.touched = 0;
    s->stage = SAMPLE_AT_REST;
}
