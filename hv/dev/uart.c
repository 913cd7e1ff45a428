/* SPDX-License-Identifier: MIT */
#include "dev/uart.h"

#include "dev/platform.h"
#include "lib/string.h"

#define IER_RX       0x01u
#define IER_THRE     0x02u
#define IER_LINE     0x04u
#define IER_MODEM    0x08u
#define IIR_NONE     0x01u
#define IIR_LINE     0x06u
#define IIR_RX       0x04u
#define IIR_RX_OLD   0x0Cu /* character timeout */
#define IIR_THRE     0x02u
#define IIR_MODEM    0x00u
#define IIR_FIFO     0xC0u
#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB     0x80u
#define MCR_LOOP     0x10u
#define MCR_BITS     0x1Fu
#define LSR_DATA     0x01u
#define LSR_OVERRUN  0x02u
#define LSR_EMPTY    0x60u /* holding register and shift register */
/* Carrier, data set ready, clear to send: somebody is there. */
#define MSR_READY    0xB0u

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

void uart_init(struct uart *u, struct platform *platform)
{
    memset(u, 0, sizeof *u);
    u->platform = platform;
    uart_reset(u);
}

void uart_reset(struct uart *u)
{
    u->ier = u->lcr = u->mcr = u->msr_delta = u->scratch = u->dll = u->dlm = 0;
    u->fifo = false;
    u->trigger = 1;
    u->thre_pending = false;
    u->overrun = false;
    u->irq = false;
    u->input_head = u->input_count = 0;
}

/* The highest pending interrupt, as IIR names it. */
static uint8_t interrupt_id(const struct uart *u)
{
    if ((u->ier & IER_LINE) != 0 && u->overrun) return IIR_LINE;
    if ((u->ier & IER_RX) != 0 && u->input_count > 0)
        return u->input_count >= u->trigger ? IIR_RX : IIR_RX_OLD;
    if ((u->ier & IER_THRE) != 0 && u->thre_pending) return IIR_THRE;
    if ((u->ier & IER_MODEM) != 0 && u->msr_delta != 0) return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct uart *u)
{
    const bool irq = interrupt_id(u) != IIR_NONE;
    if (irq != u->irq) {
        u->irq = irq;
        platform_gsi(u->platform, GSI_UART, irq);
    }
}

/* ---- receiving ---- */

static bool input_put(struct uart *u, uint8_t byte)
{
    if (u->input_count == UART_INPUT_BYTES) return false;
    u->input[(u->input_head + u->input_count++) % UART_INPUT_BYTES] = byte;
    return true;
}

static uint8_t input_get(struct uart *u)
{
    if (u->input_count == 0) return 0;
    const uint8_t byte = u->input[u->input_head];
    u->input_head = (u->input_head + 1) % UART_INPUT_BYTES;
    u->input_count--;
    update_irq(u);
    return byte;
}

size_t uart_console_input(struct uart *u, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    size_t taken = 0;
    while (taken < size && input_put(u, from[taken])) taken++;
    update_irq(u);
    return taken;
}

/* ---- sending ---- */

static void line_end(struct uart *u)
{
    char text[UART_LINE_BYTES];
    size_t bytes = 0;
    for (uint64_t at = u->line_start; at < u->output_bytes; at++) {
        const char c = (char)u->ring[at % UART_RING_BYTES];
        if (c != '\r' && c != '\n') text[bytes++] = c;
    }
    u->line_start = u->output_bytes;
    if (u->line != NULL) u->line(u->line_ctx, text, bytes);
}

static void send(struct uart *u, uint8_t byte)
{
    u->ring[u->output_bytes++ % UART_RING_BYTES] = byte;
    if (byte == '\n' || u->output_bytes - u->line_start == UART_LINE_BYTES) line_end(u);
    /* Sent at once, so the transmitter is empty again: that is news only to who has asked. */
    if ((u->ier & IER_THRE) != 0 && !u->thre_pending) {
        u->thre_pending = true;
        update_irq(u);
    }
}

static void send_looped(struct uart *u, uint8_t byte)
{
    if (!input_put(u, byte)) u->overrun = true;
    u->thre_pending = true;
    update_irq(u);
}

