/* SPDX-License-Identifier: MIT
 *
 * The few Linux system calls that a static glibc program makes (numbers: Linux
 * arch/x86/entry/syscalls/syscall_64.tbl). Memory comes from a fixed arena; there are no files but 0, 1
 * and 2.
 */
#include "drv/serial.h"
#include "lib/log.h"
#include "lib/string.h"
#include "steward/core/process.h"
#include "x86/cpu.h"

enum {
    SYS_READ = 0,
    SYS_WRITE = 1,
    SYS_MMAP = 9,
    SYS_MPROTECT = 10,
    SYS_MUNMAP = 11,
    SYS_BRK = 12,
    SYS_RT_SIGACTION = 13,
    SYS_RT_SIGPROCMASK = 14,
    SYS_IOCTL = 16,
    SYS_WRITEV = 20,
    SYS_MADVISE = 28,
    SYS_GETPID = 39,
    SYS_EXIT = 60,
    SYS_READLINK = 89,
    SYS_GETUID = 102,
    SYS_GETGID = 104,
    SYS_GETEUID = 107,
    SYS_GETEGID = 108,
    SYS_ARCH_PRCTL = 158,
    SYS_GETTID = 186,
    SYS_FUTEX = 202,
    SYS_SET_TID_ADDRESS = 218,
    SYS_EXIT_GROUP = 231,
    SYS_TGKILL = 234,
    SYS_READLINKAT = 267,
    SYS_SET_ROBUST_LIST = 273,
    SYS_GETRANDOM = 318
};

enum {
    PROT_READ = 1,
    PROT_WRITE = 2,
    PROT_EXEC = 4,
    MAP_FIXED = 0x10,
    MAP_ANONYMOUS = 0x20,
    ARCH_SET_FS = 0x1002
};
#define ENOTTY_LINUX 25

/* Pages it may still get. Its space knows what it holds, tables included; so nothing that it gives back counts twice,
 * and table pages, which stay when mappings go, are no way around the limit. */
static uint64_t arena_left(const struct process *p)
{
    return p->pages_max > p->space.pages ? p->pages_max - p->space.pages : 0;
}

static int64_t sys_brk(struct process *p, uint64_t want)
{
    if (want < p->brk_start || want >= USER_FOREIGN) {
        return (int64_t)p->brk;
    }
    const uint64_t end = (want + PAGE_BYTES - 1) & PAGE_MASK;
    if (end > p->brk_mapped) {
        const uint64_t pages = (end - p->brk_mapped) / PAGE_BYTES;
        if (pages > arena_left(p) || !user_map(&p->space, p->brk_mapped, pages, USER_READ | USER_WRITE)) {
            return (int64_t)p->brk;
        }
    } else if (end < p->brk_mapped) {
        user_unmap(&p->space, end, (p->brk_mapped - end) / PAGE_BYTES);
    }
    p->brk_mapped = end;
    p->brk = want;
    return (int64_t)want;
}

static unsigned access_of(uint64_t prot)
{
    return ((prot & PROT_READ) != 0 ? USER_READ : 0u) | ((prot & PROT_WRITE) != 0 ? USER_WRITE : 0u) |
           ((prot & PROT_EXEC) != 0 ? USER_EXEC : 0u);
}

static int64_t sys_mmap(struct process *p, uint64_t length, uint64_t prot, uint64_t flags)
{
    const uint64_t pages = length / PAGE_BYTES + (length % PAGE_BYTES != 0 ? 1 : 0);
    if ((flags & MAP_ANONYMOUS) == 0 || (flags & MAP_FIXED) != 0 || (prot & PROT_EXEC) != 0 || pages == 0) {
        return -TITHE_EINVAL;
    }
    if (pages > arena_left(p)) {
        return -TITHE_ENOMEM;
    }
    const uint64_t at = p->mmap_next - pages * PAGE_BYTES;
    if (!user_map(&p->space, at, pages, access_of(prot))) {
        return -TITHE_ENOMEM;
    }
    p->mmap_next = at - PAGE_BYTES; /* a guard between mappings */
    return (int64_t)at;
}

/* Of addresses only the lowest mapping's are used again: the space is vast, and a large block that comes and goes
 * costs no new table pages then. */
static int64_t sys_munmap(struct process *p, uint64_t at, uint64_t length)
{
    const uint64_t pages = length / PAGE_BYTES + (length % PAGE_BYTES != 0 ? 1 : 0);
    if (at % PAGE_BYTES != 0 || at >= USER_TOP || pages > (USER_TOP - at) / PAGE_BYTES) {
        return -TITHE_EINVAL;
    }
    const uint64_t end = at + pages * PAGE_BYTES;
    user_unmap(&p->space, at, pages);
    if (at == p->mmap_next + PAGE_BYTES && end <= PROCESS_MMAP_TOP) {
        p->mmap_next = end;
    }
    return 0;
}

static int64_t sys_read(struct process *p, uint64_t fd, uint64_t at, uint64_t bytes)
{
    uint8_t chunk[256];
    uint64_t done = 0;
    if (fd != 0) {
        return -TITHE_EINVAL;
    }
    while (done < bytes) {
        const uint64_t want = bytes - done < sizeof chunk ? bytes - done : sizeof chunk;
        const size_t got = serial_rx(chunk, want);
        if (got > 0 && !user_copy_out(&p->space, at + done, chunk, got)) {
            return -TITHE_EFAULT;
        }
        done += got;
        if (got < want) {
            break;
        }
    }
    return (int64_t)done;
}

/* The line is slow, and the core waits for it with interrupts off when its queue is full; so one call writes only
 * so many lines, and the caller comes again for the rest. */
