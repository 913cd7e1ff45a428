/* SPDX-License-Identifier: MIT
 *
 * The functions in C of the table `tithe`; console/exp/verbs.lua builds the rest on them.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd_policy.h"
#include "cmd_run.h"
#include "cmd_stop.h"
#include "cmd_top.h"
#include "exp.h"
#include "image.h"
#include "json.h"
#include "linuxguest.h"
#include "prompt.h"
#include "size.h"
#include "topfeed.h"

#define WORDS_MAX  64
#define SHOW_WIDTH 120

static struct exp *self(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int error_text(lua_State *L)
{
    lua_getfield(L, 1, "thing");
    lua_getfield(L, 1, "reason");
    lua_pushfstring(L, "%s: %s", luaL_tolstring(L, -2, NULL), luaL_tolstring(L, -2, NULL));
    return 1;
}

int exp_raise(lua_State *L, const struct error *e)
{
    lua_newtable(L);
    lua_pushinteger(L, e->status);
    lua_setfield(L, -2, "status");
    lua_pushstring(L, e->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, e->thing);
    lua_setfield(L, -2, "thing");
    lua_pushstring(L, e->reason);
    lua_setfield(L, -2, "reason");
    lua_pushstring(L, e->mend);
    lua_setfield(L, -2, "mend");
    lua_newtable(L);
    lua_pushcfunction(L, error_text);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    return lua_error(L);
}

static struct client *connected(lua_State *L)
{
    struct client *c;
    struct error e;

    if (context_client(self(L)->context, &c, &e) != STATUS_OK) exp_raise(L, &e);
    return c;
}

/* Sends what was begun and pushes its "ok". */
static int call(lua_State *L, struct client *c)
{
    struct answer a = {0};
    struct error e;

    if (client_call(c, &a, &e) != STATUS_OK) return exp_raise(L, &e);
    exp_push(L, a.ok);
    answer_free(&a);
    return 1;
}

/* tithe.call(verb [, args]) -> table: one request of docs/protocol.cddl. */
static int f_call(lua_State *L)
{
    const char *verb = luaL_checkstring(L, 1);
    struct client *c = connected(L);
    struct cborx_writer *w = client_begin(c, verb);

    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING) return luaL_error(L, "an argument's name must be a text");
            exp_put(L, lua_gettop(L), w, lua_tostring(L, -2));
        }
    }
    return call(L, c);
}

/* tithe.policy(verb, text) -> table: policy-check or policy-load of a file or of a policy of the machine's.
 */
static int f_policy(lua_State *L)
{
    const char *verb = luaL_checkstring(L, 1), *text = luaL_checkstring(L, 2);
    struct client *c = connected(L);
    struct error e;

    if (policy_source(c, verb, text, &e) != STATUS_OK) return exp_raise(L, &e);
    return call(L, c);
}

/* tithe.image(text) -> name of an image: itself, or that of the file, uploaded if need be. */
static int f_image(lua_State *L)
{
    char name[IMAGE_NAME_MAX];
    struct error e;

    if (image_resolve(connected(L), luaL_checkstring(L, 1), name, true, &e) != STATUS_OK)
        return exp_raise(L, &e);
    lua_pushstring(L, name);
    return 1;
}

