/* SPDX-License-Identifier: MIT */
#include "dev/pic.h"

#include "lib/string.h"

#define CASCADE 2u /* the master's input that the slave drives */

#define ICW1_ICW4     0x01u
#define ICW1_SINGLE   0x02u
#define ICW1          0x10u
#define ICW4_AUTO_EOI 0x02u
#define OCW3          0x08u
#define OCW3_POLL     0x04u

enum {
    ROTATE_AUTO_OFF,
    EOI,
    NOTHING,
    EOI_SPECIFIC,
    ROTATE_AUTO_ON,
    EOI_ROTATE,
    SET_LOWEST,
    EOI_SPECIFIC_ROTATE
};

void pic_init(struct pic *pic)
{
    memset(pic, 0, sizeof *pic);
    for (unsigned i = 0; i < 2; i++) {
        /* As a PC's firmware leaves them: its vectors, and, since there is no firmware to serve them, all masked. */
        pic->chip[i].base = i == 0 ? 0x08 : 0x70;
        pic->chip[i].imr = 0xFF;
        pic->chip[i].lowest = 7;
    }
}

static uint8_t bit(unsigned input)
{
    return (uint8_t)(1u << input);
}

/* The input of highest priority among `inputs`, or -1. */
static int first(const struct pic_chip *c, uint8_t inputs)
{
    for (unsigned i = 1; i <= 8; i++) {
        const unsigned input = (c->lowest + i) & 7;
        if ((inputs & bit(input)) != 0) return (int)input;
    }
    return -1;
}

static unsigned rank(const struct pic_chip *c, int input)
{
    return ((unsigned)input - c->lowest - 1) & 7;
}

static int chip_pending(const struct pic_chip *c, uint8_t requests)
{
    const int next = first(c, requests & (uint8_t)~c->imr);
    if (next < 0) return -1;
    const uint8_t blocking = c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
    const int serviced = first(c, blocking);
    return serviced >= 0 && rank(c, serviced) <= rank(c, next) ? -1 : next;
}

static uint8_t master_requests(const struct pic *pic)
{
    const struct pic_chip *slave = &pic->chip[1];
    const uint8_t own = pic->chip[0].irr & (uint8_t)~bit(CASCADE);
    return chip_pending(slave, slave->irr) >= 0 ? own | bit(CASCADE) : own;
}

void pic_line(struct pic *pic, uint32_t irq, bool level)
{
    if (irq >= 16 || irq == CASCADE) return;
    struct pic_chip *c = &pic->chip[irq / 8];
    const uint8_t mask = bit(irq % 8);
    if (level && ((c->lines & mask) == 0 || (c->elcr & mask) != 0)) c->irr |= mask;
    if (!level && (c->elcr & mask) != 0) c->irr &= (uint8_t)~mask;
    c->lines = level ? c->lines | mask : c->lines & (uint8_t)~mask;
}

int pic_pending(const struct pic *pic)
{
    if ((pic->chip[0].irr | pic->chip[1].irr) == 0) return -1;
    const int input = chip_pending(&pic->chip[0], master_requests(pic));
    if (input != (int)CASCADE) return input < 0 ? -1 : pic->chip[0].base + input;
    const struct pic_chip *slave = &pic->chip[1];
    return slave->base + chip_pending(slave, slave->irr);
}

static void acknowledge(struct pic_chip *c, unsigned input)
{
    if ((c->elcr & bit(input)) == 0) c->irr &= (uint8_t)~bit(input);
    if (!c->auto_eoi) {
        c->isr |= bit(input);
    } else if (c->rotate_auto) {
        c->lowest = (uint8_t)input;
    }
}

