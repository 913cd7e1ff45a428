/* SPDX-License-Identifier: MIT
 *
 * Guest-virtual addresses, translated by the guest's own tables as its CPU would (SDM 3A 4): none, 32-bit,
 * PAE, 4 and 5 levels.
 */
#ifndef TITHE_VM_GVA_H
#define TITHE_VM_GVA_H

#include "tithe/types.h"
#include "vm/vcpu.h"

/* What an access is, in the bits of a page fault's error code (SDM 3A 4.7). Whether the guest runs in user
 * mode is found out here. */
#define GVA_READ  0u
#define GVA_WRITE (1u << 1)
#define GVA_FETCH (1u << 4)

enum gva_status {
    GVA_OK = 0,
    GVA_FAULT,     /* the guest's tables forbid it: *fault is the exception to inject */
    GVA_DEVICE,    /* allowed, but there is no RAM at *gpa */
    GVA_NO_MEMORY, /* RAM without a frame, and none is free: try again later */
};

struct gva_fault {
    uint8_t vector; /* #PF or, for a non-canonical address, #GP */
    uint32_t error;
    gva_t address; /* for CR2 */
};

/* Translates one address and sets accessed and dirty bits. GVA_DEVICE and GVA_NO_MEMORY are about the page
 * tables here: what lies at *gpa is not looked at. */
MUST_CHECK enum gva_status gva_translate(struct vcpu *v, gva_t gva, unsigned access, gpa_t *gpa,
                                         struct gva_fault *fault);

/* Copy `bytes`, across pages. Other than with GVA_OK, a part may have been copied. */
MUST_CHECK enum gva_status gva_read(struct vcpu *v, gva_t gva, void *out, size_t bytes, unsigned access,
                                    struct gva_fault *fault);
MUST_CHECK enum gva_status gva_write(struct vcpu *v, gva_t gva, const void *in, size_t bytes,
                                     struct gva_fault *fault);

/* Why vm_read or vm_write of this page failed. */
enum gva_status gva_why(struct vcpu *v, gpa_t gpa);

/* Injects the exception that a GVA_FAULT asks for. */
void gva_inject(struct vcpu *v, const struct gva_fault *fault);

#endif
