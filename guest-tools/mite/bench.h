// SPDX-License-Identifier: MIT
// Costs in TSC ticks, as a guest sees them. The minimum is over single operations, less the cost of
// reading the clock.
#ifndef MITE_BENCH_H
#define MITE_BENCH_H

#include <stdint.h>

void bench_cpuid(uint32_t count);

// First writes to pages that are fresh; fewer than `count` if there are no more. They are free
// afterwards.
void bench_first_touch(uint32_t count);

// A read, or a write of what is there already, to each of `count` held pages, the lowest first: what it costs when the host has taken
// the page away or shares it.
void bench_read(uint32_t count);
void bench_write(uint32_t count);

// Bytes written to the UART without looking whether it is ready.
void bench_serial(uint32_t count);

// Ticks per page of messages of 256 pages into and out of the balloon. Inflation takes free pages, so touch
// and free them first; deflation undoes it.
void bench_inflate(uint32_t messages);
void bench_deflate(uint32_t messages);

// Interrupts from vCPU 0 to vCPU 1 and back. Both wait running, or both in HLT.
void bench_ipi(uint32_t count);
void bench_ipi_halt(uint32_t count);

// Messages that give the balloon one page each, from vCPU 0 while no other vCPU runs, then while one does, then three and seven, as
// far as there are so many. Others must leave the guest to forget the page's translation. A line for each.
void bench_flush(uint32_t count);

#endif
