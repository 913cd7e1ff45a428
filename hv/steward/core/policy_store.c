/* SPDX-License-Identifier: MIT */
#include "steward/core/policy_store.h"

#include "boot/boot_info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "vm/event.h"
#include "x86/time.h"

struct source {
    char name[TITHE_NAME_MAX]; /* "": empty */
    uint64_t bytes;
    uint8_t *text; /* TITHE_POLICY_MAX_BYTES */
    uint8_t saved[TITHE_IO_MAX];
    uint64_t saved_bytes;
};

static struct source sources[3];
/* Activation turns these, so it costs the same for any size of source. */
static struct source *active = &sources[0], *previous = &sources[1], *staged = &sources[2];

static uint64_t activated_ns, activations, rollbacks, deaths_allowed;
static uint32_t failed;
static bool trial;
static char rollback_reason[TITHE_REASON_MAX];

bool policy_store_init(void)
{
    deaths_allowed = boot_option_u64("policy_deaths", 3);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        const mfn_t mfn = frame_alloc_run(TITHE_POLICY_MAX_BYTES / PAGE_BYTES, 1);
        if (mfn == MFN_NONE) {
            return false;
        }
        sources[i].text = mfn_to_virt(mfn);
    }
    return true;
}

int policy_stage(const struct tithe_io *io, char *reason)
{
    if (io->length > TITHE_IO_MAX || io->offset > TITHE_POLICY_MAX_BYTES ||
        io->length > TITHE_POLICY_MAX_BYTES - io->offset) {
        fmt_string(reason, TITHE_REASON_MAX, "a policy source has at most %u bytes", TITHE_POLICY_MAX_BYTES);
        return TITHE_ERANGE;
    }
    if (io->offset == 0) {
        staged->bytes = 0;
        staged->saved_bytes = 0;
        text_copy(staged->name, sizeof staged->name, io->name);
    }
    if (io->offset > staged->bytes) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "a chunk at %llu, but %llu bytes are staged: send them in order, from 0",
                   (unsigned long long)io->offset, (unsigned long long)staged->bytes);
        return TITHE_EINVAL;
    }
    memcpy(staged->text + io->offset, io->data, io->length);
    if (io->offset + io->length > staged->bytes) {
        staged->bytes = io->offset + io->length;
    }
    return 0;
}

int policy_activate(struct tithe_policy_info *info, char *reason)
{
    if (staged->bytes == 0) {
        fmt_string(reason, TITHE_REASON_MAX, "no policy is staged: send its source first");
        return TITHE_ENOENT;
    }
    struct source *const old = previous;
    previous = active;
    active = staged;
    staged = old;
    staged->bytes = 0;
    info->name[TITHE_NAME_MAX - 1] = '\0';
    if (info->name[0] != '\0') {
        text_copy(active->name, sizeof active->name, info->name);
    }
    trial = true;
    failed = 0;
    activations++;
    activated_ns = time_now_ns();
    event_emit(TITHE_EVENT_POLICY_ACTIVE, 0, activations, 0, "%s", active->name);
    return 0;
}

int policy_confirm(char *reason)
{
    if (active->bytes == 0) {
        fmt_string(reason, TITHE_REASON_MAX, "no policy is active");
        return TITHE_ENOENT;
    }
    if (trial) {
        trial = false;
        event_emit(TITHE_EVENT_POLICY_GOOD, 0, 0, 0, "%s", active->name);
    }
    failed = 0;
    return 0;
}

/* The previous one becomes active; the failed one is forgotten. Without a previous one the steward falls back
 * to the first of the archive. */
static void go_back(const char *why)
{
    struct source *const bad = active;
    char bad_name[TITHE_NAME_MAX];
    text_copy(bad_name, sizeof bad_name, bad->name);
    active = previous;
    previous = bad;
    previous->bytes = 0;
    previous->saved_bytes = 0;
    previous->name[0] = '\0';
    trial = false;
    failed = 0;
    rollbacks++;
    activated_ns = time_now_ns();
    text_copy(rollback_reason, sizeof rollback_reason, why);
    event_emit(TITHE_EVENT_POLICY_ROLLBACK, 0, rollbacks, 0, "from %s to %s: %s", bad_name,
               active->bytes > 0 ? active->name : "the first of the archive", why);
}

int policy_rollback(const struct tithe_policy_info *info, char *reason)
{
    char why[TITHE_REASON_MAX];
    if (previous->bytes == 0) {
        fmt_string(reason, TITHE_REASON_MAX, "there is no previous policy to go back to: load one instead");
        return TITHE_ENOENT;
    }
    text_copy(why, sizeof why, info->reason);
    go_back(why);
    return 0;
}

int policy_read(struct tithe_io *io, char *reason)
{
    const struct source *s = strcmp(io->name, "active") == 0     ? active
                             : strcmp(io->name, "previous") == 0 ? previous
                             : strcmp(io->name, "staged") == 0   ? staged
                                                                 : NULL;
    if (s == NULL || s->bytes == 0) {
        fmt_string(reason, TITHE_REASON_MAX, "no policy in slot '%.*s' (active, previous or staged)",
                   (int)TITHE_NAME_MAX, io->name);
        return TITHE_ENOENT;
    }
    const uint64_t left = io->offset < s->bytes ? s->bytes - io->offset : 0;
    io->total = s->bytes;
    io->length = io->length < TITHE_IO_MAX ? io->length : TITHE_IO_MAX;
    io->length = io->length < left ? io->length : left;
    if (io->length > 0) {
        memcpy(io->data, s->text + io->offset, io->length);
    }
    return 0;
}

void policy_info(struct tithe_policy_info *info)
{
    *info = (struct tithe_policy_info){.active_bytes = active->bytes,
                                       .previous_bytes = previous->bytes,
                                       .activated_ns = activated_ns,
                                       .activations = activations,
                                       .rollbacks = rollbacks,
                                       .trial = trial ? 1 : 0,
                                       .failed = failed};
    text_copy(info->name, sizeof info->name, active->name);
    text_copy(info->previous, sizeof info->previous, previous->name);
    text_copy(info->reason, sizeof info->reason, rollback_reason);
}

int policy_save(const struct tithe_io *io, char *reason)
{
    if (io->length > TITHE_IO_MAX) {
        fmt_string(reason, TITHE_REASON_MAX, "a policy saves at most %u bytes", TITHE_IO_MAX);
        return TITHE_ERANGE;
    }
    memcpy(active->saved, io->data, io->length);
    active->saved_bytes = io->length;
    return 0;
}

void policy_saved(struct tithe_io *io)
{
    io->length = active->saved_bytes;
    io->total = active->saved_bytes;
    memcpy(io->data, active->saved, active->saved_bytes);
}

void policy_store_blame(const char *why, const char *where)
{
    char reason[TITHE_REASON_MAX];
    if (active->bytes == 0) {
        return;
    }
    failed++;
    if (trial || failed >= deaths_allowed) {
        fmt_string(reason, sizeof reason, "the steward died: %s%s%s", why, where[0] != '\0' ? ", in " : "",
                   where);
        go_back(reason);
    }
}
