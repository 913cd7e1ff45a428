/* SPDX-License-Identifier: MIT
 *
 * Frames in a space belong to it, save for those above USER_FOREIGN, which belong to whoever mapped them
 * there, and for those lent to it.
 */
#include "lib/string.h"
#include "mem/frame.h"
#include "mem/pt.h"
#include "x86/host_map.h"
#include "x86/user.h"
#include "x86/user_space.h"

static mfn_t table_alloc(void *ctx)
{
    struct user_space *space = ctx;
    mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);

    if (mfn != MFN_NONE) space->pages++;
    return mfn;
}

static void table_free(void *ctx, mfn_t mfn)
{
    struct user_space *space = ctx;

    frame_free(mfn);
    space->pages--;
}

/* The tables of a space; only calls that allocate or free change *space. */
static struct pt tables_of(const struct user_space *space)
{
    return (struct pt){.format = &pt_format_host,
                       .root = space->root,
                       .table_alloc = table_alloc,
                       .table_free = table_free,
                       .ctx = (void *)(uintptr_t)space};
}

static unsigned rights_of(unsigned access)
{
    return PT_READ | (access != 0 ? PT_USER : 0u) | (access & USER_WRITE ? PT_WRITE : 0u) |
           (access & USER_EXEC ? PT_EXEC : 0u);
}

/* Whole pages between `from` and `to`, but not at address 0. */
static bool in_range(uint64_t va, uint64_t pages, uint64_t from, uint64_t to)
{
    if (from < PAGE_BYTES) from = PAGE_BYTES;
    return (va & ~PAGE_MASK) == 0 && va >= from && va < to && pages <= (to - va) >> PAGE_SHIFT;
}

bool user_space_create(struct user_space *space)
{
    *space = (struct user_space){0};
    struct pt pt = tables_of(space);
    if (!pt_create(&pt)) return false;
    space->root = pt.root;
    pt_share(&pt, &host_pt, CORE_HALF_START, CORE_HALF_BYTES);
    return true;
}

static bool is_lent(const struct user_space *space, uint64_t va, uint64_t pages)
{
    for (size_t i = 0; i < space->lent_count; i++)
        if (va < space->lent[i].end && va + pages * PAGE_BYTES > space->lent[i].start) return true;
    return false;
}

static void free_leaf(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct user_space *space = ctx;
    uint64_t entry = pt_exchange(slot, 0);

    (void)level; /* all leaves here are of 4 KiB */
    if (!pt_present(&pt_format_host, entry) || page >= USER_FOREIGN >> PAGE_SHIFT) return;
    if (is_lent(space, page << PAGE_SHIFT, 1)) return;
    frame_free(pt_address(&pt_format_host, entry) >> PAGE_SHIFT);
    space->pages--;
}

static void free_leaves(struct user_space *space, uint64_t va, uint64_t pages)
{
    static const struct pt_visitor visitor = {.entry = free_leaf};

    pt_visit(&pt_format_host, space->root, va >> PAGE_SHIFT, (va >> PAGE_SHIFT) + pages, &visitor, space);
}

void user_space_destroy(struct user_space *space)
{
    struct pt pt = tables_of(space);

    free_leaves(space, 0, USER_TOP >> PAGE_SHIFT);
    pt_destroy(&pt, 0, CORE_HALF_BYTES);
    space->root = 0;
}

bool user_map(struct user_space *space, uint64_t va, uint64_t pages, unsigned access)
{
    struct pt pt = tables_of(space);

    if (!in_range(va, pages, 0, USER_FOREIGN) || is_lent(space, va, pages)) return false;
    free_leaves(space, va, pages);
    for (uint64_t i = 0; i < pages; i++) {
        mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
        if (mfn == MFN_NONE) return false;
        if (!pt_map(&pt, va + i * PAGE_BYTES, mfn << PAGE_SHIFT, PAGE_BYTES, rights_of(access), 1)) {
            frame_free(mfn);
            return false;
        }
        space->pages++;
    }
    return true;
}

bool user_map_frame(struct user_space *space, uint64_t va, mfn_t mfn, unsigned access)
{
    struct pt pt = tables_of(space);

    return in_range(va, 1, USER_FOREIGN, USER_TOP) &&
           pt_map(&pt, va, mfn << PAGE_SHIFT, PAGE_BYTES, rights_of(access), 1);
}

bool user_lend(struct user_space *space, uint64_t va, mfn_t mfn, uint64_t pages, unsigned access)
{
    struct pt pt = tables_of(space);
    const uint64_t bytes = pages * PAGE_BYTES;

    if (!in_range(va, pages, 0, USER_FOREIGN) || (access & USER_WRITE)) return false;
    if (space->lent_count == USER_LENT_MAX) return false;
    free_leaves(space, va, pages);
    space->lent[space->lent_count].start = va;
    space->lent[space->lent_count++].end = va + bytes;
    return pt_map(&pt, va, mfn << PAGE_SHIFT, bytes, rights_of(access), 1);
}

bool user_protect(struct user_space *space, uint64_t va, uint64_t pages, unsigned access)
{
    struct pt pt = tables_of(space);

    if (!in_range(va, pages, 0, USER_TOP)) return false;
    const bool not_its_own = va + pages * PAGE_BYTES > USER_FOREIGN || is_lent(space, va, pages);
    if ((access & USER_WRITE) && not_its_own) return false;
    for (uint64_t i = 0; i < pages; i++)
        if (!pt_lookup(&pt, va + i * PAGE_BYTES, NULL, NULL)) return false;
    return pt_protect(&pt, va, pages * PAGE_BYTES, rights_of(access));
}

void user_unmap(struct user_space *space, uint64_t va, uint64_t pages)
{
    if (in_range(va, pages, 0, USER_TOP)) free_leaves(space, va, pages);
}

void *user_to_core(const struct user_space *space, uint64_t va, unsigned access)
{
    struct pt pt = tables_of(space);
    unsigned rights, wanted = rights_of(access);
    hpa_t hpa;

    if (va >= USER_TOP || !pt_lookup(&pt, va, &hpa, &rights) || (rights & wanted) != wanted) return NULL;
    return hpa_to_virt(hpa);
}

/* Copies page by page; `in` tells the direction, seen from the core. */
static bool copy(const struct user_space *space, uint64_t va, char *core, size_t bytes, unsigned access,
                 bool in)
{
    while (bytes > 0) {
        size_t n = PAGE_BYTES - (va & ~PAGE_MASK);
        char *user = user_to_core(space, va, access);
        if (user == NULL) return false;
        if (n > bytes) n = bytes;
        if (in)
            memcpy(core, user, n);
        else
            memcpy(user, core, n);
        va += n;
        core += n;
        bytes -= n;
    }
    return true;
}

bool user_copy_in(const struct user_space *space, uint64_t va, void *to, size_t bytes)
{
    return copy(space, va, to, bytes, USER_READ, true);
}

bool user_copy_out(const struct user_space *space, uint64_t va, const void *from, size_t bytes)
{
    return copy(space, va, (char *)(uintptr_t)from, bytes, USER_READ | USER_WRITE, false);
}

bool user_poke(const struct user_space *space, uint64_t va, const void *from, size_t bytes)
{
    return copy(space, va, (char *)(uintptr_t)from, bytes, 0, false);
}
