/* SPDX-License-Identifier: MIT
 *
 * tithe.test, present only when the core's command line says "test": the ways a
 * broken interpreter could behave, for the tests that show they are contained.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include "script.h"

static int crash(lua_State *L)
{
    budget_note(L);
    volatile uintptr_t nowhere = 16;
    *(volatile int *)nowhere = 1;
    return 0;
}

/* Writes over the allocator's own records and over live Lua objects. */
static int corrupt_heap(lua_State *L)
{
    enum { BLOCK_BYTES = 64, DAMAGE_BYTES = 16384 };
    char *block = malloc(BLOCK_BYTES);
    if (block == NULL) return luaL_error(L, "no memory");
    budget_note(L);
    char *volatile objects = (char *)(uintptr_t)lua_topointer(L, LUA_REGISTRYINDEX);
    char *volatile records = block + BLOCK_BYTES;
    memset(objects, 0x5a, DAMAGE_BYTES / 4);
    memset(records, 0x5a, DAMAGE_BYTES);
    free(block);
    return 0;
}

/* A loop in C, where no hook is called. */
static int spin(lua_State *L)
{
    budget_note(L);
    for (volatile unsigned i = 0;; i++) {
    }
    return 0;
}

static int call_abort(lua_State *L)
{
    budget_note(L);
    abort();
}

/* Calls itself for as long as the caller's first byte is zero: for ever. */
static int eat(volatile char *outer)
{
    volatile char frame[4096];
    frame[0] = outer[0];
    return outer[0] != 0 ? 0 : eat(frame) + frame[0];
}

static int eat_stack(lua_State *L)
{
    volatile char first[1] = {0};
    budget_note(L);
    lua_pushinteger(L, eat(first));
    return 1;
}

void test_module_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"crash", crash},         {"corrupt_heap", corrupt_heap},
                                         {"spin", spin},           {"abort", call_abort},
                                         {"eat_stack", eat_stack}, {NULL, NULL}};
    luaL_newlib(L, functions);
}
