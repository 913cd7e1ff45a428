/* SPDX-License-Identifier: MIT */
#include "meminfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a file under /proc; empty when it cannot be read. */
static void head(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[got > 0 ? got : 0] = 0;
}

static uint64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

struct meminfo meminfo_read(void)
{
    char info[512], reserve[32]; /* the three fields are the first lines of meminfo */
    head("/proc/meminfo", info, sizeof info);
    head("/proc/sys/vm/min_free_kbytes", reserve, sizeof reserve);
    return (struct meminfo){
        .total_kb = field(info, "MemTotal:"),
        .free_kb = field(info, "MemFree:"),
        .available_kb = field(info, "MemAvailable:"),
        .min_free_kb = strtoull(reserve, NULL, 10),
    };
}

void meminfo_print(void)
{
    struct meminfo m = meminfo_read();
    printf("memload: mem total_kb=%" PRIu64 " free_kb=%" PRIu64 " available_kb=%" PRIu64 "\n", m.total_kb,
           m.free_kb, m.available_kb);
}
