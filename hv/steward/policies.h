/* SPDX-License-Identifier: MIT
 *
 * Which policy is in charge: loading, trial, rollback, parameters, saved state.
 *
 * The core keeps the sources (active, previous, staged) and the saved state, so
 * that a dead steward comes back with all of it; whether the policy on trial
 * has killed the steward, and must go, is decided there too. Everything a
 * living steward can see going wrong is decided here.
 */
#ifndef STEWARD_POLICIES_H
#define STEWARD_POLICIES_H

#include "lua/script.h"

/* The policy that every machine starts with, and that takes over when nothing else is left. */
#define POLICY_FIRST "proportional"

struct policies {
    const struct machine *machine;
    struct script *active; /* NULL only when not even the first policy can be had */
    bool trial;
    uint32_t trial_left; /* ticks */
    uint32_t errors_in_row;
    uint64_t ticks, errors;
    uint64_t tick_instructions; /* of the last tick that was counted */
    uint64_t last_tick_ns;
    char last_error[SCRIPT_WHY_MAX];
    struct plan plan;                /* scratch */
    struct tithe_plan_result result; /* of the last plan, or of the last check */
    /* What the core keeps for us (TITHE_OP_POLICY_SAVE), as last written. */
    uint8_t saved[TITHE_IO_MAX];
    size_t saved_bytes;
    /* A check or load under way. Kept with the saved state, so that a source which
     * kills the steward kills it once, not at every repetition of the request. */
    uint64_t attempt_session, attempt_id;
    bool attempt_fatal; /* found at the start: the steward died of it */
    char attempt_reason[TITHE_REASON_MAX];
};

/* A request's identity, for exactly-once; {0, 0} is the steward's own doing. */
struct policy_by {
    uint64_t session, id;
};

/* What a check found out. */
struct policy_check {
    struct script *candidate; /* NULL when it could not be loaded */
    char prints[SCRIPT_PRINTS_MAX + 1][SCRIPT_PRINT_BYTES];
    unsigned print_count;
    bool ran; /* false: why says what the script did wrong */
    char why[SCRIPT_WHY_MAX];
    struct plan plan;
    struct tithe_plan_result result;
};

void policies_start(struct policies *p, const struct machine *machine);

/* Both work on the machine's current snapshot and apply the plan. `kind` is an
 * event's name in the protocol, or "many". */
void policies_tick(struct policies *p);
void policies_event(struct policies *p, const char *kind, const struct tithe_event *e);

/* Reads a source: slot "active", "previous", "staged", or a policy of the archive.
 * Returns its length in bytes, or minus an errno. The buffer is the one and only. */
int64_t policies_read_slot(struct policies *p, const char *slot, char name[TITHE_NAME_MAX],
                           const char **source);
int64_t policies_read_file(struct policies *p, const char *name, const char **source);

/* Notes, where it outlives the steward, that a request is being tried that may kill it. True when that has
 * happened already: then p->attempt_reason says what the core saw, and nothing must be tried again. */
bool policies_attempt(struct policies *p, struct policy_by by);

/* Loads the source beside the active policy, runs a tick of it on the snapshot, applies nothing. */
void policies_check(struct policies *p, const char *name, const char *source, size_t source_bytes,
                    struct policy_by by, struct policy_check *check);
void policies_check_done(struct policies *p, struct policy_check *check); /* frees the candidate */

/* Puts a checked candidate in charge, on trial. The source is the staged one in the
 * core. Returns 0, or minus an errno with the reason. */
int64_t policies_activate(struct policies *p, struct policy_check *check, struct policy_by by,
                          char reason[TITHE_REASON_MAX]);
/* Writes a source into the core's staging place. */
int64_t policies_stage(struct policies *p, const char *name, const char *source, size_t source_bytes);

int64_t policies_rollback(struct policies *p, const char *why, struct policy_by by,
                          char reason[TITHE_REASON_MAX]);

/* Sets a parameter and saves it. False with the reason in p->active->why, or *error minus an errno. */
bool policies_set(struct policies *p, const char *name, const cbor_item_t *value, struct policy_by by,
                  int64_t *error);

#endif
