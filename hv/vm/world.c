/* SPDX-License-Identifier: MIT */
#include "vm/world.h"

#include "lib/cpu_index.h"
#include "x86/cpu.h"
#include "x86/percpu.h"
#include "x86/smp.h"

static uint32_t stop, stopped;

static void wait_until_stopped(uint32_t count)
{
    while (__atomic_load_n(&stopped, __ATOMIC_ACQUIRE) != count) cpu_pause();
}

void world_stop(void)
{
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 1; i < percpu_count(); i++) smp_kick(i);
    wait_until_stopped(percpu_count() - 1);
}

void world_resume(void)
{
    __atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
    wait_until_stopped(0); /* or the next world_stop would count who has not gone yet */
}

void world_check(void)
{
    if (cpu_index() == 0 || __atomic_load_n(&stop, __ATOMIC_ACQUIRE) == 0) return;
    __atomic_fetch_add(&stopped, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) != 0) cpu_pause();
    __atomic_fetch_sub(&stopped, 1, __ATOMIC_ACQ_REL);
}
