/* SPDX-License-Identifier: MIT
 *
 * Interrupt messages between APICs: who gets them and what they do there (SDM 3A 11.6, 11.11).
 */
#include "dev/platform.h"

#define ESR_ILLEGAL_SENT (1u << 5)

#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT  (1u << 14)
#define ICR_LEVEL   (1u << 15)

enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

static void deliver_one(struct platform *p, struct lapic *l, uint32_t mode, uint8_t vector, bool level)
{
    switch (mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        lapic_accept(l, vector, level);
        p->ops->kick(p->ctx, l->id);
        break;
    case LAPIC_NMI: p->ops->nmi(p->ctx, l->id); break;
    case LAPIC_INIT: p->ops->init_vcpu(p->ctx, l->id); break;
    case LAPIC_SIPI: p->ops->start_vcpu(p->ctx, l->id, vector); break;
    default: /* there is no SMM, and ExtINT comes by LINT0 only */ break;
    }
}

/* Of all that match, the least busy; the lowest id among equals. */
static void deliver_lowest(struct platform *p, uint32_t dest, bool logical, uint8_t vector, bool level)
{
    struct lapic *best = NULL, *l;
    for (uint32_t i = 0; (l = p->ops->lapic(p->ctx, i)) != NULL; i++) {
        if (lapic_matches(l, dest, logical) && lapic_enabled(l) &&
            (best == NULL || lapic_ppr(l) < lapic_ppr(best))) {
            best = l;
        }
    }
    if (best != NULL) deliver_one(p, best, LAPIC_LOWEST, vector, level);
}

void platform_deliver(struct platform *p, uint32_t dest, bool logical, uint32_t mode, uint8_t vector,
                      bool level)
{
    if (mode == LAPIC_LOWEST) {
        deliver_lowest(p, dest, logical, vector, level);
        return;
    }
    struct lapic *l;
    for (uint32_t i = 0; (l = p->ops->lapic(p->ctx, i)) != NULL; i++) {
        if (lapic_matches(l, dest, logical)) deliver_one(p, l, mode, vector, level);
    }
}

void lapic_send(struct lapic *l, uint64_t icr, bool x2apic)
{
    struct platform *p = l->platform;
    const uint32_t low = (uint32_t)icr;
    const uint32_t mode = low >> 8 & 7;
    const uint8_t vector = (uint8_t)low;
    uint32_t dest = x2apic ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56);

    if ((mode == LAPIC_FIXED || mode == LAPIC_LOWEST) && vector < 16) {
        lapic_error(l, ESR_ILLEGAL_SENT);
        return;
    }
    /* INIT level de-assert only synchronises arbitration ids, which nobody has any more. */
    if (mode == LAPIC_INIT && (low & ICR_LEVEL) != 0 && (low & ICR_ASSERT) == 0) return;
    if (!x2apic && dest == 0xFF) dest = LAPIC_BROADCAST;

    switch (low >> 18 & 3) {
    case TO_SELF:
        if (mode == LAPIC_FIXED) lapic_accept(l, vector, false);
        return;
    case TO_DEST: platform_deliver(p, dest, (low & ICR_LOGICAL) != 0, mode, vector, false); return;
    default: break;
    }
    struct lapic *other;
    for (uint32_t i = 0; (other = p->ops->lapic(p->ctx, i)) != NULL; i++) {
        if ((other != l || (low >> 18 & 3) == TO_ALL) && (other->base_msr & LAPIC_BASE_ENABLE) != 0) {
            deliver_one(p, other, mode, vector, false);
        }
    }
}
