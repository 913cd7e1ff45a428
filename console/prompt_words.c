/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "prompt.h"

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
