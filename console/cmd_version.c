/* SPDX-License-Identifier: MIT */
#include "cmd_version.h"

#include "json.h"

enum status cmd_version(struct context *t, struct error *e)
{
    struct client *c;
    struct answer a = {0};
    struct error unreachable;
    char version[40] = "";
    (void)e;

    if (context_client(t, &c, &unreachable) == STATUS_OK) {
        client_begin(c, "hello");
        if (client_call(c, &a, &unreachable) == STATUS_OK)
            cborx_text(cborx_get(a.ok, "version"), version, sizeof version);
    }
    if (t->json) {
        struct json j = json_begin(stdout);

        json_text(&j, "console", TITHE_VERSION);
        if (a.ok != NULL) json_cbor(&j, "machine", a.ok);
        json_end(&j);
    } else {
        printf("console %s\nmachine %s\n", TITHE_VERSION, version[0] != '\0' ? version : "not reached");
    }
    answer_free(&a);
    return STATUS_OK;
}
