/* SPDX-License-Identifier: MIT
 *
 * From what a script returned to a plan. Nothing of the script runs in here: all
 * accesses are raw, so metatables are ignored, and nothing is followed deeper
 * than an action's fields, so cycles do no harm.
 */
#include <lauxlib.h>
#include <string.h>
#include "names.h"
#include "script.h"

struct taker {
    lua_State *L;
    char where[TITHE_NAME_MAX + 96]; /* "name.lua:12: tick", the function and its line */
    lua_Integer i;                   /* action under inspection */
};

static _Noreturn void bad(struct taker *t, const char *what)
{
    luaL_error(t->L, "%s: action %d of the plan %s", t->where, (int)t->i, what);
    __builtin_unreachable(); /* luaL_error does not return, but is not declared so */
}

static uint64_t whole(struct taker *t, int action, const char *field)
{
    lua_State *L = t->L;
    lua_pushstring(L, field);
    int type = lua_rawget(L, action);
    if (type == LUA_TNIL) bad(t, lua_pushfstring(L, "has no '%s'", field));
    if (type != LUA_TNUMBER)
        bad(t, lua_pushfstring(L, "has '%s' of type %s, not a number", field, luaL_typename(L, -1)));
    int is_whole;
    lua_Integer value = lua_tointegerx(L, -1, &is_whole);
    if (!is_whole) {
        bad(t, lua_pushfstring(L, "has %s = %f, not a whole number; use // or math.floor", field,
                               lua_tonumber(L, -1)));
    }
    if (value < 0) bad(t, lua_pushfstring(L, "has %s = %I, below zero", field, (LUAI_UACINT)value));
    lua_pop(L, 1);
    return (uint64_t)value;
}

/* What an action of each verb says besides `verb` and `vm`. */
static const struct verb {
    const char *name;
    uint32_t verb;
    const char *pages;       /* field that becomes `pages` */
    const char *how;         /* field that becomes `how`, or NULL */
    const char *const *ways; /* its words, in order; the first when it is left out */
} verbs[] = {
    {"balloon", TITHE_VERB_BALLOON, "size_pages", NULL, NULL},
    {"sample", TITHE_VERB_SAMPLE, "pages", "method", (const char *const[]){"abit", "unmap", NULL}},
    {"populate", TITHE_VERB_POPULATE, "pages", NULL, NULL},
    {"scan", TITHE_VERB_SCAN, "pages", "order", scan_orders},
    {"share-group", TITHE_VERB_SHARE_GROUP, NULL, "group", NULL}, /* `how` is a number */
    {"swap_out", TITHE_VERB_SWAP_OUT, "pages", "pick", (const char *const[]){"random", "cold", NULL}},
    {"prefetch", TITHE_VERB_PREFETCH, "pages", NULL, NULL},
    {"suspend", TITHE_VERB_SUSPEND, NULL, NULL, NULL},
    {"resume", TITHE_VERB_RESUME, "pages", NULL, NULL},
    {"colour", TITHE_VERB_COLOUR, "pages", "colours", NULL}, /* likewise */
    {"remap", TITHE_VERB_REMAP, "pages", "copies", NULL},    /* likewise */
    {"vacate", TITHE_VERB_VACATE, "pages", "which", (const char *const[]){"any", "cold", NULL}},
    {"compress", TITHE_VERB_COMPRESS, "pages", "percent", NULL},      /* likewise */
    {"double-paging", TITHE_VERB_DOUBLE_PAGING, NULL, "avoid", NULL}, /* likewise */
};
#define VERBS (sizeof verbs / sizeof *verbs)

static void check_fields(struct taker *t, int action, const struct verb *verb)
{
    lua_State *L = t->L;
    for (lua_pushnil(L); lua_next(L, action); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        if (key == NULL) bad(t, "has a field whose name is not text");
        if (strcmp(key, "verb") != 0 && strcmp(key, "vm") != 0 &&
            (verb->pages == NULL || strcmp(key, verb->pages) != 0) &&
            (verb->how == NULL || strcmp(key, verb->how) != 0)) {
            bad(t, lua_pushfstring(L, "has the field '%s'; %s takes vm%s%s%s%s", key, verb->name,
                                   verb->pages != NULL ? ", " : "", verb->pages != NULL ? verb->pages : "",
                                   verb->how != NULL ? ", " : "", verb->how != NULL ? verb->how : ""));
        }
    }
}

