/* SPDX-License-Identifier: MIT */
#include "dev/pit.h"

#include "dev/platform.h"
#include "lib/string.h"

#define SECOND_NS        1000000000ull
/* A guest that asks for shorter periods would only starve itself. */
#define PERIOD_MIN_TICKS 60u

#define SPEAKER_GATE    0x01u
#define SPEAKER_BITS    0x03u
#define SPEAKER_REFRESH 0x10u
#define SPEAKER_OUT     0x20u
#define REFRESH_NS      15085u

static uint64_t ns_to_ticks(uint64_t ns)
{
    return ns / SECOND_NS * PIT_HZ + ns % SECOND_NS * PIT_HZ / SECOND_NS;
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
    return ticks / PIT_HZ * SECOND_NS + (ticks % PIT_HZ * SECOND_NS + PIT_HZ - 1) / PIT_HZ;
}

/* Modes 1 and 5 wait for the gate's rising edge, and do not stop when it falls. */
static bool gate_triggers(const struct pit_channel *c)
{
    return c->mode == 1 || c->mode == 5;
}
static bool periodic(const struct pit_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Ticks counted since the count was loaded or the gate triggered. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t now_ns)
{
    if (!c->running) return c->held_ticks;
    /* Another CPU may have started it, with a clock a little ahead of ours. */
    return c->held_ticks + (now_ns > c->start_ns ? ns_to_ticks(now_ns - c->start_ns) : 0);
}

static bool output(const struct pit_channel *c, uint64_t now_ns)
{
    if (!c->loaded) return c->mode != 0;
    const uint64_t ticks = elapsed(c, now_ns);
    switch (c->mode) {
    case 0: return ticks >= c->reload;
    case 1: return !c->running || ticks >= c->reload;
    case 2: return !c->gate || ticks % c->reload != c->reload - 1;
    case 3: return !c->gate || ticks % c->reload < (c->reload + 1) / 2;
    default: return ticks != c->reload;
    }
}

static uint16_t count(const struct pit_channel *c, uint64_t now_ns)
{
    const uint64_t ticks = elapsed(c, now_ns);
    uint32_t left;
    if (c->mode == 3) {
        left = c->reload - (uint32_t)(2 * ticks % c->reload); /* counts by two */
    } else if (c->mode == 2) {
        left = c->reload - (uint32_t)(ticks % c->reload);
    } else {
        left = c->reload - (uint32_t)ticks;
    }
    if (!c->bcd) return (uint16_t)left;
    left %= 10000;
    return (uint16_t)(left / 1000 << 12 | left / 100 % 10 << 8 | left / 10 % 10 << 4 | left % 10);
}

/* When channel 0 next raises its output. */
static void schedule(struct pit *pit, uint64_t now_ns)
{
    const struct pit_channel *c = &pit->channel[0];
    const uint64_t ticks = elapsed(c, now_ns);
    pit->next_ns = NO_DEADLINE;
    if (!c->loaded || gate_triggers(c)) return;
    if (periodic(c)) {
        const uint64_t period = c->reload < PERIOD_MIN_TICKS ? PERIOD_MIN_TICKS : c->reload;
        pit->next_ns = c->start_ns + ticks_to_ns((ticks / period + 1) * period);
    } else if (ticks < c->reload) {
        pit->next_ns = c->start_ns + ticks_to_ns(c->reload);
    }
}

void pit_init(struct pit *pit, struct platform *platform, uint64_t now_ns)
{
    memset(pit, 0, sizeof *pit);
    pit->platform = platform;
    pit->next_ns = NO_DEADLINE;
    for (unsigned i = 0; i < 3; i++) {
        struct pit_channel *c = &pit->channel[i];
        c->mode = 3;
        c->access = 3;
        c->reload = 0x10000;
        c->gate = i != 2;
        c->start_ns = now_ns;
    }
}

uint64_t pit_poll(struct pit *pit, uint64_t now_ns)
{
    if (now_ns >= pit->next_ns) {
        platform_gsi(pit->platform, GSI_TIMER, true);
        platform_gsi(pit->platform, GSI_TIMER, false);
        schedule(pit, now_ns);
    }
    return pit->next_ns;
}

/* ---- registers ---- */

