/* SPDX-License-Identifier: MIT */
#include "cpuline.h"

#include <string.h>

/* Hundredths of the time between two samples. */
struct cpu_use {
    double guest, core, steward, idle;
};

/* A turn or a rest is counted when it ends, so that it may have begun before. */
static double percent_of(uint64_t now_ns, uint64_t before_ns, double all_ns)
{
    double percent = now_ns > before_ns ? 100 * (double)(now_ns - before_ns) / all_ns : 0;

    return percent < 100 ? percent : 100;
}

static struct cpu_use cpu_use(const struct sample *now, const struct sample *before, size_t i)
{
    const struct cpu_sample *n = &now->cpu[i], *b = &before->cpu[i];
    double all_ns = (double)(now->now_ns - before->now_ns);
    struct cpu_use u = {.guest = percent_of(n->guest_ns, b->guest_ns, all_ns),
                        .steward = percent_of(n->steward_ns, b->steward_ns, all_ns),
                        .idle = percent_of(n->idle_ns, b->idle_ns, all_ns)};
    double rest = 100 - u.guest - u.steward - u.idle;

    u.core = rest > 0 ? rest : 0;
    return u;
}

static double busy(const struct cpu_use *u)
{
    double b = u->guest + u->core + u->steward;

    return b < 100 ? b : 100;
}

bool cpuline_given(const struct sample *now, const struct sample *before)
{
    return before != NULL && now->now_ns > before->now_ns && now->cpu_count > 0 &&
           now->cpu_count == before->cpu_count;
}

void cpuline_write(const struct sample *now, const struct sample *before, int width, FILE *out)
{
    char all[TITHE_CPUS_MAX * 24 + 40] = "CPU% guest/core/steward/idle",
                                   some[TITHE_CPUS_MAX * 10 + 20] = "CPU% busy",
                                   few[TITHE_CPUS_MAX + 40] = "CPUs, busy in tenths (*: all)  ";
    size_t n = strlen(all), m = strlen(some), k = strlen(few), i;

    if (!cpuline_given(now, before)) return;
    for (i = 0; i < now->cpu_count; i++) {
        struct cpu_use u = cpu_use(now, before, i);
        int tenths = (int)(busy(&u) / 10);

        n += (size_t)snprintf(all + n, sizeof all - n, "  %zu: %.0f/%.0f/%.0f/%.0f", i, u.guest, u.core,
                              u.steward, u.idle);
        m += (size_t)snprintf(some + m, sizeof some - m, "  %zu: %.0f", i, busy(&u));
        few[k++] = tenths > 9 ? '*' : (char)('0' + tenths);
    }
    few[k] = '\0';
    fprintf(out, "%.*s\n", width, n <= (size_t)width ? all : m <= (size_t)width ? some : few);
}
