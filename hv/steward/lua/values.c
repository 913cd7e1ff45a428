/* SPDX-License-Identifier: MIT
 *
 * Plain Lua values to CBOR and back: what save() returns, and parameters. Keys
 * of maps must be text, so a whole-number key k is written "#k", and a text key
 * that starts with '#' gets another in front.
 */
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "script.h"

#define DEPTH_MAX     6u /* leaves room for the envelope around */
#define KEY_MAX_BYTES 96u

static bool is_plain(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e) return false;
    }
    return true;
}

static bool is_list(lua_State *L, int table)
{
    lua_Unsigned pairs = 0, length = lua_rawlen(L, table);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) pairs++;
    return length > 0 && pairs == length;
}

static void write_key(lua_State *L, int key, char out[KEY_MAX_BYTES])
{
    size_t bytes;
    if (lua_isinteger(L, key)) {
        snprintf(out, KEY_MAX_BYTES, "#%lld", lua_tointeger(L, key));
        return;
    }
    if (lua_type(L, key) != LUA_TSTRING) {
        luaL_error(L, "a saved table has a key of type %s; text and whole numbers can be saved",
                   luaL_typename(L, key));
    }
    const char *text = lua_tolstring(L, key, &bytes);
    if (bytes >= KEY_MAX_BYTES - 1 || !is_plain(text, bytes)) {
        luaL_error(L, "a saved table has a key that is too long or not printable ASCII");
    }
    snprintf(out, KEY_MAX_BYTES, "%s%s", text[0] == '#' ? "#" : "", text);
}

static void write_table(lua_State *L, int table, struct cborx_writer *w, const char *key, unsigned depth)
{
    if (depth == DEPTH_MAX)
        luaL_error(L, "a saved table is nested deeper than %d, or holds itself", (int)DEPTH_MAX);
    luaL_checkstack(L, 4, "saving");
    bool list = is_list(L, table);
    if (list) {
        cborx_put_array(w, key);
        for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, table); i++) {
            lua_rawgeti(L, table, i);
            value_write(L, lua_gettop(L), w, NULL, depth + 1);
            lua_pop(L, 1);
        }
    } else {
        cborx_put_map(w, key);
        for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
            char name[KEY_MAX_BYTES];
            int top = lua_gettop(L);
            write_key(L, top - 1, name);
            value_write(L, top, w, name, depth + 1);
        }
    }
    cborx_end(w);
    if (w->failed) luaL_error(L, "the saved state is too large: it may take %d bytes", (int)w->size_bytes);
}

void value_write(lua_State *L, int index, struct cborx_writer *w, const char *key, unsigned depth)
{
    size_t bytes;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: cborx_put_bool(w, key, lua_toboolean(L, index)); break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            cborx_put_int(w, key, lua_tointeger(L, index));
        } else {
            cborx_put_double(w, key, lua_tonumber(L, index));
        }
        break;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &bytes);
        if (is_plain(text, bytes)) {
            cborx_put_text(w, key, text);
        } else {
            cborx_put_bytes(w, key, text, bytes);
        }
        break;
    case LUA_TTABLE: write_table(L, index, w, key, depth); break;
    default:
        luaL_error(L, "a %s cannot be saved; numbers, booleans, text and tables of them can",
                   luaL_typename(L, index));
    }
}

static void push_key(lua_State *L, const cbor_item_t *key)
{
    char text[KEY_MAX_BYTES + 1] = "";
    cborx_text(key, text, sizeof text);
    lua_Integer number;
    if (text[0] == '#' && sscanf(text + 1, "%lld", &number) == 1 && text[1] != '#') {
        lua_pushinteger(L, number);
    } else {
        lua_pushstring(L, text[0] == '#' ? text + 1 : text);
    }
}

static void push_table(lua_State *L, const cbor_item_t *item)
{
    luaL_checkstack(L, 4, "restoring"); /* cborx_check() has bounded the depth */
    lua_newtable(L);
    if (cbor_isa_array(item)) {
        for (size_t i = 0; i < cbor_array_size(item); i++) {
            value_push(L, cbor_array_handle(item)[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    }
    const struct cbor_pair *pairs = cbor_map_handle(item);
    for (size_t i = 0; i < cbor_map_size(item); i++) {
        push_key(L, pairs[i].key);
        value_push(L, pairs[i].value);
        lua_rawset(L, -3);
    }
}

void value_push(lua_State *L, const cbor_item_t *item)
{
    int64_t integer;
    double number;
    bool boolean;
    size_t bytes;
    if (item == NULL) {
        lua_pushnil(L);
    } else if (cborx_int(item, &integer)) {
        lua_pushinteger(L, integer);
    } else if (cborx_number(item, &number)) {
        lua_pushnumber(L, number);
    } else if (cborx_bool(item, &boolean)) {
        lua_pushboolean(L, boolean);
    } else if (cbor_isa_string(item)) {
        lua_pushlstring(L, (const char *)cbor_string_handle(item), cbor_string_length(item));
    } else if (cborx_bytes(item, &bytes) != NULL) {
        lua_pushlstring(L, (const char *)cbor_bytestring_handle(item), bytes);
    } else if (cbor_isa_array(item) || cbor_isa_map(item)) {
        push_table(L, item);
    } else {
        lua_pushnil(L);
    }
}
