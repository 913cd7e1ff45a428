/* SPDX-License-Identifier: MIT */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(int fd, int as)
{
    if (fd < 0) fd = open("/dev/null", as == 0 ? O_RDONLY : O_WRONLY);
    dup2(fd, as); /* fd is never `as` itself: main() keeps 0 to 2 open */
}

/* In the child. Reports why on `tell`, which closes by itself when the program runs. */
static void run(const struct spawn *s, pid_t parent, int tell)
{
    sigset_t none;
    int problem;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && (s->dir == NULL || chdir(s->dir) == 0)) {
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        become(s->in, 0);
        become(s->out, 1);
        become(s->err, 2);
        execvp(s->argv[0], s->argv);
    }
    problem = errno;
    while (write(tell, &problem, sizeof problem) < 0 && errno == EINTR) continue;
    _exit(127);
}

pid_t spawn(const struct spawn *s)
{
    int tell[2], problem = 0;
    pid_t parent = getpid(), child;
    ssize_t n;

    if (pipe2(tell, O_CLOEXEC) < 0) return -1;
    child = fork();
    if (child == 0) run(s, parent, tell[1]);
    close(tell[1]);
    if (child < 0) {
        close(tell[0]);
        return -1;
    }
    do n = read(tell[0], &problem, sizeof problem);
    while (n < 0 && errno == EINTR);
    close(tell[0]);
    if (n <= 0) return child;
    waitpid(child, NULL, 0);
    errno = problem;
    return -1;
}
