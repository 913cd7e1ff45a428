/* SPDX-License-Identifier: MIT */
#include "emulator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "files.h"
#include "launch.h"
#include "spawn.h"

/* Bochs connects to a TCP port of ours, QEMU to a socket in the state directory. Either way we listen before
 * the emulator starts, so that nothing is lost. */
static int listen_tcp(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &n) == 0) {
        *port = ntohs(a.sin_port);
        return fd;
    }
    close(fd);
    return -1;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%.*s", (int)sizeof a.sun_path - 1, path);
    unlink(path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static enum status no_start(struct error *e, const char *what)
{
    return error_set(e, STATUS_EMULATOR, "no-start", what, "", "cannot be started (%s)", strerror(errno));
}

/* The simulated machine speaks on its stdin and stdout. */
static enum status start_sim(const struct run_options *o, const struct machine *m, int output,
                             struct emulator *emu, struct error *e)
{
    char command[2 * FILES_PATH_MAX + 64], steward[FILES_PATH_MAX], policies[FILES_PATH_MAX];
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", command, NULL};
    int ends[2];

    if (o->sim != NULL)
        snprintf(command, sizeof command, "exec %s", o->sim);
    else
        snprintf(command, sizeof command, "exec '%s' --sim vms=0 cpus=%u pages=%" PRIu64 " policies='%s'",
                 tree_path("build/steward/steward", steward), o->cpus, o->memory_mib * 256,
                 tree_path("policy-lua", policies));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return no_start(e, command);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    emu->serial = ends[0];
    emu->pid =
        spawn(&(struct spawn){.argv = argv, .dir = m->dir, .in = ends[1], .out = ends[1], .err = output});
    close(ends[1]);
    return emu->pid > 0 ? STATUS_OK : no_start(e, command);
}

enum status emulator_start(const struct run_options *o, const struct machine *m, struct emulator *emu,
                           struct error *e)
{
    struct launch launch = {.options = o, .machine = m};
    char path[MACHINE_PATH_MAX];
    int output = open(machine_path(m, "output", path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    enum status s;

    *emu = (struct emulator){.pid = -1, .serial = -1, .serial_listener = -1};
    if (o->platform.hw == HW_SIM) {
        s = start_sim(o, m, output, emu, e);
    } else {
        emu->serial_listener = o->platform.hw == HW_VTX ? listen_tcp(&launch.serial_port)
                                                        : listen_unix(machine_path(m, "serial", path));
        if (emu->serial_listener < 0) return no_start(e, "serial line");
        s = launch_make(&launch, e);
        if (s == STATUS_OK) {
            emu->pid = spawn(
                &(struct spawn){.argv = launch.argv, .dir = m->dir, .in = -1, .out = output, .err = output});
            if (emu->pid < 0) s = no_start(e, launch.argv[0]);
        }
        launch_free(&launch);
    }
    close(output);
    return s;
}
