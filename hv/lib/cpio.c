/* SPDX-License-Identifier: MIT */
#include "lib/cpio.h"
#include "lib/string.h"

/* "070701" or "070702", then thirteen numbers of eight hex digits; name and data follow, each padded to 4
 * bytes. */
#define HEADER_BYTES 110u
#define MODE_TYPE    0170000u
#define MODE_REGULAR 0100000u

enum field { FIELD_MODE = 1, FIELD_FILE_BYTES = 6, FIELD_NAME_BYTES = 11 };

static bool read_field(const char *header, enum field field, uint32_t *value)
{
    const char *p = header + 6 + 8u * field;

    *value = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned digit;
        if (p[i] >= '0' && p[i] <= '9')
            digit = (unsigned)(p[i] - '0');
        else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')
            digit = (unsigned)((p[i] | 0x20) - 'a') + 10;
        else
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* All sums below are of 32-bit sizes in 64 bits. */
static uint64_t padded(uint64_t at)
{
    return (at + 3) & ~3ull;
}

bool cpio_next(const void *archive, size_t bytes, size_t *position, struct cpio_file *out)
{
    const char *start = archive;
    uint64_t at = *position;
    uint32_t name_bytes, file_bytes, mode;

    if (at > bytes || bytes - at < HEADER_BYTES) return false;
    const char *header = start + at;
    if (memcmp(header, "07070", 5) != 0 || (header[5] != '1' && header[5] != '2')) return false;
    if (!read_field(header, FIELD_MODE, &mode) || !read_field(header, FIELD_FILE_BYTES, &file_bytes) ||
        !read_field(header, FIELD_NAME_BYTES, &name_bytes))
        return false;

    uint64_t name_at = at + HEADER_BYTES;
    if (name_bytes == 0 || name_bytes > bytes - name_at || start[name_at + name_bytes - 1] != '\0')
        return false;
    uint64_t data_at = padded(name_at + name_bytes);
    if (data_at > bytes || file_bytes > bytes - data_at) return false;

    const char *name = start + name_at;
    if (strcmp(name, "TRAILER!!!") == 0) return false;
    if (name[0] == '.' && name[1] == '/') name += 2;
    *out = (struct cpio_file){.name = name, .data = start + data_at, .bytes = file_bytes, .mode = mode};
    *position = (size_t)padded(data_at + file_bytes);
    return true;
}

bool cpio_find(const void *archive, size_t bytes, const char *name, struct cpio_file *out)
{
    size_t position = 0;

    while (cpio_next(archive, bytes, &position, out))
        if ((out->mode & MODE_TYPE) == MODE_REGULAR && strcmp(out->name, name) == 0) return true;
    return false;
}
