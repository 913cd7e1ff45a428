/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"
#include "machine.h"
#include "spawn.h"

static enum status cannot(struct error *e, const char *where, const char *mend, const char *why)
{
    return error_set(e, STATUS_CONNECT, "no-connection", where, mend, "cannot connect (%s)", why);
}

static enum status open_unix(const char *path, const char *where, struct conn *c, struct error *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof a.sun_path) return cannot(e, where, "use a shorter path", "path too long");
    memcpy(a.sun_path, path, strlen(path) + 1);
    c->in = c->out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->in >= 0 && connect(c->in, (struct sockaddr *)&a, sizeof a) == 0) return STATUS_OK;
    return cannot(e, where, "start the machine first, or check the path", strerror(errno));
}

static enum status open_tcp(const char *text, const char *where, struct conn *c, struct error *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
    char host[128];
    const char *colon = strrchr(text, ':');
    int problem, one = 1;

    if (colon == NULL || colon == text || colon[1] == '\0' || (size_t)(colon - text) >= sizeof host)
        return error_set(e, STATUS_USAGE, "bad-connect", where, CONN_FORMS, "is not HOST:PORT");
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    problem = getaddrinfo(host, colon + 1, &hints, &list);
    if (problem != 0) return cannot(e, where, "check host and port", gai_strerror(problem));
    for (a = list; a != NULL; a = a->ai_next) {
        c->in = c->out = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (c->in >= 0 && connect(c->in, a->ai_addr, a->ai_addrlen) == 0) break;
        problem = errno;
        if (c->in >= 0) close(c->in);
        c->in = c->out = -1;
    }
    freeaddrinfo(list);
    if (a == NULL)
        return cannot(e, where, "check that the machine's serial line is served there", strerror(problem));
    (void)setsockopt(c->in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return STATUS_OK;
}

static speed_t baud_code(const char *text)
{
    static const struct {
        const char *text;
        speed_t code;
    } bauds[] = {
        {"9600", B9600},     {"19200", B19200},   {"38400", B38400},   {"57600", B57600},
        {"115200", B115200}, {"230400", B230400}, {"460800", B460800}, {"921600", B921600},
    };
    size_t i;

    for (i = 0; i < sizeof bauds / sizeof bauds[0]; i++)
        if (strcmp(text, bauds[i].text) == 0) return bauds[i].code;
    return B0;
}

static enum status open_tty(const char *text, const char *where, struct conn *c, struct error *e)
{
    char device[128];
    const char *comma = strchr(text, ',');
    speed_t baud = comma != NULL ? baud_code(comma + 1) : B115200;
    struct termios t;

    if (baud == B0)
        return error_set(e, STATUS_USAGE, "bad-connect", where, "use one from 9600 to 921600, e.g. 115200",
                         "not a speed of a serial line");
    snprintf(device, sizeof device, "%.*s", comma != NULL ? (int)(comma - text) : (int)strlen(text), text);
    c->in = c->out = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (c->in < 0) return cannot(e, where, "check the device's name and your permissions", strerror(errno));
    if (tcgetattr(c->in, &t) < 0) return cannot(e, where, "name a serial line", strerror(errno));
    cfmakeraw(&t);
    t.c_cflag |= CLOCAL | CREAD;
    cfsetspeed(&t, baud);
    if (tcsetattr(c->in, TCSANOW, &t) < 0) return cannot(e, where, "try another speed", strerror(errno));
    return STATUS_OK;
}

static enum status open_exec(const char *command, const char *where, struct conn *c, struct error *e)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", NULL, NULL};
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    char *copy = NULL;

    /* exec: the shell makes way, so that ending the child ends the command. */
    if (asprintf(&copy, "exec %s", command) < 0) return cannot(e, where, "", "no memory");
    argv[2] = copy;
    if (pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0)
        c->child = spawn(&(struct spawn){.argv = argv, .in = to[0], .out = from[1], .err = 2});
    else
        c->child = -1;
    free(copy);
    if (to[0] >= 0) close(to[0]);
    if (from[1] >= 0) close(from[1]);
    c->out = to[1];
    c->in = from[0];
    if (c->child > 0) return STATUS_OK;
    c->child = 0;
    return cannot(e, where, "check the command", strerror(errno));
}

static bool starts(const char *text, const char *prefix, const char **rest)
{
    size_t n = strlen(prefix);

    if (strncmp(text, prefix, n) != 0) return false;
    *rest = text + n;
    return **rest != '\0';
}

enum status conn_open(const char *where, struct conn *c, struct error *e)
{
    const char *rest;
    enum status s;

    *c = (struct conn){.in = -1, .out = -1};
    snprintf(c->peer, sizeof c->peer, "%s", where);
    if (starts(where, "unix:", &rest))
        s = open_unix(rest, where, c, e);
    else if (starts(where, "tcp:", &rest))
        s = open_tcp(rest, where, c, e);
    else if (starts(where, "tty:", &rest))
        s = open_tty(rest, where, c, e);
    else if (starts(where, "exec:", &rest))
        s = open_exec(rest, where, c, e);
    else
        return error_set(e, STATUS_USAGE, "bad-connect", where, CONN_FORMS, "not a way to connect");
    if (s != STATUS_OK) {
        conn_close(c);
        return s;
    }
    fcntl(c->in, F_SETFL, fcntl(c->in, F_GETFL) | O_NONBLOCK);
    fcntl(c->out, F_SETFL, fcntl(c->out, F_GETFL) | O_NONBLOCK);
    return STATUS_OK;
}

enum status conn_open_machine(const char *name, struct conn *c, struct error *e)
{
    char path[MACHINE_PATH_MAX], where[MACHINE_PATH_MAX + 8], result[512];
    struct machine m;
    enum status s = machine_find(&m, name, e);

    *c = (struct conn){.in = -1, .out = -1};
    if (s != STATUS_OK) return s;
    if (!machine_is_up(&m)) {
        bool ended = machine_get(&m, "result", result, sizeof result);
        char *reason = ended ? strchr(result, '\n') : NULL;

        if (reason != NULL) reason[1 + strcspn(reason + 1, "\n")] = '\0';
        snprintf(where, sizeof where, "machine '%s'", m.name);
        return error_set(e, STATUS_CONNECT, "machine-down", where, "start it with 'tithe run'",
                         "is not running%s%s", reason != NULL ? "; the last time " : "",
                         reason != NULL ? reason + 1 : "");
    }
    snprintf(where, sizeof where, "unix:%s", machine_path(&m, "socket", path));
    s = conn_open(where, c, e);
    snprintf(c->peer, sizeof c->peer, "machine '%s'", m.name);
    snprintf(c->machine, sizeof c->machine, "%s", m.name);
    return s;
}

void conn_close(struct conn *c)
{
    int i;

    if (c->in >= 0) close(c->in);
    if (c->out >= 0 && c->out != c->in) close(c->out);
    c->in = c->out = -1;
    if (c->child <= 0) return;
    /* It has lost its input, and most commands end by that; the others are told to. */
    for (i = 0; i < 20; i++) {
        if (waitpid(c->child, NULL, WNOHANG) != 0) break;
        if (i == 10) kill(c->child, SIGTERM);
        if (i == 19) {
            kill(c->child, SIGKILL);
            waitpid(c->child, NULL, 0);
            break;
        }
        clock_sleep_s(0.01);
    }
    c->child = 0;
}
