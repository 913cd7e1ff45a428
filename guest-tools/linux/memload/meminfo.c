/* SPDX-License-Identifier: MIT */
#include "meminfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

struct meminfo meminfo_read(void)
{
    char text[512] = ""; /* the three fields are the first lines of the file */
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof text - 1);
        text[got > 0 ? got : 0] = 0;
        close(fd);
    }
    return (struct meminfo){
        .total_kb = field(text, "MemTotal:"),
        .free_kb = field(text, "MemFree:"),
        .available_kb = field(text, "MemAvailable:"),
    };
}

void meminfo_print(void)
{
    struct meminfo m = meminfo_read();
    printf("memload: mem total_kb=%" PRIu64 " free_kb=%" PRIu64 " available_kb=%" PRIu64 "\n", m.total_kb, m.free_kb,
           m.available_kb);
}
