// SPDX-License-Identifier: MIT
// Instructions that a guest should not execute, or not that way.
#include "hostile.h"

#include "apic.h"
#include "cpu.h"
#include "fpu.h"
#include "pattern.h"
#include "trap.h"

#define STORM          20000
#define MSR_TSC        0x10U
#define MSR_TSC_ADJUST 0x3BU
#define CR4_VMXE       (1U << 13)
#define CR4_PAE        (1U << 5)
#define EFER_LME       (1ULL << 8)
#define MSR_EFER       0xC0000080U

static void do_int3(void *unused)
{
    (void)unused;
    __asm__ volatile("int3");
}

static void do_ud2(void *unused)
{
    (void)unused;
    __asm__ volatile("ud2");
}

static void act_ud2(void)
{
    for (uint32_t i = 0; i < STORM; i++) attempt(do_ud2, 0);
}

static void act_int3(void)
{
    for (uint32_t i = 0; i < STORM; i++) attempt(do_int3, 0);
}

// Copies of INT n: the vector is part of the instruction.
static void do_int(void *code)
{
    __asm__ volatile("call *%0" ::"r"(code) : "memory", "cc");
}

static void act_int(void)
{
    static uint8_t code[] = {0xCD, 0, 0xC3};
    for (uint32_t vector = 0; vector < 256; vector++) {
        code[1] = (uint8_t)vector;
        // Real processors notice self-modification only after a serialising instruction.
        cpuid(0, 0);
        attempt(do_int, code);
    }
}

static void do_rdmsr(void *msr)
{
    rdmsr(*(uint32_t *)msr);
}

static void do_wrmsr_ones(void *msr)
{
    wrmsr(*(uint32_t *)msr, UINT64_MAX);
}

static void do_wrmsr_some(void *msr)
{
    wrmsr(*(uint32_t *)msr, 0x1234);
}

// Model-specific registers that mite cannot do without, or that are its clock.
static bool spared(uint32_t msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC || msr == MSR_TSC_ADJUST || msr == MSR_EFER ||
           (apic_is_x2apic() && msr >= 0x800 && msr < 0x900);
}

static void act_msr(void)
{
    static const struct {
        uint32_t first, count;
    } ranges[] = {{0, 0x2000},          {0x40000000, 0x200}, {0x4B564D00, 0x10},
                  {0xC0000000, 0x1200}, {0xC0010000, 0x300}, {0xFFFFFF00, 0x100}};
    for (uint32_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        for (uint32_t i = 0; i < ranges[r].count; i++) {
            uint32_t msr = ranges[r].first + i;
            attempt(do_rdmsr, &msr);
            if (spared(msr)) continue;
            attempt(do_wrmsr_ones, &msr);
            attempt(do_wrmsr_some, &msr);
        }
    }
}

static void do_efer(void *value)
{
    wrmsr(MSR_EFER, *(uint64_t *)value);
}

static void act_cpuid(void)
{
    static const uint32_t first[] = {0, 0x40000000, 0x40000100, 0x80000000, 0x8FFFFF80, 0xFFFFFF00};
    for (uint32_t r = 0; r < sizeof first / sizeof *first; r++)
        for (uint32_t i = 0; i < 256; i++)
            for (uint32_t subleaf = 0; subleaf < 4; subleaf++)
                cpuid(first[r] + i, subleaf == 3 ? UINT32_MAX : subleaf);
}

#define CONTROL_WRITERS(n)                                                                                   \
    static void do_cr##n(void *value)                                                                        \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%cr" #n ::"r"(*(uint32_t *)value) : "memory");                            \
    }                                                                                                        \
    static uint32_t read_cr##n(void)                                                                         \
    {                                                                                                        \
        uint32_t value;                                                                                      \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value));                                                \
        return value;                                                                                        \
    }

CONTROL_WRITERS(0)
CONTROL_WRITERS(2)
CONTROL_WRITERS(3)
CONTROL_WRITERS(4)

// With PAE on: then long mode's bit is nobody's concern before paging is.
static void act_efer(void)
{
    uint64_t before = 0;
    uint32_t cr4 = read_cr4(), pae = cr4 | CR4_PAE;
    if (cpuid(0x80000001, 0).edx & (1U << 29)) before = rdmsr(MSR_EFER);
    do_cr4(&pae);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t value = before ^ (1ULL << bit);
        attempt(do_efer, &value);
        attempt(do_efer, &before);
    }
    do_cr4(&cr4);
}

// An act of its own because QEMU 7.2 (cpu_x86_update_cr0) leaves a guest like this one with its host's paging off.
static void act_lme(void)
{
    uint64_t value = EFER_LME, none = 0;
    if (!(cpuid(0x80000001, 0).edx & (1U << 29))) return;
    attempt(do_efer, &value);
    cpuid(0, 0);
    attempt(do_efer, &none);
}

