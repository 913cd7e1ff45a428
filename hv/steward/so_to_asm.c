/* SPDX-License-Identifier: MIT
 *
 * Build tool: turns a shared object into assembly that links into a static
 * program. Debian's libcbor-dev has no archive, and the steward has no loader.
 *
 *   so_to_asm LIB.so BASE OUT.s OUT.opts
 *
 * The segments keep their distances from each other, since the code in them is
 * position independent and refers to its neighbours: each becomes a section of
 * its own, and OUT.opts has the linker options that put them at BASE and up.
 * What the dynamic loader would do is done by the assembler: every relocation
 * (RELATIVE, 64, GLOB_DAT and JUMP_SLOT; anything else is an error) becomes a
 * `.quad symbol`. Initialisers are not run, so a library that needs any, or
 * thread-local storage, is refused or will not do.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const unsigned char *image;
static const Elf64_Ehdr *header;
static const char *library;
static const Elf64_Sym *symbols;
static const char *strings;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "so_to_asm: %s: %s\n", library, what);
    exit(1);
}

static const Elf64_Phdr *segment(unsigned i)
{
    return (const Elf64_Phdr *)(const void *)(image + header->e_phoff) + i;
}

static const Elf64_Shdr *section(unsigned i)
{
    return (const Elf64_Shdr *)(const void *)(image + header->e_shoff) + i;
}

/* The relocation at an address, or NULL. */
static const Elf64_Rela *relocation_at(Elf64_Addr address)
{
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *s = section(i);
        if (s->sh_type != SHT_RELA) continue;
        const Elf64_Rela *r = (const Elf64_Rela *)(const void *)(image + s->sh_offset);
        for (Elf64_Xword n = 0; n < s->sh_size / sizeof *r; n++) {
            if (r[n].r_offset == address) return &r[n];
        }
    }
    return NULL;
}

static void emit_relocation(FILE *out, const Elf64_Rela *r)
{
    const Elf64_Sym *s = &symbols[ELF64_R_SYM(r->r_info)];
    switch (ELF64_R_TYPE(r->r_info)) {
    case R_X86_64_RELATIVE: fprintf(out, ".quad so_base + %lld\n", (long long)r->r_addend); break;
    case R_X86_64_64:
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT: {
        const char *name = strings + s->st_name;
        if (ELF64_ST_BIND(s->st_info) == STB_WEAK && s->st_shndx == SHN_UNDEF) {
            fprintf(out, ".weak %s\n", name);
        }
        long long addend = ELF64_R_TYPE(r->r_info) == R_X86_64_64 ? (long long)r->r_addend : 0;
        fprintf(out, ".quad %s + %lld\n", name, addend);
        break;
    }
    default: die("has a relocation this tool does not know");
    }
}

static void emit_segment(FILE *out, const Elf64_Phdr *p)
{
    const char *flags = p->p_flags & PF_X ? "ax" : p->p_flags & PF_W ? "aw" : "a";
    fprintf(out, ".section .so.%llx,\"%s\",@progbits\n", (unsigned long long)p->p_vaddr, flags);
    Elf64_Off plain = p->p_offset; /* start of bytes not emitted yet */
    for (Elf64_Xword i = 0; i + 8 <= p->p_filesz;) {
        const Elf64_Rela *r = relocation_at(p->p_vaddr + i);
        if (r == NULL) {
            i += (p->p_flags & PF_W) ? 8 : p->p_filesz; /* only writable segments have any */
            continue;
        }
        if (p->p_offset + i > plain) {
            fprintf(out, ".incbin \"%s\", %llu, %llu\n", library, (unsigned long long)plain,
                    (unsigned long long)(p->p_offset + i - plain));
        }
        emit_relocation(out, r);
        i += 8;
        plain = p->p_offset + i;
    }
    if (p->p_offset + p->p_filesz > plain) {
        fprintf(out, ".incbin \"%s\", %llu, %llu\n", library, (unsigned long long)plain,
                (unsigned long long)(p->p_offset + p->p_filesz - plain));
    }
    if (p->p_memsz > p->p_filesz) {
        fprintf(out, ".skip %llu\n", (unsigned long long)(p->p_memsz - p->p_filesz));
    }
}

static void emit_symbols(FILE *out, Elf64_Xword count, unsigned long long base)
{
    fprintf(out, ".set so_base, %#llx\n", base);
    for (Elf64_Xword i = 1; i < count; i++) {
        const Elf64_Sym *s = &symbols[i];
        if (s->st_shndx == SHN_UNDEF || ELF64_ST_BIND(s->st_info) == STB_LOCAL) continue;
        if (ELF64_ST_TYPE(s->st_info) == STT_TLS) die("has thread-local storage");
        const char *name = strings + s->st_name;
        fprintf(out, ".globl %s\n.set %s, so_base + %#llx\n", name, name, (unsigned long long)s->st_value);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: so_to_asm LIB.so BASE OUT.s OUT.opts\n");
        return 2;
    }
    library = argv[1];
    unsigned long long base = strtoull(argv[2], NULL, 0);
    int fd = open(library, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) die("cannot be opened");
    image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image == MAP_FAILED) die("cannot be mapped");
    header = (const Elf64_Ehdr *)(const void *)image;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_machine != EM_X86_64) {
        die("is not an x86-64 ELF file");
    }
    Elf64_Xword count = 0;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *s = section(i);
        if (s->sh_type != SHT_DYNSYM) continue;
        symbols = (const Elf64_Sym *)(const void *)(image + s->sh_offset);
        strings = (const char *)(image + section(s->sh_link)->sh_offset);
        count = s->sh_size / sizeof *symbols;
    }
    if (count == 0) die("has no dynamic symbols");
    FILE *out = fopen(argv[3], "w"), *opts = fopen(argv[4], "w");
    if (out == NULL || opts == NULL) die("cannot write the output files");
    emit_symbols(out, count, base);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *p = segment(i);
        if (p->p_type == PT_TLS) die("has thread-local storage");
        if (p->p_type != PT_LOAD || p->p_offset == 0) continue; /* the first holds what only a loader reads */
        emit_segment(out, p);
        fprintf(opts, "-Wl,--section-start=.so.%llx=%#llx\n", (unsigned long long)p->p_vaddr,
                base + p->p_vaddr);
    }
    fprintf(out, ".section .note.GNU-stack,\"\",@progbits\n");
    return fclose(out) == 0 && fclose(opts) == 0 ? 0 : 1;
}
