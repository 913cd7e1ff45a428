/* SPDX-License-Identifier: MIT
 *
 * 16550 UART (PC16550D data sheet) at the first serial port. Output goes through a queue that interrupts
 * empty; until interrupts work, or with `serial=polled` on the command line, the sender waits.
 */
#include "boot/boot_info.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "lib/string.h"
#include "x86/cpu.h"
#include "x86/irq.h"

#define PORT    0x3f8
#define ISA_IRQ 4

enum uart_register {
    RBR = PORT + 0, /* read: received byte */
    THR = PORT + 0, /* write: byte to send */
    DLL = PORT + 0, /* with LCR_DLAB */
    IER = PORT + 1,
    DLM = PORT + 1, /* with LCR_DLAB */
    IIR = PORT + 2, /* read */
    FCR = PORT + 2, /* write */
    LCR = PORT + 3,
    MCR = PORT + 4,
    LSR = PORT + 5,
    SCR = PORT + 7,
};

#define IER_RX          0x01
#define IER_TX          0x02
#define IIR_NONE        0x01
#define FCR_ON          0x87 /* FIFOs on and cleared, interrupt at 8 bytes: 8 more fit while we are busy */
#define LCR_8N1         0x03
#define LCR_DLAB        0x80
#define MCR_DTR_RTS_OUT 0x0b /* OUT2 lets the interrupt out on a PC */
#define LSR_DATA        0x01
#define LSR_OVERRUN     0x02
#define LSR_THR_EMPTY   0x20
#define LSR_ALL_SENT    0x40

#define FIFO_BYTES  16u
#define QUEUE_BYTES 16384u /* a power of two: positions run on for ever */
/* Reads of a port take about 1 us on real machines, so this is a second: 10,000 bytes at 115200 baud. */
#define WAIT_TURNS  1000000u

struct queue {
    uint32_t in, out;
    uint8_t bytes[QUEUE_BYTES];
};

struct lock serial_lock = LOCK_INIT(LOCK_LOG);
static bool present;
static bool interrupts; /* they empty the queue */
static bool stuck;      /* it did not send for a second: do not wait for it again until it does */
static uint8_t ier;
static struct queue tx, rx;
static uint64_t rx_dropped;

static uint32_t queue_used(const struct queue *q)
{
    return q->in - q->out;
}

static void set_ier(uint8_t value)
{
    if (value == ier) return;
    ier = value;
    outb(IER, value);
}

/* Moves what fits now from the queue to the transmitter. False: nothing did. */
static bool pump(void)
{
    if (!(inb(LSR) & LSR_THR_EMPTY)) return false;
    for (unsigned i = 0; i < FIFO_BYTES && queue_used(&tx) > 0; i++)
        outb(THR, tx.bytes[tx.out++ % QUEUE_BYTES]);
    stuck = false;
    return true;
}

/* Waits until at most `level` bytes are queued. False, the queue dropped: the transmitter is stuck. */
static bool pump_down(uint32_t level)
{
    for (uint32_t turns = 0; queue_used(&tx) > level;) {
        if (pump()) {
            turns = 0;
        } else if (stuck || ++turns == WAIT_TURNS) {
            stuck = true;
            tx.out = tx.in;
            return false;
        }
    }
    return true;
}

void serial_tx_locked(const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    if (!present) return;
    for (size_t i = 0; i < size; i++) {
        if (queue_used(&tx) == QUEUE_BYTES && !pump_down(QUEUE_BYTES - FIFO_BYTES)) return;
        tx.bytes[tx.in++ % QUEUE_BYTES] = from[i];
    }
    if (interrupts) {
        (void)pump();
        set_ier(queue_used(&tx) > 0 ? IER_RX | IER_TX : IER_RX);
    } else {
        (void)pump_down(0);
    }
}

void serial_tx_frame(const void *bytes, size_t size)
{
    lock_acquire(&serial_lock);
    serial_tx_locked(bytes, size);
    lock_release(&serial_lock);
}

void serial_drain(void)
{
    if (!present || !pump_down(0)) return;
    for (uint32_t turns = 0; turns < WAIT_TURNS && !(inb(LSR) & LSR_ALL_SENT); turns++) cpu_pause();
}

/* At most a handful: a peer may send without end. */
static void receive(void)
{
    uint8_t lsr;

    for (unsigned i = 0; i < 2 * FIFO_BYTES && ((lsr = inb(LSR)) & LSR_DATA); i++) {
        uint8_t byte = inb(RBR);
        if (lsr & LSR_OVERRUN) rx_dropped++;
        if (queue_used(&rx) == QUEUE_BYTES)
            rx_dropped++;
        else
            rx.bytes[rx.in++ % QUEUE_BYTES] = byte;
    }
}

static void on_interrupt(void)
{
    unsigned turns = 0;

    lock_acquire(&serial_lock);
    for (; turns < 8 && !(inb(IIR) & IIR_NONE); turns++) {
        receive();
        (void)pump();
        set_ier(interrupts && queue_used(&tx) > 0 ? IER_RX | IER_TX : IER_RX);
    }
    if (turns == 8) {
        /* The line is edge-triggered and still up: let it fall and rise, for an interrupt of its own. */
        outb(IER, 0);
        outb(IER, ier);
    }
    lock_release(&serial_lock);
}

bool serial_rx_pending(void)
{
    return __atomic_load_n(&rx.in, __ATOMIC_ACQUIRE) != __atomic_load_n(&rx.out, __ATOMIC_RELAXED);
}

size_t serial_rx(void *out, size_t size)
{
    uint8_t *to = out;
    size_t n = 0;

    if (!serial_rx_pending()) return 0;
    lock_acquire(&serial_lock);
    while (n < size && queue_used(&rx) > 0) to[n++] = rx.bytes[rx.out++ % QUEUE_BYTES];
    lock_release(&serial_lock);
    return n;
}

uint64_t serial_rx_dropped(void)
{
    return __atomic_load_n(&rx_dropped, __ATOMIC_RELAXED);
}

void serial_init(void)
{
    outb(SCR, 0x5a);
    if (inb(SCR) != 0x5a) return;
    outb(IER, 0);
    outb(LCR, LCR_DLAB);
    outb(DLL, 1); /* 115200 */
    outb(DLM, 0);
    outb(LCR, LCR_8N1);
    outb(FCR, FCR_ON);
    outb(MCR, MCR_DTR_RTS_OUT);
    present = inb(LSR) != 0xff;
}

void serial_start(void)
{
    char mode[8] = "";

    if (!present) return;
    if (!irq_enable_isa(ISA_IRQ)) {
        log_line("tithe: serial: interrupt line 4 cannot be reached: no input");
        return;
    }
    irq_register(IRQ_VECTOR_ISA + ISA_IRQ, on_interrupt);
    lock_acquire(&serial_lock);
    (void)boot_option("serial", mode, sizeof mode);
    interrupts = strcmp(mode, "polled") != 0;
    receive();
    set_ier(IER_RX);
    lock_release(&serial_lock);
}
