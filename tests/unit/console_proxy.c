/* SPDX-License-Identifier: MIT
 *
 * A bad line for tests: runs a command and passes its standard input and output on, frame by frame, with
 * faults.
 *
 *   console-proxy seed=N rate=PERCENT [faults=drop,cut,flip,twice,late,huge,noise,text] [vanish=FRAMES]
 * COMMAND…
 *
 * Every frame in either direction meets a fault with this probability. The same seed gives the same choices.
 * After `vanish` frames from the command it leaves at once, in the middle of a frame, as a machine does that
 * loses power.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "frame.h"

#define HUGE_BYTES 20000u

enum { DROP, CUT, FLIP, TWICE, LATE, HUGE_FRAME, NOISE, TEXT, FAULTS };
static const char *const fault_names[FAULTS] = {"drop", "cut",  "flip",  "twice",
                                                "late", "huge", "noise", "text"};

static uint64_t random_state = 1;
static unsigned rate_percent;
static bool wanted[FAULTS];
static long frames_left = -1; /* from the command; -1: no end */

struct line {
    int in, out;
    bool from_command;
    struct frame_decoder decoder;
    uint8_t late[FRAME_MAX_BYTES]; /* a frame that will follow the next one */
    size_t late_bytes;
};

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * 2685821657736338717ull >> 16) % n;
}

static void put(const struct line *l, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(l->out, bytes, n);

        if (done <= 0) exit(0);
        bytes += done;
        n -= (size_t)done;
    }
}

static void put_noise(const struct line *l, size_t n, bool zeros)
{
    uint8_t byte;

    while (n-- > 0) {
        byte = (uint8_t)random_below(256);
        if (!zeros && byte == 0) byte = 1;
        put(l, &byte, 1);
    }
}

static int pick_fault(void)
{
    int fault;

    if (random_below(100) >= rate_percent) return -1;
    do fault = (int)random_below(FAULTS);
    while (!wanted[fault]);
    return fault;
}

static void pass_frame(struct line *l)
{
    static const char text[] = "tithe: a line of the log\nand half of ano";
    static const uint8_t zero = 0;
    uint8_t frame[FRAME_MAX_BYTES];
    size_t n = frame_encode(l->decoder.payload, l->decoder.payload_bytes, frame);

    if (l->from_command && frames_left >= 0 && frames_left-- == 0) {
        put(l, frame, n / 2);
        exit(0);
    }
    switch (pick_fault()) {
    case DROP: break;
    case CUT: put(l, frame, random_below(n)); break;
    case FLIP:
        frame[random_below(n)] ^= (uint8_t)(1u << random_below(8));
        put(l, frame, n);
        break;
    case TWICE:
        put(l, frame, n);
        put(l, frame, n);
        break;
    case LATE:
        if (l->late_bytes > 0) put(l, l->late, l->late_bytes);
        memcpy(l->late, frame, n);
        l->late_bytes = n;
        return;
    case HUGE_FRAME:
        put(l, &zero, 1);
        put_noise(l, HUGE_BYTES, false);
        put(l, &zero, 1);
        put(l, frame, n);
        break;
    case NOISE:
        put_noise(l, random_below(200), true);
        put(l, frame, n);
        break;
    case TEXT:
        put(l, (const uint8_t *)text, sizeof text - 1);
        put(l, frame, n);
        break;
    default: put(l, frame, n); break;
    }
    if (l->late_bytes > 0) put(l, l->late, l->late_bytes);
    l->late_bytes = 0;
}

static bool pass(struct line *l)
{
    uint8_t bytes[4096];
    ssize_t n = read(l->in, bytes, sizeof bytes), i;

    for (i = 0; i < n; i++)
        if (frame_decode(&l->decoder, bytes[i]) == FRAME_PAYLOAD) pass_frame(l);
    return n > 0;
}

static char **read_options(char **argv)
{
    int fault;

    for (; *argv != NULL; argv++) {
        if (strncmp(*argv, "seed=", 5) == 0)
            random_state = strtoull(*argv + 5, NULL, 10) * 2 + 88172645463325253ull;
        else if (strncmp(*argv, "rate=", 5) == 0)
            rate_percent = (unsigned)atoi(*argv + 5);
        else if (strncmp(*argv, "vanish=", 7) == 0)
            frames_left = atol(*argv + 7);
        else if (strncmp(*argv, "faults=", 7) == 0) {
            for (fault = 0; fault < FAULTS; fault++)
                wanted[fault] = strstr(*argv, fault_names[fault]) != NULL;
        } else
            break;
    }
    return argv;
}

int main(int argc, char **argv)
{
    static struct line to, from;
    int in[2], out[2], fault;
    char **command;

    for (fault = 0; fault < FAULTS; fault++) wanted[fault] = true;
    command = read_options(argv + 1);
    if (argc < 2 || *command == NULL || pipe(in) < 0 || pipe(out) < 0) {
        fputs("usage: console-proxy [seed=N] [rate=PERCENT] [faults=LIST] [vanish=FRAMES] COMMAND...\n",
              stderr);
        return 2;
    }
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execvp(*command, command);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to = (struct line){.in = 0, .out = in[1]};
    from = (struct line){.in = out[0], .out = 1, .from_command = true};
    for (;;) {
        struct pollfd p[2] = {{.fd = to.in, .events = POLLIN}, {.fd = from.in, .events = POLLIN}};

        if (poll(p, 2, -1) < 0) return 1;
        if (p[0].revents != 0 && !pass(&to)) return 0;
        if (p[1].revents != 0 && !pass(&from)) return 0;
    }
}
