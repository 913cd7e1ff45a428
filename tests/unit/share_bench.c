/* SPDX-License-Identifier: MIT
 *
 * The scanner, compiled for the build host, on three VMs' pages: what it saves of what an exact comparison of all pages finds,
 * and how fast it is; then Linux KSM's scanner on the same pages, where the kernel has one that may be used. Speeds are
 * pages looked at in a second of CPU time, for the host has other things to do. Prints lines of "name value unit" for
 * tests/bench, and why something could not be measured on standard error.
 */
#define _GNU_SOURCE
#include "host_env.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "mem/share.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define VMS    3u
#define PAGES  8192u /* of each */
#define FRAMES (VMS * (PAGES + 64) + 256)
#define WORDS  (PAGE_BYTES / sizeof(uint64_t))
#define PASSES 4u

static struct p2m map[VMS];

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9;
    return x ^ x >> 29;
}

/* Like guests of one kind: a fifth zeros, a quarter the system's, the same in all and at other places; a twentieth twice in a
 * VM; the rest all its own, much of it equal for a while from the start. */
static void fill(uint64_t *words, unsigned vm, unsigned page)
{
    const unsigned kind = (unsigned)(mix(vm * PAGES + page + 1) % 20);
    uint64_t id = 100000 + vm * PAGES + page;

    if (kind < 4) id = 0;
    if (kind >= 4 && kind < 9) id = 1 + (page + vm * 1000) % (PAGES / 4);
    if (kind == 9) id = 50000 + vm * PAGES + page / 2 % 400;
    for (unsigned w = 0; w < WORDS; w++)
        words[w] = !id ? 0 : id >= 100000 && w < WORDS / 8 ? 0x1111 : mix(id * WORDS + w);
}

static uint64_t page_of(unsigned vm, unsigned page)
{
    return (vm * 7919u + page) % PAGES;
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    return memcmp(*(const void *const *)a, *(const void *const *)b, PAGE_BYTES);
}

