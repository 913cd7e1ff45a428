/* SPDX-License-Identifier: MIT */
#include "disk_machine.h"

#include "boot/layout.h"
#include "drv/ide_regs.h"
#include "host_env.h"
#include "lib/cpu_index.h"
#include "mem/direct.h"
#include "x86/cpu.h"
#include "x86/irq.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCI_FUNCTION 0x09u /* slot 1, function 1, as on a PIIX3 */
#define IMAGE_HPA    0x40000000u
#define PORT_NS      500u
#define COMMAND_NS   100000u

struct sim sim;

/* What a channel is at. */
static struct channel {
    uint8_t now[8], before[8]; /* task file: last and last but one value written */
    uint8_t status, error, control;
    uint8_t unit;
    uint8_t bm_command, bm_status;
    uint32_t bm_table;
    uint64_t over_ns;  /* when the command in it ends; NO_DEADLINE */
    uint64_t awake_ns; /* when a reset ends */
    bool line;         /* the interrupt line is up and has not been taken */
    bool pulled, stuck;
    enum fault fault;
    const uint16_t *pio;
    unsigned pio_left;
} channels[2];
static uint32_t pci_address, pci_command;
static void (*handlers[2])(void);
static bool line_enabled[2];
static struct percpu cpu;

void wrong(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    _Exit(1);
}

/* ---- what the core asks of the machine ---- */

struct percpu *this_cpu(void)
{
    return &cpu;
}
uint32_t cpu_index(void)
{
    return sim.cpu;
}
void smp_kick(uint32_t index)
{
    CHECK(index == 0 && host_env_locks() == 0);
    sim.kicks++;
}
uint64_t time_now_ns(void)
{
    return sim.now_ns;
}
void time_delay_ns(uint64_t ns)
{
    sim.now_ns += ns;
}
static uint64_t armed_ns = NO_DEADLINE;
void time_arm(uint64_t deadline_ns)
{
    armed_ns = deadline_ns;
}

void irq_register(uint8_t vector, void (*handler)(void))
{
    CHECK(vector == IRQ_VECTOR_ISA + 14 || vector == IRQ_VECTOR_ISA + 15);
    handlers[vector - IRQ_VECTOR_ISA - 14] = handler;
}
bool irq_enable_isa(uint8_t line)
{
    line_enabled[line - 14] = !sim.no_irq_line;
    return !sim.no_irq_line;
}

hpa_t image_to_hpa(const void *image)
{
    return IMAGE_HPA + (uintptr_t)image - ((uintptr_t)&sim & PAGE_MASK);
}
static uint8_t *memory(hpa_t hpa)
{
    if (hpa < MACHINE_FRAMES * PAGE_BYTES) return hpa_to_virt(hpa);
    CHECK(hpa > IMAGE_HPA - 64 * MIB && hpa < IMAGE_HPA + 64 * MIB);
    return (uint8_t *)(((uintptr_t)&sim & PAGE_MASK) + hpa - IMAGE_HPA);
}

uint64_t boot_option_u64(const char *name, uint64_t otherwise)
{
    CHECK(strcmp(name, "disk_dma_limit_mib") == 0);
    return sim.dma_limit_mib != NULL ? strtoull(sim.dma_limit_mib, NULL, 0) : otherwise;
}

/* ---- drives ---- */

static struct sim_drive *selected(const struct channel *c)
{
    return &sim.drive[c - channels][c->unit];
}

static void interrupt(struct channel *c)
{
    c->bm_status |= BM_INTERRUPT;
    c->line = c->fault != FAULT_NO_IRQ;
}

/* Moves `sectors` sectors as the table says; returns the bytes the table holds. */
static uint32_t transfer(struct channel *c, struct sim_drive *d, uint64_t sector, uint32_t sectors,
                         bool to_memory)
{
    uint32_t moved = 0, bytes = sectors * 512, in_table = 0;
    CHECK(c->bm_table % 4 == 0);
    for (uint32_t i = 0;; i++) {
        uint32_t prd[2];
        CHECK((c->bm_table & 0xffff) + (i + 1) * 8 <= 0x10000);
        memcpy(prd, memory(c->bm_table + i * 8), 8);
        const uint32_t size = (prd[1] & 0xffff) != 0 ? prd[1] & 0xffff : 0x10000;
        CHECK(prd[0] % 2 == 0 && size % 2 == 0 && (prd[1] & 0x7fff0000) == 0);
        CHECK((prd[0] & 0xffff) + size <= 0x10000);
        in_table += size;
        for (uint32_t at = 0; at < size && moved < bytes; at++, moved++) {
            uint8_t *disk = &d->data[(sector + moved / 512) % d->kept * 512 + moved % 512];
            uint8_t *ram = memory(prd[0] + at);
            if (to_memory)
                *ram = *disk;
            else
                *disk = *ram;
        }
        if (prd[1] & 0x80000000) return in_table;
    }
}

