/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <poll.h>
#include <unistd.h>

int input_has_line(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    while (poll(&in, 1, 0) > 0) {
        if (read(STDIN_FILENO, &byte, 1) != 1 || byte == '\n') return 1;
    }
    return 0;
}
