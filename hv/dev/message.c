/* SPDX-License-Identifier: MIT
 *
 * Interrupt messages between APICs: who gets them and what they do there (SDM 3A 11.6, 11.11).
 */
#include "dev/platform.h"

#define ESR_ILLEGAL_SENT (1u << 5)

#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT  (1u << 14)
#define ICR_LEVEL   (1u << 15)

enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS }; /* shorthands */

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

/* To all that match except one. Lowest priority: to the least busy of those that take interrupts, the lowest id among
 * equals. Others reach software-disabled LAPICs as well, which drop what is not NMI, INIT or SIPI (SDM 3A 11.4.7.2). */
static void deliver(struct platform *p, const struct lapic *except, uint32_t dest, bool logical,
                    uint32_t mode, uint8_t vector, bool level)
{
    struct lapic *best = NULL, *l;
    for (uint32_t i = 0; (l = p->ops->lapic(p->ctx, i)) != NULL; i++) {
        if (l == except || !lapic_matches(l, dest, logical)) continue;
        if (mode != LAPIC_LOWEST) {
            deliver_one(p, l, mode, vector, level);
        } else if (lapic_enabled(l) && (best == NULL || lapic_ppr(l) < lapic_ppr(best))) {
            best = l;
        }
    }
    if (best != NULL) deliver_one(p, best, mode, vector, level);
}

void platform_deliver(struct platform *p, uint32_t dest, bool logical, uint32_t mode, uint8_t vector,
                      bool level)
{
    deliver(p, NULL, dest, logical, mode, vector, level);
}

void lapic_send(struct lapic *l, uint64_t icr, bool x2apic)
{
    struct platform *p = l->platform;
    const uint32_t low = (uint32_t)icr;
    const uint32_t mode = low >> 8 & 7, shorthand = low >> 18 & 3;
    const uint8_t vector = (uint8_t)low;
    uint32_t dest = x2apic ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56);

    if ((mode == LAPIC_FIXED || mode == LAPIC_LOWEST) && vector < 16) {
        lapic_error(l, ESR_ILLEGAL_SENT);
        return;
    }
    /* INIT level de-assert only synchronises arbitration ids, which nobody has any more. */
    if (mode == LAPIC_INIT && (low & ICR_LEVEL) != 0 && (low & ICR_ASSERT) == 0) return;
    /* Oneself gets no other kind of message by shorthand (SDM 3A table 11-3). */
    if ((shorthand == TO_SELF || shorthand == TO_ALL) && mode != LAPIC_FIXED) return;
    if (!x2apic && dest == 0xFF) dest = LAPIC_BROADCAST;

    switch (shorthand) {
    case TO_SELF: deliver_one(p, l, mode, vector, false); break;
    case TO_ALL: deliver(p, NULL, LAPIC_BROADCAST, false, mode, vector, false); break;
    case TO_OTHERS: deliver(p, l, LAPIC_BROADCAST, false, mode, vector, false); break;
    default: deliver(p, NULL, dest, (low & ICR_LOGICAL) != 0, mode, vector, false); break;
    }
}