static const struct verb *take_verb(struct taker *t, int action)
{
    lua_State *L = t->L;
    lua_pushliteral(L, "verb");
    if (lua_rawget(L, action) != LUA_TSTRING) bad(t, "has no 'verb' that is text");
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(lua_tostring(L, -1), verbs[i].name) != 0) continue;
        lua_pop(L, 1);
        return &verbs[i];
    }
    luaL_Buffer names;
    const char *verb = lua_tostring(L, -1);
    luaL_buffinit(L, &names);
    for (size_t i = 0; i < VERBS; i++) {
        luaL_addstring(&names, i > 0 ? ", " : "");
        luaL_addstring(&names, verbs[i].name);
    }
    luaL_pushresult(&names);
    bad(t, lua_pushfstring(L, "has the verb '%s'; there are: %s", verb, lua_tostring(L, -1)));
}

static uint64_t take_way(struct taker *t, int action, const struct verb *verb)
{
    lua_State *L = t->L;
    if (verb->how == NULL) return 0;
    if (verb->ways == NULL) return whole(t, action, verb->how);
    lua_pushstring(L, verb->how);
    int type = lua_rawget(L, action);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        bad(t, lua_pushfstring(L, "has '%s' of type %s, not text", verb->how, luaL_typename(L, -1)));
    uint64_t way = 0;
    while (type == LUA_TSTRING && strcmp(lua_tostring(L, -1), verb->ways[way]) != 0) {
        if (verb->ways[++way] == NULL)
            bad(t, lua_pushfstring(L, "has %s = '%s', which is none of %s", verb->how, lua_tostring(L, -1),
                                   verb->name));
    }
    lua_pop(L, 1);
    return way;
}

static void take_action(struct taker *t, struct tithe_action *out)
{
    lua_State *L = t->L;
    if (!lua_istable(L, -1)) bad(t, lua_pushfstring(L, "is a %s, not a table", luaL_typename(L, -1)));
    int action = lua_gettop(L);
    const struct verb *verb = take_verb(t, action);
    uint64_t vm = whole(t, action, "vm");
    if (vm > UINT32_MAX) bad(t, "has a 'vm' that is no VM's id");
    *out = (struct tithe_action){.verb = verb->verb,
                                 .vm = (uint32_t)vm,
                                 .pages = verb->pages != NULL ? whole(t, action, verb->pages) : 0,
                                 .how = take_way(t, action, verb)};
    check_fields(t, action, verb);
}

static void name_place(struct taker *t, const char *function)
{
    struct script *s = script_of(t->L);
    lua_Debug ar;
    script_policy_field(s, function);
    lua_getinfo(t->L, ">S", &ar);
    lua_pushfstring(t->L, "%s:%d: %s", ar.short_src, ar.linedefined, function);
    strncat(t->where, lua_tostring(t->L, -1), sizeof t->where - 1);
    lua_pop(t->L, 1);
}

void plan_take(lua_State *L, int index, const char *function, struct plan *plan)
{
    struct taker t = {.L = L};
    int list = lua_absindex(L, index);
    plan->count = 0;
    if (lua_isnil(L, list)) return; /* nothing to do is a plan too */
    name_place(&t, function);
    if (!lua_istable(L, list)) luaL_error(L, "%s returned a %s, not a plan", t.where, luaL_typename(L, list));
    lua_Unsigned count = lua_rawlen(L, list);
    if (count > TITHE_PLAN_MAX)
        luaL_error(L, "%s returned a plan of more than %d actions", t.where, TITHE_PLAN_MAX);
    lua_pushnil(L);
    if (count == 0 && lua_next(L, list) != 0) {
        luaL_error(
            L, "%s returned a table that is not a list of actions (is the action not inside another { }?)",
            t.where);
    }
    for (t.i = 1; t.i <= (lua_Integer)count; t.i++) {
        lua_rawgeti(L, list, t.i);
        take_action(&t, &plan->actions[t.i - 1]);
        lua_pop(L, 1);
    }
    plan->count = (uint32_t)count;
}