/* tithe.pages("96M") -> 24576 */
static int f_pages(lua_State *L)
{
    uint64_t pages;
    struct error e;

    if (lua_isinteger(L, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    if (size_parse(luaL_checkstring(L, 1), luaL_optstring(L, 2, "size"), &pages, &e) != STATUS_OK)
        return exp_raise(L, &e);
    lua_pushinteger(L, (lua_Integer)pages);
    return 1;
}

/* tithe.size(24576) -> "96M" */
static int f_size(lua_State *L)
{
    char text[24];

    lua_pushstring(L, size_text((uint64_t)luaL_checknumber(L, 1), text, sizeof text));
    return 1;
}

static int f_linux_cmdline(lua_State *L)
{
    char text[1024];
    struct error e;

    if (linux_cmdline(text, sizeof text, &e) != STATUS_OK) return exp_raise(L, &e);
    lua_pushstring(L, text);
    return 1;
}

/* tithe.cli("mem-set", "a", "96M") -> exit status: a command line, its output printed as ever. */
static int f_cli(lua_State *L)
{
    char *words[WORDS_MAX];
    int count = lua_gettop(L), i;

    if (count > WORDS_MAX) return luaL_error(L, "too many words");
    for (i = 0; i < count; i++) words[i] = (char *)luaL_checkstring(L, i + 1);
    lua_pushinteger(L, command_line(self(L)->context, words, count));
    return 1;
}

/* tithe.start(words…): as `tithe run` with these words, without its log and report; later calls go to that
 * machine. Returns its name, hardware and firmware, and why `auto` took them ("" when there was nothing to
 * take). */
static int f_start(lua_State *L)
{
    struct context *t = self(L)->context;
    static char name[MACHINE_NAME_MAX];
    char *words[WORDS_MAX];
    int count = lua_gettop(L), i;
    struct run_start start;
    struct options o;
    struct error e;
    enum status s;

    if (count > WORDS_MAX) return luaL_error(L, "too many words");
    for (i = 0; i < count; i++) words[i] = (char *)luaL_checkstring(L, i + 1);
    s = options_parse(&o, words, count, run_options_table, NULL, false, &e);
    if (s == STATUS_OK) s = run_start_parse(&o, t->machine, &start, &e);
    if (s == STATUS_OK) {
        start.quiet = true;
        start.tethered = true;
        start.foreground = false;
        s = run_machine(&start, false, &e);
    }
    if (s != STATUS_OK) return exp_raise(L, &e);
    snprintf(name, sizeof name, "%s", start.machine.name);
    client_free(t->client);
    t->client = NULL;
    t->connect = NULL;
    t->machine = name;
    lua_pushstring(L, name);
    lua_pushstring(L, hw_name(start.options.platform.hw));
    lua_pushstring(L, firmware_name(start.options.platform.firmware));
    lua_pushstring(L, start.why);
    return 4;
}

static int f_keep(lua_State *L)
{
    (void)L;
    run_release();
    return 0;
}

/* tithe.stop() -> how it ended, in words; an error when it did not end well. */
static int f_stop(lua_State *L)
{
    struct context *t = self(L)->context;
    struct error e;

    if (stop_machine(t, false, &e) != STATUS_OK) return exp_raise(L, &e);
    client_free(t->client);
    t->client = NULL;
    lua_pushstring(L, e.reason);
    return 1;
}

static void to_json(lua_State *L, int index, struct json *j, const char *key)
{
    lua_Integer n, i;

    luaL_checkstack(L, 4, "nested too deep for JSON");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: json_bool(j, key, lua_toboolean(L, index)); return;
    case LUA_TNUMBER: json_number(j, key, lua_tonumber(L, index)); return;
    case LUA_TTABLE: break;
    default:
        json_text(j, key, luaL_tolstring(L, index, NULL));
        lua_pop(L, 1);
        return;
    }
    n = luaL_len(L, index);
    json_open(j, key, n > 0 ? '[' : '{');
    for (i = 1; i <= n; i++) {
        lua_geti(L, index, i);
        to_json(L, lua_gettop(L), j, NULL);
        lua_pop(L, 1);
    }
    if (n == 0) {
        for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
            if (lua_type(L, -2) == LUA_TSTRING) to_json(L, lua_gettop(L), j, lua_tostring(L, -2));
    }
    json_close(j, n > 0 ? ']' : '}');
}

/* tithe.print_json(table): on one line. A list is a table with something at 1. */
static int f_print_json(lua_State *L)
{
    struct json j = {.out = stdout};

    lua_settop(L, 1);
    to_json(L, 1, &j, NULL);
    putchar('\n');
    return 0;
}

static int f_sleep_host(lua_State *L)
{
    fflush(stdout);
    clock_sleep_s(luaL_checknumber(L, 1));
    return 0;
}

static int f_host_now(lua_State *L)
{
    lua_pushnumber(L, clock_now_s());
    return 1;
}

static int f_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty(0) && isatty(1));
    return 1;
}

/* tithe.screen([seconds]) -> the live top, until the user leaves it: "left" by its key, "quit" from its prompt; nil when
 * there is no terminal that can show it. */
static int f_screen(lua_State *L)
{
    enum top_end end = TOP_NOT_SHOWN;
    struct error e;

    if (isatty(0) && isatty(1) &&
        top_screen(self(L)->context, luaL_optnumber(L, 1, 2.0), &end, &e) != STATUS_OK)
        return exp_raise(L, &e);
    if (end == TOP_NOT_SHOWN) return 0;
    lua_pushstring(L, end == TOP_QUIT ? "quit" : "left");
    return 1;
}

/* tithe.show(): prints a snapshot as `tithe top` does, with rates since the last one shown. */
static int f_show(lua_State *L)
{
    static struct topfeed feed; /* large; there is one script in a process */
    static struct topview view = {.width = SHOW_WIDTH};
    struct error e;

    feed.client = connected(L);
    view.event_count = 0;
    if (topfeed_take(&feed, &view, &e) != STATUS_OK) return exp_raise(L, &e);
    topview_write(&view, topfeed_now(&feed), topfeed_before(&feed), stdout);
    putchar('\n');
    fflush(stdout);
    return 0;
}

/* tithe.prompt() -> "top" or "quit" */
static int f_prompt(lua_State *L)
{
    lua_pushstring(L, prompt_run(self(L)->context) == PROMPT_TOP ? "top" : "quit");
    return 1;
}

void exp_open(lua_State *L, struct exp *x)
{
    static const luaL_Reg functions[] = {
        {"call", f_call},
        {"policy", f_policy},
        {"image", f_image},
        {"pages", f_pages},
        {"size", f_size},
        {"linux_cmdline", f_linux_cmdline},
        {"cli", f_cli},
        {"start", f_start},
        {"keep", f_keep},
        {"stop", f_stop},
        {"print_json", f_print_json},
        {"sleep_host", f_sleep_host},
        {"host_now", f_host_now},
        {"is_terminal", f_is_terminal},
        {"show", f_show},
        {"screen", f_screen},
        {"prompt", f_prompt},
        {NULL, NULL},
    };

    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, x);
    luaL_setfuncs(L, functions, 1);
}
