/* SPDX-License-Identifier: MIT */
#include "prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64

int prompt_words(char *line, char **words, int max)
{
    int count = 0;

    for (;;) {
        char *to, quote = '\0';

        line += strspn(line, " \t\r\n");
        if (*line == '\0' || *line == '#') return count;
        if (count == max) return -1;
        words[count++] = to = line;
        for (; *line != '\0' && (quote != '\0' || strchr(" \t\r\n", *line) == NULL); line++) {
            if (*line == quote)
                quote = '\0';
            else if (quote == '\0' && (*line == '"' || *line == '\''))
                quote = *line;
            else if (*line == '\\' && quote != '\'' && line[1] != '\0')
                *to++ = *++line;
            else
                *to++ = *line;
        }
        if (quote != '\0') return -1;
        if (*line != '\0') line++;
        *to = '\0';
    }
}

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
