// SPDX-License-Identifier: MIT
// Instructions with a memory operand, as a guest may aim them at a device. Each piece gets the
// device's address in EBX and the address of ordinary memory (64 bytes, aligned) in ESI, may change
// every register but ESP, and ends with RET. `exotic_pieces` lists them, a zero word ends the list.
    .text
    .code32

    .macro PIECE
    .pushsection .rodata
    .long 1f
    .popsection
1:
    .endm

    .macro SIMPLE text:vararg
    PIECE
    \text
    ret
    .endm

    .pushsection .rodata
    .balign 4
    .globl exotic_pieces
exotic_pieces:
    .popsection

    // Read, change, write.
    SIMPLE incl (%ebx)
    SIMPLE lock decl (%ebx)
    SIMPLE lock incb 1(%ebx)
    SIMPLE addl $1, (%ebx)
    SIMPLE orw $0x101, 2(%ebx)
    SIMPLE adcl %eax, (%ebx)
    SIMPLE sbbl (%ebx), %eax
    SIMPLE xorb $0xFF, 3(%ebx)
    SIMPLE andl %ecx, (%ebx)
    SIMPLE negl (%ebx)
    SIMPLE notl (%ebx)
    SIMPLE shll $3, (%ebx)
    SIMPLE rorw $1, (%ebx)
    SIMPLE rcll $1, (%ebx)
    SIMPLE shldl $4, %eax, (%ebx)
    SIMPLE xchgl %eax, (%ebx)
    SIMPLE xchgb %al, 1(%ebx)
    SIMPLE lock xaddl %eax, (%ebx)
    SIMPLE lock cmpxchgl %ecx, (%ebx)
    SIMPLE lock cmpxchg8b (%ebx)
    SIMPLE btsl $5, (%ebx)
    SIMPLE lock btrl $5, (%ebx)
    PIECE
    mov $0x47, %eax
    btcl %eax, (%ebx)           // the bit lies eight bytes further on
    ret
    SIMPLE btl $31, (%ebx)
    SIMPLE setc (%ebx)

    // Read.
    SIMPLE movzbl (%ebx), %eax
    SIMPLE movzwl 2(%ebx), %eax
    SIMPLE movsbl 1(%ebx), %eax
    SIMPLE movswl (%ebx), %eax
    SIMPLE movb (%ebx), %ah
    SIMPLE cmpl $0, (%ebx)
    SIMPLE testb $1, (%ebx)
    SIMPLE bsfl (%ebx), %eax
    SIMPLE bsrw (%ebx), %ax
    SIMPLE cmovzl (%ebx), %eax
    SIMPLE imull $3, (%ebx), %eax
    SIMPLE mull (%ebx)
    SIMPLE divl (%ebx)
    SIMPLE idivb (%ebx)
    SIMPLE boundl %eax, (%ebx)
    SIMPLE movbe (%ebx), %eax
    SIMPLE popcntl (%ebx), %eax
    SIMPLE larl (%ebx), %eax
    SIMPLE verr (%ebx)
    SIMPLE arpl %ax, (%ebx)
    PIECE
    xor %eax, %eax
    xlatb
    ret

    // Write.
    SIMPLE movb $0x5A, (%ebx)
    SIMPLE movw $0x5A5A, 2(%ebx)
    SIMPLE movl $0x5A5A5A5A, (%ebx)
    SIMPLE movb %ah, (%ebx)
    SIMPLE movw %cs, (%ebx)
    SIMPLE movnti %eax, (%ebx)
    SIMPLE movbe %eax, (%ebx)

    // Across the boundary of two words, and of two pages.
    SIMPLE movl 3(%ebx), %eax
    SIMPLE movl %eax, 1(%ebx)
    SIMPLE movl 0xFFE(%ebx), %eax
    SIMPLE movl %eax, 0xFFD(%ebx)
    SIMPLE lock incl 0xFFE(%ebx)

    // Odd addressing.
    SIMPLE movl %fs:(%ebx), %eax
    SIMPLE .byte 0x8B, 0x04, 0xE3 // a scale without an index
    PIECE
    mov %ebx, %ecx
    shr $3, %ecx
    mov %ebx, %eax
    and $7, %eax
    movl (%eax,%ecx,8), %edx
    ret
    PIECE
    lea 0x7FFFFFFF(%ebx), %ecx
    movl -0x7FFFFFFF(%ecx), %eax
    ret
    PIECE                       // MOV with an absolute address that fits no ModRM
    movl 0xD0000000, %eax
    movb %al, 0xD0000070
    ret
    PIECE
    .byte 0x2E, 0x3E, 0x26, 0x64, 0x36, 0x65, 0x3E
    movl (%ebx), %eax
    ret

    // The stack.
    .macro UNPUSHED text:vararg
    PIECE
    mov %esp, %ebp
    \text
    mov %ebp, %esp
    ret
    .endm
    UNPUSHED pushl 4(%ebx)
    UNPUSHED pushw (%ebx)
    PIECE
    push $0x55
    popl (%ebx)
    ret
    .macro ON_DEVICE text:vararg
    PIECE
    mov %esp, %edi
    lea 0x100(%ebx), %esp
    \text
    mov %edi, %esp
    ret
    .endm
    ON_DEVICE push %eax
    ON_DEVICE pop %eax
    ON_DEVICE pushw $1
    ON_DEVICE pushf
    ON_DEVICE enter $16, $0
    ON_DEVICE pushl (%ebx)
    ON_DEVICE popl (%ebx)
    PIECE
    mov %esp, %edi
    lea 0x100(%ebx), %esp
    call 2f
