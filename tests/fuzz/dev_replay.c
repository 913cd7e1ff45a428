/* SPDX-License-Identifier: MIT
 *
 * Runs the fuzz targets on the kept corpus and on a fixed number of random inputs: the same every time. TAP.
 */
#include "dev_fuzz.h"

#include "tithe/types.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX    16384u
#define RANDOM_RUNS  1500u
#define RANDOM_BYTES 4000u

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Each input in a block of its own, so that reads past it are seen. */
static void run_file(void (*target)(const uint8_t *, size_t), const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    if (f == NULL || data == NULL) abort();
    const size_t size = fread(data, 1, INPUT_MAX, f);
    fclose(f);
    data = realloc(data, size != 0 ? size : 1);
    target(data, size);
    free(data);
}

static unsigned run_corpus(void (*target)(const uint8_t *, size_t), const char *directory)
{
    char path[512];
    unsigned count = 0;
    DIR *d = opendir(directory);
    if (d == NULL) abort();
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        run_file(target, path);
        count++;
    }
    closedir(d);
    return count;
}

static void run_random(void (*target)(const uint8_t *, size_t))
{
    for (unsigned i = 0; i < RANDOM_RUNS; i++) {
        const size_t size = random_next() % RANDOM_BYTES;
        uint8_t *data = malloc(size != 0 ? size : 1);
        if (data == NULL) abort();
        for (size_t at = 0; at < size; at++) data[at] = (uint8_t)(random_next() >> 32);
        target(data, size);
        free(data);
    }
}

int main(void)
{
    static const struct {
        const char *name, *corpus;
        void (*target)(const uint8_t *, size_t);
    } all[] = {
        {"devices", "tests/fuzz/dev_corpus/io", fuzz_io},
        {"loaders", "tests/fuzz/dev_corpus/load", fuzz_load},
    };
    printf("1..%zu\n", 2 * ARRAY_LEN(all));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        const unsigned kept = run_corpus(all[i].target, all[i].corpus);
        printf("%s %zu %s under %u kept inputs\n", kept != 0 ? "ok" : "not ok", 2 * i + 1, all[i].name, kept);
        run_random(all[i].target);
        printf("ok %zu %s under %u random inputs\n", 2 * i + 2, all[i].name, RANDOM_RUNS);
    }
    return 0;
}
