// SPDX-License-Identifier: MIT
// Held pages and a part of the disk, sector by sector, in every way that could lead a hypervisor to believe that a page still equals a block:
// blocks that several pages came from, parts of them, requests that overlap, and writes by the CPU meanwhile.
#ifndef MITE_BLOCKS_H
#define MITE_BLOCKS_H

#include <stdint.h>

#define BLOCKS_PAGES_MAX 1024U

// `steps` times something happens to some of the first `page_count` held pages and to the first sectors of the disk, half as much as
// they hold. In the end all is looked at. Ends mite if a sector is not what it should be. What was in the pages is lost; `verify`
// finds something new.
void blocks_run(uint32_t page_count, uint32_t steps);

#endif
