/* SPDX-License-Identifier: MIT */
#include "vm/vm_move.h"

#include "drv/disk.h"
#include "mem/frame.h"
#include "vm/vm.h"
#include "vm/vm_disk.h"
#include "x86/cpu.h"

/* Every page has been looked at so often when no more is found: once to forget that it was accessed, once to see whether it was. */
#define ROUNDS 2u

void vm_remap(struct vm *vm, uint64_t pages, uint64_t least_copies)
{
    lock_acquire(&vm->p2m.lock);
    vm->moves.remap_left = pages;
    vm->moves.remap_least = least_copies;
    vm->moves.remap_begins = true;
    lock_release(&vm->p2m.lock);
}

void vm_vacate(struct vm *vm, uint64_t pages, bool cold)
{
    lock_acquire(&vm->p2m.lock);
    vm->moves.vacate_left = pages;
    vm->moves.vacate_cold = cold && vm->sample.accessed;
    vm->moves.vacate_looked = 0;
    lock_release(&vm->p2m.lock);
}

void vm_moves(struct vm *vm, struct vm_moves *out)
{
    lock_acquire(&vm->p2m.lock);
    *out = vm->moves;
    lock_release(&vm->p2m.lock);
}

static uint32_t at_most(uint64_t pages)
{
    return pages < P2M_MOVE_MAX ? (uint32_t)pages : P2M_MOVE_MAX;
}

/* Moves them, and counts. */
static void move(struct vm *vm, const gfn_t *gfns, uint32_t count, mfn_t from, mfn_t to, uint64_t *done)
{
    enum p2m_move outcome[P2M_MOVE_MAX];
    p2m_move(&vm->p2m, gfns, count, from, to, outcome);
    for (uint32_t i = 0; i < count; i++) {
        const bool there = outcome[i] == P2M_MOVE_DONE || outcome[i] == P2M_MOVE_THERE;
        if (there && from == 0) {
            vm_disk_forget_hot(vm, gfns[i]);
        }
        lock_acquire(&vm->p2m.lock);
        *done += outcome[i] == P2M_MOVE_DONE;
        vm->moves.busy += outcome[i] == P2M_MOVE_BUSY;
        vm->moves.no_frame += outcome[i] == P2M_MOVE_NO_FRAME;
        lock_release(&vm->p2m.lock);
    }
}

/* What was asked for as the step began may have been replaced meanwhile: then that stays. */
static bool count_down(struct vm *vm, uint64_t *left, uint64_t was, uint64_t now)
{
    lock_acquire(&vm->p2m.lock);
    if (*left == was) {
        *left = now;
    }
    const bool more = *left != 0;
    lock_release(&vm->p2m.lock);
    return more;
}

static bool remap_step(struct vm *vm)
{
    struct vm_moves m;
    gfn_t gfns[P2M_MOVE_MAX];
    lock_acquire(&vm->p2m.lock);
    m = vm->moves;
    vm->moves.remap_begins = false;
    lock_release(&vm->p2m.lock);
    if (m.remap_left == 0) {
        return false;
    }
    const uint64_t start = rdtsc();
    const uint32_t most = at_most(m.remap_left);
    const uint32_t found = vm_disk_hot_pages(vm, m.remap_least, m.remap_begins, gfns, most);
    move(vm, gfns, found, 0, disk_dma_limit(), &vm->moves.remapped);
    vm->moves.remap_ticks += rdtsc() - start;
    return count_down(vm, &vm->moves.remap_left, m.remap_left, found < most ? 0 : m.remap_left - found);
}

static bool vacate_step(struct vm *vm)
{
    struct vm_moves m;
    gfn_t gfns[P2M_MOVE_MAX];
    vm_moves(vm, &m);
    if (m.vacate_left == 0) {
        return false;
    }
    const mfn_t limit = disk_dma_limit();
    uint32_t looked;
    const uint32_t found = p2m_find_within(&vm->p2m, &vm->moves.cursor, 0, limit, m.vacate_cold, gfns,
                                           at_most(m.vacate_left), &looked);
    move(vm, gfns, found, limit, frames_limit(), &vm->moves.vacated);
    vm->moves.vacate_looked += looked;
    const bool all = vm->moves.vacate_looked > ROUNDS * vm->p2m.limit;
    return count_down(vm, &vm->moves.vacate_left, m.vacate_left, all ? 0 : m.vacate_left - found);
}

bool vm_move_step(struct vm *vm)
{
    const bool remaps = remap_step(vm), vacates = vacate_step(vm);
    return remaps || vacates;
}
