/* SPDX-License-Identifier: MIT
 *
 * The first pages of the load go to the disk and come back, past the page cache, so that it is always the same ones that the device
 * reads from and writes to.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "input.h"

#define DISK        "/dev/vda"
#define CHUNK_PAGES 16u

static int failed(const char *what)
{
    printf("memload: FAIL reason=\"disk: %s: %s\"\n", what, errno ? strerror(errno) : "it ends before");
    return -1;
}

/* One round. 0, or -1 after saying what failed. */
static int there_and_back(struct load *load, int fd, size_t pages, uint64_t *bad)
{
    load_renew(load, 0, pages);
    errno = 0;
    for (size_t page = 0; page < pages; page += CHUNK_PAGES) {
        size_t count = pages - page < CHUNK_PAGES ? pages - page : CHUNK_PAGES, bytes = count * PAGE_BYTES;
        unsigned char *at = load->base + page * PAGE_BYTES;
        off_t offset = (off_t)(page * PAGE_BYTES);
        if (pwrite(fd, at, bytes, offset) != (ssize_t)bytes) return failed("write");
        memset(at, 0x55, bytes);
        if (pread(fd, at, bytes, offset) != (ssize_t)bytes) return failed("read");
    }
    *bad += load_check(load, 0, pages);
    return 0;
}

int load_disk(struct load *load, uint64_t bytes)
{
    size_t pages = load_pages(load, "disk", bytes);
    if (!pages) return -1;
    int fd = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return failed(DISK);
    printf("memload: phase=disk pages=%zu\n", pages);
    uint64_t began = clock_us(), bad = 0, moved = 0;
    int error = 0;
    for (; !error && !input_has_line(); moved += pages) error = there_and_back(load, fd, pages, &bad);
    close(fd);
    return error ? error : load_verdict(load, "disk", moved, bad, began);
}
