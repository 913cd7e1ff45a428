/* SPDX-License-Identifier: MIT
 *
 * What `top` looks at: the newest sample, the one before, and the last events.
 */
#ifndef CONSOLE_TOPFEED_H
#define CONSOLE_TOPFEED_H

#include "sample.h"
#include "topview.h"

struct topfeed {
    struct client *client;
    struct sample samples[2];
    unsigned taken; /* samples so far; the newest is samples[(taken - 1) % 2] */
    uint64_t next_event;
    struct listing raw; /* of the newest */
};

/* Takes another sample; new events go into the view. */
enum status topfeed_take(struct topfeed *f, struct topview *v, struct error *e);
void topfeed_free(struct topfeed *f);

const struct sample *topfeed_now(const struct topfeed *f);
const struct sample *topfeed_before(const struct topfeed *f); /* NULL when there is none yet */

#endif
