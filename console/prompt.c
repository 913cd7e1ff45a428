/* SPDX-License-Identifier: MIT */
#include "prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64

enum prompt_end prompt_run(struct context *t)
{
    const struct options *options =
        t->options; /* of the verb we are in; those at the prompt have their own */
    enum prompt_end end = PROMPT_QUIT;
    char *line = NULL;
    size_t room = 0;

    puts("Any verb of tithe's; 'help' lists them, 'top' shows the screen, 'quit' leaves.");
    for (;;) {
        char *words[WORDS_MAX];
        int count;

        fputs("tithe> ", stdout);
        fflush(stdout);
        if (getline(&line, &room, stdin) < 0) break;
        count = prompt_words(line, words, WORDS_MAX);
        if (count < 0) fputs("tithe: that line has an open quote, or too many words.\n", stderr);
        if (count <= 0) continue;
        if (strcmp(words[0], "quit") == 0 || strcmp(words[0], "exit") == 0) break;
        if (strcmp(words[0], "top") == 0 && count == 1) {
            end = PROMPT_TOP;
            break;
        }
        command_line(t, words, count);
    }
    free(line);
    t->options = options;
    return end;
}
