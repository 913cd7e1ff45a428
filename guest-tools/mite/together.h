// SPDX-License-Identifier: MIT
// Workloads that all vCPUs do at once. Each prints its report line.
#ifndef MITE_TOGETHER_H
#define MITE_TOGETHER_H

#include <stdint.h>

// Holds `page_count` more pages, a part for each vCPU and one that all share. For `us` every vCPU picks pages of its own
// part and of the shared one, checks them, and gives them new content that says page, generation and writer; each
// begins with pages that nobody has touched, and the shared ones all at once. With nap_us they sleep so long now and then, by
// each mode of the APIC timer in turn. Exits mite if a page is wrong.
void together_run(uint32_t page_count, uint64_t us, uint64_t nap_us);

// Every vCPU burns so much time; how far each got.
void together_burn(uint64_t us);

// Costs in TSC ticks: `page_count` first touches by each of one vCPU, of two at once, of four, of eight, as far as there are so
// many, and how long it took them; the pages are free afterwards.
void together_touch(uint32_t page_count);

#endif
