/* SPDX-License-Identifier: MIT
 *
 * A channel carries out one request at a time. It ends by an interrupt, or is looked at when it is late; what fails is tried
 * once more after a reset. A channel that cannot be reset is given up.
 */
#include "drv/ide.h"

#include "boot/layout.h"
#include "drv/disk_priv.h"
#include "drv/ide_regs.h"
#include "drv/pci.h"
#include "lib/log.h"
#include "x86/cpu.h"
#include "x86/irq.h"
#include "x86/percpu.h"
#include "x86/time.h"

#define NS_PER_MS 1000000ull

#define IDENTIFY_NS   (1000 * NS_PER_MS) /* firmware has been at the drives before us: they are awake */
#define LOOK_NS       (1000 * NS_PER_MS) /* an interrupt this late is lost */
#define COMMAND_NS    (30000 * NS_PER_MS)
#define RESET_LOOK_NS (2 * NS_PER_MS)
#define RESET_NS      (31000 * NS_PER_MS) /* ATA/ATAPI-6 9.2: what a drive may take */
#define TRIES         2u
#define LOGGED_ERRORS 16u /* of a channel: a bad disk does not flood the log */

#define PCI_CLASS_STORAGE 1
#define PCI_SUBCLASS_IDE  1
#define PCI_IDE_MASTER    0x8000u /* in the class register: can be a bus master */
#define PCI_IDE_NATIVE    0x0500u /* either channel is not at its legacy place */

#define ISA_IRQ 14

/* Physical region descriptor: no region crosses 64 KiB, for none leaves its frame. */
struct prd {
    uint32_t address;
    uint32_t bytes;
};
#define PRD_LAST 0x80000000u

enum channel_state { CHANNEL_IDLE, CHANNEL_BUSY, CHANNEL_RESET, CHANNEL_GONE };

struct channel {
    uint16_t io, control, master;
    enum channel_state state;
    uint32_t tries;
    enum disk_status why; /* of the last failure */
    uint32_t errors;
    uint64_t look_ns, end_ns;   /* unless idle: when to look next, and when it has taken too long */
    struct disk_request *first; /* the drive's, unless idle */
    struct disk_request *last;
    struct prd *table;
};

/* The table must not cross 64 KiB, and not move. */
static struct prd tables[2][DISK_SEGMENTS_MAX]
    __attribute__((aligned(sizeof(struct prd) * DISK_SEGMENTS_MAX)));
static struct channel channels[2] = {
    {.io = 0x1f0, .control = 0x3f6, .state = CHANNEL_GONE, .table = tables[0]},
    {.io = 0x170, .control = 0x376, .state = CHANNEL_GONE, .table = tables[1]},
};

/* Of each disk. */
static struct drive {
    struct channel *channel;
    uint8_t select; /* ATA_DEVICE_1, or 0 */
    bool lba48;
} drives[DISKS_MAX];

/* Selects a drive and waits the 400 ns that its status takes to be true: a port read is 100 ns at least. */
static void select_drive(const struct channel *c, uint8_t device)
{
    outb(c->io + ATA_DEVICE, ATA_DEVICE_OLD | device);
    for (unsigned i = 0; i < 4; i++) (void)inb(c->control);
}

static void begin_reset(struct channel *c, enum disk_status why)
{
    const uint64_t now_ns = time_now_ns();

    c->why = why;
    c->state = CHANNEL_RESET;
    c->look_ns = now_ns + RESET_LOOK_NS;
    c->end_ns = now_ns + RESET_NS;
    outb(c->master + BM_COMMAND, 0);
    outb(c->control, ATA_CONTROL_RESET);
    time_delay_ns(5000); /* ATA/ATAPI-6 9.2: 5 us at least */
    outb(c->control, 0);
}

static void put_address(const struct channel *c, uint64_t sector, uint32_t count)
{
    outb(c->io + ATA_COUNT, (uint8_t)count); /* 256 is 0 */
    outb(c->io + ATA_LBA0, (uint8_t)sector);
    outb(c->io + ATA_LBA1, (uint8_t)(sector >> 8));
    outb(c->io + ATA_LBA2, (uint8_t)(sector >> 16));
}

