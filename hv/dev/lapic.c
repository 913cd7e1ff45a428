/* SPDX-License-Identifier: MIT
 *
 * Interrupt state of a local APIC: what is requested, in service, and next. Registers: lapic_regs.c.
 */
#include "dev/lapic.h"

#include "dev/platform.h"
#include "lib/string.h"

#define LVT_MASKED           (1u << 16)
#define SVR_ENABLE           (1u << 8)
#define ESR_ILLEGAL_RECEIVED (1u << 6)

static void set_bit(uint32_t *words, uint32_t bit)
{
    words[bit / 32] |= 1u << bit % 32;
}
static void clear_bit(uint32_t *words, uint32_t bit)
{
    words[bit / 32] &= ~(1u << bit % 32);
}

static int highest(const uint32_t *words)
{
    for (int i = 7; i >= 0; i--) {
        if (words[i] != 0) return i * 32 + 31 - __builtin_clz(words[i]);
    }
    return -1;
}

void lapic_reset(struct lapic *l)
{
    memset(l->irr, 0, sizeof l->irr);
    memset(l->isr, 0, sizeof l->isr);
    memset(l->tmr, 0, sizeof l->tmr);
    l->tpr = l->ldr = l->esr = l->esr_pending = 0;
    l->dfr = 0xFFFFFFFF;
    l->svr = 0xFF;
    l->icr = 0;
    for (unsigned i = 0; i < LAPIC_LVTS; i++) l->lvt[i] = LVT_MASKED;
    if ((l->base_msr & LAPIC_BASE_BSP) != 0) {
        /* Virtual wire, as a PC's firmware leaves it (MP 1.4 3.6.2.2). */
        l->lvt[LVT_LINT0] = LAPIC_EXTINT << 8;
        l->lvt[LVT_LINT1] = LAPIC_NMI << 8;
    }
    l->timer_initial = l->timer_divide = 0;
    l->timer_start_ns = 0;
    l->timer_deadline_ns = NO_DEADLINE;
    l->tsc_deadline = 0;
}

void lapic_init(struct lapic *l, struct platform *platform, uint32_t id, bool bsp)
{
    memset(l, 0, sizeof *l);
    l->platform = platform;
    l->id = id;
    l->base_msr = LAPIC_BASE | LAPIC_BASE_ENABLE | (bsp ? LAPIC_BASE_BSP : 0);
    lapic_reset(l);
}

bool lapic_write_base(struct lapic *l, uint64_t value)
{
    const uint64_t mode = LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;
    const uint64_t old = l->base_msr & mode, new = value &mode;
    if ((value & ~(mode | LAPIC_BASE_BSP)) != LAPIC_BASE) return false;
    /* x2APIC only with, and only from, an enabled APIC; from x2APIC only to "disabled" (SDM 3A 11.12.5). */
    if (new == LAPIC_BASE_X2APIC) return false;
    if (new == mode && old == 0) return false;
    if (old == mode && new == LAPIC_BASE_ENABLE) return false;
    l->base_msr = (value & mode) | (l->base_msr & LAPIC_BASE_BSP) | LAPIC_BASE;
    if (new == 0 && old != 0) lapic_reset(l);
    return true;
}

bool lapic_enabled(const struct lapic *l)
{
    return (l->base_msr & LAPIC_BASE_ENABLE) != 0 && (l->svr & SVR_ENABLE) != 0;
}

void lapic_error(struct lapic *l, uint32_t bit)
{
    l->esr_pending |= bit;
    /* An error vector that is itself illegal must not raise an error again. */
    if ((l->lvt[LVT_ERROR] & 0xF0) != 0) lapic_local(l, LVT_ERROR);
}

void lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
    if (!lapic_enabled(l)) return;
    if (vector < 16) {
        lapic_error(l, ESR_ILLEGAL_RECEIVED);
        return;
    }
    set_bit(l->irr, vector);
    if (level) {
        set_bit(l->tmr, vector);
    } else {
        clear_bit(l->tmr, vector);
    }
}

void lapic_local(struct lapic *l, enum lapic_lvt entry)
{
    const uint32_t lvt = l->lvt[entry];
    if ((lvt & LVT_MASKED) != 0) return;
    switch (lvt >> 8 & 7) {
    case LAPIC_FIXED: lapic_accept(l, (uint8_t)lvt, false); break;
    case LAPIC_NMI: l->platform->ops->nmi(l->platform->ctx, l->id); break;
    default: /* SMI: there is none; ExtINT: platform_pic_pending */ break;
    }
}

uint32_t lapic_ppr(const struct lapic *l)
{
    const int serviced = highest(l->isr);
    const uint32_t class = serviced < 0 ? 0 : (uint32_t)serviced & 0xF0;
    return (l->tpr & 0xF0) >= class ? l->tpr : class;
}

int lapic_pending(const struct lapic *l)
{
    const int vector = highest(l->irr);
    if (vector < 0 || ((uint32_t)vector & 0xF0) <= (lapic_ppr(l) & 0xF0)) return -1;
    return vector;
}

void lapic_take(struct lapic *l, uint8_t vector)
{
    clear_bit(l->irr, vector);
    set_bit(l->isr, vector);
}

void lapic_eoi(struct lapic *l)
{
    const int vector = highest(l->isr);
    l->eois++;
    if (vector < 0) return;
    clear_bit(l->isr, (uint32_t)vector);
    if ((l->tmr[vector / 32] >> vector % 32 & 1) != 0) ioapic_eoi(&l->platform->ioapic, (uint8_t)vector);
}

bool lapic_matches(const struct lapic *l, uint32_t dest, bool logical)
{
    if ((l->base_msr & LAPIC_BASE_ENABLE) == 0) return false;
    if (dest == LAPIC_BROADCAST) return true;
    if (!logical) return dest == l->id;
    if ((l->base_msr & LAPIC_BASE_X2APIC) != 0) {
        /* LDR: cluster id >> 4, member bit id & 15 (SDM 3A 11.12.10.2). */
        return dest >> 16 == l->id >> 4 && (dest & 1u << (l->id & 15) & 0xFFFF) != 0;
    }
    const uint32_t mine = l->ldr >> 24;
    if (l->dfr >> 28 == 0xF) return (dest & mine) != 0;
    return dest >> 4 == mine >> 4 && (dest & mine & 0xF) != 0;
}
