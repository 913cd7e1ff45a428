/* SPDX-License-Identifier: MIT */
#include "topview.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpuline.h"
#include "size.h"

#define BAR_LEAST 12 /* characters a bar needs to say anything */
#define BAR_MOST  60

/* A VM in two samples. */
struct row {
    const struct vm_sample *now, *before; /* before: NULL when it is new */
    double seconds;                       /* of the machine's, between the two; 0: no rates yet */
};

typedef double value_fn(const struct row *r);

static double v_id(const struct row *r)
{
    return (double)r->now->id;
}
static double v_size(const struct row *r)
{
    return (double)r->now->size_pages;
}
static double v_min(const struct row *r)
{
    return (double)r->now->min_pages;
}
static double v_max(const struct row *r)
{
    return (double)r->now->max_pages;
}
static double v_shares(const struct row *r)
{
    return (double)r->now->shares;
}
static double v_vcpus(const struct row *r)
{
    return (double)r->now->vcpus;
}
static double v_cpu_shares(const struct row *r)
{
    return (double)r->now->cpu_shares;
}
static double v_target(const struct row *r)
{
    return (double)r->now->target_pages;
}
static double v_consumed(const struct row *r)
{
    return (double)r->now->consumed_pages;
}
static double v_balloon(const struct row *r)
{
    return (double)r->now->balloon_actual_pages;
}
static double v_balloon_target(const struct row *r)
{
    return (double)r->now->balloon_target_pages;
}
static double v_shared(const struct row *r)
{
    return (double)r->now->shared_pages;
}
static double v_swapped(const struct row *r)
{
    return (double)r->now->swapped_pages;
}
static double v_swap_target(const struct row *r)
{
    return (double)(r->now->swapped_pages + r->now->swap_out_wanted);
}
static double v_compressed(const struct row *r)
{
    return (double)r->now->compressed_pages;
}
static double v_store(const struct row *r)
{
    return (double)r->now->store_pages;
}
static double v_pops(const struct row *r)
{
    return (double)r->now->balloon_pops;
}

/* Negative: the guest has not told. */
static double known(uint64_t pages)
{
    return pages == SAMPLE_UNKNOWN ? -1 : (double)pages;
}

static double v_free(const struct row *r)
{
    return known(r->now->guest_free_pages);
}
static double v_available(const struct row *r)
{
    return known(r->now->guest_available_pages);
}

static double rate(const struct row *r, uint64_t now, uint64_t before)
{
    return r->before != NULL && r->seconds > 0 && now >= before ? (double)(now - before) / r->seconds : -1;
}

static double v_touches(const struct row *r)
{
    return rate(r, r->now->first_touches, r->before != NULL ? r->before->first_touches : 0);
}

static double v_cow(const struct row *r)
{
    return rate(r, r->now->cow_breaks, r->before != NULL ? r->before->cow_breaks : 0);
}

static double v_swap_ins(const struct row *r)
{
    return rate(r, r->now->swapped_in, r->before != NULL ? r->before->swapped_in : 0);
}

static double v_exits(const struct row *r)
{
    return rate(r, r->now->exits, r->before != NULL ? r->before->exits : 0);
}

static double v_cpu(const struct row *r)
{
    double ns = rate(r, r->now->cpu_ns, r->before != NULL ? r->before->cpu_ns : 0);

    return ns < 0 ? ns : ns / 1e7;
}

/* As the last full period says; a policy makes averages of several. */
static double v_active(const struct row *r)
{
    return r->now->sampled_pages > 0
               ? (double)r->now->size_pages * (double)r->now->touched_pages / (double)r->now->sampled_pages
               : -1;
}

enum kind { TEXT, COUNT, SIZE };

