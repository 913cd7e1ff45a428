/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_API           1
#define DEFAULT_TRIAL_TICKS  5
#define DEFAULT_ERROR_LIMIT  3
#define DEFAULT_NUMBER_LIMIT 1000000 /* of trial_ticks and error_limit */

/* Address of this is the registry key of the policy's table. */
static const char policy_key;

struct script *script_of(lua_State *L)
{
    return *(struct script **)lua_getextraspace(L);
}

/* The chunk name that makes messages read "name.lua:12:". */
static void chunk_name(const struct script *s, char out[TITHE_NAME_MAX + 8])
{
    snprintf(out, TITHE_NAME_MAX + 8, "@%s.lua", s->name);
}

int script_line(lua_State *L, int otherwise)
{
    lua_Debug ar;
    char chunk[TITHE_NAME_MAX + 8];
    chunk_name(script_of(L), chunk);
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && strcmp(ar.source, chunk) == 0) return ar.currentline;
    }
    return otherwise;
}

/* Writes the reason down where no memory is needed for it. */
static int on_error(lua_State *L)
{
    struct script *s = script_of(L);
    char type_text[64], prefix[TITHE_NAME_MAX + 8];
    int line = script_line(L, s->phase_line);
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : type_text;
    snprintf(type_text, sizeof type_text, "raised a %s where text was due", luaL_typename(L, 1));
    snprintf(prefix, sizeof prefix, "%s.lua:", s->name);
    if (strncmp(text, prefix, strlen(prefix)) == 0) {
        snprintf(s->why, sizeof s->why, "%s", text);
    } else if (line != 0) {
        snprintf(s->why, sizeof s->why, "%s%d: %s", prefix, line, text);
    } else {
        snprintf(s->why, sizeof s->why, "%s %s", prefix, text);
    }
    return 1;
}

/* Runs f(argument) under the budget. False with s->why when it raised. */
static bool run(struct script *s, const char *phase, int line, lua_CFunction f, void *argument)
{
    lua_State *L = s->L;
    lua_settop(L, 0);
    budget_start(s, phase, line);
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, f);
    lua_pushlightuserdata(L, argument);
    int status = lua_pcall(L, 1, 0, 1);
    budget_stop(s);
    lua_settop(L, 0);
    if (status == LUA_ERRMEM) {
        snprintf(s->why, sizeof s->why, "%s.lua:%d: not enough memory: a policy may use %u KiB", s->name,
                 s->starved_line, SCRIPT_MAX_BYTES / 1024);
    } else if (status != LUA_OK && s->why[0] == 0) {
        snprintf(s->why, sizeof s->why, "%s.lua: an error inside the handling of an error in %s", s->name,
                 phase);
    }
    return status == LUA_OK;
}

void script_policy_field(struct script *s, const char *name)
{
    lua_rawgetp(s->L, LUA_REGISTRYINDEX, &policy_key);
    lua_pushstring(s->L, name);
    lua_rawget(s->L, -2);
    lua_remove(s->L, -2);
}

/* ---- Loading ------------------------------------------------------------ */

struct source {
    const char *text;
    size_t bytes;
    bool test_mode;
};

/* Where a function of the policy's begins; 0: there is none, or it is not Lua. */
static int optional_function(struct script *s, const char *name, bool *there)
{
    lua_Debug ar = {.linedefined = 0};
    script_policy_field(s, name);
    int type = lua_type(s->L, -1);
    if (type == LUA_TFUNCTION) {
        lua_getinfo(s->L, ">S", &ar);
    } else {
        lua_pop(s->L, 1);
    }
    if (type != LUA_TFUNCTION && type != LUA_TNIL) {
        luaL_error(s->L, "%s.lua: '%s' is a %s where a function was due", s->name, name,
                   lua_typename(s->L, type));
    }
    *there = type == LUA_TFUNCTION;
    return ar.linedefined > 0 ? ar.linedefined : 0;
}

