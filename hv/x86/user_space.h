/* SPDX-License-Identifier: MIT
 *
 * Address spaces of ring 3: the lower half is theirs, the upper half is the core's, shared and out of their
 * reach. Changes take effect at the next user_enter (which flushes); none may be running on another CPU.
 */
#ifndef TITHE_X86_USER_SPACE_H
#define TITHE_X86_USER_SPACE_H

#include "tithe/types.h"

#define USER_LENT_MAX 8u

struct user_space {
    hpa_t root;     /* for user_enter */
    uint64_t pages; /* frames that belong to it, tables included: FRAME_CORE */
    struct {
        uint64_t start, end;
    } lent[USER_LENT_MAX]; /* addresses of frames that belong to others */
    size_t lent_count;
};

/* Frames mapped at and above this address stay their owner's; below it they belong to the space, but for those
 * of user_lend. */
#define USER_FOREIGN 0x700000000000ull

enum user_access {
    USER_READ = 1,
    USER_WRITE = 2,
    USER_EXEC = 4,
};

MUST_CHECK bool user_space_create(struct user_space *space);
/* Frees its tables and its frames. */
void user_space_destroy(struct user_space *space);

/* Maps `pages` fresh zeroed frames at the page-aligned `va`, below USER_FOREIGN. Pages already mapped there
 * are freed first. False: out of range or no memory; pages mapped before it failed stay. */
MUST_CHECK bool user_map(struct user_space *space, uint64_t va, uint64_t pages, unsigned access);
/* Maps one frame that stays its owner's, at or above USER_FOREIGN. */
MUST_CHECK bool user_map_frame(struct user_space *space, uint64_t va, mfn_t mfn, unsigned access);
/* Maps `pages` frames from `mfn` on, below USER_FOREIGN, that stay their owner's and that the space can never
 * write, whatever user_protect is asked for. False: out of range, too many of these, or no memory. */
MUST_CHECK bool user_lend(struct user_space *space, uint64_t va, mfn_t mfn, uint64_t pages, unsigned access);
/* Changes what is allowed on pages that are mapped; access 0 keeps the pages but allows nothing. False: out
 * of range, a hole, or writing what is lent or foreign. */
MUST_CHECK bool user_protect(struct user_space *space, uint64_t va, uint64_t pages, unsigned access);
/* Unmaps what is mapped in the range; the space's own frames are freed. */
void user_unmap(struct user_space *space, uint64_t va, uint64_t pages);

/* Copies between ring 3's memory and the core's, by a walk of its tables. False when any byte is not mapped
 * or not allowed (earlier bytes have been copied); user_copy_out wants USER_WRITE. */
MUST_CHECK bool user_copy_in(const struct user_space *space, uint64_t va, void *to, size_t bytes);
MUST_CHECK bool user_copy_out(const struct user_space *space, uint64_t va, const void *from, size_t bytes);
/* For a loader: writes whatever the access says. */
MUST_CHECK bool user_poke(const struct user_space *space, uint64_t va, const void *from, size_t bytes);
/* The core's view of one byte of ring 3, good up to the end of its page; NULL when not mapped with all of
 * `access`. */
void *user_to_core(const struct user_space *space, uint64_t va, unsigned access);

#endif
