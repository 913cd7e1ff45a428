/* SPDX-License-Identifier: MIT */
#include "virt/vendor.h"

#include "x86/cpu.h"

const struct vendor *vendor;

const char *vendor_select(void)
{
    bool vmx = (cpuid(1, 0).ecx >> 5) & 1;
    bool svm = cpuid(0x80000000u, 0).eax >= 0x80000001u && ((cpuid(0x80000001u, 0).ecx >> 2) & 1);

    if (!vmx && !svm)
        return "this CPU offers neither VT-x nor AMD-V: use one that does, or switch it on in the firmware's "
               "set-up "
               "(under an emulator: give it a CPU model with VMX or SVM)";
    const struct vendor *found = vmx ? &vmx_vendor : &svm_vendor;
    const char *why = found->probe();
    if (why == NULL) vendor = found;
    return why;
}