size_t uart_console_read(const struct uart *u, uint64_t *offset, void *out, size_t size)
{
    const uint64_t oldest = u->output_bytes > UART_RING_BYTES ? u->output_bytes - UART_RING_BYTES : 0;
    if (*offset < oldest) *offset = oldest;
    if (*offset > u->output_bytes) *offset = u->output_bytes;
    uint8_t *to = out;
    size_t bytes = 0;
    for (uint64_t at = *offset; bytes < size && at < u->output_bytes; at++) {
        to[bytes++] = u->ring[at % UART_RING_BYTES];
    }
    return bytes;
}

uint64_t uart_console_offset(const struct uart *u)
{
    return u->output_bytes;
}

/* ---- registers ---- */

static uint8_t modem_status(const struct uart *u)
{
    if ((u->mcr & MCR_LOOP) == 0) return MSR_READY;
    /* Looped: DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
    return (uint8_t)((u->mcr & 1u) << 5 | (u->mcr & 2u) << 3 | (u->mcr & 4u) << 4 | (u->mcr & 8u) << 4);
}

uint8_t uart_read(struct uart *u, unsigned reg)
{
    const bool dlab = (u->lcr & LCR_DLAB) != 0;
    uint8_t value;
    switch (reg) {
    case REG_DATA: return dlab ? u->dll : input_get(u);
    case REG_IER: return dlab ? u->dlm : u->ier;
    case REG_IIR_FCR:
        value = interrupt_id(u);
        if (value == IIR_THRE) {
            u->thre_pending = false;
            update_irq(u);
        }
        return value | (u->fifo ? IIR_FIFO : 0);
    case REG_LCR: return u->lcr;
    case REG_MCR: return u->mcr;
    case REG_LSR:
        value = (uint8_t)(LSR_EMPTY | (u->input_count > 0 ? LSR_DATA : 0) | (u->overrun ? LSR_OVERRUN : 0));
        if (u->overrun) {
            u->overrun = false;
            update_irq(u);
        }
        return value;
    case REG_MSR:
        value = modem_status(u) | u->msr_delta;
        u->msr_delta = 0;
        update_irq(u);
        return value;
    default: return u->scratch;
    }
}

static void write_ier(struct uart *u, uint8_t value)
{
    const uint8_t old = u->ier;
    u->ier = value & 0x0F;
    /* Enabling "transmitter empty" while it is empty interrupts at once; drivers test for this. */
    if ((u->ier & ~old & IER_THRE) != 0) u->thre_pending = true;
    update_irq(u);
}

static void write_fcr(struct uart *u, uint8_t value)
{
    static const uint8_t triggers[4] = {1, 4, 8, 14};
    const bool fifo = (value & FCR_ENABLE) != 0;
    /* Switching the FIFOs on or off empties them. */
    if (fifo != u->fifo || (value & FCR_CLEAR_RX) != 0) u->input_count = 0;
    u->fifo = fifo;
    u->trigger = fifo ? triggers[value >> 6] : 1;
    update_irq(u);
}

static void write_mcr(struct uart *u, uint8_t value)
{
    const uint8_t before = modem_status(u);
    u->mcr = value & MCR_BITS;
    const uint8_t now = modem_status(u);
    const uint8_t changed = (uint8_t)((before ^ now) & (now | 0xB0)); /* of RI only its end counts */
    u->msr_delta |= changed >> 4;
    update_irq(u);
}

void uart_write(struct uart *u, unsigned reg, uint8_t value)
{
    const bool dlab = (u->lcr & LCR_DLAB) != 0;
    switch (reg) {
    case REG_DATA:
        if (dlab) {
            u->dll = value;
        } else if ((u->mcr & MCR_LOOP) != 0) {
            send_looped(u, value);
        } else {
            send(u, value);
        }
        break;
    case REG_IER:
        if (dlab) {
            u->dlm = value;
        } else {
            write_ier(u, value);
        }
        break;
    case REG_IIR_FCR: write_fcr(u, value); break;
    case REG_LCR: u->lcr = value; break;
    case REG_MCR: write_mcr(u, value); break;
    case REG_SCRATCH: u->scratch = value; break;
    default: /* status registers are read-only */ break;
    }
}
