/* SPDX-License-Identifier: MIT
 *
 * For tests of hv/mem that have neither swap nor compression: nothing of this is ever called.
 */
#include "drv/disk.h"
#include "lib/log.h"
#include "mem/page_codec.h"
#include "mem/swap.h"

const char *disk_status_text(enum disk_status status)
{
    panic("disk status %d", (int)status);
}

mfn_t disk_dma_limit(void)
{
    panic("there is no disk");
}

enum disk_status disk_submit(struct disk_request *request)
{
    panic("a request at sector %lu, and no disk", request->sector);
}

void swap_came(uint16_t owner, bool all)
{
    panic("VM slot %u, %d: pages came from nowhere", owner, all);
}

void swap_lost(uint16_t owner, gfn_t gfn, const char *why)
{
    panic("VM slot %u: gfn 0x%lx lost: %s", owner, gfn, why);
}

void swap_write_failed(const char *why)
{
    panic("not written: %s", why);
}

void swap_wanted(void)
{
    panic("swap is wanted");
}

uint32_t page_compress(const void *page, void *out, uint32_t room)
{
    panic("page %p is to be compressed to %u bytes at %p", page, room, out);
}

bool page_expand(const void *in, uint32_t bytes, void *page)
{
    panic("%u bytes at %p are to be page %p", bytes, in, page);
}
