/* SPDX-License-Identifier: MIT */
#include "linuxguest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

#define CMDLINE_FILE  "guest-tools/linux/cmdline.txt"
/* A console where the kernel looks for it, and an end to a panic instead of a guest that hangs. */
#define CMDLINE_LEAST "console=ttyS0 panic=-1"

enum status linux_cmdline(char *buf, size_t n, struct error *e)
{
    char path[FILES_PATH_MAX];
    uint8_t *text;
    size_t length;
    enum status s;

    if (access(tree_path(CMDLINE_FILE, path), F_OK) < 0) {
        snprintf(buf, n, "%s", CMDLINE_LEAST);
        return STATUS_OK;
    }
    s = file_read(path, n, &text, &length, e);
    if (s != STATUS_OK) return s;
    /* Words on any number of lines, and comment lines. */
    *buf = '\0';
    for (char *rest = NULL, *line = strtok_r((char *)text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (*line == '#') continue;
        for (char *more = NULL, *w = strtok_r(line, " \t\r", &more); w != NULL;
             w = strtok_r(NULL, " \t\r", &more)) {
            snprintf(buf + strlen(buf), n - strlen(buf), "%s%s", *buf != '\0' ? " " : "", w);
        }
    }
    free(text);
    return STATUS_OK;
}
