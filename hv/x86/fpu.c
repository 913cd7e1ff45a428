/* SPDX-License-Identifier: MIT
 *
 * XSAVE (SDM 1 13) in its standard form, or FXSAVE. All features are saved and loaded whatever the owner has
 * in its XCR0: a feature it has switched off keeps its registers.
 */
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

#define FXSAVE_BYTES 512u
/* Offsets in the legacy part, and the values after reset. */
#define AREA_FCW     0
#define AREA_MXCSR   24
#define FCW_RESET    0x37fu
#define MXCSR_RESET  0x1f80u

static uint64_t host_xcr0; /* 0: no XSAVE */
static size_t area_bytes = FXSAVE_BYTES;

static uint64_t supported_xcr0(void)
{
    struct cpuid d = cpuid(0xd, 0);
    uint64_t all = (d.eax | (uint64_t)d.edx << 32) & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);

    if (!(all & XCR0_AVX) || (all & XCR0_AVX512) != XCR0_AVX512) all &= ~XCR0_AVX512;
    return all;
}

void fpu_cpu_init(void)
{
    struct percpu *cpu = this_cpu();
    uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;
    bool xsave = (cpuid(1, 0).ecx & 1u << 26) != 0;

    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
    write_cr4(xsave ? cr4 | CR4_OSXSAVE : cr4);
    if (!xsave) return;
    if (cpu->index == 0) host_xcr0 = supported_xcr0(); /* others are alike (x86/alike.c) */
    if (!xsetbv_safe(host_xcr0)) panic("XCR0 does not take 0x%lx, which CPUID offers", host_xcr0);
    cpu->xcr0 = host_xcr0;
    if (cpu->index == 0) area_bytes = cpuid(0xd, 0).ebx; /* for what XCR0 has now */
}

uint64_t fpu_host_xcr0(void)
{
    return host_xcr0;
}
size_t fpu_area_bytes(void)
{
    return area_bytes;
}

bool fpu_xcr0_valid(uint64_t xcr0)
{
    if (!(xcr0 & XCR0_X87) || (xcr0 & ~host_xcr0) != 0) return false;
    if ((xcr0 & XCR0_AVX) && !(xcr0 & XCR0_SSE)) return false;
    if ((xcr0 & XCR0_AVX512) == 0) return true;
    return (xcr0 & XCR0_AVX512) == XCR0_AVX512 && (xcr0 & XCR0_AVX);
}

static uint64_t area_frames(void)
{
    return (area_bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

void fpu_state_reset(struct fpu_state *state)
{
    uint16_t fcw = FCW_RESET;
    uint32_t mxcsr = MXCSR_RESET;

    /* XSTATE_BV 0: every feature is loaded in its initial state; MXCSR and, for FXRSTOR, FCW come from
     * memory. */
    memset(state->area, 0, area_bytes);
    memcpy((char *)state->area + AREA_FCW, &fcw, sizeof fcw);
    memcpy((char *)state->area + AREA_MXCSR, &mxcsr, sizeof mxcsr);
    state->xcr0 = XCR0_X87;
}

bool fpu_state_init(struct fpu_state *state)
{
    mfn_t mfn = frame_alloc_run(area_frames(), 1);

    if (mfn == MFN_NONE) return false;
    state->area = mfn_to_virt(mfn);
    fpu_state_reset(state);
    return true;
}

void fpu_state_free(struct fpu_state *state)
{
    if (state->area == NULL) return;
    frame_free_run(virt_to_hpa(state->area) >> PAGE_SHIFT, area_frames());
    state->area = NULL;
}

static void load_xcr0(uint64_t xcr0)
{
    struct percpu *cpu = this_cpu();

    if (cpu->xcr0 == xcr0) return;
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32)) : "memory");
    cpu->xcr0 = xcr0;
}

void fpu_switch(struct fpu_state *from, struct fpu_state *to)
{
    uint32_t lo = (uint32_t)host_xcr0, hi = (uint32_t)(host_xcr0 >> 32);

    if (host_xcr0 == 0) {
        if (from != NULL) __asm__ volatile("fxsave64 (%0)" : : "r"(from->area) : "memory");
        if (to != NULL) __asm__ volatile("fxrstor64 (%0)" : : "r"(to->area) : "memory");
        return;
    }
    /* QEMU's AMD-V does not intercept XSETBV: the guest may have changed it without anybody noticing. */
    this_cpu()->xcr0 = xgetbv();
    if (from != NULL) from->xcr0 = this_cpu()->xcr0;
    load_xcr0(host_xcr0);
    if (from != NULL) __asm__ volatile("xsave64 (%0)" : : "r"(from->area), "a"(lo), "d"(hi) : "memory");
    if (to == NULL) return;
    __asm__ volatile("xrstor64 (%0)" : : "r"(to->area), "a"(lo), "d"(hi) : "memory");
    load_xcr0(to->xcr0);
}

uint64_t fpu_owner_xcr0(void)
{
    return host_xcr0 != 0 ? xgetbv() : 0;
}

bool fpu_set_xcr0(struct fpu_state *current, uint64_t xcr0)
{
    if (!fpu_xcr0_valid(xcr0)) return false;
    current->xcr0 = xcr0;
    load_xcr0(xcr0);
    return true;
}
