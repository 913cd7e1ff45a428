// SPDX-License-Identifier: MIT
// Held pages that come from the disk and go there, as a file cache does, in any order: for a hypervisor that keeps in mind which
// pages are on the disk.
#ifndef MITE_FILES_H
#define MITE_FILES_H

#include <stdint.h>

#define FILES_PAGES_MAX 2048U

// `steps` times something happens to one of the first `page_count` held pages, each of which has two blocks on the disk. Ends mite if a page
// is not what it should be.
void files_run(uint32_t page_count, uint32_t steps);

#endif
