/* SPDX-License-Identifier: MIT
 *
 * The battery clock (MC146818A data sheet), read once at boot.
 */
#include "x86/cpu.h"
#include "x86/rtc.h"

#define RTC_INDEX 0x70
#define RTC_DATA  0x71

enum rtc_register {
    RTC_SECOND = 0,
    RTC_MINUTE = 2,
    RTC_HOUR = 4,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11
};

#define RTC_A_UPDATING 0x80
#define RTC_B_24_HOURS 0x02
#define RTC_B_BINARY   0x04
#define RTC_PM         0x80

static uint8_t rtc_register(enum rtc_register r)
{
    outb(RTC_INDEX, (uint8_t)(0x80 | r)); /* with NMI held off, as everybody does */
    uint8_t value = inb(RTC_DATA);
    outb(RTC_INDEX, 0);
    return value;
}

struct reading {
    uint8_t second, minute, hour, day, month, year;
};

static struct reading read_once(void)
{
    for (unsigned turns = 0; turns < 100000 && rtc_register(RTC_A) & RTC_A_UPDATING; turns++) cpu_pause();
    return (struct reading){rtc_register(RTC_SECOND), rtc_register(RTC_MINUTE), rtc_register(RTC_HOUR),
                            rtc_register(RTC_DAY),    rtc_register(RTC_MONTH),  rtc_register(RTC_YEAR)};
}

static uint8_t from_bcd(uint8_t v)
{
    return (uint8_t)((v >> 4) * 10 + (v & 15));
}

/* Days from 1970 to a date of the Gregorian calendar, counting years from March (so that the leap day is the
 * last). */
static uint64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

    return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

uint64_t rtc_read_ns(void)
{
    struct reading r = read_once(), again;
    uint8_t b = rtc_register(RTC_B);

    /* Until two readings agree: an update between two registers would show. */
    for (unsigned turns = 0; turns < 10; turns++) {
        again = read_once();
        if (again.second == r.second && again.minute == r.minute && again.hour == r.hour &&
            again.day == r.day)
            break;
        r = again;
    }
    bool pm = !(b & RTC_B_24_HOURS) && (r.hour & RTC_PM);
    if (!(b & RTC_B_24_HOURS)) r.hour &= (uint8_t)~RTC_PM;
    if (!(b & RTC_B_BINARY))
        r = (struct reading){from_bcd(r.second), from_bcd(r.minute), from_bcd(r.hour),
                             from_bcd(r.day),    from_bcd(r.month),  from_bcd(r.year)};
    if (!(b & RTC_B_24_HOURS)) r.hour = (uint8_t)(r.hour % 12 + (pm ? 12 : 0));
    uint64_t days = days_since_1970(2000u + r.year, r.month, r.day);
    return (((days * 24 + r.hour) * 60 + r.minute) * 60 + r.second) * 1000000000ull;
}
