/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "text.h"

#define PROTOCOL_VERSION 1

const struct verb verbs[] = {
    {"hello", " ", false, verb_hello},
    {"list", " after ", false, verb_list},
    {"info", " vm ", false, verb_info},
    {"snapshot", " after ", false, verb_snapshot},
    {"create",
     " name kernel module cmdline disk size_pages min_pages max_pages shares cpu_shares kind vcpus paused ",
     true, verb_create},
    {"destroy", " vm ", true, verb_destroy},
    {"pause", " vm ", true, verb_pause},
    {"unpause", " vm ", true, verb_unpause},
    {"suspend", " vm ", true, verb_suspend},
    {"resume", " vm pages ", true, verb_resume},
    {"mem-set", " vm pages ", true, verb_mem_set},
    {"mem-max", " vm pages ", true, verb_mem_max},
    {"mem-min", " vm pages ", true, verb_mem_min},
    {"shares", " vm shares ", true, verb_shares},
    {"share-group", " vm group ", true, verb_share_group},
    {"cpu-shares", " vm shares ", true, verb_cpu_shares},
    {"console-read", " vm offset ", false, verb_console_read},
    {"console-write", " vm data ", true, verb_console_write},
    {"policy-list", " ", false, verb_policy_list},
    {"policy-info", " ", false, verb_policy_info},
    {"policy-show", " name slot offset ", false, verb_policy_show},
    {"policy-stage", " name offset data ", true, verb_policy_stage},
    {"policy-check", " file name bytes crc32 ", false, verb_policy_check},
    {"policy-load", " file name bytes crc32 ", true, verb_policy_load},
    {"policy-rollback", " reason ", true, verb_policy_rollback},
    {"policy-set", " name value ", true, verb_policy_set},
    {"stats", " after ", false, verb_stats},
    {"events", " seq ", false, verb_events},
    {"ledger", " ", false, verb_ledger},
    {"log", " offset ", false, verb_log},
    {"disks", " after ", false, verb_disks},
    {"images", " after ", false, verb_images},
    {"image-create", " name bytes ", true, verb_image_create},
    {"image-write", " name offset data ", true, verb_image_write},
    {"image-seal", " name ", true, verb_image_seal},
    {"image-delete", " name ", true, verb_image_delete},
    {"shutdown", " code ", true, verb_shutdown},
    {"steward-kill", " ", true, verb_steward_kill},
    {0},
};

/* ---- Answers ------------------------------------------------------------ */

static uint8_t payload[FRAME_PAYLOAD_MAX_BYTES];

/* A peer that takes no bytes loses its answer and asks again. */
static void send(const uint8_t *bytes, size_t length)
{
    static uint8_t frame[FRAME_MAX_BYTES];
    size_t frame_bytes = frame_encode(bytes, length, frame), done = 0;
    while (done < frame_bytes) {
        ssize_t n = write(STDOUT_FILENO, frame + done, frame_bytes - done);
        if (n <= 0) return;
        done += (size_t)n;
    }
}

static void send_bad(const char *why)
{
    struct cborx_writer w;
    cborx_begin(&w, payload, sizeof payload);
    cborx_put_map(&w, NULL);
    cborx_put_uint(&w, "v", PROTOCOL_VERSION);
    cborx_put_text(&w, "bad", why);
    cborx_end(&w);
    send(payload, cborx_finish(&w));
}

static void open_envelope(struct cborx_writer *w, const struct request *r)
{
    cborx_begin(w, payload, sizeof payload);
    cborx_put_map(w, NULL);
    cborx_put_uint(w, "v", PROTOCOL_VERSION);
    cborx_put_uint(w, "id", r->id);
    cborx_put_bytes(w, "session", &r->session, sizeof r->session);
}

/* The payload's length. */
static size_t close_answer(struct answer *a, const struct request *r)
{
    if (!a->failed) {
        cborx_end(&a->w);
        cborx_end(&a->w);
        size_t length = cborx_finish(&a->w);
        if (length != 0) return length;
        answer_fail(a, "too-long", r->verb, "ask for less at a time", "the answer does not fit in a frame");
    }
    open_envelope(&a->w, r);
    cborx_put_map(&a->w, "err");
    cborx_put_text(&a->w, "code", a->code);
    cborx_put_text(&a->w, "thing", a->thing);
    cborx_put_text(&a->w, "reason", a->reason);
    cborx_put_text(&a->w, "mend", a->mend);
    cborx_end(&a->w);
    cborx_end(&a->w);
    return cborx_finish(&a->w);
}

void answer_fail(struct answer *a, const char *code, const char *thing, const char *mend, const char *reason,
                 ...)
{
    va_list list;
    if (a->failed) return; /* the first reason is the one that matters */
    a->failed = true;
    text_copy(a->code, sizeof a->code, code);
    text_copy(a->thing, sizeof a->thing, thing);
    text_copy(a->mend, sizeof a->mend, mend);
    va_start(list, reason);
    vsnprintf(a->reason, sizeof a->reason, reason, list);
    va_end(list);
}

/* ---- Sessions ----------------------------------------------------------- */

