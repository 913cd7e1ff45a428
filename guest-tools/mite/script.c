// SPDX-License-Identifier: MIT
#include "script.h"

#include "console.h"
#include "verbs.h"

// A loop inside a loop inside a loop is as much as anybody has wanted.
#define DEPTH_MAX 8

void script_complain(struct span what, const char *reason)
{
    say("mite: bad script at \"%.*s\": %s\n", what.length, what.at, reason);
}

// The length of the first command: up to a comma outside all braces.
static uint32_t command_length(struct span script)
{
    uint32_t depth = 0;
    uint32_t at = 0;
    for (; at < script.length; at++) {
        char c = script.at[at];
        if (c == ',' && depth == 0) break;
        if (c == '{') depth++;
        if (c == '}' && depth > 0) depth--;
    }
    return at;
}

static bool run_list(struct span script, bool dry, uint32_t depth);

static bool run_loop(struct span command, struct span arguments, bool dry, uint32_t depth)
{
    uint32_t count_length = span_find(arguments, ':');
    struct span count = {arguments.at, count_length};
    uint64_t rounds = 0;
    bool forever = span_is(count, "forever");
    if (!forever && !parse_number(count, &rounds)) {
        script_complain(command, "loop wants a count or forever");
        return false;
    }
    struct span body = span_skip(arguments, count_length);
    if (body.length < 3 || body.at[1] != '{' || body.at[body.length - 1] != '}') {
        script_complain(command, "loop wants :{...} after its count");
        return false;
    }
    body = (struct span){body.at + 2, body.length - 3};
    if (dry) return run_list(body, true, depth + 1);
    for (uint64_t round = 0; forever || round < rounds; round++) run_list(body, false, depth + 1);
    return true;
}

static bool run_verb(struct span command, struct span name, struct span rest, bool dry)
{
    const struct verb *verb = verb_find(name);
    if (!verb) {
        script_complain(command, "no such verb");
        return false;
    }
    struct verb_call call = {.dry = dry};
    uint32_t count = 0;
    while (rest.length > 0) {
        rest = span_skip(rest, 1); // the colon
        struct span argument = {rest.at, span_find(rest, ':')};
        if (count == VERB_ARGUMENTS || argument.length == 0) {
            script_complain(command, argument.length == 0 ? "an empty argument" : "too many arguments");
            return false;
        }
        call.arguments[count++] = argument;
        rest = span_skip(rest, argument.length);
    }
    const char *reason = count < verb->least_arguments  ? "too few arguments"
                         : count > verb->most_arguments ? "too many arguments"
                                                        : verb->run(&call);
    if (reason) script_complain(command, reason);
    return !reason;
}

static bool run_list(struct span script, bool dry, uint32_t depth)
{
    if (depth > DEPTH_MAX) {
        script_complain(script, "loops nested too deeply");
        return false;
    }
    for (;;) {
        struct span command = {script.at, command_length(script)};
        if (command.length == 0) {
            script_complain(script, "an empty command");
            return false;
        }
        uint32_t name_length = span_find(command, ':');
        struct span name = {command.at, name_length};
        struct span rest = span_skip(command, name_length);
        bool good = span_is(name, "loop") && rest.length > 0
                        ? run_loop(command, span_skip(rest, 1), dry, depth)
                        : run_verb(command, name, rest, dry);
        if (!good) return false;
        if (command.length == script.length) return true;
        script = span_skip(script, command.length + 1);
    }
}

bool script_check(struct span script)
{
    return run_list(script, true, 0);
}

void script_run(struct span script)
{
    run_list(script, false, 0);
}
