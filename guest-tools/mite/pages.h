// SPDX-License-Identifier: MIT
// What mite knows of every page it may use: the truth that a hypervisor's estimates are held
// against. Memory below 1 MiB, mite itself and this table are not in it.
#ifndef MITE_PAGES_H
#define MITE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"

#define PAGE_BYTES 4096U
#define PAGE_NONE  UINT32_MAX

enum page_state {
    PAGE_RESERVED, // not RAM, or not ours
    PAGE_FRESH,    // never touched, or not since it came back from the balloon
    PAGE_FREE,     // touched once, its content worthless now
    PAGE_HELD,     // holds data that verify expects to find
    PAGE_BALLOONED,
    PAGE_STATES,
};

enum page_kind {
    KIND_UNIQUE, // differs by page, seed and version
    KIND_ALIKE,  // like unique, but the same for every seed
    KIND_ZERO,
    KIND_HALF,    // its second half is zero
    KIND_SPARSE,  // four words are written, the rest is left as found
    KIND_SIGNED,  // like unique, but its first words are its address and its version
    KIND_QUARTER, // its first quarter is unique, the others repeat it
    KIND_COUNT,
};

// Several vCPUs may set and read kinds and versions of different pages at once; all else is the first one's.
//
// Pages are named by an index that counts from the lowest managed page; holes have indices too.
// False if there is no RAM for the table.
bool pages_init(const struct boot *boot);

// One more than the highest index.
uint32_t pages_end(void);

uint32_t pages_count(enum page_state state);

// All managed pages, ballooned ones too.
uint32_t pages_managed(void);

// mite's own image and the table.
uint32_t pages_own(void);

uint32_t page_address(uint32_t page);

// PAGE_NONE if `address` is not in the table's span.
uint32_t page_at(uint32_t address);

enum page_state page_state(uint32_t page);
void page_set_state(uint32_t page, enum page_state state);

enum page_kind page_kind(uint32_t page);
void page_set_kind(uint32_t page, enum page_kind kind);

// How often the page's content was replaced; wraps at 2^24.
uint32_t page_version(uint32_t page);
void page_next_version(uint32_t page);
void page_set_version(uint32_t page, uint32_t version);

// Records a read or write for the working set.
void page_mark_used(uint32_t page);

// Pages used since the last pages_forget_use().
uint32_t pages_used(void);
void pages_forget_use(void);

// The first page in `state` from `from` on, the lowest one, the highest one. PAGE_NONE if there is
// none.
uint32_t pages_next(enum page_state state, uint32_t from);
uint32_t pages_lowest(enum page_state state);
uint32_t pages_highest(enum page_state state);

// Available is fresh or free.
uint32_t pages_available(void);
uint32_t pages_lowest_available(void);
uint32_t pages_highest_available(void);

#endif
