/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool program_exists(const char *name)
{
    const char *path = getenv("PATH");
    char file[FILES_PATH_MAX];

    for (; path != NULL && *path != '\0'; path += strspn(path, ":")) {
        int n = (int)strcspn(path, ":");

        snprintf(file, sizeof file, "%.*s/%s", n, path, name);
        if (access(file, X_OK) == 0) return true;
        path += n;
    }
    return false;
}

char *tree_path(const char *file, char *buf)
{
    const char *top = getenv("TITHE_TOP");
    char self[PATH_MAX];
    int up;

    if (top == NULL || *top == '\0') {
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

        self[n > 0 ? n : 0] = '\0';
        for (up = 0; up < 3; up++) { /* tithe, console, build */
            char *slash = strrchr(self, '/');

            if (slash != NULL) *slash = '\0';
        }
        top = self;
    }
    snprintf(buf, FILES_PATH_MAX, "%.300s/%s", top, file);
    return buf;
}

enum status file_read(const char *path, size_t max, uint8_t **bytes, size_t *length, struct error *e)
{
    FILE *f = fopen(path, "rbe");
    struct stat st;
    int problem = 0;

    if (f == NULL)
        return error_set(e, STATUS_USAGE, "no-file", path, "check its name and permissions",
                         "cannot be read (%s)", strerror(errno));
    if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode)) {
        fclose(f);
        return error_set(e, STATUS_USAGE, "no-file", path, "name a file", "is not a regular file");
    }
    if ((uintmax_t)st.st_size > max) {
        fclose(f);
        return error_set(e, STATUS_USAGE, "file-too-large", path, "use a smaller one",
                         "has %jd bytes, more than the %zu there is room for", (intmax_t)st.st_size, max);
    }
    *bytes = malloc((size_t)st.st_size + 1);
    if (*bytes == NULL) {
        fclose(f);
        return error_set(e, STATUS_USAGE, "no-memory", path, "", "does not fit into memory");
    }
    errno = 0;
    *length = fread(*bytes, 1, (size_t)st.st_size, f);
    if (ferror(f)) problem = errno;
    fclose(f);
    if (problem != 0) {
        free(*bytes);
        return error_set(e, STATUS_USAGE, "no-file", path, "check the disk it is on", "cannot be read (%s)",
                         strerror(problem));
    }
    (*bytes)[*length] = '\0';
    return STATUS_OK;
}
