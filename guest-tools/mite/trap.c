// SPDX-License-Identifier: MIT
#include "trap.h"

#include "console.h"

#define EXIT_UNEXPECTED_EXCEPTION 3

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t type;
    uint16_t offset_high;
};

struct table_pointer {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

extern const uint8_t trap_stubs[];
extern uint32_t guard_stack;
bool guard_enter(void (*operation)(void *), void *argument);
_Noreturn void guard_escape(void);
void trap_handle(struct trap_frame *frame);

static struct gate idt[VECTOR_COUNT];
static void (*interrupt_handlers[VECTOR_COUNT])(void);
static struct trap_record last;
static uint32_t soft_count;

static void load_idt(uint16_t size_bytes)
{
    struct table_pointer pointer = {(uint16_t)(size_bytes - 1), (uint32_t)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

void trap_init(void)
{
    for (uint32_t v = 0; v < VECTOR_COUNT; v++) {
        uint32_t stub = (uint32_t)trap_stubs + v * 16;
        idt[v] = (struct gate){(uint16_t)stub, 0x08, 0x8E00, (uint16_t)(stub >> 16)};
    }
    trap_load();
}

void trap_load(void)
{
    load_idt(sizeof idt);
}

void trap_on(uint32_t vector, void (*handler)(void))
{
    interrupt_handlers[vector] = handler;
}

bool guarded(void (*operation)(void *), void *argument, struct trap_record *caught)
{
    bool returned = guard_enter(operation, argument);
    if (!returned) *caught = last;
    return returned;
}

uint32_t trap_soft_count(void)
{
    return soft_count;
}

void trap_destroy(void)
{
    load_idt(1);
}

void trap_handle(struct trap_frame *frame)
{
    if (interrupt_handlers[frame->vector]) {
        interrupt_handlers[frame->vector]();
        return;
    }
    if (frame->vector >= VECTOR_EXCEPTIONS) return;
    uint32_t cr2;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    last = (struct trap_record){frame->vector, frame->error, frame->eip, cr2};
    if (guard_stack != 0) {
        if (frame->vector < VECTOR_DEBUG || frame->vector > VECTOR_OVERFLOW) guard_escape();
        soft_count++;
        return;
    }
    say("\nmite: exception vector=%u error=0x%x eip=0x%x cr2=0x%x\n", last.vector, last.error, last.eip,
        last.cr2);
    machine_exit(EXIT_UNEXPECTED_EXCEPTION);
}
