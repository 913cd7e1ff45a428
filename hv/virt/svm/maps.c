/* SPDX-License-Identifier: MIT
 *
 * I/O and MSR permission maps (APM 2 15.10, 15.11): 1 means exit.
 */
#include "virt/svm/svm.h"

#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/msr.h"

#define IOPM_FRAMES  3u
#define MSRPM_FRAMES 2u
#define MSR_TSC      0x10u

static hpa_t iopm, msrpm;

hpa_t svm_iopm(void)
{
    return iopm;
}

hpa_t svm_msrpm(void)
{
    return msrpm;
}

/* Two bits for each MSR, read and write; 0-1FFFh, C0000000h-C0001FFFh at 800h. */
static void allow(uint8_t *map, uint32_t msr, bool write)
{
    uint32_t bit = 2 * (msr & 0x1FFFu) + (write ? 1 : 0) + (msr >> 31 ? 8 * 0x800u : 0);
    map[bit / 8] = (uint8_t)(map[bit / 8] & ~(1u << bit % 8));
}

bool svm_maps_create(void)
{
    /* State that the VMCB or live_state switches. EFER exits: SVME is hidden in it. */
    static const uint32_t msrs[] = {
        MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,     MSR_STAR,           MSR_LSTAR,
        MSR_CSTAR,       MSR_FMASK,        MSR_FS_BASE,      MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
    };

    if (iopm != 0) return true;
    mfn_t first = frame_alloc_run(IOPM_FRAMES + MSRPM_FRAMES, 1);
    if (first == MFN_NONE) return false;
    memset(mfn_to_virt(first), 0xFF, (IOPM_FRAMES + MSRPM_FRAMES) * PAGE_BYTES);
    iopm = first << PAGE_SHIFT;
    msrpm = iopm + IOPM_FRAMES * PAGE_BYTES;
    uint8_t *map = hpa_to_virt(msrpm);
    for (size_t i = 0; i < ARRAY_LEN(msrs); i++) {
        allow(map, msrs[i], false);
        allow(map, msrs[i], true);
    }
    allow(map, MSR_TSC, false); /* with the offset (APM 2 15.30.5) */
    return true;
}
