/* SPDX-License-Identifier: MIT
 *
 * uint32_t vmx_enter(uint64_t gpr[GPR_COUNT]);
 *
 * Into the guest and back. Guest RSP, RIP and RFLAGS travel in the VMCS. 0, or the VM-instruction error (SDM 3C 31.4):
 * entry was refused before anything of the guest was loaded. Only general registers are moved here: the FPU is the caller's business.
 */
#define HOST_RSP          0x6C14
#define INSTRUCTION_ERROR 0x4400
#define NOT_LAUNCHED      5

        .text
        .globl vmx_enter
        .type vmx_enter, @function
vmx_enter:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        push %rdi
        mov $HOST_RSP, %eax
        vmwrite %rsp, %rax
        mov 0x00(%rdi), %rax
        mov 0x08(%rdi), %rcx
        mov 0x10(%rdi), %rdx
        mov 0x18(%rdi), %rbx
        mov 0x28(%rdi), %rbp
        mov 0x30(%rdi), %rsi
        mov 0x40(%rdi), %r8
        mov 0x48(%rdi), %r9
        mov 0x50(%rdi), %r10
        mov 0x58(%rdi), %r11
        mov 0x60(%rdi), %r12
        mov 0x68(%rdi), %r13
        mov 0x70(%rdi), %r14
        mov 0x78(%rdi), %r15
        mov 0x38(%rdi), %rdi
        vmresume
        /* Refused. A VMCS that was just loaded is to be launched: found out here, where it costs the others nothing. */
        mov $INSTRUCTION_ERROR, %eax
        vmread %rax, %rax
        cmp $NOT_LAUNCHED, %eax
        jne 3f
        mov (%rsp), %rdi
        mov 0x00(%rdi), %rax
        mov 0x38(%rdi), %rdi
        vmlaunch
        mov $INSTRUCTION_ERROR, %eax
        vmread %rax, %rax
        jmp 3f

        .globl vmx_exit_entry
vmx_exit_entry:
        push %rdi
        mov 8(%rsp), %rdi
        mov %rax, 0x00(%rdi)
        mov %rcx, 0x08(%rdi)
        mov %rdx, 0x10(%rdi)
        mov %rbx, 0x18(%rdi)
        mov %rbp, 0x28(%rdi)
        mov %rsi, 0x30(%rdi)
        pop 0x38(%rdi)
        mov %r8, 0x40(%rdi)
        mov %r9, 0x48(%rdi)
        mov %r10, 0x50(%rdi)
        mov %r11, 0x58(%rdi)
        mov %r12, 0x60(%rdi)
        mov %r13, 0x68(%rdi)
        mov %r14, 0x70(%rdi)
        mov %r15, 0x78(%rdi)
        xor %eax, %eax
3:      pop %rdi
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret
        .size vmx_enter, . - vmx_enter

        .section .note.GNU-stack, "", @progbits