#define LOG_LINES_MAX 8u
#define LOG_MAX_BYTES 2048u

/* Each newline ends a log line. Returns how much of the text it has logged. */
static size_t write_log(const char *text, size_t bytes)
{
    size_t start = 0, lines = 0;
    for (size_t i = 0; i <= bytes && lines < LOG_LINES_MAX; i++) {
        if (i == bytes || text[i] == '\n') {
            if (i > start) {
                log_line("steward: %.*s", (int)(i - start), text + start);
                lines++;
            }
            start = i + 1;
        }
    }
    return start < bytes ? start : bytes;
}

/* One frame at a time: of what is larger, only so much is taken. */
#define WRITE_MAX_BYTES 16384u

static int64_t sys_write(struct process *p, uint64_t fd, uint64_t at, uint64_t bytes)
{
    static uint8_t buffer[WRITE_MAX_BYTES]; /* one steward, one CPU in the core at a time for it */
    if (fd != 1 && fd != 2) {
        return -TITHE_EINVAL;
    }
    const uint64_t most = fd == 1 ? sizeof buffer : LOG_MAX_BYTES;
    if (bytes > most) {
        bytes = most;
    }
    if (!user_copy_in(&p->space, at, buffer, bytes)) {
        return -TITHE_EFAULT;
    }
    if (fd == 1) {
        serial_tx_frame(buffer, bytes);
    } else {
        bytes = write_log((const char *)buffer, bytes);
    }
    return (int64_t)bytes;
}

static int64_t sys_writev(struct process *p, uint64_t fd, uint64_t vec, uint64_t count)
{
    int64_t done = 0;
    for (uint64_t i = 0; i < count && i < 16 && (uint64_t)done < WRITE_MAX_BYTES; i++) {
        uint64_t part[2];
        if (!user_copy_in(&p->space, vec + i * sizeof part, part, sizeof part)) {
            return -TITHE_EFAULT;
        }
        const int64_t wrote = part[1] == 0 ? 0 : sys_write(p, fd, part[0], part[1]);
        if (wrote < 0) {
            return wrote;
        }
        done += wrote;
        if ((uint64_t)wrote < part[1]) {
            break;
        }
    }
    return done;
}

/* What Linux gives without a break (getrandom(2)); who wants more comes again. */
#define GETRANDOM_MAX_BYTES 256u

static int64_t sys_getrandom(struct process *p, uint64_t at, uint64_t bytes)
{
    uint64_t done = 0;
    bytes = bytes < GETRANDOM_MAX_BYTES ? bytes : GETRANDOM_MAX_BYTES;
    while (done < bytes) {
        const uint64_t word = rdtsc() * 0x9e3779b97f4a7c15ull;
        const uint64_t part = bytes - done < sizeof word ? bytes - done : sizeof word;
        if (!user_copy_out(&p->space, at + done, &word, part)) {
            return -TITHE_EFAULT;
        }
        done += part;
    }
    return (int64_t)done;
}

static int64_t sys_arch_prctl(struct process *p, uint64_t code, uint64_t value)
{
    if (code != ARCH_SET_FS || value >= USER_TOP) {
        return -TITHE_EINVAL;
    }
    p->user.fs_base = value;
    return 0;
}

static int64_t linux_call(struct process *p, uint64_t number, const uint64_t *arg)
{
    switch (number) {
    case SYS_READ: return sys_read(p, arg[0], arg[1], arg[2]);
    case SYS_WRITE: return sys_write(p, arg[0], arg[1], arg[2]);
    case SYS_WRITEV: return sys_writev(p, arg[0], arg[1], arg[2]);
    case SYS_BRK: return sys_brk(p, arg[0]);
    case SYS_MMAP: return sys_mmap(p, arg[1], arg[2], arg[3]);
    case SYS_MUNMAP: return sys_munmap(p, arg[0], arg[1]);
    case SYS_MPROTECT:
        if (arg[1] > USER_TOP || (arg[2] & PROT_EXEC) != 0) {
            return -TITHE_EINVAL;
        }
        return user_protect(&p->space, arg[0], (arg[1] + PAGE_BYTES - 1) / PAGE_BYTES, access_of(arg[2]))
                   ? 0
                   : -TITHE_ENOMEM;
    case SYS_ARCH_PRCTL: return sys_arch_prctl(p, arg[0], arg[1]);
    case SYS_GETRANDOM: return sys_getrandom(p, arg[0], arg[1]);
    case SYS_SET_TID_ADDRESS:
    case SYS_GETPID:
    case SYS_GETTID: return 1;
    case SYS_SET_ROBUST_LIST:
    case SYS_RT_SIGACTION:
    case SYS_RT_SIGPROCMASK:
    case SYS_MADVISE:
    case SYS_FUTEX:
    case SYS_GETUID:
    case SYS_GETGID:
    case SYS_GETEUID:
    case SYS_GETEGID: return 0;
    case SYS_READLINK:
    case SYS_READLINKAT: return -TITHE_ENOENT;
    case SYS_IOCTL: return -ENOTTY_LINUX;
    case SYS_EXIT:
    case SYS_EXIT_GROUP: p->died = "exited"; return 0;
    case SYS_TGKILL: p->died = "aborted itself"; return 0;
    default: return -TITHE_ENOSYS;
    }
}

void process_syscall(struct process *p)
{
    const uint64_t number = p->user.gpr[RAX];
    const uint64_t arg[4] = {p->user.gpr[RDI], p->user.gpr[RSI], p->user.gpr[RDX], p->user.gpr[R10]};
    int64_t result;
    if (!tithe_syscall(p, number, arg, &result)) {
        result = linux_call(p, number, arg);
    }
    p->user.gpr[RAX] = (uint64_t)result;
}
