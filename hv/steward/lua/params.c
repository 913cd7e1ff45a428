/* SPDX-License-Identifier: MIT
 *
 * A policy's parameters: scalars that an operator sets while it runs.
 */
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "script.h"

struct params_call {
    struct cborx_writer *writer;
    const char *key;
    const char *name;
    const cbor_item_t *value;
    char why[SCRIPT_WHY_MAX];
};

/* Registry key of the table of those that an operator has set, name to value. Only these outlive a reload:
 * a default that was edited in the file must show. */
static const char set_key;

/* No Lua code of the script runs in here, only table accesses; but those may run
 * out of memory, so they too are made under a pcall. */
static bool guarded(struct script *s, lua_CFunction f, struct params_call *c)
{
    c->why[0] = 0;
    lua_settop(s->L, 0);
    lua_pushcfunction(s->L, f);
    lua_pushlightuserdata(s->L, c);
    int status = lua_pcall(s->L, 1, 0, 0);
    if (status != LUA_OK && c->why[0] == 0) {
        const char *text = lua_tostring(s->L, -1);
        snprintf(c->why, sizeof c->why, "%s.lua: %s", s->name,
                 text != NULL ? text : "an error without words");
    }
    lua_settop(s->L, 0);
    if (c->why[0] != 0) memcpy(s->why, c->why, sizeof s->why);
    return c->why[0] == 0;
}

static int do_params(lua_State *L)
{
    struct params_call *c = lua_touserdata(L, 1);
    script_policy_field(script_of(L), "params");
    value_write(L, lua_gettop(L), c->writer, c->key, 0);
    return 0;
}

static void push_set(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &set_key) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &set_key);
}

static int do_params_set(lua_State *L)
{
    struct params_call *c = lua_touserdata(L, 1);
    push_set(L);
    value_write(L, lua_gettop(L), c->writer, c->key, 0);
    return 0;
}

bool script_params(struct script *s, struct cborx_writer *w, const char *key, bool only_set)
{
    struct cborx_mark mark = cborx_mark(w);
    bool ok =
        guarded(s, only_set ? do_params_set : do_params, &(struct params_call){.writer = w, .key = key});
    if (ok) return true;
    cborx_rewind(w, mark);
    cborx_put_map(w, key);
    cborx_end(w);
    return false;
}

static void list_names(lua_State *L, int params, char *out, size_t out_bytes)
{
    size_t used = 0;
    for (lua_pushnil(L); lua_next(L, params); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || used + 2 >= out_bytes) continue;
        int n = snprintf(out + used, out_bytes - used, "%s%s", used ? ", " : "", lua_tostring(L, -2));
        used += (size_t)n < out_bytes - used ? (size_t)n : out_bytes - used - 1;
    }
    if (used == 0) snprintf(out, out_bytes, "(none)");
}

/* ranges = { name = { low, high } } of a number, { "this", "that" } of text, is a script's way to refuse nonsense. */
static bool in_range(struct script *s, const char *name, int value, char why[SCRIPT_WHY_MAX])
{
    lua_State *L = s->L;
    script_policy_field(s, "ranges");
    if (lua_istable(L, -1)) {
        lua_pushstring(L, name);
        lua_rawget(L, -2);
    }
    if (!lua_istable(L, -1)) return true;
    int range = lua_gettop(L);
    if (lua_type(L, value) == LUA_TNUMBER && lua_rawlen(L, range) == 2) {
        lua_rawgeti(L, range, 1);
        lua_rawgeti(L, range, 2);
        double low = lua_tonumber(L, -2), high = lua_tonumber(L, -1);
        if (lua_tonumber(L, value) >= low && lua_tonumber(L, value) <= high) return true;
        snprintf(why, SCRIPT_WHY_MAX, "%s must lie between %.15g and %.15g", name, low, high);
        return false;
    }
    if (lua_type(L, value) != LUA_TSTRING) return true;
    size_t used = (size_t)snprintf(why, SCRIPT_WHY_MAX, "%s must be one of:", name);
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, range); i++) {
        lua_rawgeti(L, range, i);
        bool same = lua_rawequal(L, value, -1);
        if (same) {
            why[0] = 0;
            return true;
        }
        const char *word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        if (used < SCRIPT_WHY_MAX) used += (size_t)snprintf(why + used, SCRIPT_WHY_MAX - used, " %s", word);
        lua_pop(L, 1);
    }
    return false;
}

static int do_set(lua_State *L)
{
    struct params_call *c = lua_touserdata(L, 1);
    struct script *s = script_of(L);
    script_policy_field(s, "params");
    int params = lua_gettop(L);
    if (!lua_istable(L, params))
        return luaL_error(L, "the script has made 'params' something other than a table");
    lua_pushstring(L, c->name);
    int type = lua_rawget(L, params);
    bool was_integer = lua_isinteger(L, -1);
    value_push(L, c->value);
    int given = lua_type(L, -1), whole;
    lua_tointegerx(L, -1, &whole);
    if (type == LUA_TNIL) {
        char names[SCRIPT_WHY_MAX / 2];
        list_names(L, params, names, sizeof names);
        snprintf(c->why, sizeof c->why, "%s has no parameter '%s'; it has: %s", s->name, c->name, names);
    } else if (type != given) {
        snprintf(c->why, sizeof c->why, "%s is a %s, and a %s was given", c->name, lua_typename(L, type),
                 lua_typename(L, given));
    } else if (was_integer && !whole) {
        snprintf(c->why, sizeof c->why, "%s is a whole number, and %.15g was given", c->name,
                 lua_tonumber(L, -1));
    } else if (given == LUA_TNUMBER && !isfinite(lua_tonumber(L, -1))) {
        snprintf(c->why, sizeof c->why, "%s must be a finite number", c->name);
    } else if (!in_range(s, c->name, 4, c->why)) {
        return 0;
    } else {
        lua_settop(L, 4); /* call, params, old, new */
        lua_pushstring(L, c->name);
        lua_pushvalue(L, 4);
        lua_rawset(L, params);
        push_set(L);
        lua_pushstring(L, c->name);
        lua_pushvalue(L, 4);
        lua_rawset(L, -3);
    }
    return 0;
}

bool script_param_set(struct script *s, const char *name, const cbor_item_t *value)
{
    return guarded(s, do_set, &(struct params_call){.name = name, .value = value});
}

void script_params_adopt(struct script *s, const cbor_item_t *params)
{
    if (params == NULL || !cbor_isa_map(params)) return;
    const struct cbor_pair *pairs = cbor_map_handle(params);
    for (size_t i = 0; i < cbor_map_size(params); i++) {
        char name[128];
        if (cborx_text(pairs[i].key, name, sizeof name)) script_param_set(s, name, pairs[i].value);
    }
    s->why[0] = 0;
}
