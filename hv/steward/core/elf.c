/* SPDX-License-Identifier: MIT
 *
 * Loads a static x86-64 ELF executable into a fresh address space, with the stack that a Linux program
 * expects at its entry (System V ABI, AMD64 supplement, 3.4.1).
 */
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "steward/core/process.h"
#include "x86/cpu.h"

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

enum { ELF_EXEC = 2, ELF_X86_64 = 62, SEGMENT_LOAD = 1, SEGMENT_X = 1, SEGMENT_W = 2 };

/* Auxiliary vector entries (elf(5), getauxval(3)). */
enum {
    AT_NULL = 0,
    AT_PHDR = 3,
    AT_PHENT = 4,
    AT_PHNUM = 5,
    AT_PAGESZ = 6,
    AT_ENTRY = 9,
    AT_UID = 11,
    AT_EUID = 12,
    AT_GID = 13,
    AT_EGID = 14,
    AT_HWCAP = 16,
    AT_CLKTCK = 17,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_EXECFN = 31
};

#define STACK_TOP   0x6ffff0000000ull /* below USER_FOREIGN */
#define STACK_PAGES 64u               /* 256 KiB; the page below stays unmapped: the guard */

static bool in_file(uint64_t offset, uint64_t bytes, size_t file_bytes)
{
    return offset <= file_bytes && bytes <= file_bytes - offset;
}

static uint64_t start_of(const struct elf_segment *s)
{
    return s->vaddr & PAGE_MASK;
}

static uint64_t pages_of(const struct elf_segment *s)
{
    return (s->vaddr + s->memsz + PAGE_BYTES - 1 - start_of(s)) / PAGE_BYTES;
}

static unsigned access_of(const struct elf_segment *s)
{
    return USER_READ | ((s->flags & SEGMENT_W) != 0 ? USER_WRITE : 0u) |
           ((s->flags & SEGMENT_X) != 0 ? USER_EXEC : 0u);
}

/* Segments that ring 3 cannot write, two thirds of it all, are copied out of the file at the first start and
 * lent to every later one, for guests wait while it starts. By file offset: there is one file. */
static struct {
    uint64_t offset;
    mfn_t first;
} kept[USER_LENT_MAX];
static size_t kept_count;

static mfn_t kept_frames(const uint8_t *file, const struct elf_segment *s)
{
    for (size_t i = 0; i < kept_count; i++) {
        if (kept[i].offset == s->offset) {
            return kept[i].first;
        }
    }
    const mfn_t first = kept_count < USER_LENT_MAX ? frame_alloc_run(pages_of(s), 1) : MFN_NONE;
    if (first != MFN_NONE) {
        memcpy((uint8_t *)mfn_to_virt(first) + (s->vaddr - start_of(s)), file + s->offset, s->filesz);
        kept[kept_count].offset = s->offset;
        kept[kept_count++].first = first;
    }
    return first;
}

static bool lend_segment(struct process *p, const uint8_t *file, const struct elf_segment *s)
{
    const mfn_t first = kept_frames(file, s);
    return first != MFN_NONE && user_lend(&p->space, start_of(s), first, pages_of(s), access_of(s));
}

static bool copy_segment(struct process *p, const uint8_t *file, const struct elf_segment *s)
{
    return user_map(&p->space, start_of(s), pages_of(s), access_of(s)) &&
           user_poke(&p->space, s->vaddr, file + s->offset, s->filesz);
}

static const char *load_segment(struct process *p, const uint8_t *file, size_t bytes,
                                const struct elf_segment *s)
{
    if (!in_file(s->offset, s->filesz, bytes) || s->filesz > s->memsz || s->memsz == 0 ||
        s->vaddr >= USER_TOP || s->memsz > USER_TOP - s->vaddr) {
        return "a segment of its ELF file lies outside of the file or of user space";
    }
    const bool writable = (s->flags & SEGMENT_W) != 0;
    if (writable ? !copy_segment(p, file, s) : !lend_segment(p, file, s)) {
        return "no memory for it";
    }
    const uint64_t end = start_of(s) + pages_of(s) * PAGE_BYTES;
    if (end > p->brk_start) {
        p->brk_start = end;
    }
    return NULL;
}

static const char *make_stack(struct process *p, const struct elf_header *h, uint64_t phdr)
{
    static const char name[16] = "steward";
    uint64_t random[2] = {rdtsc() * 0x9e3779b97f4a7c15ull, rdtsc()};
    const uint64_t name_at = STACK_TOP - 64;
    const uint64_t random_at = STACK_TOP - 32;
    const uint64_t words[] = {
        1,         name_at,   0, /* argc, argv */
        0,                       /* envp */
        AT_PHDR,   phdr,      AT_PHENT,  h->phentsize,
        AT_PHNUM,  h->phnum,  AT_PAGESZ, PAGE_BYTES,
        AT_ENTRY,  h->entry,  AT_UID,    0,
        AT_EUID,   0,         AT_GID,    0,
        AT_EGID,   0,         AT_HWCAP,  cpuid(1, 0).edx,
        AT_CLKTCK, 100,       AT_SECURE, 0,
        AT_RANDOM, random_at, AT_EXECFN, name_at,
        AT_NULL,   0,
    };
    const uint64_t sp = (STACK_TOP - 128 - sizeof words) & ~15ull;
    if (!user_map(&p->space, STACK_TOP - STACK_PAGES * PAGE_BYTES, STACK_PAGES, USER_READ | USER_WRITE) ||
        !user_poke(&p->space, name_at, name, sizeof name) ||
        !user_poke(&p->space, random_at, random, sizeof random) ||
        !user_poke(&p->space, sp, words, sizeof words)) {
        return "no memory for its stack";
    }
    p->user.gpr[RSP] = sp;
    return NULL;
}

const char *process_load(struct process *p, const void *elf, size_t bytes, uint64_t arena_pages)
{
    struct elf_header h;
    if (bytes < sizeof h) {
        return "its file is too short for an ELF header";
    }
    memcpy(&h, elf, sizeof h);
    if (memcmp(h.ident, "\177ELF\2\1\1", 7) != 0 || h.type != ELF_EXEC || h.machine != ELF_X86_64 ||
        h.phentsize != sizeof(struct elf_segment) ||
        !in_file(h.phoff, (uint64_t)h.phnum * h.phentsize, bytes)) {
        return "its file is not a static x86-64 ELF executable";
    }
    if (!user_space_create(&p->space)) {
        return "no memory for its tables";
    }
    p->user = (struct user_context){.rip = h.entry};
    p->brk_start = 0;
    uint64_t phdr = 0;
    for (uint16_t i = 0; i < h.phnum; i++) {
        struct elf_segment s;
        memcpy(&s, (const uint8_t *)elf + h.phoff + (size_t)i * sizeof s, sizeof s);
        if (s.type != SEGMENT_LOAD) {
            continue;
        }
        const char *error = load_segment(p, elf, bytes, &s);
        if (error != NULL) {
            process_unload(p);
            return error;
        }
        if (s.offset <= h.phoff && h.phoff - s.offset < s.filesz) {
            phdr = s.vaddr + (h.phoff - s.offset);
        }
    }
    const char *error = make_stack(p, &h, phdr);
    if (error != NULL) {
        process_unload(p);
        return error;
    }
    p->brk = p->brk_start;
    p->brk_mapped = p->brk_start;
    p->mmap_next = PROCESS_MMAP_TOP;
    p->pages_max = p->space.pages + arena_pages;
    return NULL;
}

void process_unload(struct process *p)
{
    user_space_destroy(&p->space);
}
