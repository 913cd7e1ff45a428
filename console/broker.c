/* SPDX-License-Identifier: MIT */
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "clock.h"
#include "loglines.h"
#include "route.h"

#define KILL_AFTER_S  3.0  /* from the polite signal to the other one */
#define LEAVE_AFTER_S 10.0 /* from "tithe: exit" to the emulator's end */
#define POLL_MS       200

struct broker {
    const struct broker_job *job;
    struct emulator emu;
    struct route route;
    struct frame_decoder decoder;
    struct log_watch watch;
    int listener, log, signals, leash;
    bool serial_gone;
    bool emulator_gone;
    int wait_status;
    double deadline_s;   /* when the emulator's time is up */
    double kill_s;       /* when it is killed; 0: nobody wants that */
    struct error ending; /* why we ended it; status 0: we did not */
    size_t corrupt_frames;
};

static int listen_for_consoles(const struct machine *m)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char path[MACHINE_PATH_MAX];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%.*s", (int)sizeof a.sun_path - 1,
             machine_path(m, "socket", path));
    unlink(path);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 16) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Signals become readable: the loop has one place to wait. */
static int catch_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void end_emulator(struct broker *b, enum status status, const char *code, const char *reason,
                         const char *mend)
{
    if (b->emulator_gone || b->kill_s > 0) return;
    error_set(&b->ending, status, code, "machine", mend, "%s", reason);
    kill(b->emu.pid, SIGTERM);
    b->kill_s = clock_now_s() + KILL_AFTER_S;
}

static void take_signals(struct broker *b)
{
    struct signalfd_siginfo info;

    while (read(b->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            end_emulator(b, STATUS_EMULATOR, "ended", "ended on request, without a shutdown", "");
            continue;
        }
        if (!b->emulator_gone && waitpid(b->emu.pid, &b->wait_status, WNOHANG) == b->emu.pid)
            b->emulator_gone = true;
    }
}

static void take_leash(struct broker *b)
{
    char c = 0;
    ssize_t n = read(b->leash, &c, 1);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) end_emulator(b, STATUS_EMULATOR, "ended", "ended, as the command that ran it has gone", "");
    close(b->leash);
    b->leash = -1;
}

static void accept_serial(struct broker *b)
{
    int one = 1;
    int fd = accept4(b->emu.serial_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                     sizeof one); /* fails on a unix socket, which needs it not */
    b->emu.serial = fd;
    close(b->emu.serial_listener);
    b->emu.serial_listener = -1;
}

static void keep_log(struct broker *b, const uint8_t *text, size_t bytes)
{
    log_watch(&b->watch, (const char *)text, bytes);
    while (bytes > 0) {
        ssize_t n = write(b->log, text, bytes);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* a full disk must not stop the machine */
        text += n;
        bytes -= (size_t)n;
    }
}

static void take_serial(struct broker *b)
{
    uint8_t bytes[16384], text[16384];
    size_t text_bytes = 0;
    ssize_t n = read(b->emu.serial, bytes, sizeof bytes), i;
    int one = 1;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        b->serial_gone = true;
        return;
    }
    /* Bochs writes single bytes and waits for each to be acknowledged; the kernel would hold that back for 40
     * ms. */
    (void)setsockopt(b->emu.serial, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    for (i = 0; i < n; i++) {
        enum frame_event event = frame_decode(&b->decoder, bytes[i]);

        if (event == FRAME_PAYLOAD) route_answer(&b->route, b->decoder.payload, b->decoder.payload_bytes);
        if (event == FRAME_BAD) b->corrupt_frames++;
        if (event != FRAME_TEXT) continue;
        if (text_bytes + b->decoder.text_bytes > sizeof text) {
            keep_log(b, text, text_bytes);
            text_bytes = 0;
        }
        memcpy(text + text_bytes, b->decoder.text, b->decoder.text_bytes);
        text_bytes += b->decoder.text_bytes;
    }
    keep_log(b, text, text_bytes);
}

