/* SPDX-License-Identifier: MIT */
#include "drv/pci.h"
#include "x86/cpu.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u
#define MULTI_FUNCTION 0x800000u /* of PCI_HEADER */

uint32_t pci_read(pci_function_t f, uint8_t reg)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE | (uint32_t)f << 8 | reg);
    return inl(CONFIG_DATA);
}

void pci_write(pci_function_t f, uint8_t reg, uint32_t value)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE | (uint32_t)f << 8 | reg);
    outl(CONFIG_DATA, value);
}

bool pci_find(uint8_t class, uint8_t subclass, pci_function_t *f)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE);
    if (inl(CONFIG_ADDRESS) != CONFIG_ENABLE) return false; /* nobody decodes the mechanism */
    for (unsigned at = 0; at < 256; at++) {
        *f = (pci_function_t)at;
        /* Functions other than 0 mirror it where a device has but one. */
        if (at % 8 != 0 && !(pci_read((pci_function_t)(at & ~7u), PCI_HEADER) & MULTI_FUNCTION)) continue;
        if ((uint16_t)pci_read(*f, PCI_ID) == 0xffff) continue;
        if (pci_read(*f, PCI_CLASS) >> 16 == ((uint32_t) class << 8 | subclass)) return true;
    }
    return false;
}