2:  mov %edi, %esp
    ret
    PIECE
    mov %esp, %ecx
    lea 0x100(%ebx), %esp
    pusha
    mov %ecx, %esp
    ret

    // Strings: device to memory, memory to device, device to device, and over its edge.
    .macro STRING source, target, count, text:vararg
    PIECE
    mov %esi, %eax
    mov \source, %esi
    mov \target, %edi
    mov $\count, %ecx
    \text
    cld
    ret
    .endm
    STRING %ebx, %eax, 1, movsb
    STRING %ebx, %eax, 4, rep movsl
    STRING %eax, %ebx, 4, rep movsb
    STRING %eax, %ebx, 3, rep movsw
    STRING %ebx, %ebx, 8, rep movsl
    STRING %eax, %ebx, 8, rep stosl
    PIECE
    mov %ebx, %edi
    mov $5, %ecx
    std
    rep stosb
    cld
    ret
    STRING %ebx, %eax, 8, rep lodsl
    STRING %ebx, %eax, 16, repne scasb
    STRING %eax, %ebx, 16, repe scasl
    STRING %ebx, %eax, 16, repe cmpsb
    STRING %ebx, %ebx, 16, repe cmpsl
    STRING %ebx, %eax, 0, rep movsl
    STRING %eax, %ebx, 4096, rep stosb

    // Descriptor tables and system registers to a device, and read from one where that is harmless.
    SIMPLE sgdt (%ebx)
    SIMPLE sidt (%ebx)
    SIMPLE sldt (%ebx)
    SIMPLE str (%ebx)
    SIMPLE smsw (%ebx)
    SIMPLE invlpg (%ebx)
    SIMPLE clflush (%ebx)
    SIMPLE prefetchnta (%ebx)
    SIMPLE lldt (%ebx)
    PIECE
    push %gs
    lgs (%ebx), %eax
    pop %gs
    ret
    PIECE
    push %es
    mov (%ebx), %es
    pop %es
    ret
    PIECE
    lidt (%ebx)
    lidt saved_idt
    ret

    // Floating point and vectors; the caller has switched them on.
    SIMPLE fnstcw (%ebx)
    SIMPLE fnstsw (%ebx)
    SIMPLE fnstenv (%ebx)
    SIMPLE fldl (%ebx)
    SIMPLE fstpt (%ebx)
    SIMPLE fildll (%ebx)
    SIMPLE fistps (%ebx)
    SIMPLE fbstp (%ebx)
    SIMPLE fxsave (%ebx)
    SIMPLE movups (%ebx), %xmm0
    SIMPLE movaps %xmm0, (%ebx)
    SIMPLE movdqu %xmm0, 8(%ebx)
    SIMPLE movd (%ebx), %xmm1
    SIMPLE movq %xmm1, (%ebx)
    SIMPLE movntdq %xmm0, (%ebx)
    SIMPLE paddd (%ebx), %xmm0
    SIMPLE stmxcsr (%ebx)
    PIECE
    mov %ebx, %edi
    pcmpeqb %xmm1, %xmm1
    maskmovdqu %xmm1, %xmm0
    ret

    .pushsection .rodata
    .long 0
    .popsection

// void exotic_call(const void *piece, uint32_t device, void *memory)
    .globl exotic_call
exotic_call:
    push %ebp
    push %ebx
    push %esi
    push %edi
    sidt saved_idt
    mov 20(%esp), %eax
    mov 24(%esp), %ebx
    mov 28(%esp), %esi
    mov %esi, %edi
    mov $1, %edx
    mov $2, %ecx
    call *%eax
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

    .data
    .balign 4
saved_idt:
    .skip 8

    .section .note.GNU-stack, "", @progbits
