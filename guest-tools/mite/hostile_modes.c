// SPDX-License-Identifier: MIT
// Changes of mode: paging of three kinds, real mode, hardware task switches.
#include "hostile.h"

#include "console.h"
#include "cpu.h"
#include "memory.h"
#include "pages.h"
#include "trap.h"

#define CR0_PAGING          (1U << 31)
#define CR4_PSE             (1U << 4)
#define CR4_PAE             (1U << 5)
#define MSR_EFER            0xC0000080U
#define EFER_LONG_MODE      (1ULL << 8)
#define ENTRY_PRESENT_WRITE 0x3U
#define ENTRY_LARGE         0x80U
#define TOGGLES             200
#define UNMAPPED            0x7FC00000U

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint64_t pae_directories[4][512] __attribute__((aligned(4096)));
static uint64_t pae_top[512] __attribute__((aligned(4096)));
static uint64_t long_top[512] __attribute__((aligned(4096)));

struct paging {
    uint32_t cr3;
    uint32_t cr4;
    uint64_t efer;
};

void real_mode_trip(void);
void task_switch_trip(void);
void task_other(void);
extern uint64_t gdt[];

static void set_cr0_paging(bool on)
{
    uint32_t cr0;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    cr0 = on ? cr0 | CR0_PAGING : cr0 & ~CR0_PAGING;
    __asm__ volatile("mov %0, %%cr0; jmp 1f; 1:" ::"r"(cr0) : "memory");
}

static void set_cr4(uint32_t clear, uint32_t set)
{
    uint32_t cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" ::"r"((cr4 & ~clear) | set) : "memory");
}

static void do_touch_unmapped(void *unused)
{
    (void)unused;
    mmio_write32(UNMAPPED, 1);
}

// Identity-mapped, except for the piece around UNMAPPED.
static void do_paging(void *argument)
{
    const struct paging *paging = argument;
    set_cr4(CR4_PSE | CR4_PAE, paging->cr4);
    if (paging->efer != 0) wrmsr(MSR_EFER, rdmsr(MSR_EFER) | paging->efer);
    for (uint32_t i = 0; i < TOGGLES; i++) {
        __asm__ volatile("mov %0, %%cr3" ::"r"(paging->cr3) : "memory");
        set_cr0_paging(true);
        cpuid(0, 0);
        __asm__ volatile("invlpg (%0)" ::"r"(UNMAPPED) : "memory");
        // Long mode would want an IDT of another format.
        if (i == 0 && paging->efer == 0) attempt(do_touch_unmapped, 0);
        uint32_t page = pages_next(PAGE_HELD, 0);
        if (page != PAGE_NONE) (void)mmio_read32(page_address(page));
        set_cr0_paging(false);
    }
    if (paging->efer != 0) wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~paging->efer);
}

static void leave_paging(void)
{
    set_cr0_paging(false);
    set_cr4(CR4_PSE | CR4_PAE, 0);
}

static void make_tables(void)
{
    for (uint32_t i = 0; i < 1024; i++) directory[i] = (i << 22) | ENTRY_LARGE | ENTRY_PRESENT_WRITE;
    directory[UNMAPPED >> 22] = 0;
    for (uint64_t i = 0; i < 2048; i++)
        pae_directories[i / 512][i % 512] = (i << 21) | ENTRY_LARGE | ENTRY_PRESENT_WRITE;
    pae_directories[UNMAPPED >> 30][(UNMAPPED >> 21) & 511] = 0;
}

static void link_tables(uint64_t flags)
{
    for (uint32_t i = 0; i < 4; i++) pae_top[i] = (uint32_t)pae_directories[i] | flags;
}

static void act_paging(void)
{
    make_tables();
    struct paging pse = {(uint32_t)directory, CR4_PSE, 0};
    attempt(do_paging, &pse);
    leave_paging();
    link_tables(1); // the four entries of PAE have no write bit
    struct paging pae = {(uint32_t)pae_top, CR4_PAE, 0};
    attempt(do_paging, &pae);
    leave_paging();
    if (cpuid(0x80000000, 0).eax < 0x80000001 || !(cpuid(0x80000001, 0).edx & (1U << 29))) return;
    link_tables(ENTRY_PRESENT_WRITE);
    long_top[0] = (uint32_t)pae_top | ENTRY_PRESENT_WRITE;
    struct paging compatibility = {(uint32_t)long_top, CR4_PAE, EFER_LONG_MODE};
    attempt(do_paging, &compatibility);
    leave_paging();
}

static void do_paging_on(void *unused)
{
    (void)unused;
    set_cr0_paging(true);
}

// Page tables where there is no memory: nothing can be fetched any more, not even a handler.
static void act_wildcr3(void)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(hostile_hole()));
    attempt(do_paging_on, 0);
}

static void do_real(void *unused)
{
    (void)unused;
    real_mode_trip();
}

static void act_realmode(void)
{
    for (uint32_t i = 0; i < 20; i++) attempt(do_real, 0);
}

struct task {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt, io_map;
};

static struct task tasks[2];
static uint8_t task_stack[1024];

static uint64_t task_descriptor(const struct task *task)
{
    uint64_t base = (uint32_t)task;
    return (sizeof *task - 1) | ((base & 0xFFFFFF) << 16) | (0x89ULL << 40) | ((base >> 24) << 56);
}

static void do_task(void *unused)
{
    (void)unused;
    __asm__ volatile("ltr %w0" ::"r"(0x28));
    task_switch_trip();
}

static void act_taskswitch(void)
{
    memset(tasks, 0, sizeof tasks);
    tasks[1] = (struct task){.eip = (uint32_t)task_other,
                             .eflags = 2,
                             .esp = (uint32_t)(task_stack + sizeof task_stack),
                             .es = 0x10,
                             .cs = 0x08,
                             .ss = 0x10,
                             .ds = 0x10,
                             .fs = 0x10,
                             .gs = 0x10,
                             .io_map = sizeof(struct task) << 16};
    gdt[5] = task_descriptor(&tasks[0]);
    gdt[6] = task_descriptor(&tasks[1]);
    attempt(do_task, 0);
}

const struct hostile_act hostile_mode_acts[] = {
    {"paging", act_paging, false},
    {"realmode", act_realmode, false},
    {"taskswitch", act_taskswitch, false},
    {"wildcr3", act_wildcr3, true},
    {0},
};