static uint32_t optional_number(struct script *s, const char *name, uint32_t otherwise)
{
    script_policy_field(s, name);
    int is_integer;
    lua_Integer value = lua_tointegerx(s->L, -1, &is_integer);
    bool absent = lua_isnil(s->L, -1);
    lua_pop(s->L, 1);
    if (absent) return otherwise;
    if (!is_integer || value < 1 || value > DEFAULT_NUMBER_LIMIT) {
        luaL_error(s->L, "%s.lua: '%s' is not a whole number from 1 to %d", s->name, name,
                   DEFAULT_NUMBER_LIMIT);
    }
    return (uint32_t)value;
}

static void check_params(struct script *s)
{
    lua_State *L = s->L;
    script_policy_field(s, "params");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &policy_key);
        lua_newtable(L);
        lua_setfield(L, -2, "params");
        lua_pop(L, 1);
        return;
    }
    if (!lua_istable(L, -1)) luaL_error(L, "%s.lua: 'params' is not a table", s->name);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "%s.lua: a name in 'params' is not text", s->name);
        int type = lua_type(L, -1);
        if (type != LUA_TNUMBER && type != LUA_TBOOLEAN && type != LUA_TSTRING) {
            luaL_error(L, "%s.lua: params.%s is a %s; a number, boolean or text was due", s->name,
                       lua_tostring(L, -2), lua_typename(L, type));
        }
    }
    lua_pop(L, 1);
}

/* What a policy file must return: docs/policy.md, "The table". */
static void check_policy(struct script *s)
{
    lua_State *L = s->L;
    script_policy_field(s, "api");
    if (lua_isnil(L, -1))
        luaL_error(L, "%s.lua: the policy's table has no 'api'; say api = %d", s->name, SCRIPT_API);
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) != SCRIPT_API) {
        luaL_error(L, "%s.lua: api is %s; this machine speaks api = %d", s->name, luaL_tolstring(L, -1, NULL),
                   SCRIPT_API);
    }
    script_policy_field(s, "name");
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s.lua: the policy's table has no 'name' that is text", s->name);
    snprintf(s->title, sizeof s->title, "%s", lua_tostring(L, -1));
    lua_settop(L, 1);
    bool has_tick;
    s->tick_line = optional_function(s, "tick", &has_tick);
    if (!has_tick) luaL_error(L, "%s.lua: the policy's table has no function 'tick'", s->name);
    s->admit_line = optional_function(s, "admit", &s->has_admit);
    s->event_line = optional_function(s, "event", &s->has_event);
    s->save_line = optional_function(s, "save", &s->has_save);
    s->restore_line = optional_function(s, "restore", &s->has_restore);
    s->trial_ticks = optional_number(s, "trial_ticks", DEFAULT_TRIAL_TICKS);
    s->error_limit = optional_number(s, "error_limit", DEFAULT_ERROR_LIMIT);
    check_params(s);
}

static int do_load(lua_State *L)
{
    struct script *s = script_of(L);
    const struct source *source = lua_touserdata(L, 1);
    sandbox_open(L, source->test_mode);
    char chunk[TITHE_NAME_MAX + 8];
    chunk_name(s, chunk);
    /* "t": text only. Bytecode can crash the interpreter at will. */
    if (luaL_loadbufferx(L, source->text, source->bytes, chunk, "t") != LUA_OK) return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1)) {
        return luaL_error(L,
                          "%s.lua: returned %s where the policy's table was due; end it with 'return policy'",
                          s->name, luaL_typename(L, -1));
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &policy_key);
    check_policy(s);
    return 0;
}

struct script *script_load(const struct machine *machine, const char *name, const char *source,
                           size_t source_bytes, void (*print)(void *, const char *, const char *),
                           void *print_context, char why[SCRIPT_WHY_MAX])
{
    struct script *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->machine = machine;
        s->print = print;
        s->candidate = s->counted = true;
        s->print_context = print_context;
        snprintf(s->name, sizeof s->name, "%s", name);
        s->L = lua_newstate(budget_alloc, s);
    }
    if (s == NULL || s->L == NULL) {
        snprintf(why, SCRIPT_WHY_MAX, "%s.lua: the steward has no memory for another Lua state", name);
        free(s);
        return NULL;
    }
    *(struct script **)lua_getextraspace(s->L) = s;
    struct source from = {source, source_bytes, machine->snapshot->test_mode != 0};
    if (!run(s, "loading", 1, do_load, &from)) {
        memcpy(why, s->why, SCRIPT_WHY_MAX);
        script_free(s);
        return NULL;
    }
    return s;
}

