/* SPDX-License-Identifier: MIT
 *
 * The launch configurations in images/emulators: text with @NAME@ where a value goes.
 */
#ifndef CONSOLE_TEMPLATE_H
#define CONSOLE_TEMPLATE_H

#include <stddef.h>

#include "error.h"

struct template_value {
    const char *name; /* without the @; a NULL ends the list */
    const char *value;
};

/* Returns the text with every @NAME@ replaced, for the caller to free; NULL with *e when one is not in the
 * list. `thing` names the text in errors. */
char *template_fill(const char *text, const struct template_value *values, const char *thing,
                    struct error *e);

#endif