static bool is_ext(uint8_t command)
{
    return command == ATA_READ_DMA_EXT || command == ATA_WRITE_DMA_EXT || command == ATA_FLUSH_EXT;
}

static void end_dma(struct channel *c, struct sim_drive *d, uint8_t command)
{
    const bool ext = is_ext(command), to_memory = command == ATA_READ_DMA || command == ATA_READ_DMA_EXT;
    uint64_t sector = c->now[ATA_LBA0] | (uint64_t)c->now[ATA_LBA1] << 8 | (uint64_t)c->now[ATA_LBA2] << 16;
    uint32_t count = c->now[ATA_COUNT];
    if (ext) {
        sector |= (uint64_t)c->before[ATA_LBA0] << 24 | (uint64_t)c->before[ATA_LBA1] << 32 |
                  (uint64_t)c->before[ATA_LBA2] << 40;
        count |= (uint32_t)c->before[ATA_COUNT] << 8;
        count = count == 0 ? 65536 : count;
    } else {
        sector |= (uint64_t)(c->now[ATA_DEVICE] & 15) << 24;
        count = count == 0 ? 256 : count;
    }
    CHECK(c->now[ATA_DEVICE] & ATA_DEVICE_LBA);
    CHECK(ext == d->lba48);
    CHECK(sector < d->sectors && count <= d->sectors - sector);
    CHECK((c->bm_command & BM_START) && ((c->bm_command & BM_TO_MEMORY) != 0) == to_memory);
    CHECK(pci_command & 4);
    switch (c->fault) {
    case FAULT_ERROR:
        c->status |= ATA_ERR;
        c->error = 0x40;
        return;
    case FAULT_MASTER: c->bm_status = (uint8_t)((c->bm_status & ~BM_ACTIVE) | BM_ERROR); return;
    case FAULT_DEVICE:
        (void)transfer(c, d, sector, count / 2, to_memory);
        c->status |= ATA_DF;
        return;
    case FAULT_SHORT: (void)transfer(c, d, sector, count / 2, to_memory); return; /* still active */
    case FAULT_DRQ: c->status |= ATA_DRQ; return;
    default: break;
    }
    CHECK(transfer(c, d, sector, count, to_memory) == count * 512);
    c->bm_status &= (uint8_t)~BM_ACTIVE;
}

static void end_command(struct channel *c)
{
    struct sim_drive *d = selected(c);
    const uint8_t command = c->now[ATA_COMMAND];

    c->over_ns = NO_DEADLINE;
    if (c->fault == FAULT_HANG || c->fault == FAULT_STUCK || c->fault == FAULT_PULLED) return;
    c->status &= (uint8_t) ~(ATA_BUSY | ATA_DRQ | ATA_ERR | ATA_DF);
    if (c->fault == FAULT_HANG_DRQ) {
        c->status |= ATA_DRQ;
        return;
    }
    if (command == ATA_FLUSH || command == ATA_FLUSH_EXT) {
        CHECK(is_ext(command) == d->lba48);
        if (c->fault == FAULT_ERROR || c->fault == FAULT_DEVICE) c->status |= ATA_ERR;
        if (c->fault == FAULT_DRQ || c->fault == FAULT_SHORT) c->status |= ATA_DRQ;
        if (c->fault == FAULT_MASTER) c->bm_status |= BM_ERROR;
    } else {
        end_dma(c, d, command);
    }
    interrupt(c);
}

