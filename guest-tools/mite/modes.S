// SPDX-License-Identifier: MIT
// Round trips through real mode and through another task.
    .text
    .code32

#define REAL_CODE 0x7000
#define REAL_STACK 0x7F00

// void real_mode_trip(void): copies the piece below to low memory, which mite does not use, and runs it.
    .globl real_mode_trip
real_mode_trip:
    pusha
    mov $real_piece, %esi
    mov $REAL_CODE, %edi
    mov $(real_piece_end - real_piece), %ecx
    rep movsb
    mov %esp, saved_stack
    ljmp $0x18, $REAL_CODE

    .code16
real_piece:
    mov $0x20, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %cr0, %eax
    and $~1, %eax
    mov %eax, %cr0
    ljmp $0, $(REAL_CODE + 1f - real_piece)
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $REAL_STACK, %sp
    xor %eax, %eax
    cpuid
    mov $0x3FF, %dx             // the UART's scratch register
    in %dx, %al
    out %al, %dx
    mov $0xF000, %ax            // the last bytes of the first MiB
    mov %ax, %es
    mov %es:0xFFFC, %eax
    mov $0xFFFF, %ax            // and beyond them
    mov %ax, %es
    mov %es:0x1000, %eax
    pushfl
    popfl
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x08, $2f
real_piece_end:

    .code32
2:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov saved_stack, %esp
    popa
    ret

// void task_switch_trip(void): far jump to task 0x30, which jumps back to task 0x28.
    .globl task_switch_trip
task_switch_trip:
    pusha
    ljmp $0x30, $0
    popa
    ret

    .globl task_other
task_other:
    ljmp $0x28, $0
    jmp task_other

    .data
    .balign 4
saved_stack:
    .long 0

    .section .note.GNU-stack, "", @progbits
