/* SPDX-License-Identifier: MIT
 *
 * LZ4 is Debian's liblz4.a, which was compiled for programs: its decoder moves bytes through vector registers, in which a guest's or the
 * steward's values may be, and has a stack protector, which reads its canary from FS:28h. So both calls are made with the vector
 * registers put aside and FS where there is a canary. hv.mk sees to it that the object uses no wider registers, no x87 and nothing else
 * of FS. It has no use for a red zone either; and if it had, the core runs with interrupts off, and what strikes all the same (NMI,
 * #MC, #DF, #DB) has stacks of its own.
 */
#include "mem/page_codec.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "x86/cpu.h"
#include "x86/msr.h"

#include <lz4.h>

/* ABI, "x86-64 psABI" 6.2 and GCC's -fstack-protector: the canary is the word at FS:28h. */
static const uint64_t canary[6] = {[5] = 0x0d0aff00746974ull};

struct put_aside {
    uint8_t xmm[16][16];
    uint64_t fs;
};

/* Legacy SSE loads leave the upper parts of YMM and ZMM registers alone (SDM 1 14.1.2), and need no bit in XCR0 (SDM 3A 2.6). */
static void begin(struct put_aside *p)
{
    __asm__ volatile(
        "movups %%xmm0, (%0); movups %%xmm1, 16(%0); movups %%xmm2, 32(%0); movups %%xmm3, 48(%0);"
        "movups %%xmm4, 64(%0); movups %%xmm5, 80(%0); movups %%xmm6, 96(%0);"
        "movups %%xmm7, 112(%0); movups %%xmm8, 128(%0); movups %%xmm9, 144(%0);"
        "movups %%xmm10, 160(%0); movups %%xmm11, 176(%0); movups %%xmm12, 192(%0);"
        "movups %%xmm13, 208(%0); movups %%xmm14, 224(%0); movups %%xmm15, 240(%0)"
        :
        : "r"(p->xmm)
        : "memory");
    p->fs = rdmsr(MSR_FS_BASE);
    wrmsr(MSR_FS_BASE, (uintptr_t)canary);
}

static void end(const struct put_aside *p)
{
    wrmsr(MSR_FS_BASE, p->fs);
    __asm__ volatile(
        "movups (%0), %%xmm0; movups 16(%0), %%xmm1; movups 32(%0), %%xmm2; movups 48(%0), %%xmm3;"
        "movups 64(%0), %%xmm4; movups 80(%0), %%xmm5; movups 96(%0), %%xmm6;"
        "movups 112(%0), %%xmm7; movups 128(%0), %%xmm8; movups 144(%0), %%xmm9;"
        "movups 160(%0), %%xmm10; movups 176(%0), %%xmm11; movups 192(%0), %%xmm12;"
        "movups 208(%0), %%xmm13; movups 224(%0), %%xmm14; movups 240(%0), %%xmm15"
        :
        : "r"(p->xmm)
        : "memory");
}

uint32_t page_compress(const void *page, void *out, uint32_t room)
{
    static LZ4_stream_t state;
    struct put_aside aside;

    begin(&aside);
    const int bytes = LZ4_compress_fast_extState(&state, page, out, PAGE_BYTES, (int)room, 1);
    end(&aside);
    return bytes > 0 ? (uint32_t)bytes : 0;
}

bool page_expand(const void *in, uint32_t bytes, void *page)
{
    struct put_aside aside;

    begin(&aside);
    const int filled = LZ4_decompress_safe(in, page, (int)bytes, PAGE_BYTES);
    end(&aside);
    return filled == (int)PAGE_BYTES;
}

/* ---- what the archive's object wants besides memory functions ---- */

_Noreturn void __stack_chk_fail(void);
void *calloc(size_t count, size_t bytes);
void free(void *memory);

void __stack_chk_fail(void)
{
    panic("LZ4 wrote beyond its stack frame");
}

/* Of functions that nobody calls: all are in one section. */
void *calloc(size_t count, size_t bytes)
{
    panic("LZ4 wants %lu times %lu bytes", count, bytes);
}

void free(void *memory)
{
    panic("LZ4 frees %p", memory);
}