static void begin_command(struct channel *c, uint8_t command)
{
    struct sim_drive *d = selected(c);

    CHECK(!(c->status & (ATA_BUSY | ATA_DRQ)));
    if (!d->present) return;
    c->fault = FAULT_NONE;
    c->status &= (uint8_t) ~(ATA_ERR | ATA_DF);
    d->last_command = command;
    if (command == ATA_IDENTIFY) {
        if (d->atapi) {
            c->status |= ATA_ERR;
            return;
        }
        c->status |= ATA_DRQ;
        c->pio = d->identity;
        c->pio_left = 256;
        return;
    }
    CHECK(command == ATA_READ_DMA || command == ATA_WRITE_DMA || command == ATA_FLUSH || is_ext(command));
    d->commands++;
    if (d->fault_after > 0) {
        d->fault_after--;
    } else if (d->fault_count > 0) {
        d->fault_count--;
        c->fault = d->fault;
    }
    c->status |= ATA_BUSY;
    c->stuck = c->fault == FAULT_STUCK;
    c->pulled = c->fault == FAULT_PULLED;
    c->over_ns = sim.now_ns + COMMAND_NS;
}

static void end_reset(struct channel *c)
{
    c->awake_ns = NO_DEADLINE;
    if (!c->stuck) c->status = 0x50;
}

static void control(struct channel *c, uint8_t value)
{
    if ((value & ATA_CONTROL_RESET) && !(c->control & ATA_CONTROL_RESET)) {
        sim.resets[c - channels]++;
        CHECK(!(c->bm_command & BM_START));
        c->status |= ATA_BUSY;
        c->over_ns = c->awake_ns = NO_DEADLINE;
        c->bm_status &= (uint8_t)~BM_ACTIVE;
    }
    if (!(value & ATA_CONTROL_RESET) && (c->control & ATA_CONTROL_RESET)) {
        c->unit = 0;
        c->awake_ns = sim.now_ns + 50000000;
    }
    c->control = value;
}

static uint8_t status(struct channel *c)
{
    if (c->pulled || sim.floating[c - channels]) return 0xff;
    return selected(c)->present ? c->status : 0;
}

/* ---- time ---- */

static void happen(struct channel *c)
{
    if (c->over_ns <= sim.now_ns) end_command(c);
    if (c->awake_ns <= sim.now_ns) end_reset(c);
}

static bool take_interrupts(void)
{
    bool any = false;
    for (unsigned i = 0; i < 2; i++) {
        if (!channels[i].line || !line_enabled[i] || (channels[i].control & ATA_CONTROL_NO_IRQ)) continue;
        channels[i].line = false;
        cpu.resched = false;
        handlers[i]();
        CHECK(cpu.resched && host_env_locks() == 0);
        any = true;
    }
    return any;
}

void sim_step(uint64_t until_ns)
{
    uint64_t next = until_ns;
    if (take_interrupts()) return;
    for (unsigned i = 0; i < 2; i++) {
        if (channels[i].over_ns < next) next = channels[i].over_ns;
        if (channels[i].awake_ns < next) next = channels[i].awake_ns;
    }
    CHECK(next != NO_DEADLINE); /* a machine that would sleep for ever */
    if (next > sim.now_ns) sim.now_ns = next;
    for (unsigned i = 0; i < 2; i++) happen(&channels[i]);
    (void)take_interrupts();
}

void cpu_idle(void)
{
    CHECK(host_env_locks() == 0);
    sim_step(armed_ns);
}
void cpu_pause(void)
{
    sim.now_ns += 1000;
}

void sim_spurious(unsigned channel)
{
    if (handlers[channel] != NULL) handlers[channel]();
}

/* ---- ports ---- */

static struct channel *decode(uint16_t port, unsigned *r)
{
    static const uint16_t io[2] = {0x1f0, 0x170};
    sim.now_ns += PORT_NS;
    for (unsigned i = 0; i < 2; i++) {
        *r = port - io[i];
        if (*r < 8) return &channels[i];
        if (port == io[i] + 0x206) {
            *r = 8;
            return &channels[i];
        }
        *r = port - (sim.bar & 0xfff0) - i * 8 + 16;
        if (*r - 16 < 8) return &channels[i];
    }
    wrong(__FILE__, __LINE__, "a known port");
}

uint8_t inb(uint16_t port)
{
    unsigned r;
    struct channel *c = decode(port, &r);
    happen(c);
    switch (r) {
    case ATA_ERROR: return c->error;
    case ATA_STATUS: c->line = false; return status(c);
    case 8: return status(c);
    case 16 + BM_STATUS: return c->bm_status;
    default: wrong(__FILE__, __LINE__, "a register to be read");
    }
}

