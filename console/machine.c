/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const files[] = {"lock", "pid",    "socket",  "serial",   "log",          "output",
                                    "mode", "result", "bochsrc", "debugger", "emulator.log", "iso"};

static void base_dir(char *buf, size_t n)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    snprintf(buf, n, "%s/tithe-%u", runtime != NULL && *runtime != '\0' ? runtime : "/tmp",
             (unsigned)getuid());
}

static bool name_is_good(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return n > 0 && n < MACHINE_NAME_MAX && name[n] == '\0';
}

enum status machine_find(struct machine *m, const char *name, struct error *e)
{
    char base[256], link[300], target[MACHINE_NAME_MAX + 1];

    base_dir(base, sizeof base);
    if (name == NULL) {
        ssize_t n;

        snprintf(link, sizeof link, "%s/.last", base);
        n = readlink(link, target, sizeof target - 1);
        if (n <= 0)
            return error_set(e, STATUS_CONNECT, "no-machine", "machine",
                             "start one with 'tithe run', or say where it is with --connect or TITHE_CONNECT",
                             "none was started here");
        target[n] = '\0';
        name = target;
    }
    if (!name_is_good(name)) {
        char thing[80];

        snprintf(thing, sizeof thing, "machine name '%.40s'", name);
        return error_set(e, STATUS_USAGE, "bad-name", thing, "use 1 to 31 letters, digits, '-' and '_'",
                         "not a name a machine can have");
    }
    memcpy(m->name, name, strlen(name) + 1);
    if (strlen(base) > 70) /* The path of a socket has at most 107 bytes. */
        return error_set(e, STATUS_USAGE, "bad-path", base, "set XDG_RUNTIME_DIR to a shorter path",
                         "too long for a state directory");
    snprintf(m->dir, sizeof m->dir, "%s/%s", base, name);
    return STATUS_OK;
}

char *machine_path(const struct machine *m, const char *file, char *buf)
{
    snprintf(buf, MACHINE_PATH_MAX, "%s/%s", m->dir, file);
    return buf;
}

/* /tmp is everybody's: a directory there counts only if it is ours. */
static enum status make_dir(const char *path, struct error *e)
{
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(e, STATUS_EMULATOR, "state-dir", path,
                         "set XDG_RUNTIME_DIR to a directory you may write to",
                         "cannot make the state directory (%s)", strerror(errno));
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid())
        return error_set(e, STATUS_EMULATOR, "state-dir", path, "remove it, or set XDG_RUNTIME_DIR",
                         "is not a directory of ours");
    return STATUS_OK;
}

enum status machine_claim(const struct machine *m, int *lock, struct error *e)
{
    char path[MACHINE_PATH_MAX], thing[80];
    enum status s;

    base_dir(path, sizeof path);
    s = make_dir(path, e);
    if (s == STATUS_OK) s = make_dir(m->dir, e);
    if (s != STATUS_OK) return s;
    *lock = open(machine_path(m, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*lock < 0)
        return error_set(e, STATUS_EMULATOR, "state-dir", path, "remove the directory", "%s",
                         strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0) return STATUS_OK;
    close(*lock);
    snprintf(thing, sizeof thing, "machine '%s'", m->name);
    return error_set(e, STATUS_EMULATOR, "machine-up", thing,
                     "end it with 'tithe stop', or start another with 'tithe run --name NAME'",
                     "is already running");
}

bool machine_is_up(const struct machine *m)
{
    char path[MACHINE_PATH_MAX];
    int fd = open(machine_path(m, "lock", path), O_RDWR | O_CLOEXEC);
    bool up;

    if (fd < 0) return false;
    up = flock(fd, LOCK_EX | LOCK_NB) < 0;
    close(fd);
    return up;
}

void machine_set_last(const struct machine *m)
{
    char base[256], link[300];

    base_dir(base, sizeof base);
    snprintf(link, sizeof link, "%s/.last", base);
    unlink(link);
    if (symlink(m->name, link) < 0)
        fprintf(stderr, "tithe: cannot note the last machine: %s.\n", strerror(errno));
}

void machine_put(const struct machine *m, const char *file, const char *text)
{
    char path[MACHINE_PATH_MAX];
    FILE *f = fopen(machine_path(m, file, path), "we");

    if (f == NULL) return;
    fputs(text, f);
    fclose(f);
}

bool machine_get(const struct machine *m, const char *file, char *buf, size_t n)
{
    char path[MACHINE_PATH_MAX];
    FILE *f = fopen(machine_path(m, file, path), "re");

    if (f == NULL) return false;
    buf[fread(buf, 1, n - 1, f)] = '\0';
    fclose(f);
    return true;
}

void machine_forget(const struct machine *m)
{
    char path[MACHINE_PATH_MAX];
    size_t i;

    for (i = 0; i < sizeof files / sizeof files[0]; i++) unlink(machine_path(m, files[i], path));
    rmdir(m->dir);
}