static struct session *find_session(struct steward *s, uint64_t session)
{
    struct session *oldest = &s->sessions[0];
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct session *slot = &s->sessions[i];
        if (slot->session == session) return slot;
        if (slot->used < oldest->used) oldest = slot;
    }
    oldest->session = session;
    oldest->id = 0;
    oldest->answer_bytes = 0;
    return oldest;
}

/* True when the request has been answered from memory, or refused for its number. */
static bool answered_before(struct session *slot, const struct request *r, uint32_t crc)
{
    struct answer a = {0};
    if (r->id < slot->id) {
        answer_fail(&a, "stale", r->verb, "", "request %llu came after request %llu; nothing was done",
                    (unsigned long long)r->id, (unsigned long long)slot->id);
    } else if (r->id == slot->id && slot->answer_bytes != 0) {
        if (crc == slot->request_crc) {
            send(slot->answer, slot->answer_bytes);
            return true;
        }
        answer_fail(&a, "bad-request", r->verb, "give every request a new id",
                    "request %llu was another request before; nothing was done", (unsigned long long)r->id);
    }
    if (a.failed) send(payload, close_answer(&a, r));
    return a.failed;
}

/* ---- Requests ----------------------------------------------------------- */

static const struct verb *find_verb(const char *name)
{
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        if (strcmp(v->name, name) == 0) return v;
    }
    return NULL;
}

static bool check_args(const struct verb *v, const struct request *r, struct answer *a)
{
    const struct cbor_pair *pairs = cbor_map_handle(r->args);
    for (size_t i = 0; i < cbor_map_size(r->args); i++) {
        char name[64] = "(long)", spaced[68];
        cborx_text(pairs[i].key, name, sizeof name);
        snprintf(spaced, sizeof spaced, " %s ", name);
        if (strchr(name, ' ') == NULL && strstr(v->args, spaced) != NULL) continue;
        answer_fail(a, "bad-args", name, "", "'%s' does not know the argument '%s'; it knows:%s", v->name,
                    name, v->args[1] ? v->args : " none");
        return false;
    }
    return true;
}

static void answer_request(struct steward *s, const struct request *r, uint32_t crc)
{
    struct session *slot = find_session(s, r->session);
    slot->used = ++s->session_clock;
    if (answered_before(slot, r, crc)) return;
    const struct verb *v = find_verb(r->verb);
    struct answer a = {0};
    open_envelope(&a.w, r);
    cborx_put_map(&a.w, "ok");
    s->machine->refresh();
    if (v == NULL) {
        answer_fail(&a, "unknown-verb", r->verb, "console and machine may be of different versions",
                    "there is no verb '%s'", r->verb);
    } else if (check_args(v, r, &a)) {
        v->run(s, r, &a);
    }
    size_t length = close_answer(&a, r);
    slot->id = r->id;
    slot->answer_bytes = 0;
    if (v != NULL && v->changes) {
        slot->request_crc = crc;
        slot->answer_bytes = length;
        memcpy(slot->answer, payload, length);
    }
    send(payload, length);
}

/* What is wrong with the envelope, or NULL. */
static const char *read_envelope(const cbor_item_t *item, struct request *r)
{
    uint64_t version;
    size_t session_bytes;
    const uint8_t *session = cborx_bytes(cborx_get(item, "session"), &session_bytes);
    if (!cborx_uint(cborx_get(item, "v"), &version)) return "no 'v', or it is not a number";
    if (version != PROTOCOL_VERSION) return "a protocol version other than 1";
    if (session == NULL || session_bytes != sizeof r->session) return "no 'session' of 8 bytes";
    memcpy(&r->session, session, sizeof r->session);
    if (r->session == 0) return "a session of all zeros";
    if (!cborx_uint(cborx_get(item, "id"), &r->id) || r->id == 0)
        return "no 'id', or it is not a number from 1 up";
    if (!cborx_text(cborx_get(item, "verb"), r->verb, sizeof r->verb))
        return "no 'verb', or it is no text of a verb's length";
    r->args = cborx_get(item, "args");
    if (r->args == NULL || !cbor_isa_map(r->args)) return "no 'args', or it is not a map";
    return NULL;
}

static void serve_payload(struct steward *s, const uint8_t *bytes, size_t length)
{
    const char *why;
    uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), bytes, (unsigned)length);
    cbor_item_t *item = cborx_load(bytes, length, &why);
    if (item == NULL) {
        send_bad(why);
        return;
    }
    struct request r = {0};
    why = read_envelope(item, &r);
    if (why != NULL) {
        send_bad(why);
    } else {
        answer_request(s, &r, crc);
    }
    cbor_decref(&item);
}

void serve_started(struct steward *s)
{
    if (s->machine->snapshot->steward_restarts > 0)
        send_bad("the steward was started again; repeat the request");
}

void serve_bytes(struct steward *s, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (frame_decode(&s->decoder, bytes[i])) {
        case FRAME_PAYLOAD: serve_payload(s, s->decoder.payload, s->decoder.payload_bytes); break;
        case FRAME_BAD: send_bad("a frame that is cut or damaged"); break;
        case FRAME_TEXT:
        case FRAME_NONE: break;
        }
    }
}