uint16_t inw(uint16_t port)
{
    unsigned r;
    struct channel *c = decode(port, &r);
    CHECK(r == ATA_DATA && c->pio_left > 0);
    if (--c->pio_left == 0) c->status &= (uint8_t)~ATA_DRQ;
    return *c->pio++;
}

void outb(uint16_t port, uint8_t value)
{
    unsigned r;
    struct channel *c = decode(port, &r);
    happen(c);
    switch (r) {
    case ATA_COUNT:
    case ATA_LBA0:
    case ATA_LBA1:
    case ATA_LBA2: CHECK(!(status(c) & ATA_BUSY)); break;
    case ATA_DEVICE: c->unit = value >> 4 & 1; break;
    case ATA_COMMAND: break;
    case 8: control(c, value); return;
    case 16 + BM_COMMAND:
        c->bm_command = value;
        if (value & BM_START) c->bm_status |= BM_ACTIVE;
        return;
    case 16 + BM_STATUS:
        c->bm_status = (uint8_t)((c->bm_status & ~(value & (BM_INTERRUPT | BM_ERROR)) & ~BM_CAPABLE) |
                                 (value & BM_CAPABLE));
        return;
    default: wrong(__FILE__, __LINE__, "a register to be written");
    }
    c->before[r] = c->now[r];
    c->now[r] = value;
    if (r == ATA_COMMAND && !c->pulled && !sim.floating[c - channels]) begin_command(c, value);
}

uint32_t inl(uint16_t port)
{
    CHECK(port == 0xcf8 || port == 0xcfc);
    if (sim.no_pci) return UINT32_MAX;
    if (port == 0xcf8) return pci_address;
    const unsigned f = pci_address >> 8 & 0xff, r = pci_address & 0xfc;
    if (f != PCI_FUNCTION && f != (PCI_FUNCTION & ~7u)) return UINT32_MAX;
    switch (r) {
    case 0x00: return 0x70108086;
    case 0x04: return 0x02800000 | pci_command;
    case 0x08: return f == PCI_FUNCTION ? sim.class << 8 : 0x06010000;
    case 0x0c: return f == PCI_FUNCTION ? 0 : 0x800000;
    case 0x20: return sim.bar;
    default: return 0;
    }
}

void outl(uint16_t port, uint32_t value)
{
    unsigned r;
    if (port == 0xcf8) {
        pci_address = value;
    } else if (port == 0xcfc) {
        CHECK((pci_address & 0xfffc) == (PCI_FUNCTION << 8 | 4));
        pci_command = value & 0xffff;
    } else {
        struct channel *c = decode(port, &r);
        CHECK(r == 16 + BM_TABLE && !(c->bm_status & BM_ACTIVE));
        c->bm_table = value;
    }
}

/* ---- making them ---- */

void sim_reset(void)
{
    host_env_reset(MACHINE_FRAMES);
    sim = (struct sim){.class = 0x010180, .bar = 0xc001};
    for (unsigned i = 0; i < 2; i++)
        channels[i] = (struct channel){
            .status = 0x50, .bm_status = 0x60, .over_ns = NO_DEADLINE, .awake_ns = NO_DEADLINE};
}

struct sim_drive *sim_add(unsigned channel, unsigned unit, uint64_t sectors, uint64_t kept, bool lba48)
{
    static const char model[] = "SIMULATED DISK                          ";
    struct sim_drive *d = &sim.drive[channel][unit];
    *d = (struct sim_drive){.present = true, .lba48 = lba48, .sectors = sectors, .kept = kept};
    d->data = calloc(kept, 512);
    CHECK(d->data != NULL);
    for (unsigned i = 0; i < 20; i++) d->identity[27 + i] = (uint16_t)(model[2 * i] << 8 | model[2 * i + 1]);
    d->identity[49] = 0x300;
    const uint64_t small = sectors < 0xfffffff ? sectors : 0xfffffff;
    d->identity[60] = (uint16_t)small;
    d->identity[61] = (uint16_t)(small >> 16);
    if (lba48) {
        d->identity[83] = 0x4400;
        for (unsigned i = 0; i < 3; i++) d->identity[100 + i] = (uint16_t)(sectors >> (16 * i));
    }
    return d;
}
