// SPDX-License-Identifier: MIT
// Text out of a polled 16550 at 0x3F8, and the way out of the machine.
#ifndef MITE_CONSOLE_H
#define MITE_CONSOLE_H

#include <stdint.h>

#define UART_PORT 0x3F8
#define EXIT_PORT 0xF4

void console_init(void);

void console_byte(char byte);

// Prints with %s, %c, %u, %x (32 bits), %llu, %llx and %% only. %.*s prints at most so many bytes.
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

// Returns once the last byte has left the transmitter: emulators drop what is still inside.
void console_drain(void);

// Ends the virtual machine with `code`; does not print.
_Noreturn void machine_exit(uint32_t code);

#endif
