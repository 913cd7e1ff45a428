/* SPDX-License-Identifier: MIT
 *
 * The globals of a policy script: the parts of Lua's library that reach neither
 * files nor the interpreter, with the few functions replaced that would let a
 * script escape the instruction hook.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include "script.h"

/* Lines of the standard library's base that stay. Gone: load, loadfile, dofile,
 * collectgarbage, warn. coroutine is not opened: hooks are per coroutine. */
static const char *const base_kept[] = {"assert",   "error",    "getmetatable", "ipairs",  "next",   "pairs",
                                        "pcall",    "rawequal", "rawget",       "rawlen",  "rawset", "select",
                                        "tonumber", "tostring", "type",         "_VERSION"};

/* Embedded at build time from policy-lua/lib (steward.mk). */
struct lua_file {
    const char *name;
    const char *text;
    size_t bytes;
};
extern const struct lua_file lua_library[]; /* up to a NULL name */

/* setmetatable without finalizers: those run with hooks off. */
static int safe_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "a policy's metatable may not have __gc");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* Calls the function it wraps, after noting the script's line: for what may run long inside C, where no hook
 * is called, so that a death of the steward there can be told with a line. */
static int noted(lua_State *L)
{
    budget_note(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* string.rep of nothing, a billion times, would loop in C without end. */
static int safe_rep(lua_State *L)
{
    size_t text_bytes = 0, separator_bytes = 0;
    luaL_checklstring(L, 1, &text_bytes);
    luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &separator_bytes);
    if (text_bytes + separator_bytes != 0) return noted(L);
    lua_pushliteral(L, "");
    return 1;
}

/* table.move of ranges that no table here can hold would loop in C as well. */
static int safe_move(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
    if (last > first && (lua_Unsigned)last - (lua_Unsigned)first > SCRIPT_MAX_BYTES) {
        return luaL_error(L, "table.move of more elements than a policy can have");
    }
    return noted(L);
}

static void say(lua_State *L, const char *text, size_t bytes)
{
    struct script *s = script_of(L);
    char line[SCRIPT_PRINT_BYTES];
    if (s->prints > SCRIPT_PRINTS_MAX) return;
    size_t n = 0;
    for (; n < bytes && n < sizeof line - 1; n++) line[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
    line[n] = 0;
    if (s->prints++ == SCRIPT_PRINTS_MAX) memcpy(line, "(more lines than one call may print)", 37);
    s->print(s->print_context, s->name, line);
}

/* print() and tithe.log() */
static int print(lua_State *L)
{
    luaL_Buffer b;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1) luaL_addchar(&b, ' ');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t bytes;
    const char *text = lua_tolstring(L, -1, &bytes);
    say(L, text, bytes);
    return 0;
}

/* Pushes a copy of the named library with only what is to stay. */
static void open_base(lua_State *L)
{
    lua_newtable(L);
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0); /* fills the globals' table itself */
    for (size_t i = 0; i < sizeof base_kept / sizeof *base_kept; i++) {
        lua_getfield(L, -1, base_kept[i]);
        lua_setfield(L, -3, base_kept[i]);
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, safe_setmetatable);
    lua_setfield(L, -2, "setmetatable");
    lua_pushcfunction(L, print);
    lua_setfield(L, -2, "print");
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); /* chunks compiled from now on get this as _ENV */
}

static void wrap(lua_State *L, const char *name, lua_CFunction f)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, name);
}

static void drop(lua_State *L, const char *name)
{
    lua_pushnil(L);
    lua_setfield(L, -2, name);
}

static void open_string(lua_State *L)
{
    lua_pushcfunction(L, luaopen_string);
    lua_call(L, 0, 1);
    drop(L, "dump");
    wrap(L, "rep", safe_rep);
    wrap(L, "find", noted);
    wrap(L, "match", noted);
    wrap(L, "gmatch", noted);
    wrap(L, "gsub", noted);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "strings keep their metatable");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

/* Random numbers are the same in every run, so that a plan can be had again. */
static void open_math(lua_State *L)
{
    lua_pushcfunction(L, luaopen_math);
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, 1);
    lua_call(L, 1, 0);
    drop(L, "randomseed");
}

static void open_library(lua_State *L)
{
    for (const struct lua_file *f = lua_library; f->name != NULL; f++) {
        char chunk[64] = "=tithe.";
        strncat(chunk, f->name, sizeof chunk - 8);
        if (luaL_loadbufferx(L, f->text, f->bytes, chunk, "t") != LUA_OK) lua_error(L);
        lua_call(L, 0, 1);
        lua_setfield(L, -2, f->name);
    }
}

void sandbox_open(lua_State *L, bool test_mode)
{
    open_base(L);
    open_string(L);
    lua_setfield(L, -2, "string");
    lua_pushcfunction(L, luaopen_table);
    lua_call(L, 0, 1);
    wrap(L, "move", safe_move);
    wrap(L, "sort", noted);
    wrap(L, "concat", noted);
    lua_setfield(L, -2, "table");
    open_math(L);
    lua_setfield(L, -2, "math");
    lua_pushcfunction(L, luaopen_utf8);
    lua_call(L, 0, 1);
    lua_setfield(L, -2, "utf8");
    tithe_module_open(L);
    lua_pushcfunction(L, print);
    lua_setfield(L, -2, "log");
    if (test_mode) {
        test_module_open(L);
        lua_setfield(L, -2, "test");
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "tithe"); /* the library's files may use it */
    open_library(L);
    lua_pop(L, 2);
}
