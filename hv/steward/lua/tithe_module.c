/* SPDX-License-Identifier: MIT
 *
 * The module `tithe` as far as it is C: sizes.
 */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "script.h"

#define KIB 1024.0

/* "64M", "1.5GiB", "4096" (bytes), or a number of bytes -> bytes; raises on nonsense. */
static double size_argument(lua_State *L)
{
    double bytes;
    if (lua_type(L, 1) == LUA_TNUMBER) {
        bytes = lua_tonumber(L, 1);
    } else {
        const char *text = luaL_checkstring(L, 1);
        char *end;
        static const char units[] = "KMGT";
        bytes = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : -1;
        if (bytes >= 0) {
            const char *unit = *end != 0 ? strchr(units, *end) : NULL;
            for (const char *u = units; unit != NULL && u <= unit; u++) bytes *= KIB;
            if (unit != NULL) end += end[1] == 'i' && end[2] == 'B' ? 3 : end[1] == 'B' ? 2 : 1;
            if (unit == NULL && *end == 'B') end++;
            if (*end != 0) bytes = -1;
        }
        if (bytes < 0) luaL_error(L, "'%s' is not a size; write it like 64M or 1.5G", text);
    }
    /* An eighth of 2^63 pages is beyond any machine, and exact in all that follows. */
    if (!(bytes >= 0 && bytes <= 0x1p60)) luaL_error(L, "%f bytes is not a size", bytes);
    return bytes;
}

/* tithe.pages("64M"): whole pages, rounded up. */
static int pages(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)ceil(size_argument(L) / TITHE_PAGE_BYTES));
    return 1;
}

/* tithe.clamp(x, low, high) */
static int clamp(lua_State *L)
{
    luaL_checknumber(L, 1);
    luaL_checknumber(L, 2);
    luaL_checknumber(L, 3);
    lua_settop(L, 3);
    if (lua_compare(L, 3, 2, LUA_OPLT)) return luaL_error(L, "clamp: the upper bound is below the lower one");
    if (lua_compare(L, 1, 2, LUA_OPLT)) {
        lua_settop(L, 2);
    } else if (lua_compare(L, 1, 3, LUA_OPLE)) {
        lua_settop(L, 1);
    }
    return 1;
}

/* tithe.text(pages): "96.0 MiB", for messages. */
static int text(lua_State *L)
{
    double bytes = luaL_checknumber(L, 1) * TITHE_PAGE_BYTES;
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    unsigned u = 0;
    bytes /= KIB;
    while (fabs(bytes) >= KIB && u < 3) {
        bytes /= KIB;
        u++;
    }
    lua_Number rounded = floor(bytes * 10 + 0.5) / 10;
    lua_pushfstring(L, "%f %s", rounded, units[u]);
    return 1;
}

void tithe_module_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pages", pages}, {"clamp", clamp}, {"text", text}, {NULL, NULL}};
    luaL_newlib(L, functions);
    static const struct {
        const char *name;
        lua_Integer value;
    } numbers[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"page_bytes", TITHE_PAGE_BYTES}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
}
