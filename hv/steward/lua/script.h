/* SPDX-License-Identifier: MIT
 *
 * One policy script in a Lua state of its own: loaded, called, and held to its
 * bounds. Nothing a script does comes out of here but a plan, an answer, or a
 * reason that names the script's line. (What the interpreter itself cannot
 * stop, a loop inside one C function or a corrupted heap, ends with the core
 * killing the steward; see policies.h.)
 */
#ifndef STEWARD_SCRIPT_H
#define STEWARD_SCRIPT_H

#include <lua.h>
#include <stdbool.h>
#include "cborx.h"
#include "machine.h"

/* Of the 16 MiB arena; there may be two scripts at a time, the active one and a candidate. */
#define SCRIPT_MAX_BYTES   (5u * 1024 * 1024)
/* Lua VM instructions in one call. proportional.lua takes a tenth of it for 100 VMs. */
#define SCRIPT_SOFT_BUDGET 300000u
#define SCRIPT_HOOK_EVERY  1000
#define SCRIPT_WHY_MAX     320u
#define SCRIPT_PRINTS_MAX  32u  /* lines of one call */
#define SCRIPT_PRINT_BYTES 200u /* of one line, with the final NUL */

struct plan {
    uint32_t count;
    struct tithe_action actions[TITHE_PLAN_MAX];
};

struct script {
    lua_State *L;
    const struct machine *machine;
    char name[TITHE_NAME_MAX]; /* of the file, without ".lua" */
    char title[64];            /* what the script calls itself */
    uint32_t trial_ticks;      /* how many good ticks confirm it */
    uint32_t error_limit;      /* how many failures in a row depose it */
    bool candidate;            /* being checked; not, or not yet, in charge */
    bool counted; /* its instructions are counted from the start of each call; else it has CPU time only */
    bool has_admit, has_event, has_save, has_restore;
    int tick_line, admit_line, event_line, save_line, restore_line; /* where they begin */
    /* Memory. */
    size_t used_bytes;
    int starved_line; /* where the last allocation was refused; 0: nowhere */
    /* The call under way. */
    const char *phase;
    int phase_line; /* where its function begins */
    uint64_t spent; /* VM instructions counted, in steps of SCRIPT_HOOK_EVERY */
    unsigned prints;
    char why[SCRIPT_WHY_MAX];
    struct tithe_snapshot
        view; /* what the tables of the snapshot hold; vm[] by place in the list, id 0: nothing */
    /* Where print() and tithe.log() go, one line at a time. */
    void (*print)(void *context, const char *name, const char *line);
    void *print_context;
};

/* Each of these returns false with s->why in words, script line included, when
 * the script failed; the script remains usable. */

/* Compiles and runs a source. NULL with the reason in why. `print` as in the
 * struct. The caller frees it with script_free(). */
struct script *script_load(const struct machine *machine, const char *name, const char *source,
                           size_t source_bytes, void (*print)(void *, const char *, const char *),
                           void *print_context, char why[SCRIPT_WHY_MAX]);
void script_free(struct script *s);
/* Visits every object the script has. One whose heap is damaged dies of it here, not when it is in charge. */
void script_walk(struct script *s);

/* dt_s: seconds since the last tick. */
bool script_tick(struct script *s, double dt_s, struct plan *plan);
/* No plan when the script has no event function. `kind` names the event; `e` may be NULL. */
bool script_event(struct script *s, const char *kind, const struct tithe_event *e, struct plan *plan);
/* *admitted false: the script said no, and its reason is in s->why. */
bool script_admit(struct script *s, const struct tithe_create *vm, bool *admitted);
/* Puts what save() returns under the key; puts nothing when there is no save(). */
bool script_save(struct script *s, struct cborx_writer *w, const char *key);
/* `from`: the title of the policy that has saved it. */
bool script_restore(struct script *s, const cbor_item_t *saved, const cbor_item_t *from);

/* Parameters: scalars in the script's table `params`. */
/* All of them, or only those that an operator has set. */
bool script_params(struct script *s, struct cborx_writer *w, const char *key, bool only_set);
/* Sets one; refuses an unknown name, another type, and values outside of `ranges`. */
bool script_param_set(struct script *s, const char *name, const cbor_item_t *value);
/* Takes over those that exist here and are of the same type; ignores the rest. */
void script_params_adopt(struct script *s, const cbor_item_t *params);

/* ---- Between the files of this directory -------------------------------- */

struct script *script_of(lua_State *L);
void sandbox_open(lua_State *L, bool test_mode);                  /* the globals a script sees */
void tithe_module_open(lua_State *L);                             /* pushes the module */
void test_module_open(lua_State *L);                              /* pushes tithe.test */
void budget_start(struct script *s, const char *phase, int line); /* counts from 0, notes the place */
void budget_note(lua_State *L); /* notes the line now running, before what may not come back */
void budget_stop(struct script *s);
void *budget_alloc(void *script, void *block, size_t old_bytes, size_t new_bytes); /* lua_Alloc */
void view_push_host(struct script *s); /* tables of the snapshot, filled anew */
void view_push_vms(struct script *s);
void view_push_create(lua_State *L, const struct tithe_create *vm);
void view_push_event(lua_State *L, const char *kind, const struct tithe_event *e);
void plan_take(lua_State *L, int index, const char *function, struct plan *plan); /* raises on a bad plan */
void value_write(lua_State *L, int index, struct cborx_writer *w, const char *key,
                 unsigned depth); /* raises */
void value_push(lua_State *L, const cbor_item_t *item);
void script_policy_field(struct script *s, const char *name); /* pushes a field of the policy's table */

/* The line of the policy's file that is running, or has called what is running; `otherwise` when there is
 * none. */
int script_line(lua_State *L, int otherwise);

#endif
