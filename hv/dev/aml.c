/* SPDX-License-Identifier: MIT */
#include "dev/aml.h"

#include "lib/string.h"

enum {
    OP_NAME = 0x08,
    OP_BYTE = 0x0A,
    OP_DWORD = 0x0C,
    OP_STRING = 0x0D,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_EXTENDED = 0x5B,
    OP_DEVICE = 0x82,
};

/* Lengths are always written in two bytes: 4 + 8 bits (20.2.4). */
#define LENGTH_BYTES 2u
#define LENGTH_MAX   0xFFFu
/* A template's buffer size, as a word: opcode and value. */
#define OP_WORD      0x0Bu

void aml_bytes(struct aml *a, const void *bytes, size_t count)
{
    if (a->full || count > (size_t)(a->end - a->at)) {
        a->full = true;
        return;
    }
    memcpy(a->at, bytes, count);
    a->at += count;
}

void aml_byte(struct aml *a, uint8_t value)
{
    aml_bytes(a, &value, 1);
}

static void word(struct aml *a, uint16_t value)
{
    aml_bytes(a, &value, sizeof value);
}
static void dword(struct aml *a, uint32_t value)
{
    aml_bytes(a, &value, sizeof value);
}

void aml_name(struct aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    aml_bytes(a, name, strlen(name));
}

void aml_integer(struct aml *a, uint32_t value)
{
    if (value <= 1) {
        aml_byte(a, (uint8_t)value); /* ZeroOp, OneOp */
    } else if (value <= 0xFF) {
        aml_byte(a, OP_BYTE);
        aml_byte(a, (uint8_t)value);
    } else {
        aml_byte(a, OP_DWORD);
        dword(a, value);
    }
}

void aml_string(struct aml *a, const char *text)
{
    aml_byte(a, OP_STRING);
    aml_bytes(a, text, strlen(text) + 1);
}

static uint32_t hex(char c)
{
    return c <= '9' ? (uint32_t)(c - '0') : (uint32_t)(c - 'A' + 10);
}

void aml_eisa_id(struct aml *a, const char *id)
{
    /* Three letters of five bits, four digits of four, most significant byte first (ACPI 6.5 19.3.4). */
    uint32_t value = 0;
    for (unsigned i = 0; i < 3; i++) value = value << 5 | (uint32_t)(id[i] - '@');
    for (unsigned i = 3; i < 7; i++) value = value << 4 | hex(id[i]);
    aml_byte(a, OP_DWORD);
    dword(a, __builtin_bswap32(value));
}

static uint8_t *open_length(struct aml *a)
{
    uint8_t *opened = a->at;
    word(a, 0);
    return opened;
}

void aml_close(struct aml *a, uint8_t *opened)
{
    const size_t bytes = (size_t)(a->at - opened);
    if (a->full || bytes > LENGTH_MAX) {
        a->full = true;
        return;
    }
    opened[0] = (uint8_t)(0x40 | (bytes & 0xF)); /* one more length byte follows */
    opened[1] = (uint8_t)(bytes >> 4);
}

uint8_t *aml_scope(struct aml *a, const char *name)
{
    aml_byte(a, OP_SCOPE);
    uint8_t *opened = open_length(a);
    aml_bytes(a, name, strlen(name));
    return opened;
}

uint8_t *aml_device(struct aml *a, const char *name)
{
    aml_byte(a, OP_EXTENDED);
    aml_byte(a, OP_DEVICE);
    uint8_t *opened = open_length(a);
    aml_bytes(a, name, strlen(name));
    return opened;
}

uint8_t *aml_package(struct aml *a, uint8_t elements)
{
    aml_byte(a, OP_PACKAGE);
    uint8_t *opened = open_length(a);
    aml_byte(a, elements);
    return opened;
}

uint8_t *aml_resources(struct aml *a)
{
    aml_byte(a, OP_BUFFER);
    uint8_t *opened = open_length(a);
    aml_byte(a, OP_WORD);
    word(a, 0);
    return opened;
}

void aml_resources_close(struct aml *a, uint8_t *opened)
{
    const size_t before = LENGTH_BYTES + 3; /* the length, and the size's opcode and value */
    word(a, 0x0079);                        /* end tag; checksum 0: not checked */
    if (!a->full) {
        const uint16_t bytes = (uint16_t)((size_t)(a->at - opened) - before);
        memcpy(opened + LENGTH_BYTES + 1, &bytes, sizeof bytes);
    }
    aml_close(a, opened);
}

void aml_memory32(struct aml *a, uint32_t base, uint32_t bytes)
{
    aml_byte(a, 0x86);
    word(a, 9);
    aml_byte(a, 1); /* read and write */
    dword(a, base);
    dword(a, bytes);
}

void aml_io(struct aml *a, uint16_t port, uint8_t ports)
{
    aml_byte(a, 0x47);
    aml_byte(a, 1); /* decodes 16 bits */
    word(a, port);
    word(a, port);
    aml_byte(a, 1);
    aml_byte(a, ports);
}

void aml_interrupt(struct aml *a, uint32_t gsi, bool edge)
{
    aml_byte(a, 0x89);
    word(a, 6);
    aml_byte(a, (uint8_t)(1 | (edge ? 2 : 0))); /* consumer; active high; exclusive */
    aml_byte(a, 1);
    dword(a, gsi);
}
