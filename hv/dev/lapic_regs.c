/* SPDX-License-Identifier: MIT
 *
 * Registers of a local APIC, by their xAPIC offsets (SDM 3A table 11-1) and as x2APIC MSRs (table 11-6).
 */
#include "dev/lapic.h"

enum {
    REG_ID = 0x020,
    REG_VERSION = 0x030,
    REG_TPR = 0x080,
    REG_APR = 0x090,
    REG_PPR = 0x0A0,
    REG_EOI = 0x0B0,
    REG_LDR = 0x0D0,
    REG_DFR = 0x0E0,
    REG_SVR = 0x0F0,
    REG_ISR = 0x100,
    REG_TMR = 0x180,
    REG_IRR = 0x200,
    REG_ESR = 0x280,
    REG_ICR = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT = 0x320, /* timer to error */
    REG_LVT_LAST = 0x370,
    REG_TIMER_INITIAL = 0x380,
    REG_TIMER_COUNT = 0x390,
    REG_TIMER_DIVIDE = 0x3E0,
    REG_SELF_IPI = 0x3F0,
};

/* Integrated APIC; number of LVT entries less one. */
#define VERSION              (0x14u | (LAPIC_LVTS - 1u) << 16)
#define LVT_MASKED           (1u << 16)
#define SVR_ENABLE           (1u << 8)
#define ICR_BITS             0xCCFFFu   /* without delivery status */
#define ICR_SELF             (1u << 18) /* destination shorthand */
#define ESR_ILLEGAL_REGISTER (1u << 7)

/* Bits of each local vector table entry that can be written (SDM 3A figure 11-8). */
static const uint32_t lvt_bits[LAPIC_LVTS] = {
    [LVT_TIMER] = 0x700FF, [LVT_THERMAL] = 0x107FF, [LVT_PERF] = 0x107FF,
    [LVT_LINT0] = 0x1A7FF, [LVT_LINT1] = 0x1A7FF,   [LVT_ERROR] = 0x100FF,
};

/* Is the door that is used open? */
static bool reachable(const struct lapic *l, bool x2apic)
{
    const uint64_t want = LAPIC_BASE_ENABLE | (x2apic ? LAPIC_BASE_X2APIC : 0);
    return (l->base_msr & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) == want;
}

bool lapic_read(struct lapic *l, uint32_t offset, bool x2apic, uint64_t *value, uint64_t now_ns)
{
    *value = 0;
    if (!reachable(l, x2apic)) return false;
    if (offset >= REG_LVT && offset <= REG_LVT_LAST) {
        *value = l->lvt[(offset - REG_LVT) >> 4];
        return true;
    }
    if (offset >= REG_ISR && offset < REG_ESR) {
        const uint32_t *words = offset < REG_TMR ? l->isr : offset < REG_IRR ? l->tmr : l->irr;
        *value = words[offset >> 4 & 7];
        return true;
    }
    switch (offset) {
    case REG_ID: *value = x2apic ? l->id : l->id << 24; return true;
    case REG_VERSION: *value = VERSION; return true;
    case REG_TPR: *value = l->tpr; return true;
    case REG_APR: /* not in new processors; 0 in xAPIC mode */ return !x2apic;
    case REG_PPR: *value = lapic_ppr(l); return true;
    case REG_EOI: /* write-only */ return !x2apic;
    case REG_LDR: *value = x2apic ? (l->id >> 4) << 16 | 1u << (l->id & 15) : l->ldr; return true;
    case REG_DFR: *value = l->dfr; return !x2apic;
    case REG_SVR: *value = l->svr; return true;
    case REG_ESR: *value = l->esr; return true;
    case REG_ICR: *value = x2apic ? l->icr : (uint32_t)l->icr; return true;
    case REG_ICR_HIGH: *value = l->icr >> 32; return !x2apic;
    case REG_TIMER_INITIAL: *value = l->timer_initial; return true;
    case REG_TIMER_COUNT: *value = lapic_timer_count(l, now_ns); return true;
    case REG_TIMER_DIVIDE: *value = l->timer_divide; return true;
    default:
        if (x2apic) return false;
        lapic_error(l, ESR_ILLEGAL_REGISTER);
        return true;
    }
}

