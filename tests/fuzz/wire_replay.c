/* SPDX-License-Identifier: MIT
 *
 * Runs the fuzz target over its kept corpus, and over damaged copies of it. Prints TAP.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char corpus[] = "tests/fuzz/wire_corpus";

static void replay(const char *name)
{
    static uint8_t data[65536], copy[65536];
    char path[512];
    snprintf(path, sizeof path, "%s/%s", corpus, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return;
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    for (size_t cut = 0; cut < size; cut++) LLVMFuzzerTestOneInput(data, cut);
    for (size_t at = 0; at < size; at++) {
        memcpy(copy, data, size);
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[at] = (uint8_t)(data[at] ^ (1u << bit));
            LLVMFuzzerTestOneInput(copy, size);
        }
    }
}

int main(void)
{
    DIR *d = opendir(corpus);
    unsigned files = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        replay(e->d_name);
        files++;
    }
    if (d != NULL) closedir(d);
    printf("1..1\n%s 1 wire fuzz corpus replayed (%u files, all cuts and bit flips)\n",
           files > 0 ? "ok" : "not ok", files);
    return files == 0;
}
