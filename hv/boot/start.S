/* SPDX-License-Identifier: MIT
 *
 * First instructions. Multiboot2 (GRUB) and PVH (QEMU -kernel) both enter in 32-bit protected mode with paging off and EBX
 * pointing at what the loader has to say (Multiboot2 3.3; Xen docs/misc/pvh).
 */
#include "boot/layout.h"

#define MB2_MAGIC        0xe85250d6
#define MB2_LOADED_MAGIC 0x36d76289
#define MB2_ARCH_I386    0

#define PTE_PRESENT 1
#define PTE_WRITE   2
#define PTE_LARGE   0x80

    .section .multiboot2, "a"
    .balign 8
mb2_header:
    .long MB2_MAGIC, MB2_ARCH_I386, mb2_header_end - mb2_header
    .long -(MB2_MAGIC + MB2_ARCH_I386 + (mb2_header_end - mb2_header))
    /* Information request: command line, modules, memory map; ACPI tables where there are any (bit 0: optional). */
    .balign 8
1:  .word 1, 0
    .long 2f - 1b, 1, 3, 6
2:  .balign 8
1:  .word 1, 1
    .long 2f - 1b, 14, 15
2:  .balign 8
1:  .word 3, 0 /* entry address */
    .long 2f - 1b, PHYS(multiboot2_start)
2:  .balign 8
1:  .word 6, 0 /* modules on page boundaries */
    .long 8
    .balign 8
    .word 0, 0
    .long 8
mb2_header_end:

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad PHYS(pvh_start)

    .text
    .code32
    .globl multiboot2_start, pvh_start
pvh_start:
    xor %esi, %esi
    jmp 1f
multiboot2_start:
    mov %eax, %esi /* MB2_LOADED_MAGIC, or something else has started us */
1:  cli
    cld
    mov $PHYS(boot_stacks + 4096 + STACK_BYTES), %esp
    rdtsc
    mov %eax, PHYS(tsc_entry)
    mov %edx, PHYS(tsc_entry) + 4

    /* Long mode or nothing. */
    mov $0x80000000, %eax
    push %ebx
    cpuid
    cmp $0x80000001, %eax
    jb no_long_mode
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc no_long_mode
    bt $20, %edx /* NX */
    jnc no_long_mode
    pop %ebx

    /* The first 4 GiB by 2 MiB pages: at 0 for as long as this code runs, and in the direct map. The image sees the first of them. */
    mov $PHYS(early_pd), %edi
    mov $(PTE_PRESENT | PTE_WRITE | PTE_LARGE), %eax
    mov $2048, %ecx
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $PHYS(early_pdpt), %edi
    mov $(PHYS(early_pd) + PTE_PRESENT + PTE_WRITE), %eax
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 1b
    movl $(PHYS(early_pd) + PTE_PRESENT + PTE_WRITE), PHYS(early_image_pdpt) + 510 * 8
    mov $(PHYS(early_pdpt) + PTE_PRESENT + PTE_WRITE), %eax
    mov %eax, PHYS(early_pml4)
    mov %eax, PHYS(early_pml4) + 256 * 8
    movl $(PHYS(early_image_pdpt) + PTE_PRESENT + PTE_WRITE), PHYS(early_pml4) + 511 * 8

    mov $PHYS(boot_long), %edi
    jmp long_mode

/* 32-bit code, paging off: goes on in 64-bit mode at the physical address in EDI, as the image sees it, on the early
 * tables. EBX and ESI stay. Other CPUs come by here, too (x86/smp_entry.S). */
    .globl long_mode
long_mode:
    mov $PHYS(early_pml4), %eax
    mov %eax, %cr3
    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx /* EFER: LME, NXE */
    rdmsr
    or $0x900, %eax
    wrmsr
    /* Paging and write protection; GRUB leaves caching off (CD and NW set): on with it. */
    mov $0x80010033, %eax /* PG WP NE ET MP PE */
    mov %eax, %cr0
    lgdt PHYS(early_gdtr)
    ljmp $0x08, $PHYS(1f)

    .code64
1:  xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov %edi, %edi
    add $CORE_BASE, %rdi
    jmp *%rdi

boot_long:
    mov $(boot_stacks + 4096 + STACK_BYTES), %rsp
    xor %ebp, %ebp
    xor %edi, %edi
    cmp $MB2_LOADED_MAGIC, %esi
    sete %dil
    mov %ebx, %esi
    call boot_start
    ud2

    .code32
no_long_mode:
    /* No console yet, and it would be a museum piece: say it on the serial port as it is. */
    mov $PHYS(no_long_mode_text), %esi
    mov $0x3f8, %edx
1:  lodsb
    test %al, %al
    jz 2f
    out %al, %dx
    mov $100000, %ecx
3:  pause
    loop 3b
    jmp 1b
2:  hlt
    jmp 2b

    .section .rodata
no_long_mode_text:
    .asciz "tithe: this CPU has no 64-bit mode with NX; Tithe cannot run on it\r\n"
    .balign 8
    .globl early_gdt
early_gdt: /* 64-bit code; 32-bit code and data */
    .quad 0, 0x00af9b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
early_gdtr:
    .word EARLY_GDT_LIMIT
    .long PHYS(early_gdt)

    .bss
    .balign 4096
    .globl early_pml4
early_pml4: .skip 4096
early_pdpt: .skip 4096
early_image_pdpt: .skip 4096
early_pd: .skip 4 * 4096
    .balign 8
    .globl tsc_entry
tsc_entry: .skip 8

    .section .stacks, "aw", @nobits
    .balign 4096
    .globl boot_stacks
boot_stacks:
    .skip 4096 + STACK_BYTES + IST_STACKS * (4096 + IST_STACK_BYTES)

    .section .note.GNU-stack, "", @progbits
