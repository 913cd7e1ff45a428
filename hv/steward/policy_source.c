/* SPDX-License-Identifier: MIT
 *
 * Where policy sources come from and go to: the module archive and the core's three slots.
 */
#include <stdio.h>
#include <string.h>
#include "policies_priv.h"
#include "text.h"

static char source_buffer[TITHE_POLICY_MAX_BYTES + 1];

static int64_t read_source(struct policies *p, uint32_t op, const char *what, char name[TITHE_NAME_MAX])
{
    size_t have = 0;
    uint64_t total = 1;
    while (have < total) {
        memset(&policy_mgmt.u.io, 0, sizeof policy_mgmt.u.io);
        text_copy(policy_mgmt.u.io.name, sizeof policy_mgmt.u.io.name, what);
        policy_mgmt.u.io.offset = have;
        policy_mgmt.u.io.length = TITHE_IO_MAX;
        int64_t error = policy_ask(p, op, policy_own_doing);
        if (error < 0) return error;
        size_t length = (size_t)policy_mgmt.u.io.length;
        total = policy_mgmt.u.io.total;
        if (total > TITHE_POLICY_MAX_BYTES || length > TITHE_IO_MAX ||
            length > TITHE_POLICY_MAX_BYTES - have) {
            return -TITHE_ERANGE;
        }
        if (length == 0) break;
        memcpy(source_buffer + have, policy_mgmt.u.io.data, length);
        have += length;
    }
    if (name != NULL) text_copy(name, TITHE_NAME_MAX, policy_mgmt.u.io.name);
    return (int64_t)have;
}

int64_t policies_read_slot(struct policies *p, const char *slot, char name[TITHE_NAME_MAX],
                           const char **source)
{
    int64_t bytes = read_source(p, TITHE_OP_POLICY_READ, slot, name);
    *source = source_buffer;
    if (bytes < 0) return bytes;
    /* The name of the slot's policy is not in what was read; the core has it here. */
    int64_t error = policy_ask(p, TITHE_OP_POLICY_INFO, policy_own_doing);
    if (error < 0) return error;
    const struct tithe_policy_info *info = &policy_mgmt.u.policy;
    if (strcmp(slot, "active") == 0) text_copy(name, TITHE_NAME_MAX, info->name);
    if (strcmp(slot, "previous") == 0) text_copy(name, TITHE_NAME_MAX, info->previous);
    return bytes;
}

int64_t policies_read_file(struct policies *p, const char *name, const char **source)
{
    char path[TITHE_NAME_MAX];
    *source = source_buffer;
    if ((size_t)snprintf(path, sizeof path, "policy/%s.lua", name) >= sizeof path) return -TITHE_ENOENT;
    return read_source(p, TITHE_OP_FILE_READ, path, NULL);
}

int64_t policies_stage(struct policies *p, const char *name, const char *source, size_t source_bytes)
{
    size_t done = 0;
    do {
        size_t length = source_bytes - done < TITHE_IO_MAX ? source_bytes - done : TITHE_IO_MAX;
        text_copy(policy_mgmt.u.io.name, sizeof policy_mgmt.u.io.name, name);
        policy_mgmt.u.io.offset = done;
        policy_mgmt.u.io.length = length;
        memcpy(policy_mgmt.u.io.data, source + done, length);
        int64_t error = policy_ask(p, TITHE_OP_POLICY_STAGE, policy_own_doing);
        if (error < 0) return error;
        done += length;
    } while (done < source_bytes);
    return 0;
}
