/* SPDX-License-Identifier: MIT */
#include "boot/layout.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

_Static_assert(offsetof(struct percpu, self) == PERCPU_SELF, "for assembler");
_Static_assert(offsetof(struct percpu, user_context) == PERCPU_USER_CONTEXT, "for assembler");
_Static_assert(offsetof(struct percpu, user_rsp) == PERCPU_USER_RSP, "for assembler");
_Static_assert(offsetof(struct percpu, core_cr3) == PERCPU_CORE_CR3, "for assembler");
_Static_assert(offsetof(struct percpu, scratch) == PERCPU_SCRATCH, "for assembler");
_Static_assert(offsetof(struct percpu, tss.rsp) == PERCPU_TSS_RSP0, "for assembler");
_Static_assert(sizeof(struct tss) == 104, "SDM 3A figure 7-11");

static struct percpu *cpus[CPUS_MAX];
static uint32_t cpu_count;

struct percpu *percpu_of(uint32_t index)
{
    return index < percpu_count() ? cpus[index] : NULL;
}
uint32_t percpu_count(void)
{
    return __atomic_load_n(&cpu_count, __ATOMIC_ACQUIRE);
}
uint32_t cpu_index(void)
{
    return this_cpu()->index;
}

void percpu_add(struct percpu *cpu)
{
    cpus[cpu->index] = cpu;
    __atomic_store_n(&cpu_count, cpu->index + 1, __ATOMIC_RELEASE);
}
void percpu_drop_last(void)
{
    __atomic_store_n(&cpu_count, cpu_count - 1, __ATOMIC_RELEASE);
}

void percpu_init(struct percpu *cpu, uint32_t index, const char *stacks)
{
    cpu->self = cpu;
    cpu->index = index;
    cpu->stacks = stacks;
    cpu->stack_top = (uint64_t)(uintptr_t)stacks + PAGE_BYTES + STACK_BYTES;
    cpu->timer_deadline_ns = UINT64_MAX;
    cpu->timers_ns = UINT64_MAX;
    cpu->core_cr3 = read_cr3();

    for (unsigned i = 0; i < IST_STACKS; i++)
        cpu->tss.ist[i] = cpu->stack_top + (i + 1) * (PAGE_BYTES + IST_STACK_BYTES);
    cpu->tss.iomap = sizeof cpu->tss;

    uint64_t tss = (uint64_t)(uintptr_t)&cpu->tss;
    cpu->gdt = (struct gdt){
        .entry =
            {
                0, 0x00af9b000000ffff, /* SEL_CORE_CS: code, 64-bit, DPL 0, accessed */
                0x00cf93000000ffff,    /* SEL_CORE_DS */
                0x00affb000000ffff,    /* SEL_USER_CS: DPL 3 */
                0x00cff3000000ffff,    /* SEL_USER_DS */
            },
        .tss = {(sizeof cpu->tss - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56,
                tss >> 32},
    };
}

void percpu_load(struct percpu *cpu)
{
    struct table_register gdtr = {sizeof cpu->gdt - 1, (uint64_t)(uintptr_t)&cpu->gdt};
    struct table_register idtr = {sizeof idt - 1, (uint64_t)(uintptr_t)idt};

    __asm__ volatile("lgdt %0\n"
                     "pushq %1\n"
                     "pushq $1f\n"
                     "lretq\n"
                     "1: mov %2, %%ss\n"
                     "mov %3, %%ds\n"
                     "mov %3, %%es\n"
                     "mov %3, %%fs\n"
                     "mov %3, %%gs\n"
                     "ltr %w4\n"
                     "lidt %5\n"
                     :
                     : "m"(gdtr), "i"(SEL_CORE_CS), "r"(SEL_CORE_DS), "r"(0), "r"(SEL_TSS), "m"(idtr)
                     : "memory");
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
}
