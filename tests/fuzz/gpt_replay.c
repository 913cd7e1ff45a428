/* SPDX-License-Identifier: MIT
 *
 * Runs the fuzz target over its kept corpus, and over damaged copies of it. Prints TAP.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BYTES_MAX  20000u
/* Flags, header, first entry: every byte of them is tried. */
#define HEADER_END 97u
#define ENTRIES    517u
#define HEAD       (ENTRIES + 60)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char corpus[] = "tests/fuzz/gpt_corpus";

static void replay(const char *name)
{
    static uint8_t data[BYTES_MAX], copy[BYTES_MAX];
    static const uint8_t values[] = {0, 1, 0x80, 0xff};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", corpus, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return;
    const size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    for (size_t cut = 0; cut < size; cut += 97) LLVMFuzzerTestOneInput(data, cut);
    for (size_t at = 0; at < size && at < HEAD; at++) {
        if (at == HEADER_END) at = ENTRIES;
        memcpy(copy, data, size);
        for (size_t i = 0; i < sizeof values; i++) {
            copy[0] |= 3;
            copy[at] = values[i];
            LLVMFuzzerTestOneInput(copy, size);
        }
        memcpy(copy, data, size);
        copy[at] ^= (uint8_t)(1u << at % 8);
        LLVMFuzzerTestOneInput(copy, size);
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
    printf("1..1\n%s 1 GPT fuzz corpus replayed (%u files, with cuts and damage)\n",
           files > 0 ? "ok" : "not ok", files);
    return files == 0;
}
