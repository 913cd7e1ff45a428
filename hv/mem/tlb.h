/* SPDX-License-Identifier: MIT
 *
 * When is a changed second-level entry forgotten everywhere? The protocol between a vCPU that enters its guest and
 * whoever took an entry away, apart from what flushes and what kicks, so that it can be model-checked on the host
 * (tests/unit/mem_tlb_model.c).
 *
 *   vCPU                                        who changes entries
 *   gate = odd           (1)                    entries changed                (a)
 *   g = generation       (2)                    g = ++generation               (b)
 *   flush if seen != g, seen = g (3)            for each vCPU: gate odd and seen < g? kick, and (c)
 *   guest runs                                      wait till gate has moved or seen >= g
 *   gate = even                                 frames may be used again       (d)
 *
 * (1) before (2) and (b) before (c) in one total order: either the vCPU sees the new generation, and flushes before
 * its guest runs, or the other sees the gate odd, and waits. On x86 (1) is an XCHG for that: a plain store could wait in the
 * store buffer till after the load (SDM 3A 8.2.3.4). (a) before (b): pt_store and pt_exchange, in program order before a locked
 * instruction, are in memory when it is done (8.2.3.9), so a walk of the tables after (2) has read the new generation finds the new
 * entry. Guest accesses before gate = even: stores stay in order, and a VM exit lets none wait.
 *
 * In (3) flush and seen may come in either order, and the flush as late as with the entry itself: nobody's guest runs between. The
 * gate counts, so whoever waits notices a vCPU that left and came back, and has seen the new generation by then.
 *
 * `seen` is what the vCPU's present CPU has flushed for. Who takes a vCPU to a CPU that may know older translations of its
 * VM resets it (tlb_forget); with tags by map (EPT) a flush for another vCPU of the VM on the same CPU counts, too. A
 * new VM begins with generation 1 and flushed for nowhere: what a dead one with the same root frame has left in TLBs goes before its
 * first entry.
 *
 * Translations that stay in the TLB of a CPU whose guest does not run are harmless: `seen` is behind, and the next entry flushes.
 *
 * Who kicks must know where: the vCPU's CPU is written before (1). Leaving the guest takes no lock, and the gate is even
 * before the exit is handled, so waiting for it cannot deadlock; locks above LOCK_DEVICES are still not held.
 */
#ifndef TITHE_MEM_TLB_H
#define TITHE_MEM_TLB_H

#include "tithe/types.h"

/* One per vCPU. Written by the CPU that runs it. */
struct tlb_user {
    uint64_t gate; /* odd while its guest may run */
    uint64_t seen; /* generation that was flushed for; 0: none */
};

/* Before an entry. Returns the generation to be seen: the caller flushes if it likes (when tlb->seen differs, or the CPU
 * has not flushed for it yet) and then calls tlb_entered with it. */
static inline uint64_t tlb_enter(struct tlb_user *user, const uint64_t *generation)
{
    __atomic_store_n(&user->gate, user->gate + 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(generation, __ATOMIC_SEQ_CST);
}

static inline void tlb_entered(struct tlb_user *user, uint64_t seen)
{
    __atomic_store_n(&user->seen, seen, __ATOMIC_RELEASE);
}

/* The gate being even: the next entry flushes, whatever the generation. */
static inline void tlb_forget(struct tlb_user *user)
{
    __atomic_store_n(&user->seen, 0, __ATOMIC_RELAXED);
}

/* After the exit, before anything else. */
static inline void tlb_left(struct tlb_user *user)
{
    __atomic_store_n(&user->gate, user->gate + 1, __ATOMIC_RELEASE);
}

/* Entries have been changed: the generation that vCPUs have to see. */
static inline uint64_t tlb_invalidate(uint64_t *generation)
{
    return __atomic_add_fetch(generation, 1, __ATOMIC_SEQ_CST);
}

/* 0: this vCPU holds nothing older than `generation`, or will flush before it enters. Else its gate: wait till it is another. */
static inline uint64_t tlb_must_wait(const struct tlb_user *user, uint64_t generation)
{
    const uint64_t gate = __atomic_load_n(&user->gate, __ATOMIC_SEQ_CST);

    if ((gate & 1) == 0 || __atomic_load_n(&user->seen, __ATOMIC_ACQUIRE) >= generation) return 0;
    return gate;
}

static inline bool tlb_still_in(const struct tlb_user *user, uint64_t gate, uint64_t generation)
{
    return __atomic_load_n(&user->gate, __ATOMIC_ACQUIRE) == gate &&
           __atomic_load_n(&user->seen, __ATOMIC_ACQUIRE) < generation;
}

#endif