uint8_t pic_take(struct pic *pic)
{
    struct pic_chip *master = &pic->chip[0], *slave = &pic->chip[1];
    const int input = chip_pending(master, master_requests(pic));
    if (input < 0) return (uint8_t)(master->base + 7); /* spurious */
    if (input != (int)CASCADE) {
        acknowledge(master, (unsigned)input);
        return (uint8_t)(master->base + input);
    }
    const int below = chip_pending(slave, slave->irr);
    acknowledge(master, CASCADE);
    acknowledge(slave, (unsigned)below);
    return (uint8_t)(slave->base + below);
}

/* ---- registers ---- */

static void command(struct pic_chip *c, uint8_t value)
{
    const int serviced = first(c, c->isr);
    const uint8_t input = value & 7;
    switch (value >> 5) {
    case EOI:
    case EOI_ROTATE:
        if (serviced < 0) break;
        c->isr &= (uint8_t)~bit((unsigned)serviced);
        if (value >> 5 == EOI_ROTATE) c->lowest = (uint8_t)serviced;
        break;
    case EOI_SPECIFIC_ROTATE:
        c->lowest = input;
        c->isr &= (uint8_t)~bit(input);
        break;
    case EOI_SPECIFIC: c->isr &= (uint8_t)~bit(input); break;
    case SET_LOWEST: c->lowest = input; break;
    case ROTATE_AUTO_ON:
    case ROTATE_AUTO_OFF: c->rotate_auto = value >> 5 == ROTATE_AUTO_ON; break;
    default: break;
    }
}

static void write_command(struct pic_chip *c, uint8_t value)
{
    if ((value & ICW1) != 0) {
        c->irr = c->lines & c->elcr;
        c->isr = c->imr = 0;
        c->lowest = 7;
        c->auto_eoi = c->rotate_auto = c->special_mask = c->read_isr = c->poll = false;
        c->want_icw4 = (value & ICW1_ICW4) != 0;
        c->single = (value & ICW1_SINGLE) != 0;
        c->init = 2;
    } else if ((value & OCW3) != 0) {
        c->poll = (value & OCW3_POLL) != 0;
        if ((value & 0x02) != 0) c->read_isr = (value & 0x01) != 0;
        if ((value & 0x40) != 0) c->special_mask = (value & 0x20) != 0;
    } else {
        command(c, value);
    }
}

static void write_data(struct pic_chip *c, uint8_t value)
{
    switch (c->init) {
    case 2:
        c->base = value & 0xF8;
        c->init = !c->single ? 3 : c->want_icw4 ? 4 : 0;
        break;
    case 3: /* the cascade is wired as in every PC */ c->init = c->want_icw4 ? 4 : 0; break;
    case 4:
        c->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
        c->init = 0;
        break;
    default: c->imr = value; break;
    }
}

void pic_write(struct pic *pic, uint16_t port, uint8_t value)
{
    if (port >= 0x4D0) {
        /* Timer, keyboard, cascade, clock and coprocessor are always edge-triggered. */
        struct pic_chip *c = &pic->chip[port - 0x4D0];
        c->elcr = value & (port == 0x4D0 ? 0xF8 : 0xDE);
        return;
    }
    struct pic_chip *c = &pic->chip[port >= 0xA0];
    if ((port & 1) == 0) {
        write_command(c, value);
    } else {
        write_data(c, value);
    }
}

static uint8_t poll(struct pic *pic, struct pic_chip *c)
{
    c->poll = false;
    const int input = chip_pending(c, c == &pic->chip[0] ? master_requests(pic) : c->irr);
    if (input < 0) return 0;
    acknowledge(c, (unsigned)input);
    return (uint8_t)(0x80 | input);
}

uint8_t pic_read(struct pic *pic, uint16_t port)
{
    if (port >= 0x4D0) return pic->chip[port - 0x4D0].elcr;
    struct pic_chip *c = &pic->chip[port >= 0xA0];
    if (c->poll) return poll(pic, c);
    if ((port & 1) != 0) return c->imr;
    if (c->read_isr) return c->isr;
    return c == &pic->chip[0] ? master_requests(pic) : c->irr;
}