static void write_svr(struct lapic *l, uint32_t value)
{
    l->svr = value & 0x1FF;
    if ((l->svr & SVR_ENABLE) != 0) return;
    for (unsigned i = 0; i < LAPIC_LVTS; i++) l->lvt[i] |= LVT_MASKED;
}

static bool write_lvt(struct lapic *l, unsigned entry, bool x2apic, uint64_t value, uint64_t now_ns)
{
    const uint32_t old = l->lvt[entry];
    const uint32_t status = 1u << 12 | 1u << 14; /* read-only bits, ignored */
    if (x2apic && (value & ~(uint64_t)(lvt_bits[entry] | status)) != 0) return false;
    l->lvt[entry] = (uint32_t)value & lvt_bits[entry];
    if ((l->svr & SVR_ENABLE) == 0) l->lvt[entry] |= LVT_MASKED;
    if (entry == LVT_TIMER) lapic_timer_mode_changed(l, old, now_ns);
    return true;
}

/* What an x2APIC refuses that an xAPIC ignores: reserved bits and read-only registers. */
static bool x2apic_refuses(uint32_t offset, uint64_t value)
{
    switch (offset) {
    case REG_ICR: return (value & 0xFFFFFFFF & ~(uint64_t)(ICR_BITS | 1u << 12)) != 0;
    case REG_EOI:
    case REG_ESR: return value != 0;
    case REG_TPR:
    case REG_SELF_IPI: return value > 0xFF;
    case REG_SVR: return (value & ~0x1FFull) != 0;
    case REG_TIMER_INITIAL: return value > UINT32_MAX;
    case REG_TIMER_DIVIDE: return (value & ~0xBull) != 0;
    default: return offset < REG_LVT || offset > REG_LVT_LAST; /* checked by write_lvt */
    }
}

bool lapic_write(struct lapic *l, uint32_t offset, bool x2apic, uint64_t value, uint64_t now_ns)
{
    if (!reachable(l, x2apic)) return false;
    if (x2apic && x2apic_refuses(offset, value)) return false;
    if (offset >= REG_LVT && offset <= REG_LVT_LAST) {
        return write_lvt(l, (offset - REG_LVT) >> 4, x2apic, value, now_ns);
    }
    switch (offset) {
    case REG_EOI: lapic_eoi(l); break;
    case REG_TPR: l->tpr = (uint32_t)value & 0xFF; break;
    case REG_LDR: l->ldr = (uint32_t)value & 0xFF000000; break;
    case REG_DFR: l->dfr = (uint32_t)value | 0x0FFFFFFF; break;
    case REG_SVR: write_svr(l, (uint32_t)value); break;
    case REG_ESR:
        l->esr = l->esr_pending;
        l->esr_pending = 0;
        break;
    case REG_ICR:
        l->icr = x2apic ? value & (0xFFFFFFFF00000000 | ICR_BITS)
                        : (l->icr & 0xFFFFFFFF00000000) | (value & ICR_BITS);
        lapic_send(l, l->icr, x2apic);
        break;
    case REG_ICR_HIGH: l->icr = (uint32_t)l->icr | (value & 0xFF000000) << 32; break;
    case REG_TIMER_INITIAL: lapic_timer_start(l, (uint32_t)value, now_ns); break;
    case REG_TIMER_DIVIDE: lapic_timer_divide(l, (uint32_t)value, now_ns); break;
    case REG_SELF_IPI:
        if (x2apic) {
            lapic_send(l, ICR_SELF | value, true);
        } else {
            lapic_error(l, ESR_ILLEGAL_REGISTER);
        }
        break;
    case REG_ID: /* fixed; read-only registers ignore writes */
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_TIMER_COUNT: break;
    default: lapic_error(l, ESR_ILLEGAL_REGISTER); break;
    }
    return true;
}