static void check_times(struct broker *b)
{
    double now = clock_now_s();

    if (b->watch.exited && b->deadline_s > now + LEAVE_AFTER_S) b->deadline_s = now + LEAVE_AFTER_S;
    if (b->kill_s > 0 && now > b->kill_s && !b->emulator_gone) kill(b->emu.pid, SIGKILL);
    if (now <= b->deadline_s) return;
    if (b->watch.exited)
        end_emulator(b, STATUS_EMULATOR, "no-exit", "the core said it leaves, but the emulator goes on", "");
    else
        end_emulator(b, STATUS_EMULATOR, "timeout", "ended, as its time was up",
                     "give it more with --timeout");
}

static void turn(struct broker *b)
{
    struct pollfd p[5 + ROUTE_CLIENTS_MAX];
    int serial = b->emu.serial >= 0 && !b->serial_gone ? b->emu.serial : b->emu.serial_listener;
    unsigned i;

    p[0] = (struct pollfd){.fd = b->signals, .events = POLLIN};
    p[1] = (struct pollfd){.fd = b->leash, .events = POLLIN};
    p[2] = (struct pollfd){.fd = serial, .events = POLLIN};
    p[3] = (struct pollfd){.fd = b->listener, .events = POLLIN};
    if (serial == b->emu.serial && b->route.out_bytes > 0) p[2].events |= POLLOUT;
    for (i = 0; i < ROUTE_CLIENTS_MAX; i++)
        p[4 + i] = (struct pollfd){.fd = b->route.clients[i].fd, .events = POLLIN};
    if (poll(p, 4 + ROUTE_CLIENTS_MAX, POLL_MS) < 0) return;
    if (p[0].revents != 0) take_signals(b);
    if (b->leash >= 0 && p[1].revents != 0) take_leash(b);
    if (serial >= 0 && (p[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        if (serial == b->emu.serial)
            take_serial(b);
        else
            accept_serial(b);
    }
    for (i = 0; i < ROUTE_CLIENTS_MAX; i++)
        if (p[4 + i].fd >= 0 && p[4 + i].revents != 0) route_client_input(&b->route, i, clock_now_s());
    if (p[3].revents != 0) {
        int fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) route_add(&b->route, fd);
    }
    if (!b->serial_gone && !route_pump(&b->route, b->emu.serial, clock_now_s())) b->serial_gone = true;
    check_times(b);
}

/* The last bytes may still be on their way when the emulator has already ended. */
static void drain(struct broker *b)
{
    double until = clock_now_s() + 1;

    if (b->emu.serial >= 0 && b->emu.serial_listener >= 0) accept_serial(b);
    while (b->emu.serial >= 0 && !b->serial_gone && clock_now_s() < until) {
        struct pollfd p = {.fd = b->emu.serial, .events = POLLIN};

        if (poll(&p, 1, POLL_MS) <= 0) return;
        take_serial(b);
    }
}

static enum status finish(struct broker *b, struct error *e)
{
    const struct broker_job *job = b->job;
    char text[sizeof e->reason + sizeof e->mend + 64];
    enum status s;

    if (b->ending.status != STATUS_OK)
        *e = b->ending;
    else
        emulator_verdict(job->options->platform.hw, b->wait_status, b->watch.exited, b->watch.exit_status, e);
    s = e->status;
    snprintf(text, sizeof text, "%d %s\n%s\n%s\n", (int)s, e->code, e->reason, e->mend);
    machine_put(job->machine, "result", text);
    return s;
}

enum status broker_run(const struct broker_job *job)
{
    static struct broker b; /* large: decoders */
    char path[MACHINE_PATH_MAX];
    struct error e;

    signal(SIGPIPE, SIG_IGN);
    b = (struct broker){.job = job, .leash = job->leash, .deadline_s = clock_now_s() + job->timeout_s};
    route_init(&b.route);
    b.signals = catch_signals();
    b.listener = listen_for_consoles(job->machine);
    b.log = open(machine_path(job->machine, "log", path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (b.signals < 0 || b.listener < 0 || b.log < 0) {
        error_set(&b.ending, STATUS_EMULATOR, "state-dir", "machine",
                  "set XDG_RUNTIME_DIR to another directory", "cannot use its state directory (%s)",
                  strerror(errno));
        return finish(&b, &e);
    }
    if (emulator_start(job->options, job->machine, &b.emu, &b.ending) != STATUS_OK) return finish(&b, &e);
    while (!b.emulator_gone) turn(&b);
    drain(&b);
    route_close(&b.route);
    unlink(machine_path(job->machine, "socket", path));
    return finish(&b, &e);
}
