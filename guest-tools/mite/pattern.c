// SPDX-License-Identifier: MIT
#include "pattern.h"

#include "memory.h"
#include "pages.h"

#define WORDS         (PAGE_BYTES / 4)
#define HALF_WORDS    (WORDS / 2)
#define QUARTER_WORDS (WORDS / 4)

// Odd, so that no two words of a page are equal: 2^32 divided by the golden ratio.
#define STEP 0x9E3779B9U

static uint32_t seed;

// Of a signed page: what a reader wants to know first.
#define SIGNATURE_WORDS 4

static void signature(uint32_t page, uint32_t words[SIGNATURE_WORDS])
{
    words[0] = page_address(page);
    words[1] = page_version(page);
    words[2] = seed;
    words[3] = ~words[0] ^ words[1];
}

static const uint32_t sparse_words[] = {0, WORDS / 3, 2 * WORDS / 3, WORDS - 1};

void pattern_seed(uint32_t new_seed)
{
    seed = new_seed;
}

uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x85EBCA6BU;
    x ^= x >> 13;
    x *= 0xC2B2AE35U;
    x ^= x >> 16;
    return x;
}

static uint32_t first_word(uint32_t page)
{
    uint32_t page_seed = page_kind(page) == KIND_ALIKE ? 0 : mix(seed);
    return mix(page_address(page) ^ mix(page_version(page) + page_seed));
}

static void write_run(uint32_t *at, uint32_t word_count, uint32_t value)
{
    for (const uint32_t *end = at + word_count; at != end; at += 4, value += 4 * STEP) {
        at[0] = value;
        at[1] = value + STEP;
        at[2] = value + 2 * STEP;
        at[3] = value + 3 * STEP;
    }
}

static void write_zeros(uint32_t *at, uint32_t word_count)
{
    __asm__ volatile("rep stosl" : "+D"(at), "+c"(word_count) : "a"(0) : "memory");
}

void pattern_write(uint32_t page)
{
    uint32_t *at = (uint32_t *)page_address(page);
    uint32_t value = first_word(page);
    switch (page_kind(page)) {
    case KIND_ZERO: write_zeros(at, WORDS); break;
    case KIND_HALF:
        write_run(at, HALF_WORDS, value);
        write_zeros(at + HALF_WORDS, HALF_WORDS);
        break;
    case KIND_QUARTER:
        for (uint32_t i = 0; i < WORDS; i += QUARTER_WORDS) write_run(at + i, QUARTER_WORDS, value);
        break;
    case KIND_SPARSE:
        for (uint32_t i = 0; i < sizeof sparse_words / sizeof *sparse_words; i++)
            at[sparse_words[i]] = value + i * STEP;
        break;
    case KIND_SIGNED: {
        uint32_t words[SIGNATURE_WORDS];
        signature(page, words);
        memcpy(at, words, sizeof words);
        write_run(at + SIGNATURE_WORDS, WORDS - SIGNATURE_WORDS, value);
        break;
    }
    default: write_run(at, WORDS, value); break;
    }
}

static bool check_word(const uint32_t *at, uint32_t expected, struct pattern_error *error)
{
    uint32_t got = *(const volatile uint32_t *)at;
    if (got == expected) return true;
    *error = (struct pattern_error){(uint32_t)at, expected, got};
    return false;
}

static bool check_run(const uint32_t *at, uint32_t word_count, uint32_t value, uint32_t step,
                      struct pattern_error *error)
{
    for (const uint32_t *end = at + word_count; at != end; at += 4) {
        uint32_t wrong = at[0] ^ value;
        wrong |= at[1] ^ (value + step);
        wrong |= at[2] ^ (value + 2 * step);
        wrong |= at[3] ^ (value + 3 * step);
        if (wrong != 0)
            for (uint32_t i = 0; i < 4; i++)
                if (!check_word(at + i, value + i * step, error)) return false;
        value += 4 * step;
    }
    return true;
}

bool pattern_check(uint32_t page, struct pattern_error *error)
{
    const uint32_t *at = (const uint32_t *)page_address(page);
    uint32_t value = first_word(page);
    // The words may have been changed behind the compiler's back: by a hypervisor, under test.
    __asm__ volatile("" ::: "memory");
    switch (page_kind(page)) {
    case KIND_ZERO: return check_run(at, WORDS, 0, 0, error);
    case KIND_HALF:
        return check_run(at, HALF_WORDS, value, STEP, error) &&
               check_run(at + HALF_WORDS, HALF_WORDS, 0, 0, error);
    case KIND_QUARTER:
        for (uint32_t i = 0; i < WORDS; i += QUARTER_WORDS)
            if (!check_run(at + i, QUARTER_WORDS, value, STEP, error)) return false;
        return true;
    case KIND_SPARSE:
        for (uint32_t i = 0; i < sizeof sparse_words / sizeof *sparse_words; i++)
            if (!check_word(at + sparse_words[i], value + i * STEP, error)) return false;
        return true;
    case KIND_SIGNED: {
        uint32_t words[SIGNATURE_WORDS];
        signature(page, words);
        for (uint32_t i = 0; i < SIGNATURE_WORDS; i++)
            if (!check_word(at + i, words[i], error)) return false;
        return check_run(at + SIGNATURE_WORDS, WORDS - SIGNATURE_WORDS, value, STEP, error);
    }
    default: return check_run(at, WORDS, value, STEP, error);
    }
}

void pattern_read(uint32_t page)
{
    const volatile uint32_t *at = (const volatile uint32_t *)page_address(page);
    if (page_kind(page) == KIND_SPARSE) {
        for (uint32_t i = 0; i < sizeof sparse_words / sizeof *sparse_words; i++) (void)at[sparse_words[i]];
        return;
    }
    for (uint32_t i = 0; i < WORDS; i += 4) (void)at[i];
}
