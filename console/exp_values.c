/* SPDX-License-Identifier: MIT
 *
 * Between Lua values and CBOR.
 */
#include <lauxlib.h>
#include <string.h>

#include "exp.h"

#define NESTING_MAX 10

static void put_table(lua_State *L, int index, struct cborx_writer *w, const char *key)
{
    lua_Integer n, i;

    luaL_checkstack(L, 4, "arguments nested too deep");
    if (lua_getfield(L, index, "bytes") == LUA_TSTRING) {
        size_t length;
        const char *bytes = lua_tolstring(L, -1, &length);

        cborx_put_bytes(w, key, bytes, length);
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    n = luaL_len(L, index);
    if (n > 0) {
        cborx_put_array(w, key);
        for (i = 1; i <= n; i++) {
            lua_geti(L, index, i);
            exp_put(L, lua_gettop(L), w, NULL);
            lua_pop(L, 1);
        }
        cborx_end(w);
        return;
    }
    cborx_put_map(w, key);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "an argument's name must be a text");
        exp_put(L, lua_gettop(L), w, lua_tostring(L, -2));
    }
    cborx_end(w);
}

void exp_put(lua_State *L, int index, struct cborx_writer *w, const char *key)
{
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: cborx_put_bool(w, key, lua_toboolean(L, index)); break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            cborx_put_int(w, key, lua_tointeger(L, index));
        else
            cborx_put_double(w, key, lua_tonumber(L, index));
        break;
    case LUA_TSTRING: cborx_put_text(w, key, lua_tostring(L, index)); break;
    case LUA_TTABLE:
        if (w->depth >= NESTING_MAX) luaL_error(L, "arguments nested too deep");
        put_table(L, index, w, key);
        break;
    default: luaL_error(L, "a %s cannot be an argument", luaL_typename(L, index));
    }
}

static void push_map(lua_State *L, const cbor_item_t *item)
{
    const struct cbor_pair *p = cbor_map_handle(item);
    size_t i;

    lua_createtable(L, 0, (int)cbor_map_size(item));
    for (i = 0; i < cbor_map_size(item); i++) {
        exp_push(L, p[i].key);
        exp_push(L, p[i].value);
        lua_rawset(L, -3);
    }
}

void exp_push(lua_State *L, const cbor_item_t *item)
{
    double number;
    int64_t integer;
    bool flag;
    size_t i;

    luaL_checkstack(L, 4, "an answer nested too deep");
    if (cborx_int(item, &integer)) {
        lua_pushinteger(L, integer);
    } else if (cborx_number(item, &number)) {
        lua_pushnumber(L, number);
    } else if (cborx_bool(item,
                          &flag)) { /* not before numbers: libcbor does not let one ask that of a float */
        lua_pushboolean(L, flag);
    } else if (cbor_isa_string(item)) {
        lua_pushlstring(L, (const char *)cbor_string_handle(item), cbor_string_length(item));
    } else if (cbor_isa_bytestring(item)) {
        lua_pushlstring(L, (const char *)cbor_bytestring_handle(item), cbor_bytestring_length(item));
    } else if (cbor_isa_array(item)) {
        lua_createtable(L, (int)cbor_array_size(item), 0);
        for (i = 0; i < cbor_array_size(item); i++) {
            exp_push(L, cbor_array_handle(item)[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
    } else if (cbor_isa_map(item)) {
        push_map(L, item);
    } else {
        lua_pushnil(L);
    }
}