static const struct column {
    const char *title;
    int width;
    int rank; /* the higher, the sooner it is left out on a narrow screen */
    enum kind kind;
    value_fn *value;
} columns[] = {
    {"ID", 4, 0, COUNT, v_id},
    {"NAME", -12, 0, TEXT, v_id},
    {"STATE", -9, 1, TEXT, v_id},
    {"SIZE", 6, 1, SIZE, v_size},
    {"MIN", 6, 4, SIZE, v_min},
    {"MAX", 6, 5, SIZE, v_max},
    {"SHARES", 7, 3, COUNT, v_shares},
    {"TARGET", 7, 0, SIZE, v_target},
    {"USED", 6, 0, SIZE, v_consumed},
    {"ACTIVE", 6, 3, SIZE, v_active},
    {"SHARED", 6, 3, SIZE, v_shared},
    {"BALLOON", 7, 2, SIZE, v_balloon},
    {"B.GOAL", 6, 3, SIZE, v_balloon_target},
    {"SWCUR", 6, 3, SIZE, v_swapped},
    {"SWTGT", 6, 5, SIZE, v_swap_target},
    {"SWIN/s", 6, 4, COUNT, v_swap_ins},
    {"ZIP", 6, 4, SIZE, v_compressed},
    {"ZIPMEM", 6, 5, SIZE, v_store},
    {"TOUCH/s", 7, 4, COUNT, v_touches},
    {"POPS", 5, 6, COUNT, v_pops},
    {"COW/s", 6, 5, COUNT, v_cow},
    {"G.FREE", 6, 3, SIZE, v_free},
    {"G.AVAIL", 7, 4, SIZE, v_available},
    {"VCPUS", 5, 2, COUNT, v_vcpus},
    {"CPU%", 5, 2, COUNT, v_cpu},
    {"C.SHARE", 7, 5, COUNT, v_cpu_shares},
    {"EXIT/s", 7, 5, COUNT, v_exits},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

unsigned topview_columns(void)
{
    return COLUMNS;
}

const char *topview_column(unsigned index)
{
    return columns[index % COLUMNS].title;
}

static int shown_width(int rank)
{
    int sum = 0;
    size_t i;

    for (i = 0; i < COLUMNS; i++)
        if (columns[i].rank <= rank) sum += abs(columns[i].width) + 1;
    return sum;
}

static void cell(FILE *out, const struct column *c, const struct row *r)
{
    double value = c->value(r);
    char text[32];

    if (c->kind == TEXT && strcmp(c->title, "NAME") == 0) {
        snprintf(text, sizeof text, "%s", r->now->name);
    } else if (c->kind == TEXT) {
        bool stopped = strcmp(r->now->state, "stopped") == 0 && r->now->stop_reason[0] != '\0';

        snprintf(text, sizeof text, "%s", stopped ? r->now->stop_reason : r->now->state);
    } else if (value < 0) {
        snprintf(text, sizeof text, "-");
    } else if (c->kind == SIZE) {
        size_text((uint64_t)value, text, sizeof text);
        if (c->value == v_target && r->now->held) strcat(text, "*");
        if (c->value == v_balloon && !r->now->balloon_driver) snprintf(text, sizeof text, "none");
    } else {
        snprintf(text, sizeof text, "%.0f", value);
    }
    fprintf(out, "%*.*s ", c->width, abs(c->width), text);
}

/* |####====....   |: used, up to the target, up to the size. */
static void vm_bar(FILE *out, const struct vm_sample *vm, uint64_t largest_pages, int width)
{
    int i;
    double scale = (double)width / (double)(largest_pages > 0 ? largest_pages : 1);

    fputc('|', out);
    for (i = 0; i < width; i++) {
        double at = ((double)i + 0.5) / scale;

        if (at < (double)vm->consumed_pages)
            fputc('#', out);
        else if (at < (double)vm->target_pages)
            fputc('-', out);
        else if (at < (double)vm->size_pages)
            fputc('.', out);
        else
            fputc(' ', out);
    }
    fputc('|', out);
}

static void host_bar(FILE *out, const struct sample *s, int width)
{
    static const char letters[] = "cog. ";
    uint64_t parts[] = {s->core_pages, s->overhead_pages, s->guest_pages, s->free_pages}, before = 0;
    int filled = 0;
    size_t p;

    fputc('|', out);
    for (p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        before += parts[p];
        for (; s->total_pages > 0 && filled < width &&
               (double)filled + 0.5 < (double)before * width / (double)s->total_pages;
             filled++)
            fputc(letters[p], out);
    }
    for (; filled < width; filled++) fputc(' ', out);
    fputs("|\n", out);
}

static const char *size_of(uint64_t pages)
{
    static char texts[8][16];
    static unsigned next;

    return size_text(pages, texts[next++ % 8], sizeof texts[0]);
}

static void head(const struct topview *v, const struct sample *s, const struct sample *before, FILE *out)
{
    uint64_t up_s = s->now_ns / 1000000000u;
    char percent[24] = "", text[400];

    if (cpuline_given(s, before)) {
        double idle =
            (double)(s->idle_ns - before->idle_ns) / (double)(s->now_ns - before->now_ns) / (double)s->cpus;

        snprintf(percent, sizeof percent, ", %.0f%% busy", idle > 1 ? 0.0 : 100 * (1 - idle));
    }
    snprintf(text, sizeof text,
             "tithe top  %s on %s  up %" PRIu64 ":%02" PRIu64 ":%02" PRIu64 "  %" PRIu64
             " CPU%s%s  policy %s%s",
             s->vendor, s->machine, up_s / 3600, up_s / 60 % 60, up_s % 60, s->cpus, s->cpus == 1 ? "" : "s",
             percent, s->policy, s->policy_trial ? " (on trial)" : "");
    fprintf(out, "%.*s\n", v->width, text);
    snprintf(
        text, sizeof text, "memory %s: free %s, reserve %s, core %s, overhead %s, guests %s; overcommit %.2f",
        size_of(s->total_pages), size_of(s->free_pages), size_of(s->reserve_pages), size_of(s->core_pages),
        size_of(s->overhead_pages), size_of(s->guest_pages), sample_overcommit(s));
    fprintf(out, "%.*s\n", v->width, text);
    host_bar(out, s, v->width - 2 > 100 ? 100 : v->width - 2);
    cpuline_write(s, before, v->width, out);
    if (s->policy_error[0] != '\0') {
        snprintf(text, sizeof text, "policy error: %s", s->policy_error);
        fprintf(out, "%.*s\n", v->width, text);
    }
    if (s->steward_restarts > 0) fprintf(out, "steward restarts: %" PRIu64 "\n", s->steward_restarts);
    fputc('\n', out);
}

static const struct topview *sort_view; /* qsort() hands nothing through */

static int by_column(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    const struct column *c = &columns[sort_view->sort % COLUMNS];
    int order;

    if (c->kind == TEXT && c == &columns[1])
        order = strcmp(a->now->name, b->now->name);
    else if (c->kind == TEXT)
        order = strcmp(a->now->state, b->now->state);
    else
        order = c->value(a) < c->value(b) ? -1 : c->value(a) > c->value(b);
    if (order == 0) order = a->now->id < b->now->id ? -1 : a->now->id > b->now->id;
    return sort_view->reverse ? -order : order;
}

static int count_lines(const struct sample *s, const struct sample *before)
{
    return 4 + cpuline_given(s, before) + (s->policy_error[0] != '\0') + (s->steward_restarts > 0);
}

int topview_write(const struct topview *v, const struct sample *now, const struct sample *before, FILE *out)
{
    static struct row rows[TITHE_VMS_MAX];
    int rank = 6, bar;
    uint64_t largest = 0;
    size_t i, j;

    head(v, now, before, out);
    while (rank > 0 && shown_width(rank) > v->width) rank--;
    bar = v->width - shown_width(rank) - 2;
    if (bar > BAR_MOST) bar = BAR_MOST;
    for (j = 0; j < COLUMNS; j++)
        if (columns[j].rank <= rank) fprintf(out, "%*s ", columns[j].width, columns[j].title);
    fprintf(out, "%s\n", bar >= BAR_LEAST ? "# used - target . size" + (bar < 22 ? 22 : 0) : "");
    for (i = 0; i < now->vm_count; i++) {
        const struct vm_sample *vm = &now->vm[i];

        rows[i] = (struct row){.now = vm, .before = before != NULL ? sample_vm(before, vm->id) : NULL};
        if (before != NULL && now->now_ns > before->now_ns)
            rows[i].seconds = (double)(now->now_ns - before->now_ns) / 1e9;
        if (vm->size_pages > largest) largest = vm->size_pages;
    }
    sort_view = v;
    qsort(rows, now->vm_count, sizeof rows[0], by_column);
    for (i = 0; i < now->vm_count; i++) {
        for (j = 0; j < COLUMNS; j++)
            if (columns[j].rank <= rank) cell(out, &columns[j], &rows[i]);
        if (bar >= BAR_LEAST) vm_bar(out, rows[i].now, largest, bar);
        fputc('\n', out);
    }
    if (v->event_count > 0) fputc('\n', out);
    for (i = 0; i < v->event_count; i++) fprintf(out, "%.*s\n", v->width, v->events[i]);
    return count_lines(now, before);
}