static void put_table(const struct channel *c, const struct disk_request *r)
{
    for (uint32_t i = 0; i < r->segment_count; i++) {
        const struct disk_segment *s = &r->segments[i];
        c->table[i] = (struct prd){(uint32_t)(s->mfn << PAGE_SHIFT) + s->offset, s->bytes};
    }
    c->table[r->segment_count - 1].bytes |= PRD_LAST;
    outl(c->master + BM_TABLE, (uint32_t)image_to_hpa(c->table));
}

/* Gives the first request, if there is one, to its drive. */
static void start(struct channel *c)
{
    static const uint8_t commands[][2] = {
        [DISK_READ] = {ATA_READ_DMA, ATA_READ_DMA_EXT},
        [DISK_WRITE] = {ATA_WRITE_DMA, ATA_WRITE_DMA_EXT},
        [DISK_FLUSH] = {ATA_FLUSH, ATA_FLUSH_EXT},
    };
    const struct disk_request *r = c->first;

    c->state = CHANNEL_IDLE;
    if (r == NULL) return;
    const struct drive *d = &drives[r->disk];
    const uint8_t high = d->lba48 ? 0 : (uint8_t)(r->sector >> 24);
    select_drive(c, ATA_DEVICE_LBA | d->select | high);
    if (inb(c->control) & (ATA_BUSY | ATA_DRQ)) {
        begin_reset(c, DISK_TIMED_OUT);
        return;
    }
    c->state = CHANNEL_BUSY;
    c->look_ns = time_now_ns() + LOOK_NS;
    c->end_ns = time_now_ns() + COMMAND_NS;
    outb(c->master + BM_STATUS, (inb(c->master + BM_STATUS) & BM_CAPABLE) | BM_INTERRUPT | BM_ERROR);
    if (r->op != DISK_FLUSH) put_table(c, r);
    if (d->lba48) put_address(c, r->sector >> 24, r->sectors >> 8);
    put_address(c, r->sector, r->sectors);
    outb(c->io + ATA_COMMAND, commands[r->op][d->lba48]);
    if (r->op != DISK_FLUSH) outb(c->master + BM_COMMAND, BM_START | (r->op == DISK_READ ? BM_TO_MEMORY : 0));
}

static void finish_first(struct channel *c, enum disk_status status)
{
    struct disk_request *r = c->first;

    c->first = r->next;
    c->tries = 0;
    disk_finished(r, status);
}

/* The request in the drive did not fare well. */
static void failed(struct channel *c, enum disk_status why, uint8_t status, uint8_t master)
{
    if (c->errors++ < LOGGED_ERRORS)
        log_line("tithe: disk %u: %s at sector %lu: %s (status 0x%x, error 0x%x, bus master 0x%x)",
                 c->first->disk,
                 c->first->op == DISK_READ    ? "read"
                 : c->first->op == DISK_WRITE ? "write"
                                              : "flush",
                 c->first->sector, disk_status_text(why), status, inb(c->io + ATA_ERROR), master);
    begin_reset(c, why);
}

/* The drive has asked for attention, or else nothing is done. Stopping the bus master comes first (82371SB 2.7), then the status,
 * which takes the interrupt back. */
static void attend(struct channel *c)
{
    const uint8_t master = inb(c->master + BM_STATUS);

    if (!(master & BM_INTERRUPT)) return;
    outb(c->master + BM_COMMAND, 0);
    const uint8_t status = inb(c->io + ATA_STATUS);
    outb(c->master + BM_STATUS, (master & BM_CAPABLE) | BM_INTERRUPT | BM_ERROR);
    if (c->state != CHANNEL_BUSY) return; /* late, or of a reset */
    /* An active bus master expected more than the drive gave. */
    if ((status & (ATA_BUSY | ATA_DF | ATA_DRQ | ATA_ERR)) || (master & (BM_ACTIVE | BM_ERROR))) {
        failed(c, DISK_FAILED, status, master);
        return;
    }
    finish_first(c, DISK_OK);
    start(c);
}

