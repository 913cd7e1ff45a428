/* SPDX-License-Identifier: MIT
 *
 * What one call of a script may cost: instructions and memory.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include "script.h"

/* A death of the steward is not held against the policy in charge when another was being checked. */
static const char *role(const struct script *s)
{
    return s->candidate ? "candidate" : "policy";
}

/* Room for all parts at their longest: append() need not look. */
_Static_assert(sizeof "what came after candidate .lua:-2147483648 in restore" + TITHE_NAME_MAX <
                   TITHE_REASON_MAX,
               "note");

static char *append(char *at, const char *text)
{
    while (*text != 0) *at++ = *text++;
    *at = 0;
    return at;
}

/* By hand: this is done four times in a tick, and snprintf() would cost more than a small policy. */
static void note_line(struct script *s, const char *before, int line)
{
    char digits[12], *digit = digits + sizeof digits - 1;
    unsigned rest = line > 0 ? (unsigned)line : 0;
    *digit = 0;
    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    char *at = append(s->machine->note->where, before);
    at = append(append(at, role(s)), " ");
    at = append(append(at, s->name), ".lua:");
    append(append(append(at, digit), " in "), s->phase);
}

void budget_note(lua_State *L)
{
    struct script *s = script_of(L);
    note_line(s, "", script_line(L, s->phase_line));
}

/* Past the budget this raises at every instruction, so that a pcall() in the
 * script catches the error only to meet it again outside. */
static void on_count(lua_State *L, lua_Debug *ar)
{
    struct script *s = script_of(L);
    (void)ar;
    budget_note(L);
    if (s->spent <= SCRIPT_SOFT_BUDGET) s->spent += SCRIPT_HOOK_EVERY;
    if (s->spent <= SCRIPT_SOFT_BUDGET) return;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    lua_pushfstring(L, "%s.lua:%d: more than %d instructions in %s; is there a loop that does not end?",
                    s->name, script_line(L, s->phase_line), (int)SCRIPT_SOFT_BUDGET, s->phase);
    lua_error(L);
}

/* A count hook has the interpreter stop at every instruction, which makes a script half as dear again. One that has
 * proved itself runs without, until the machine raises the alarm. */
static struct script *volatile running;

static void on_overtime(lua_State *L, lua_Debug *ar)
{
    struct script *s = script_of(L);
    (void)ar;
    budget_note(L);
    lua_pushfstring(L, "%s.lua:%d: more than its CPU time used in %s; is there a loop that does not end?",
                    s->name, script_line(L, s->phase_line), s->phase);
    lua_error(L);
}

/* May be called in the middle of anything; lua_sethook() is made for that (manual, lua_sethook; lua.c does it from
 * a signal handler). */
void budget_alarm(void)
{
    struct script *s = running;
    if (s != NULL) lua_sethook(s->L, on_overtime, LUA_MASKCOUNT, 1);
}

void budget_start(struct script *s, const char *phase, int line)
{
    s->phase = phase;
    s->phase_line = line;
    s->spent = 0;
    s->prints = 0;
    s->starved_line = line;
    s->why[0] = 0;
    note_line(s, "", line);
    if (s->counted) {
        lua_sethook(s->L, on_count, LUA_MASKCOUNT, SCRIPT_HOOK_EVERY);
    } else {
        running = s;
    }
    s->machine->phase(TITHE_PHASE_POLICY);
}

void budget_stop(struct script *s)
{
    s->machine->phase(TITHE_PHASE_IDLE);
    running = NULL;
    lua_sethook(s->L, NULL, 0, 0);
    /* A heap it has damaged may kill the steward only later. */
    note_line(s, "what came after ", s->phase_line);
}

void *budget_alloc(void *script, void *block, size_t old_bytes, size_t new_bytes)
{
    struct script *s = script;
    if (block == NULL) old_bytes = 0; /* then it is a kind of object (manual, lua_Alloc) */
    if (new_bytes == 0) {
        s->used_bytes -= old_bytes;
        free(block);
        return NULL;
    }
    void *got = NULL;
    if (new_bytes <= SCRIPT_MAX_BYTES - (s->used_bytes - old_bytes)) got = realloc(block, new_bytes);
    if (got == NULL) {
        /* Lua collects garbage and tries again; if that fails, the message it makes has no line. */
        if (s->L != NULL) s->starved_line = script_line(s->L, s->starved_line);
        return NULL;
    }
    s->used_bytes += new_bytes - old_bytes;
    return got;
}
