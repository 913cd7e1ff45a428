/* SPDX-License-Identifier: MIT
 *
 * Registers of a channel (ATA/ATAPI-6 section 7) and of its bus master (82371SB data sheet 2.7).
 */
#ifndef TITHE_DRV_IDE_REGS_H
#define TITHE_DRV_IDE_REGS_H

/* From the command block's base. */
enum ata_register {
    ATA_DATA = 0,
    ATA_ERROR = 1, /* read */
    ATA_COUNT = 2, /* this and the next three take two bytes for the 48-bit commands, the high one first */
    ATA_LBA0 = 3,
    ATA_LBA1 = 4,
    ATA_LBA2 = 5,
    ATA_DEVICE = 6,
    ATA_STATUS = 7,  /* read: the interrupt is taken back */
    ATA_COMMAND = 7, /* write */
};

#define ATA_DEVICE_OLD 0xa0u /* bits that old drives want set */
#define ATA_DEVICE_LBA 0x40u
#define ATA_DEVICE_1   0x10u

#define ATA_ERR  0x01u
#define ATA_DRQ  0x08u
#define ATA_DF   0x20u
#define ATA_BUSY 0x80u

/* The control block's register: write; read it is the status, without taking the interrupt back. */
#define ATA_CONTROL_RESET  0x04u
#define ATA_CONTROL_NO_IRQ 0x02u

enum ata_command {
    ATA_READ_DMA = 0xc8,
    ATA_READ_DMA_EXT = 0x25,
    ATA_WRITE_DMA = 0xca,
    ATA_WRITE_DMA_EXT = 0x35,
    ATA_FLUSH = 0xe7,
    ATA_FLUSH_EXT = 0xea,
    ATA_IDENTIFY = 0xec,
};

/* From the bus master's base, for each channel. */
enum bm_register { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4, BM_CHANNEL_BYTES = 8 };

#define BM_START     0x01u
#define BM_TO_MEMORY 0x08u

#define BM_ACTIVE    0x01u
#define BM_ERROR     0x02u /* write 1 to clear */
#define BM_INTERRUPT 0x04u /* write 1 to clear */
#define BM_CAPABLE   0x60u /* for firmware and drivers to remember; kept */

#endif