/* The lock is held by others only while they program registers. */
static void on_interrupt(struct channel *c)
{
    lock_acquire(&disk_lock);
    attend(c);
    lock_release(&disk_lock);
    this_cpu()->resched = true; /* the loop has something to call */
}

static void on_interrupt_0(void)
{
    on_interrupt(&channels[0]);
}
static void on_interrupt_1(void)
{
    on_interrupt(&channels[1]);
}

static void give_up(struct channel *c)
{
    log_line("tithe: disk controller at 0x%x does not come out of its reset: its disks are given up", c->io);
    while (c->first != NULL) finish_first(c, DISK_NO_DISK);
    c->state = CHANNEL_GONE;
}

/* A reset may be over. */
static void look_at_reset(struct channel *c, uint64_t now_ns)
{
    select_drive(c, drives[c->first->disk].select);
    const uint8_t status = inb(c->control);

    if (status & ATA_BUSY) {
        c->look_ns = now_ns + RESET_LOOK_NS;
        if (now_ns >= c->end_ns) give_up(c);
        return;
    }
    if (++c->tries < TRIES)
        disk_retried(c->first->disk);
    else
        finish_first(c, c->why);
    start(c);
}

static void look(struct channel *c, uint64_t now_ns)
{
    if (c->state == CHANNEL_RESET) {
        look_at_reset(c, now_ns);
        return;
    }
    c->look_ns = now_ns + LOOK_NS;
    const struct disk_request *r = c->first;
    attend(c);
    if (c->first != r && c->errors++ < LOGGED_ERRORS)
        log_line("tithe: disk controller at 0x%x: an interrupt came late, or not at all", c->io);
    if (c->state == CHANNEL_BUSY && c->first == r && now_ns >= c->end_ns)
        failed(c, DISK_TIMED_OUT, inb(c->control), inb(c->master + BM_STATUS));
}

uint64_t ide_poll(uint64_t now_ns)
{
    uint64_t next_ns = NO_DEADLINE;

    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        struct channel *c = &channels[i];
        const bool waits = c->state == CHANNEL_BUSY || c->state == CHANNEL_RESET;
        if (waits && c->look_ns <= now_ns) look(c, now_ns);
        if ((c->state == CHANNEL_BUSY || c->state == CHANNEL_RESET) && c->look_ns < next_ns)
            next_ns = c->look_ns;
    }
    return next_ns;
}

enum disk_status ide_queue(struct disk_request *request)
{
    struct channel *c = drives[request->disk].channel;

    if (c->state == CHANNEL_GONE) return DISK_NO_DISK;
    if (c->first == NULL)
        c->first = request;
    else
        c->last->next = request;
    c->last = request;
    if (c->state == CHANNEL_IDLE) start(c);
    return DISK_OK;
}

/* ---- finding them ---- */

const char *ide_identify(const uint16_t *words, struct ide_identity *out)
{
    size_t length = 0;

    *out = (struct ide_identity){.lba48 = (words[83] & 0xc400) == 0x4400};
    for (size_t i = 0; i < 40; i++) {
        const char c = (char)(words[27 + i / 2] >> (i % 2 == 0 ? 8 : 0));
        out->model[i] = c > ' ' && c <= '~' ? c : c == ' ' || c == '\0' ? ' ' : '?';
        if (out->model[i] != ' ') length = i + 1;
    }
    out->model[length] = '\0';
    out->sectors = (uint32_t)words[61] << 16 | words[60];
    if (out->lba48) out->sectors = (uint64_t)words[102] << 32 | (uint32_t)words[101] << 16 | words[100];
    if (!(words[49] & 1u << 9)) return "it has no LBA";
    if (!(words[49] & 1u << 8)) return "it has no DMA";
    if ((words[106] & 0xd000) == 0x5000) return "its sectors are not of 512 bytes";
    if (!out->lba48 && out->sectors >= 1u << 28) return "it claims more sectors than its commands reach";
    return out->sectors == 0 ? "it claims to have no sectors" : NULL;
}

