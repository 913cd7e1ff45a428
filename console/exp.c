/* SPDX-License-Identifier: MIT */
#include "exp.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

#define VERBS_FILE "console/exp/verbs.lua"

/* What a script raised: one of our error tables, or Lua's own text with file and line. */
static enum status take_error(lua_State *L, const char *path, struct error *e)
{
    char code[sizeof e->code], thing[sizeof e->thing], mend[sizeof e->mend], reason[sizeof e->reason];
    lua_Integer status;

    if (!lua_istable(L, -1)) {
        return error_set(e, STATUS_USAGE, "script", path, "mend the script", "%s",
                         luaL_tolstring(L, -1, NULL));
    }
    lua_getfield(L, -1, "status");
    status = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : STATUS_USAGE;
    lua_getfield(L, -2, "code");
    lua_getfield(L, -3, "thing");
    lua_getfield(L, -4, "reason");
    lua_getfield(L, -5, "mend");
    snprintf(code, sizeof code, "%s", luaL_optstring(L, -4, "script"));
    snprintf(thing, sizeof thing, "%s", luaL_optstring(L, -3, path));
    snprintf(reason, sizeof reason, "%s", luaL_optstring(L, -2, "failed"));
    snprintf(mend, sizeof mend, "%s", luaL_optstring(L, -1, ""));
    return error_set(e, status > 0 && status <= STATUS_VERIFY ? (enum status)status : STATUS_USAGE, code,
                     thing, mend, "%s", reason);
}

/* With a traceback for errors of the script's own. */
static int handler(lua_State *L)
{
    if (lua_isstring(L, 1)) luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

static void set_options(lua_State *L, const struct options *o, int first_arg)
{
    size_t i;
    int n;

    lua_newtable(L);
    for (i = 0; i < o->given_count; i++) {
        if (*o->given[i].value != '\0')
            lua_pushstring(L, o->given[i].value);
        else
            lua_pushboolean(L, 1);
        lua_setfield(L, -2, o->given[i].name);
    }
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    for (n = first_arg; n < o->arg_count; n++) {
        lua_pushstring(L, o->args[n]);
        lua_rawseti(L, -2, n - first_arg + 1);
    }
    lua_setfield(L, -2, "args");
}

static int run_file(lua_State *L, const char *path)
{
    int base = lua_gettop(L) + 1, result;

    lua_pushcfunction(L, handler);
    result = luaL_loadfilex(L, path, "t");
    if (result == LUA_OK) result = lua_pcall(L, 0, 1, base);
    lua_remove(L, base);
    return result;
}

enum status exp_run(struct context *t, const char *path, const struct options *o, int first_arg,
                    struct error *e)
{
    char verbs[FILES_PATH_MAX];
    struct exp x = {.context = t};
    lua_State *L;
    enum status s = STATUS_OK;

    if (access(path, R_OK) < 0)
        return error_set(e, STATUS_USAGE, "no-file", path, "check its name and permissions",
                         "cannot be read (%m)");
    L = luaL_newstate();
    if (L == NULL) return error_set(e, STATUS_USAGE, "no-memory", path, "", "no memory for Lua");
    luaL_openlibs(L);
    exp_open(L, &x);
    lua_pushboolean(L, t->json);
    lua_setfield(L, -2, "json");
    set_options(L, o, first_arg);
    lua_setglobal(L, "tithe");
    if (run_file(L, tree_path(VERBS_FILE, verbs)) != LUA_OK) {
        s = take_error(L, verbs, e);
    } else if (run_file(L, path) != LUA_OK) {
        s = take_error(L, path, e);
    } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) != 0) {
        lua_Integer status = lua_tointeger(L, -1);

        /* The script has said what there was to say. */
        s = status > 0 && status <= STATUS_VERIFY ? (enum status)status : STATUS_USAGE;
    }
    lua_close(L);
    return s;
}
