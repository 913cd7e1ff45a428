// SPDX-License-Identifier: MIT
// Entry from a Multiboot loader, the exception stubs, and the escape from a guarded call.
#include "multiboot.h"

#define HEADER_FLAGS (MULTIBOOT_WANT_PAGE_ALIGN | MULTIBOOT_WANT_MEMORY_INFO)

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_HEADER_MAGIC
    .long HEADER_FLAGS
    .long -(MULTIBOOT_HEADER_MAGIC + HEADER_FLAGS)

    .text
    .code32
    .globl start
start:
    cli
    cld
    mov $boot_stack_top, %esp
    xor %ebp, %ebp
    push $0
    popf
    // The loader's GDT may lie in memory about to be overwritten (Multiboot 3.2).
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  mov $0x10, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %fs
    mov %ecx, %gs
    mov %ecx, %ss
    push %ebx
    push %eax
    call kernel_main
2:  cli
    hlt
    jmp 2b

// One stub per vector, 16 bytes apart, so that the IDT needs no table of addresses. Every frame
// has an error code: pushed by the CPU where the architecture does, zero elsewhere.
    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    pushl $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

trap_common:
    pusha
    cld
    push %esp
    call trap_handle
    add $4, %esp
    popa
    add $8, %esp
    iret

// bool guard_enter(void (*operation)(void *), void *argument): true if it returned by itself,
// false if trap_handle() left it through guard_escape().
    .globl guard_enter
guard_enter:
    push %ebp
    push %ebx
    push %esi
    push %edi
    push guard_stack
    mov %esp, guard_stack
    mov 24(%esp), %eax
    mov 28(%esp), %ecx
    push %ecx
    call *%eax
    add $4, %esp
    mov $1, %eax
guard_leave:
    pop guard_stack
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

    .globl guard_escape
guard_escape:
    // The operation may have loaded anything into the segment registers.
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov guard_stack, %esp
    cld
    xor %eax, %eax
    jmp guard_leave

    .data
    .balign 8
    .globl gdt
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF    // 0x08 flat code
    .quad 0x00CF92000000FFFF    // 0x10 flat data
    .quad 0x00009A000000FFFF    // 0x18 16-bit code, base 0
    .quad 0x000092000000FFFF    // 0x20 16-bit data, base 0
    .quad 0                     // 0x28 and 0x30: task segments, filled in by who needs them
    .quad 0
gdt_end:
    .globl gdt_pointer
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .globl guard_stack
guard_stack:
    .long 0

    .bss
    .balign 16
    .skip 16384
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
