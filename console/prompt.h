/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_PROMPT_H
#define CONSOLE_PROMPT_H

#include "command.h"

enum prompt_end { PROMPT_QUIT, PROMPT_TOP };

/* Reads verbs from the terminal and runs them, until "quit", "top" or the end of the input. */
enum prompt_end prompt_run(struct context *t);

/* Splits a line into words, in place: white space separates, quotes of either kind keep it, a backslash keeps
 * the next character. At most max words. Returns how many, or -1 when a quote is not closed or there are
 * more. */
int prompt_words(char *line, char **words, int max);

#endif
