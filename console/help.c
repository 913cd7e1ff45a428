/* SPDX-License-Identifier: MIT
 *
 * `tithe --help` and `tithe VERB --help`, laid out as man pages are.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"

#define WIDTH 92

/* Prints text wrapped at words, every line indented; line breaks in it are kept. */
static void wrapped(const char *text, int indent)
{
    int column = 0;

    while (*text != '\0') {
        int word = (int)strcspn(text, " \n");

        if (column > 0 && column + 1 + word > WIDTH - indent) {
            putchar('\n');
            column = 0;
        }
        if (column == 0)
            printf("%*s", indent, "");
        else
            putchar(' ');
        column += printf("%.*s", word, text) + (column > 0);
        text += word;
        if (*text == '\n') {
            putchar('\n');
            column = 0;
        }
        if (*text != '\0') text++;
        while (column == 0 && *text == ' ') putchar(*text++);
    }
    if (column > 0) putchar('\n');
}

static void option_list(const struct option_spec *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        printf("       --%s%s%s\n", o->name, o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        wrapped(o->help, 12);
    }
}

static void exit_statuses(void)
{
    puts("EXIT STATUS\n"
         "       0  all went well\n"
         "       1  the machine refused, and said why\n"
         "       2  the command line, or a file named on it, is at fault\n"
         "       3  there is no connection, or no answer in time\n"
         "       4  the emulator failed, or the machine did not end well\n"
         "       5  the ledger differs, or a guest found its data changed");
}

void help_overview(void)
{
    const struct command_group *g;
    const struct command *c;

    puts("NAME\n"
         "       tithe - console of a Tithe machine\n\n"
         "SYNOPSIS\n"
         "       tithe [OPTIONS] VERB [ARGUMENTS] [OPTIONS]\n"
         "       tithe VERB --help\n\n"
         "DESCRIPTION\n"
         "       Starts Tithe machines in emulators, and manages their virtual machines and memory\n"
         "       policies over a serial line.");
    for (g = command_groups; g->title != NULL; g++) {
        printf("\n   %s\n", g->title);
        for (c = g->commands; c->name != NULL; c++) printf("       %-16s %s\n", c->name, c->summary);
    }
    puts("\nOPTIONS (of every verb)");
    option_list(common_options);
    puts("\nENVIRONMENT\n"
         "       TITHE_CONNECT    what --connect is when it is not given\n"
         "       XDG_RUNTIME_DIR  where machines keep their state, in tithe-UID/NAME (default: /tmp)\n"
         "       TITHE_TOP        the source tree with its build directory, when tithe lies elsewhere\n\n"
         "SIZES\n"
         "       96M, 1.5G, 4096K, or 100p for pages of 4 KiB.\n");
    exit_statuses();
}

void help_command(const struct command *c)
{
    printf("NAME\n       tithe %s - %s\n\nSYNOPSIS\n       tithe %s %s\n", c->name, c->summary, c->name,
           c->synopsis);
    if (c->description[0] != '\0') {
        puts("\nDESCRIPTION");
        wrapped(c->description, 7);
    }
    puts("\nOPTIONS");
    option_list(c->options);
    option_list(common_options);
    putchar('\n');
    exit_statuses();
    if (c->examples[0] != '\0') {
        puts("\nEXAMPLES");
        wrapped(c->examples, 7);
    }
}