static bool wait_ready(const struct channel *c)
{
    const uint64_t until_ns = time_now_ns() + IDENTIFY_NS;

    while (inb(c->control) & ATA_BUSY) {
        if (time_now_ns() >= until_ns) return false;
        cpu_pause();
    }
    return true;
}

/* False: nobody there, or not a disk. An ATAPI device refuses the command (ATA/ATAPI-6 8.15.5.2). */
static bool ask_identity(const struct channel *c, uint8_t device, uint16_t *words)
{
    select_drive(c, device);
    const uint8_t status = inb(c->control);
    if (status == 0 || status == 0xff || !wait_ready(c)) return false;
    outb(c->io + ATA_COMMAND, ATA_IDENTIFY);
    for (unsigned i = 0; i < 4; i++) (void)inb(c->control);
    if (!wait_ready(c) || (inb(c->io + ATA_STATUS) & (ATA_ERR | ATA_DF | ATA_DRQ)) != ATA_DRQ) return false;
    for (unsigned i = 0; i < 256; i++) words[i] = inw(c->io + ATA_DATA);
    (void)inb(c->io + ATA_STATUS);
    return true;
}

static void find_drive(struct channel *c, unsigned channel, unsigned unit)
{
    static const char *const names[2][2] = {{"ata0-master", "ata0-slave"}, {"ata1-master", "ata1-slave"}};
    static uint16_t words[256];
    struct ide_identity identity;
    const uint8_t device = unit == 0 ? 0 : ATA_DEVICE_1;

    if (!ask_identity(c, device, words)) return;
    const char *why = ide_identify(words, &identity);
    const uint32_t disk = why == NULL ? disk_add(names[channel][unit], identity.model, identity.sectors) : 0;
    if (why != NULL)
        log_line("tithe: disk %s at %s is left out: %s", identity.model, names[channel][unit], why);
    else if (disk < DISKS_MAX)
        drives[disk] = (struct drive){c, device, identity.lba48};
}

static void find_drives(unsigned channel)
{
    struct channel *c = &channels[channel];

    if (inb(c->control) == 0xff) return; /* nobody holds the cable's lines */
    outb(c->master + BM_COMMAND, 0);
    outb(c->control, ATA_CONTROL_NO_IRQ);
    for (unsigned unit = 0; unit < 2; unit++) find_drive(c, channel, unit);
    outb(c->master + BM_STATUS, (inb(c->master + BM_STATUS) & BM_CAPABLE) | BM_INTERRUPT | BM_ERROR);
    outb(c->control, 0);
    irq_register((uint8_t)(IRQ_VECTOR_ISA + ISA_IRQ + channel),
                 channel == 0 ? on_interrupt_0 : on_interrupt_1);
    if (irq_enable_isa((uint8_t)(ISA_IRQ + channel)))
        c->state = CHANNEL_IDLE;
    else
        log_line("tithe: interrupt line %u cannot be reached: its disks are not used", ISA_IRQ + channel);
}

void ide_init(void)
{
    pci_function_t f;

    if (!pci_find(PCI_CLASS_STORAGE, PCI_SUBCLASS_IDE, &f)) return;
    const uint32_t class = pci_read(f, PCI_CLASS), bar = pci_read(f, PCI_BAR0 + 4 * 4);
    if (!(class & PCI_IDE_MASTER) || (class & PCI_IDE_NATIVE) || !(bar & 1) || (bar & 0xfff0) == 0) {
        log_line(
            "tithe: the IDE controller (class 0x%x, bus master at 0x%x) is of a kind that we do not drive",
            class >> 8, bar);
        return;
    }
    pci_write(f, PCI_COMMAND, (pci_read(f, PCI_COMMAND) & 0xffff) | PCI_COMMAND_IO | PCI_COMMAND_BUS_MASTER);
    for (unsigned i = 0; i < 2; i++) {
        channels[i].master = (uint16_t)((bar & 0xfff0) + i * BM_CHANNEL_BYTES);
        find_drives(i);
    }
}
