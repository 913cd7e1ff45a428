/* SPDX-License-Identifier: MIT
 *
 * Experiments: Lua scripts that this program runs, with the machine as the table `tithe`.
 */
#ifndef CONSOLE_EXP_H
#define CONSOLE_EXP_H

#include <lua.h>

#include "command.h"

struct exp {
    struct context *context;
};

/* Runs a script with arguments and named options (NULL: none). A script ends well by returning nothing or 0;
 * a number is an exit status, and an error of a machine's or of tithe's own keeps its own. */
enum status exp_run(struct context *t, const char *path, const struct options *o, int first_arg,
                    struct error *e);

/* Puts the functions of the table `tithe` on top of the stack. */
void exp_open(lua_State *L, struct exp *x);

/* Raises e as a Lua error: a table with status, code, thing, reason and mend. Does not return. */
int exp_raise(lua_State *L, const struct error *e);

/* A Lua value into the writer, and a CBOR item onto the stack. A table of the form {bytes = "…"} is a byte
 * string. */
void exp_put(lua_State *L, int index, struct cborx_writer *w, const char *key);
void exp_push(lua_State *L, const cbor_item_t *item);

#endif
