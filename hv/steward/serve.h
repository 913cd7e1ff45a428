/* SPDX-License-Identifier: MIT
 *
 * The management protocol (docs/protocol.cddl): requests in, answers out, each
 * change made once.
 */
#ifndef STEWARD_SERVE_H
#define STEWARD_SERVE_H

#include "cborx.h"
#include "frame.h"
#include "machine.h"
#include "policies.h"

#define SESSIONS_MAX 16u

/* What was last done for a peer, so that a repeated request is answered, not done, again. */
struct session {
    uint64_t session; /* 0: slot is free */
    uint64_t id;
    uint64_t used; /* for finding the slot unused for longest */
    uint32_t request_crc;
    size_t answer_bytes; /* 0: the request changed nothing and may be done again */
    uint8_t answer[FRAME_PAYLOAD_MAX_BYTES];
};

struct steward {
    const struct machine *machine;
    struct policies policies;
    struct frame_decoder decoder;
    struct session sessions[SESSIONS_MAX];
    uint64_t session_clock;
    bool tick_now; /* a request changed what the policy decides by */
};

struct request {
    uint64_t session, id;
    char verb[32];
    const cbor_item_t *args;
};

struct answer {
    struct cborx_writer w; /* inside the map "ok" */
    bool failed;
    char code[20], thing[TITHE_REASON_MAX], reason[SCRIPT_WHY_MAX], mend[TITHE_REASON_MAX];
};

typedef void verb_function(struct steward *s, const struct request *r, struct answer *a);

struct verb {
    const char *name;
    const char *args; /* the names it knows, with spaces between and around */
    bool changes;
    verb_function *run;
};
extern const struct verb verbs[]; /* up to a NULL name */

/* Takes bytes of the line and answers every request among them. */
void serve_bytes(struct steward *s, const uint8_t *bytes, size_t length);

/* After a death a request may have been lost with it: tells peers to repeat theirs at once. */
void serve_started(struct steward *s);

/* ---- For verbs ---------------------------------------------------------- */

__attribute__((format(printf, 5, 6))) void answer_fail(struct answer *a, const char *code, const char *thing,
                                                       const char *mend, const char *reason, ...);

/* Arguments. False, with the answer failed, when they are missing or mistyped. */
bool arg_uint(const struct request *r, struct answer *a, const char *name, uint64_t *value);
bool arg_uint_or(const struct request *r, struct answer *a, const char *name, uint64_t otherwise,
                 uint64_t *value);
bool arg_text(const struct request *r, struct answer *a, const char *name, char *out, size_t out_bytes);
bool arg_name(const struct request *r, struct answer *a, const char *name, char out[TITHE_NAME_MAX]);
bool arg_data(const struct request *r, struct answer *a, const uint8_t **data, size_t *length);
/* The VM of args.vm, by id or name. `id` is 0 when there is none: the core then says so,
 * unless it knows the request to be one it has done already. */
bool arg_vm(const struct steward *s, const struct request *r, struct answer *a, uint32_t *id,
            char thing[TITHE_NAME_MAX]);

/* The one management call record; each verb begins with this. */
struct tithe_mgmt *mgmt_begin(uint32_t op, const struct request *r, bool changes);
/* Makes the call; false, with the answer failed, when it did not succeed. */
bool mgmt_call(struct steward *s, struct tithe_mgmt *m, struct answer *a, const char *thing);

/* Parts of answers. */
void put_host(struct cborx_writer *w, const char *key, struct steward *s,
              bool cpus); /* cpus: with each CPU */
void put_vm(struct cborx_writer *w, const char *key, const struct tithe_vm_snapshot *vm, bool all);
void put_policy_info(struct cborx_writer *w, const char *key, struct steward *s);
void put_text_bytes(struct cborx_writer *w, const char *key, const char *text, size_t text_bytes);

verb_function verb_hello, verb_list, verb_info, verb_snapshot, verb_stats, verb_events, verb_ledger, verb_log,
    verb_shutdown, verb_steward_kill;
verb_function verb_create, verb_destroy, verb_pause, verb_unpause, verb_suspend, verb_resume, verb_mem_set,
    verb_mem_max, verb_mem_min, verb_shares, verb_cpu_shares, verb_share_group, verb_console_read,
    verb_console_write;
verb_function verb_disks;
verb_function verb_images, verb_image_create, verb_image_write, verb_image_seal, verb_image_delete;
verb_function verb_policy_list, verb_policy_info, verb_policy_show, verb_policy_stage, verb_policy_check,
    verb_policy_load, verb_policy_rollback, verb_policy_set;

#endif
