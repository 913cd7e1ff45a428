/* SPDX-License-Identifier: MIT
 *
 * A PC with an IDE controller that keeps to the data sheets, and, when told so, does not. It checks what the driver does with it; a
 * violation ends the program. Time goes on with each access to a port, and in cpu_idle.
 */
#ifndef TITHE_TESTS_DISK_MACHINE_H
#define TITHE_TESTS_DISK_MACHINE_H

#include "tithe/types.h"

#define MACHINE_FRAMES 512u

enum fault {
    FAULT_NONE,
    FAULT_ERROR,    /* ERR, nothing moved */
    FAULT_DEVICE,   /* DF, half of the data moved */
    FAULT_MASTER,   /* the bus master reports an error */
    FAULT_SHORT,    /* the drive ends before the table does */
    FAULT_DRQ,      /* it interrupts, and still wants data */
    FAULT_NO_IRQ,   /* all is well, but the interrupt gets lost */
    FAULT_HANG,     /* busy till a reset */
    FAULT_HANG_DRQ, /* takes the command, wants data for ever, says nothing */
    FAULT_STUCK,    /* busy for ever, resets or not */
    FAULT_PULLED,   /* the cable has been pulled */
    FAULTS
};

struct sim_drive {
    bool present, atapi, lba48;
    uint64_t sectors;
    uint64_t kept; /* sectors that are really there: sector s is at s % kept */
    uint8_t *data; /* kept * 512 */
    uint16_t identity[256];
    enum fault fault; /* of the next commands, `fault_count` of them, after `fault_after` others */
    uint32_t fault_count, fault_after;
    uint32_t commands; /* that moved data or flushed */
    uint8_t last_command;
};

struct sim {
    struct sim_drive drive[2][2]; /* channel, unit */
    bool no_pci, no_irq_line;
    bool floating[2]; /* nothing on the cable: all ones */
    uint32_t class;   /* of the controller, 24 bits */
    uint32_t bar;
    uint64_t now_ns;
    uint32_t resets[2];
    uint32_t cpu;              /* the driver is called by this one now */
    uint32_t kicks;            /* of CPU 0 */
    const char *dma_limit_mib; /* boot option, or NULL */
};
extern struct sim sim;

/* A machine without drives. */
void sim_reset(void);
/* A drive with this many sectors, `kept` of them real, all zero. */
struct sim_drive *sim_add(unsigned channel, unsigned unit, uint64_t sectors, uint64_t kept, bool lba48);
/* Takes interrupts that wait, or lets time pass till something happens, at most until until_ns. */
void sim_step(uint64_t until_ns);
/* An interrupt out of the blue. */
void sim_spurious(unsigned channel);

_Noreturn void wrong(const char *file, int line, const char *what);
#define CHECK(c) ((c) ? (void)0 : wrong(__FILE__, __LINE__, #c))

#endif
