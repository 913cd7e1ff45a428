/* SPDX-License-Identifier: MIT
 *
 * Runs the fuzz target on random inputs, always the same ones. Prints TAP.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUTS 1000

int main(void)
{
    static uint8_t data[1 + 12 * 32];
    uint64_t random = 20021;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..1\n");
    for (unsigned i = 0; i < INPUTS; i++) {
        for (size_t at = 0; at < sizeof data; at++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            data[at] = (uint8_t)(random >> 24);
        }
        LLVMFuzzerTestOneInput(data, sizeof data);
    }
    printf("ok 1 - %d random series of page-table edits mean what they say\n", INPUTS);
    return 0;
}
