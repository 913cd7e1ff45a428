/* SPDX-License-Identifier: MIT */
#include "dev/kbc.h"

#include "lib/string.h"

#define STATUS_OUTPUT_FULL 0x01u
#define STATUS_SYSTEM      0x04u
#define STATUS_COMMAND     0x08u
#define OUTPUT_RESET       0x01u /* active low: 0 resets */
#define OUTPUT_A20         0x02u

enum {
    CMD_READ_CONFIG = 0x20,
    CMD_WRITE_CONFIG = 0x60,
    CMD_SELF_TEST = 0xAA,
    CMD_TEST_KEYBOARD = 0xAB,
    CMD_READ_OUTPUT = 0xD0,
    CMD_WRITE_OUTPUT = 0xD1,
    CMD_PULSE = 0xF0, /* to 0xFF: pulses the lines whose bit is 0 */
    KEYBOARD_RESET = 0xFF,
    KEYBOARD_ACK = 0xFA,
    KEYBOARD_PASSED = 0xAA,
};

void kbc_init(struct kbc *k)
{
    memset(k, 0, sizeof *k);
    k->config = STATUS_SYSTEM;
}

static void give(struct kbc *k, uint8_t byte)
{
    if (k->out_count < sizeof k->out) k->out[k->out_count++] = byte;
}

uint8_t kbc_read(struct kbc *k, uint16_t port)
{
    if (port == 0x64)
        return (uint8_t)(STATUS_SYSTEM | STATUS_COMMAND | (k->out_count > 0 ? STATUS_OUTPUT_FULL : 0));
    if (k->out_count == 0) return 0;
    const uint8_t byte = k->out[0];
    k->out_count--;
    memmove(k->out, k->out + 1, k->out_count);
    return byte;
}

static bool command(struct kbc *k, uint8_t value)
{
    k->command = 0;
    if (value >= CMD_PULSE) return (value & OUTPUT_RESET) == 0;
    switch (value) {
    case CMD_READ_CONFIG: give(k, k->config); break;
    case CMD_SELF_TEST: give(k, 0x55); break;
    case CMD_TEST_KEYBOARD: give(k, 0x00); break;
    case CMD_READ_OUTPUT: give(k, OUTPUT_RESET | OUTPUT_A20); break;
    case CMD_WRITE_CONFIG:
    case CMD_WRITE_OUTPUT: k->command = value; break;
    default: /* enabling and disabling ports changes nothing one could see */ break;
    }
    return false;
}

bool kbc_write(struct kbc *k, uint16_t port, uint8_t value)
{
    if (port == 0x64) return command(k, value);
    const uint8_t waiting = k->command;
    k->command = 0;
    switch (waiting) {
    case CMD_WRITE_CONFIG: k->config = value; return false;
    case CMD_WRITE_OUTPUT: return (value & OUTPUT_RESET) == 0;
    default:
        give(k, KEYBOARD_ACK);
        if (value == KEYBOARD_RESET) give(k, KEYBOARD_PASSED);
        return false;
    }
}
