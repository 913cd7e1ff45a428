/* SPDX-License-Identifier: MIT
 *
 * Carries out one instruction of a guest on devices: loads, stores and read-modify-writes of device memory,
 * and strings through ports. Knows no device: those are behind two functions each.
 */
#ifndef TITHE_VM_INTERPRET_H
#define TITHE_VM_INTERPRET_H

#include "vm/decode.h"
#include "vm/vcpu.h"

/* Iterations of a REP in one go. After that the instruction is left unfinished, as an interrupt would leave
 * it, and the guest comes back with the rest. */
#define INTERPRET_REPEATS_MAX 256u

enum interpret_result {
    INTERPRET_OK = 0,      /* done, or as much of a REP as is done at once; RIP is where to go on */
    INTERPRET_FAULT,       /* an exception has been injected; repeats before it are done */
    INTERPRET_NO_MEMORY,   /* the guest's RAM has a page without a frame and none is free: try again; nothing
                              lost */
    INTERPRET_UNSUPPORTED, /* not an instruction, or not a use of it, that is known here */
};

/* 1, 2, 4 or 8 bytes of device memory. */
struct mmio_ops {
    uint64_t (*read)(struct vcpu *v, gpa_t gpa, unsigned bytes);
    void (*write)(struct vcpu *v, gpa_t gpa, unsigned bytes, uint64_t value);
};

/* 1, 2 or 4 bytes of a port. */
struct pio_ops {
    uint32_t (*in)(struct vcpu *v, uint16_t port, unsigned bytes);
    void (*out)(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value);
};

/* The instruction at RIP, whose access to v->exit.u.fault.gpa found no RAM. */
MUST_CHECK enum interpret_result interpret_mmio(struct vcpu *v, const struct mmio_ops *ops);
/* The INS or OUTS at RIP, to v->exit.u.pio.port, of the direction and size that exited. */
MUST_CHECK enum interpret_result interpret_string_pio(struct vcpu *v, const struct pio_ops *ops);

/* The bytes at RIP, as many of INSN_BYTES_MAX as can be read, for a log. */
size_t interpret_bytes(struct vcpu *v, uint8_t out[INSN_BYTES_MAX]);

#endif
