/* SPDX-License-Identifier: MIT */
#include "envelope.h"

#include <string.h>

#include "cborx.h"

bool envelope_read(const uint8_t *payload, size_t payload_bytes, struct envelope *env)
{
    const char *why;
    cbor_item_t *message = cborx_load(payload, payload_bytes, &why);
    const uint8_t *session;
    size_t session_bytes = 0;
    bool good;

    memset(env, 0, sizeof *env);
    if (message == NULL) return false;
    env->bad_notice = cborx_get(message, "bad") != NULL;
    session = cborx_bytes(cborx_get(message, "session"), &session_bytes);
    good =
        session != NULL && session_bytes == SESSION_BYTES && cborx_uint(cborx_get(message, "id"), &env->id);
    if (good) memcpy(env->session, session, SESSION_BYTES);
    cbor_decref(&message);
    return good || env->bad_notice;
}