static void flip_bits(uint32_t before, uint32_t spare, void (*write)(void *value))
{
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t value = before ^ (1U << bit);
        if ((1U << bit) & spare) continue;
        attempt(write, &value);
        attempt(write, &before);
    }
}

// An act of its own because QEMU 7.2 (helper_write_crN) takes a reserved bit in CR4 for a failed VM
// entry: in its guest it ends in an exit with code -1, outside it repeats the write for ever.
static void act_cr4(void)
{
    flip_bits(read_cr4(), 0, do_cr4);
}

// Paging without protection: #GP by the book, taken at its word by QEMU 7.2.
static void act_pgnope(void)
{
    uint32_t value = (read_cr0() | 0x80000000U) & ~1U;
    attempt(do_cr0, &value);
}

static void do_xsetbv(void *value)
{
    uint64_t v = *(uint64_t *)value;
    __asm__ volatile("xsetbv" ::"a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(0));
}

static void do_debug_registers(void *value)
{
    uint32_t v = *(uint32_t *)value;
    __asm__ volatile("mov %0, %%dr0; mov %0, %%dr3; mov %0, %%dr6" ::"r"(v));
    __asm__ volatile("mov %0, %%dr7" ::"r"(v & ~0x20FFU)); // no breakpoint armed, no general detect
    __asm__ volatile("mov %0, %%dr4; mov %0, %%dr5" ::"r"(0));
}

static void act_control(void)
{
    fpu_enable(); // so that XSETBV is not just an invalid opcode
    // CR0.PE and PG have acts of their own.
    flip_bits(read_cr0(), 0x80000001U, do_cr0);
    flip_bits(read_cr3(), 0, do_cr3);
    flip_bits(read_cr2(), 0, do_cr2);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t value = 1ULL << bit;
        attempt(do_xsetbv, &value);
    }
    uint32_t ones = UINT32_MAX;
    uint32_t zeros = 0;
    attempt(do_debug_registers, &ones);
    attempt(do_debug_registers, &zeros);
}

// Each with whatever the registers hold; EAX, EBX, ECX and EDX are the argument.
#define WITH_REGISTERS(name, code)                                                                           \
    static void do_##name(void *value)                                                                       \
    {                                                                                                        \
        uint32_t a = *(uint32_t *)value, b = a, c = a, d = a;                                                \
        __asm__ volatile(code : "+a"(a), "+b"(b), "+c"(c), "+d"(d)::"memory", "cc");                         \
    }

WITH_REGISTERS(vmcall, "vmcall")
WITH_REGISTERS(vmmcall, "vmmcall")
WITH_REGISTERS(vmlaunch, "vmlaunch")
WITH_REGISTERS(vmresume, "vmresume")
WITH_REGISTERS(vmxoff, "vmxoff")
WITH_REGISTERS(vmfunc, ".byte 0x0F, 0x01, 0xD4")
WITH_REGISTERS(vmxon, "push $0; push %%eax; vmxon (%%esp); add $8, %%esp")
WITH_REGISTERS(vmptrld, "push $0; push %%eax; vmptrld (%%esp); add $8, %%esp")
WITH_REGISTERS(vmptrst, "sub $8, %%esp; vmptrst (%%esp); add $8, %%esp")
WITH_REGISTERS(vmclear, "push $0; push %%eax; vmclear (%%esp); add $8, %%esp")
WITH_REGISTERS(vmread, "vmread %%eax, %%ebx")
WITH_REGISTERS(vmwrite, "vmwrite %%eax, %%ebx")
WITH_REGISTERS(invept, "sub $16, %%esp; invept (%%esp), %%eax; add $16, %%esp")
WITH_REGISTERS(invvpid, "sub $16, %%esp; invvpid (%%esp), %%eax; add $16, %%esp")
WITH_REGISTERS(invpcid, "sub $16, %%esp; invpcid (%%esp), %%eax; add $16, %%esp")
WITH_REGISTERS(vmrun, "vmrun")
WITH_REGISTERS(vmload, "vmload")
WITH_REGISTERS(vmsave, "vmsave")
WITH_REGISTERS(stgi, "stgi")
WITH_REGISTERS(clgi, "clgi")
WITH_REGISTERS(skinit, "skinit")
WITH_REGISTERS(invlpga, "invlpga")
WITH_REGISTERS(rsm, "rsm")
WITH_REGISTERS(getsec, "getsec")
WITH_REGISTERS(encls, ".byte 0x0F, 0x01, 0xCF")

