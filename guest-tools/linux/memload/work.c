/* SPDX-License-Identifier: MIT
 *
 * Threads that check random pages and give one in four new content: what a busy program does, on every CPU of the guest at once.
 */
#include "load.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "input.h"

#define THREADS_MAX 16u
#define LOOK_MS     20

struct worker {
    pthread_t thread;
    const struct load *load;
    const atomic_int *over;
    unsigned number, of; /* its pages are those whose number leaves `number` modulo `of` */
    uint64_t checked, renewed, bad;
};

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void *run(void *argument)
{
    struct worker *w = argument;
    uint64_t state = pattern_of(KIND_UNIQUE, w->number, w->load->seed, 0).first | 1;
    size_t own = w->load->pages / w->of;
    while (!atomic_load(w->over)) {
        uint64_t choice = random_next(&state);
        size_t page = choice % own * w->of + w->number;
        w->bad += load_check(w->load, page, 1);
        w->checked++;
        if (choice >> 62) continue;
        /* One word is written first, for what is written to as a whole would not show how it was copied for that. */
        load_write_back(w->load, page, 1);
        w->bad += load_check(w->load, page, 1);
        load_renew(w->load, page, 1);
        w->renewed++;
    }
    return NULL;
}

int load_work(struct load *load, unsigned threads)
{
    if (threads < 1 || threads > THREADS_MAX || threads > load->pages) {
        printf("memload: FAIL reason=\"work: 1 to %u threads, and not more than pages\"\n", THREADS_MAX);
        return -1;
    }
    struct worker workers[THREADS_MAX];
    atomic_int over = 0;
    uint64_t began = clock_us(), checked = 0, renewed = 0, bad = 0;
    unsigned started = 0;
    printf("memload: phase=work pages=%zu threads=%u\n", load->pages, threads);
    for (; started < threads; started++) {
        struct worker *w = workers + started;
        *w = (struct worker){.load = load, .over = &over, .number = started, .of = threads};
        int error = pthread_create(&w->thread, NULL, run, w);
        if (!error) continue;
        printf("memload: FAIL reason=\"work: %s\"\n", strerror(error));
        break;
    }
    while (started == threads && !input_has_line()) clock_sleep_ms(LOOK_MS);
    atomic_store(&over, 1);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        checked += workers[i].checked;
        renewed += workers[i].renewed;
        bad += workers[i].bad;
    }
    if (started < threads) return -1;
    printf("memload: work renewed=%" PRIu64 "\n", renewed);
    return load_verdict(load, "work", checked, bad, began);
}
