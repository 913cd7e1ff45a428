/* SPDX-License-Identifier: MIT
 *
 * PCI configuration space by mechanism 1 (PCI 3.0, 3.2.2.3.2): bus 0, where a PC's own controllers are. For the boot CPU, at boot.
 */
#ifndef TITHE_DRV_PCI_H
#define TITHE_DRV_PCI_H

#include "tithe/types.h"

enum pci_register {
    PCI_ID = 0x00,
    PCI_COMMAND = 0x04,
    PCI_CLASS = 0x08, /* class, subclass, programming interface, revision */
    PCI_HEADER = 0x0c,
    PCI_BAR0 = 0x10,
};

#define PCI_COMMAND_IO         0x1u
#define PCI_COMMAND_BUS_MASTER 0x4u

/* Where a function of bus 0 is: slot << 3 | function. */
typedef uint8_t pci_function_t;

uint32_t pci_read(pci_function_t f, uint8_t reg);
void pci_write(pci_function_t f, uint8_t reg, uint32_t value);
/* The first function with this class and subclass. False: there is none, or no PCI. */
MUST_CHECK bool pci_find(uint8_t class, uint8_t subclass, pci_function_t *f);

#endif