static void act_virt(void)
{
    static void (*const operations[])(void *) = {do_vmcall, do_vmmcall, do_vmlaunch, do_vmresume, do_vmxoff,
                                                 do_vmfunc, do_vmxon,   do_vmptrld,  do_vmptrst,  do_vmclear,
                                                 do_vmread, do_vmwrite, do_invept,   do_invvpid,  do_invpcid,
                                                 do_vmrun,  do_vmload,  do_vmsave,   do_stgi,     do_clgi,
                                                 do_skinit, do_invlpga, do_rsm,      do_getsec,   do_encls};
    static uint32_t values[] = {0, 1, 2, 5, 9, 11, 12, 0x1000, 0x100000, 0xD0000000, UINT32_MAX};
    for (uint32_t i = 0; i < sizeof operations / sizeof *operations; i++)
        for (uint32_t v = 0; v < sizeof values / sizeof *values; v++) attempt(operations[i], &values[v]);
}

WITH_REGISTERS(wbinvd, "wbinvd")
WITH_REGISTERS(rdpmc, "rdpmc")
WITH_REGISTERS(rdtscp, "rdtscp")
WITH_REGISTERS(xgetbv, "xgetbv")
WITH_REGISTERS(monitor, "monitor")
WITH_REGISTERS(invlpg, "invlpg (%%eax)")
WITH_REGISTERS(clts, "clts")
WITH_REGISTERS(lmsw, "mov $0xFFFE, %%ax; and $0xFFF1, %%ax; or $1, %%ax; lmsw %%ax")
WITH_REGISTERS(lldt, "lldt %%ax")
WITH_REGISTERS(ltr, "ltr %%ax")
WITH_REGISTERS(segment, "mov %%ax, %%gs")
WITH_REGISTERS(rdrand, "rdrand %%eax")
WITH_REGISTERS(rdseed, "rdseed %%eax")
WITH_REGISTERS(swapgs, ".byte 0x0F, 0x01, 0xF8")
WITH_REGISTERS(sysret, "sysret")
WITH_REGISTERS(
    prefixes,
    ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0F, 0xA2")

static void act_odd(void)
{
    static void (*const operations[])(void *) = {
        do_wbinvd, do_rdpmc, do_rdtscp, do_xgetbv, do_monitor, do_invlpg,  do_clts,   do_lmsw,
        do_lldt,   do_ltr,   do_rdrand, do_rdseed, do_swapgs,  do_segment, do_sysret, do_prefixes};
    static uint32_t values[] = {0, 1, 0x10, 0x28, 0x100000, 0x40000001, 0xFFFC, UINT32_MAX};
    for (uint32_t i = 0; i < sizeof operations / sizeof *operations; i++)
        for (uint32_t v = 0; v < sizeof values / sizeof *values; v++) attempt(operations[i], &values[v]);
}

// Single steps over instructions that a hypervisor completes itself: it owes a #DB after each.
static void do_step(void *unused)
{
    (void)unused;
    __asm__ volatile("pushf; orl $0x100, (%%esp); popf\n\t"
                     "xor %%eax, %%eax; cpuid\n\t"
                     "mov $0x3FF, %%edx; in %%dx, %%al; out %%al, %%dx\n\t"
                     "mov 0xFEE00030, %%eax; mov %%eax, 0xFEE00080\n\t"
                     "pushf; andl $~0x100, (%%esp); popf" ::
                         : "eax", "ebx", "ecx", "edx", "memory", "cc");
}

static void act_step(void)
{
    for (uint32_t i = 0; i < 100; i++) attempt(do_step, 0);
}

static void act_clihlt(void)
{
    __asm__ volatile("cli; hlt");
}

static void act_clispin(void)
{
    for (;;) __asm__ volatile("cli");
}

// Random bytes as instructions, with random registers, until something ends it.
static void do_random_code(void *code)
{
    __asm__ volatile("pusha; mov %0, %%ecx; mov %%ecx, %%eax; mov %%ecx, %%ebx; call *%%ecx; popa" ::"r"(code)
                     : "memory", "cc", "eax", "ecx");
}

static void act_fuzz(void)
{
    static uint8_t code[16];
    for (uint32_t round = 0; round < 100000; round++) {
        for (uint32_t i = 0; i < sizeof code - 1; i++) code[i] = (uint8_t)mix(round * 16 + i);
        code[sizeof code - 1] = 0xC3;
        attempt(do_random_code, code);
    }
}

const struct hostile_act hostile_cpu_acts[] = {
    {"ud2", act_ud2, false},
    {"int3", act_int3, false},
    {"int", act_int, false},
    {"msr", act_msr, false},
    {"efer", act_efer, false},
    {"cpuid", act_cpuid, false},
    {"control", act_control, false},
    {"virt", act_virt, false},
    {"odd", act_odd, false},
    {"step", act_step, false},
    {"cr4", act_cr4, true},
    {"pgnope", act_pgnope, true},
    {"lme", act_lme, true},
    {"clihlt", act_clihlt, true},
    {"clispin", act_clispin, true},
    {"fuzz", act_fuzz, true},
    {0},
};
