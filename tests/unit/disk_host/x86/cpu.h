/* SPDX-License-Identifier: MIT
 *
 * Instead of x86/cpu.h: the ports of a simulated machine (disk_machine.c).
 */
#ifndef TITHE_X86_CPU_H
#define TITHE_X86_CPU_H

#include "tithe/types.h"

uint8_t inb(uint16_t port);
uint16_t inw(uint16_t port);
uint32_t inl(uint16_t port);
void outb(uint16_t port, uint8_t value);
void outl(uint16_t port, uint32_t value);
void cpu_pause(void);
/* Time goes on to the next event; interrupts that wait are taken. */
void cpu_idle(void);

#endif
