/* SPDX-License-Identifier: MIT */
#include "dev/cmos.h"

#include "lib/string.h"

enum {
    REG_SECONDS = 0,
    REG_MINUTES = 2,
    REG_HOURS = 4,
    REG_WEEKDAY = 6,
    REG_DAY = 7,
    REG_MONTH = 8,
    REG_YEAR = 9,
    REG_A = 10,
    REG_B = 11,
    REG_C = 12,
    REG_D = 13,
    REG_CENTURY = 0x32,
};

#define A_RATE       0x26u /* 32.768 kHz time base, 1.024 kHz rate */
#define A_UPDATING   0x80u
#define B_24_HOURS   0x02u
#define B_BINARY     0x04u
#define B_INTERRUPTS 0x70u
#define D_VALID      0x80u

#define SECOND_NS 1000000000ull
/* "Update in progress" comes up 244 us before the clock moves on; some kernels wait to see it. */
#define UPDATE_NS 244000ull

struct date {
    uint32_t year, month, day;
};

/* Days since 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day
 * comes last, in eras of 400 years (146,097 days). */
static struct date date_of(uint64_t days)
{
    const uint64_t from_year_0 = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    const uint64_t era = from_year_0 / 146097;
    const uint32_t day = (uint32_t)(from_year_0 % 146097);
    const uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    const uint32_t day_of_year = day - (365 * year + year / 4 - year / 100);
    const uint32_t march_month = (5 * day_of_year + 2) / 153;
    struct date d;
    d.day = day_of_year - (153 * march_month + 2) / 5 + 1;
    d.month = march_month < 10 ? march_month + 3 : march_month - 9;
    d.year = (uint32_t)(era * 400) + year + (d.month <= 2 ? 1 : 0);
    return d;
}

void cmos_init(struct cmos *c)
{
    memset(c, 0, sizeof *c);
    c->ram[REG_B] = B_24_HOURS;
}

static uint8_t shown(const struct cmos *c, uint32_t value)
{
    if ((c->ram[REG_B] & B_BINARY) != 0) return (uint8_t)value;
    return (uint8_t)(value / 10 << 4 | value % 10);
}

static uint8_t shown_hours(const struct cmos *c, uint32_t hours)
{
    if ((c->ram[REG_B] & B_24_HOURS) != 0) return shown(c, hours);
    return shown(c, hours % 12 == 0 ? 12 : hours % 12) | (hours >= 12 ? 0x80 : 0);
}

static uint8_t read_register(const struct cmos *c, uint64_t wall_ns)
{
    const uint64_t seconds = wall_ns / SECOND_NS;
    const uint64_t days = seconds / 86400;
    switch (c->index) {
    case REG_SECONDS: return shown(c, (uint32_t)(seconds % 60));
    case REG_MINUTES: return shown(c, (uint32_t)(seconds / 60 % 60));
    case REG_HOURS: return shown_hours(c, (uint32_t)(seconds / 3600 % 24));
    case REG_WEEKDAY: /* 1 is Sunday; 1970-01-01 was a Thursday */ return (uint8_t)((days + 4) % 7 + 1);
    case REG_DAY: return shown(c, date_of(days).day);
    case REG_MONTH: return shown(c, date_of(days).month);
    case REG_YEAR: return shown(c, date_of(days).year % 100);
    case REG_CENTURY: return shown(c, date_of(days).year / 100 % 100);
    case REG_A: return A_RATE | (wall_ns % SECOND_NS >= SECOND_NS - UPDATE_NS ? A_UPDATING : 0);
    case REG_C: return 0;
    case REG_D: return D_VALID;
    default: return c->ram[c->index];
    }
}

uint8_t cmos_read(struct cmos *c, uint16_t port, uint64_t wall_ns)
{
    return port == 0x71 ? read_register(c, wall_ns) : 0xFF; /* the index is write-only */
}

void cmos_write(struct cmos *c, uint16_t port, uint8_t value)
{
    if (port == 0x70) {
        c->index = value & 0x7F; /* bit 7 masks NMIs; there is nothing to mask */
    } else if (c->index == REG_B) {
        c->ram[REG_B] = value & (uint8_t)~B_INTERRUPTS;
    } else if (c->index > REG_D) {
        c->ram[c->index] = value;
    }
}
