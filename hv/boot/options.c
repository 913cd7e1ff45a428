/* SPDX-License-Identifier: MIT
 *
 * Words of the boot command line.
 */
#include "boot/boot_info.h"
#include "boot/boot_priv.h"
#include "lib/log.h"
#include "lib/string.h"

struct boot_info boot_info;

void boot_cmdline_set(const char *text, size_t limit)
{
    size_t n = strnlen(text, limit);

    if (n > BOOT_CMDLINE_MAX_BYTES - 1) {
        log_line("tithe: the command line is longer than %u bytes: the rest is lost",
                 BOOT_CMDLINE_MAX_BYTES - 1);
        n = BOOT_CMDLINE_MAX_BYTES - 1;
    }
    memcpy(boot_info.cmdline, text, n);
    boot_info.cmdline[n] = '\0';
}

/* The next word from *p on; its length, 0 at the end. */
static size_t next_word(const char **p)
{
    while (**p == ' ' || **p == '\t') ++*p;
    size_t n = 0;
    while ((*p)[n] != '\0' && (*p)[n] != ' ' && (*p)[n] != '\t') n++;
    return n;
}

bool boot_option(const char *name, char *value, size_t size)
{
    size_t name_length = strlen(name);
    const char *p = boot_info.cmdline;
    const char *found = NULL;
    size_t found_length = 0;

    for (size_t n; (n = next_word(&p)) > 0; p += n) {
        if (n < name_length || memcmp(p, name, name_length) != 0) continue;
        if (n == name_length) {
            found = p + n;
            found_length = 0;
        } else if (p[name_length] == '=') {
            found = p + name_length + 1;
            found_length = n - name_length - 1;
        }
    }
    if (found == NULL) return false;
    if (size > 0) {
        if (found_length > size - 1) found_length = size - 1;
        memcpy(value, found, found_length);
        value[found_length] = '\0';
    }
    return true;
}

bool boot_flag(const char *name)
{
    char value[2];

    return boot_option(name, value, sizeof value) && !(value[0] == '0' && value[1] == '\0');
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* False unless all of `text` is a number that fits. */
static bool parse_u64(const char *text, uint64_t *value)
{
    unsigned base = 10;
    uint64_t v = 0;

    if (text[0] == '0' && (text[1] | 0x20) == 'x') {
        base = 16;
        text += 2;
    }
    if ((unsigned)digit(*text) >= base) return false;
    for (; (unsigned)digit(*text) < base; text++)
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (unsigned)digit(*text), &v))
            return false;
    static const char units[] = "kmg";
    for (unsigned i = 0; units[i] != '\0'; i++) {
        if ((*text | 0x20) != units[i]) continue;
        if (__builtin_mul_overflow(v, KIB << (10 * i), &v)) return false;
        text++;
        break;
    }
    *value = v;
    return *text == '\0';
}

uint64_t boot_option_u64(const char *name, uint64_t otherwise)
{
    char text[32];
    uint64_t value;

    if (!boot_option(name, text, sizeof text)) return otherwise;
    if (parse_u64(text, &value)) return value;
    log_line("tithe: boot option %s=%s is not a number (as 12, 0x1f or 64M): using %lu", name, text,
             otherwise);
    return otherwise;
}
