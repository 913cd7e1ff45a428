/* SPDX-License-Identifier: MIT
 *
 * What outlives the steward: parameters, what save() returned, and which check was under way.
 * The core keeps it beside the source of the policy in charge (TITHE_OP_POLICY_SAVE).
 */
#include <stdio.h>
#include <string.h>
#include "policies_priv.h"
#include "text.h"

static size_t build_saved(struct policies *p, uint8_t out[TITHE_IO_MAX])
{
    struct cborx_writer w;
    cborx_begin(&w, out, TITHE_IO_MAX);
    cborx_put_map(&w, NULL);
    if (p->attempt_session != 0) {
        cborx_put_array(&w, "attempt");
        cborx_put_uint(&w, NULL, p->attempt_session);
        cborx_put_uint(&w, NULL, p->attempt_id);
        cborx_end(&w);
    }
    if (p->active != NULL) {
        cborx_put_text(&w, "from", p->active->title);
        script_params(p->active, &w, "params", true);
        if (!script_save(p->active, &w, "state")) {
            text_copy(p->last_error, sizeof p->last_error, p->active->why);
        }
    }
    cborx_end(&w);
    return cborx_finish(&w);
}

int64_t policy_saved_write(struct policies *p, struct policy_by by)
{
    static uint8_t fresh[TITHE_IO_MAX];
    size_t bytes = build_saved(p, fresh);
    if (bytes == 0) return -TITHE_ENOSPC;
    if (by.session == 0 && bytes == p->saved_bytes && memcmp(fresh, p->saved, bytes) == 0) return 0;
    memset(&policy_mgmt.u.io, 0, sizeof policy_mgmt.u.io);
    policy_mgmt.u.io.length = bytes;
    memcpy(policy_mgmt.u.io.data, fresh, bytes);
    int64_t error = policy_ask(p, TITHE_OP_POLICY_SAVE, by);
    if (error < 0) return error;
    memcpy(p->saved, fresh, bytes);
    p->saved_bytes = bytes;
    return 0;
}

/* Gives a script the parameters and the state in p->saved, as far as names match. */
bool policy_saved_inherit(const struct policies *p, struct script *to)
{
    const char *why;
    if (p->saved_bytes == 0) return true;
    cbor_item_t *saved = cborx_load(p->saved, p->saved_bytes, &why);
    if (saved == NULL) return true;
    script_params_adopt(to, cborx_get(saved, "params"));
    bool ok = script_restore(to, cborx_get(saved, "state"), cborx_get(saved, "from"));
    cbor_decref(&saved);
    return ok;
}

/* The last thing the core says about a death of the steward. */
static void find_death(struct policies *p)
{
    enum { LOOK_BACK = 64 };
    uint64_t end = p->machine->snapshot->event_seq, seq = end > LOOK_BACK ? end - LOOK_BACK : 0;
    snprintf(p->attempt_reason, sizeof p->attempt_reason, "the steward died of it");
    while (seq < end) {
        policy_mgmt.u.event.seq = seq;
        if (policy_ask(p, TITHE_OP_EVENT_READ, policy_own_doing) < 0) return;
        if (policy_mgmt.u.event.kind == TITHE_EVENT_STEWARD_DIED) {
            memcpy(p->attempt_reason, policy_mgmt.u.event.text, sizeof p->attempt_reason);
            p->attempt_reason[sizeof p->attempt_reason - 1] = 0;
        }
        seq = policy_mgmt.u.event.seq + 1;
    }
}

void policy_saved_read(struct policies *p)
{
    memset(&policy_mgmt.u.io, 0, sizeof policy_mgmt.u.io);
    policy_mgmt.u.io.length = TITHE_IO_MAX;
    p->saved_bytes = 0;
    p->attempt_session = p->attempt_id = 0;
    if (policy_ask(p, TITHE_OP_POLICY_SAVED, policy_own_doing) < 0 || policy_mgmt.u.io.length > TITHE_IO_MAX)
        return;
    p->saved_bytes = (size_t)policy_mgmt.u.io.length;
    memcpy(p->saved, policy_mgmt.u.io.data, p->saved_bytes);
    const char *why;
    cbor_item_t *saved = p->saved_bytes ? cborx_load(p->saved, p->saved_bytes, &why) : NULL;
    const cbor_item_t *attempt = cborx_get(saved, "attempt");
    if (attempt != NULL && cbor_isa_array(attempt) && cbor_array_size(attempt) == 2 &&
        cborx_uint(cbor_array_handle(attempt)[0], &p->attempt_session) &&
        cborx_uint(cbor_array_handle(attempt)[1], &p->attempt_id)) {
        p->attempt_fatal = true;
    }
    if (saved != NULL) cbor_decref(&saved);
    if (p->attempt_fatal) find_death(p);
}