void script_free(struct script *s)
{
    if (s == NULL) return;
    lua_close(s->L);
    free(s);
}

void script_walk(struct script *s)
{
    lua_gc(s->L, LUA_GCCOLLECT);
}

/* ---- Calls -------------------------------------------------------------- */

struct call {
    double dt_s;
    struct plan *plan;
    const char *kind;
    const struct tithe_event *event;
    const struct tithe_create *create;
    bool admitted;
    struct cborx_writer *writer;
    const char *key;
    const cbor_item_t *item, *from;
};

static int do_tick(lua_State *L)
{
    struct script *s = script_of(L);
    struct call *c = lua_touserdata(L, 1);
    script_policy_field(s, "tick");
    view_push_host(s);
    view_push_vms(s);
    lua_pushnumber(L, c->dt_s);
    lua_call(L, 3, 1);
    plan_take(L, -1, "tick", c->plan);
    return 0;
}

bool script_tick(struct script *s, double dt_s, struct plan *plan)
{
    plan->count = 0;
    return run(s, "tick", s->tick_line, do_tick, &(struct call){.dt_s = dt_s, .plan = plan});
}

static int do_event(lua_State *L)
{
    struct script *s = script_of(L);
    struct call *c = lua_touserdata(L, 1);
    script_policy_field(s, "event");
    view_push_host(s);
    view_push_vms(s);
    view_push_event(L, c->kind, c->event);
    lua_call(L, 3, 1);
    plan_take(L, -1, "event", c->plan);
    return 0;
}

bool script_event(struct script *s, const char *kind, const struct tithe_event *e, struct plan *plan)
{
    plan->count = 0;
    if (!s->has_event) return true;
    return run(s, "event", s->event_line, do_event, &(struct call){.kind = kind, .event = e, .plan = plan});
}

static int do_admit(lua_State *L)
{
    struct script *s = script_of(L);
    struct call *c = lua_touserdata(L, 1);
    script_policy_field(s, "admit");
    view_push_host(s);
    view_push_create(L, c->create);
    view_push_vms(s);
    lua_call(L, 3, 2);
    if (!lua_isboolean(L, -2)) {
        return luaL_error(L, "%s.lua: admit returned %s where true or false was due", s->name,
                          luaL_typename(L, -2));
    }
    c->admitted = lua_toboolean(L, -2);
    if (!c->admitted) {
        bool told = lua_type(L, -1) == LUA_TSTRING;
        snprintf(s->why, sizeof s->why, "%s", told ? lua_tostring(L, -1) : "the policy gave no reason");
    }
    return 0;
}

bool script_admit(struct script *s, const struct tithe_create *vm, bool *admitted)
{
    *admitted = true;
    if (!s->has_admit) return true;
    struct call c = {.create = vm};
    bool ran = run(s, "admit", s->admit_line, do_admit, &c);
    *admitted = ran && c.admitted;
    return ran;
}

static int do_save(lua_State *L)
{
    struct script *s = script_of(L);
    struct call *c = lua_touserdata(L, 1);
    script_policy_field(s, "save");
    lua_call(L, 0, 1);
    value_write(L, lua_gettop(L), c->writer, c->key, 0);
    return 0;
}

bool script_save(struct script *s, struct cborx_writer *w, const char *key)
{
    if (!s->has_save) return true;
    struct cborx_mark mark = cborx_mark(w);
    bool ran = run(s, "save", s->save_line, do_save, &(struct call){.writer = w, .key = key});
    if (!ran) cborx_rewind(w, mark);
    return ran;
}

static int do_restore(lua_State *L)
{
    struct script *s = script_of(L);
    struct call *c = lua_touserdata(L, 1);
    script_policy_field(s, "restore");
    value_push(L, c->item);
    value_push(L, c->from);
    lua_call(L, 2, 0);
    return 0;
}

bool script_restore(struct script *s, const cbor_item_t *saved, const cbor_item_t *from)
{
    if (!s->has_restore || saved == NULL) return true;
    return run(s, "restore", s->restore_line, do_restore, &(struct call){.item = saved, .from = from});
}