static void load(struct pit *pit, struct pit_channel *c, uint32_t value, uint64_t now_ns)
{
    if (c->bcd)
        value = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
    c->reload = value != 0 ? value : c->bcd ? 10000 : 0x10000;
    c->loaded = true;
    c->held_ticks = 0;
    c->start_ns = now_ns;
    c->running = c->gate && !gate_triggers(c);
    if (c == &pit->channel[0]) schedule(pit, now_ns);
}

static void write_count(struct pit *pit, struct pit_channel *c, uint8_t value, uint64_t now_ns)
{
    switch (c->access) {
    case 1: load(pit, c, value, now_ns); break;
    case 2: load(pit, c, (uint32_t)value << 8, now_ns); break;
    default:
        if (c->write_high) {
            load(pit, c, c->low | (uint32_t)value << 8, now_ns);
        } else {
            c->low = value;
        }
        c->write_high = !c->write_high;
        break;
    }
}

static void latch(struct pit_channel *c, uint64_t now_ns)
{
    if (c->count_latched) return; /* the first one holds until it is read */
    c->latch = count(c, now_ns);
    c->count_latched = true;
}

static void read_back(struct pit *pit, uint8_t value, uint64_t now_ns)
{
    for (unsigned i = 0; i < 3; i++) {
        struct pit_channel *c = &pit->channel[i];
        if ((value >> (i + 1) & 1) == 0) continue;
        if ((value & 0x20) == 0) latch(c, now_ns);
        if ((value & 0x10) == 0 && !c->status_latched) {
            c->status = (uint8_t)((output(c, now_ns) ? 0x80 : 0) | (c->loaded ? 0 : 0x40) | c->access << 4 |
                                  c->mode << 1 | (c->bcd ? 1 : 0));
            c->status_latched = true;
        }
    }
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now_ns)
{
    const unsigned index = value >> 6;
    if (index == 3) {
        read_back(pit, value, now_ns);
        return;
    }
    struct pit_channel *c = &pit->channel[index];
    const uint8_t access = value >> 4 & 3;
    if (access == 0) {
        latch(c, now_ns);
        return;
    }
    c->access = access;
    c->mode = value >> 1 & 7;
    if (c->mode > 5) c->mode -= 4; /* the top bit of modes 2 and 3 does not matter */
    c->bcd = (value & 1) != 0;
    c->loaded = c->running = c->write_high = c->read_high = c->count_latched = c->status_latched = false;
    c->held_ticks = 0;
    if (index == 0) pit->next_ns = NO_DEADLINE;
}

static void set_gate(struct pit_channel *c, bool gate, uint64_t now_ns)
{
    if (c->gate == gate) return;
    c->gate = gate;
    if (!c->loaded) return;
    if (!gate) {
        if (gate_triggers(c)) return;
        c->held_ticks = elapsed(c, now_ns);
        c->running = false;
        return;
    }
    if (gate_triggers(c) || periodic(c)) c->held_ticks = 0;
    c->start_ns = now_ns;
    c->running = true;
}

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now_ns)
{
    if (port == 0x61) {
        pit->speaker = value & SPEAKER_BITS;
        set_gate(&pit->channel[2], (value & SPEAKER_GATE) != 0, now_ns);
    } else if (port == 0x43) {
        write_control(pit, value, now_ns);
    } else {
        write_count(pit, &pit->channel[port & 3], value, now_ns);
    }
}

static uint8_t read_count(struct pit_channel *c, uint64_t now_ns)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    const uint16_t value = c->count_latched ? c->latch : count(c, now_ns);
    bool high = c->access == 2;
    if (c->access == 3) {
        high = c->read_high;
        c->read_high = !c->read_high;
    }
    if (c->access != 3 || high) c->count_latched = false;
    return (uint8_t)(high ? value >> 8 : value);
}

uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now_ns)
{
    if (port == 0x61) {
        return (uint8_t)(pit->speaker | (now_ns / REFRESH_NS % 2 != 0 ? SPEAKER_REFRESH : 0) |
                         (output(&pit->channel[2], now_ns) ? SPEAKER_OUT : 0));
    }
    return port == 0x43 ? 0xFF : read_count(&pit->channel[port & 3], now_ns);
}