/* Pages that are equal to one before them. */
static uint64_t saved_at_best(const uint8_t *pages, uint64_t count)
{
    const void **sorted = malloc(count * sizeof(*sorted));
    uint64_t saved = 0;

    for (uint64_t i = 0; i < count; i++) sorted[i] = pages + i * PAGE_BYTES;
    qsort(sorted, count, sizeof(*sorted), compare);
    for (uint64_t i = 1; i < count; i++) saved += compare(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    return saved;
}

static double scan_all(void)
{
    uint64_t looked = 0;
    const double start = cpu_seconds();

    for (unsigned vm = 0; vm < VMS; vm++) {
        struct share_scan scan = {.order = SHARE_RANDOM};
        while (scan.passes < PASSES) looked += share_scan(&map[vm], &scan, SHARE_SCAN_MAX);
    }
    return (double)looked / (cpu_seconds() - start);
}

/* ---- KSM ---- */

#define KSM "/sys/kernel/mm/ksm/"

static bool ksm_get(const char *name, char value[32])
{
    char path[64];

    snprintf(path, sizeof(path), KSM "%s", name);
    FILE *f = fopen(path, "r");
    const bool ok = f && fgets(value, 32, f);
    if (f) fclose(f);
    return ok;
}

static bool ksm_set(const char *name, const char *value)
{
    char path[64];

    snprintf(path, sizeof(path), KSM "%s", name);
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(value, f) >= 0;
    if (f && fclose(f) != 0) ok = false;
    return ok;
}

static double ksm_number(const char *name)
{
    char value[32];

    return ksm_get(name, value) ? strtod(value, NULL) : -1;
}

/* CPU time of the kernel's thread; negative: it is not to be seen. */
static double ksmd_seconds(void)
{
    DIR *proc = opendir("/proc");
    double seconds = -1;

    for (struct dirent *d; proc && seconds < 0 && (d = readdir(proc)) != NULL;) {
        char path[300], name[32] = "";
        unsigned long user = 0, system = 0;
        snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
        FILE *f = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (!f) continue;
        if (fscanf(f, "%*d (%31[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", name, &user,
                   &system) == 3 &&
            strcmp(name, "ksmd") == 0)
            seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
        fclose(f);
    }
    if (proc) closedir(proc);
    return seconds;
}

/* Pages looked at in a second by KSM, given as many passes; negative: it cannot be had. */
static double ksm_speed(void *pages, uint64_t bytes)
{
    static const char *const knobs[] = {"run", "pages_to_scan", "sleep_millisecs", "smart_scan"};
    char before[ARRAY_LEN(knobs)][32];
    double speed = -1;

    for (size_t i = 0; i < ARRAY_LEN(knobs); i++)
        if (!ksm_get(knobs[i], before[i])) strcpy(before[i], "");
    if (!before[0][0] || before[0][0] != '0' || ksmd_seconds() < 0 || ksm_number("pages_scanned") < 0 ||
        madvise(pages, bytes, MADV_MERGEABLE) != 0)
        return -1;
    (void)ksm_set("smart_scan", "0");
    if (ksm_set("pages_to_scan", "4000") && ksm_set("sleep_millisecs", "1")) {
        const double scanned = ksm_number("pages_scanned"), seconds = ksmd_seconds(),
                     passes = ksm_number("full_scans");
        if (ksm_set("run", "1")) {
            for (unsigned i = 0; i < 600 && ksm_number("full_scans") < passes + PASSES; i++) usleep(100000);
            const double took = ksmd_seconds() - seconds;
            if (ksm_number("full_scans") >= passes + PASSES && took > 0)
                speed = (ksm_number("pages_scanned") - scanned) / took;
        }
    }
    /* What was merged stays so with run=0; unmerge it, then leave everything as it was. */
    (void)ksm_set("run", "2");
    for (size_t i = ARRAY_LEN(knobs); i-- > 0;)
        if (before[i][0]) (void)ksm_set(knobs[i], before[i]);
    return speed;
}

int main(void)
{
    const uint64_t bytes = (uint64_t)VMS * PAGES * PAGE_BYTES;
    const uint64_t core = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    uint8_t *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct share_counts c;

    if (copy == MAP_FAILED) return 1;
    (void)madvise(copy, bytes, MADV_NOHUGEPAGE);
    host_env_reset(FRAMES);
    frames_init(direct_base, FRAMES);
    frames_add(0, core, FRAME_CORE);
    frames_add(core, FRAMES - core, FRAME_FREE);
    for (unsigned vm = 0; vm < VMS; vm++) {
        if (!p2m_create(&map[vm], &pt_format_ept, (uint16_t)(vm + 1), &(struct p2m_range){0, PAGES}, 1))
            return 1;
        share_set_group(&map[vm], 1);
        for (unsigned page = 0; page < PAGES; page++) {
            uint64_t *words = (uint64_t *)(copy + ((uint64_t)vm * PAGES + page) * PAGE_BYTES);
            fill(words, vm, page);
            if (p2m_write(&map[vm], page_of(vm, page) << PAGE_SHIFT, words, PAGE_BYTES) != P2M_TOUCH_OK)
                return 1;
        }
    }
    const double ours = scan_all();
    share_counts(&c);
    const double found = (double)(c.entries - c.frames) / (double)saved_at_best(copy, (uint64_t)VMS * PAGES);
    const double theirs = ksm_speed(copy, bytes);
    printf("share_vs_oracle %.4f ratio\n", found);
    printf("metadata_bytes_per_gib %lu bytes\n", frames_bytes(GIB / PAGE_BYTES));
    printf("scan_pages_per_second %.0f pages/s\n", ours);
    if (theirs > 0)
        printf("ksm_pages_per_second %.0f pages/s\nscan_vs_ksm %.2f ratio\n", theirs, ours / theirs);
    else
        fprintf(stderr, "share_bench: no scan_vs_ksm: this kernel offers no KSM that may be started\n");
    host_env_end();
    return found >= 0.98 ? 0 : 1;
}
