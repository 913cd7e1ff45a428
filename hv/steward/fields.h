/* SPDX-License-Identifier: MIT
 *
 * The snapshot's numbers by name, for Lua tables and for answers.
 */
#ifndef STEWARD_FIELDS_H
#define STEWARD_FIELDS_H

#include <stddef.h>
#include <stdint.h>

struct field {
    const char *name; /* as in tithe/abi.h */
    size_t offset;    /* of an uint64_t */
};

extern const struct field host_fields[];      /* of struct tithe_snapshot, for policies and answers */
extern const struct field host_more_fields[]; /* likewise, only for answers */
extern const struct field vm_fields[]; /* of struct tithe_vm_snapshot; the first ones are what `list` shows */
extern const struct field guest_fields[];  /* of struct tithe_guest_stats */
extern const struct field sample_fields[]; /* of struct tithe_sample, but for its method */
extern const struct field disk_fields[];   /* of struct tithe_disk_use */
extern const size_t host_field_count, host_more_field_count, vm_field_count, vm_list_field_count,
    guest_field_count, sample_field_count, disk_field_count;

static inline uint64_t field_value(const struct field *f, const void *from)
{
    return *(const uint64_t *)(const void *)((const char *)from + f->offset);
}

#endif
