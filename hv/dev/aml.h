/* SPDX-License-Identifier: MIT
 *
 * Writes the few kinds of AML (ACPI 6.5 20.2) that the guest's DSDT needs.
 */
#ifndef TITHE_DEV_AML_H
#define TITHE_DEV_AML_H

#include "tithe/types.h"

struct aml {
    uint8_t *at; /* where the next byte goes */
    uint8_t *end;
    bool full; /* something did not fit: the table is useless */
};

void aml_byte(struct aml *a, uint8_t value);
void aml_bytes(struct aml *a, const void *bytes, size_t count);
/* Names are four characters, or a backslash and four. */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, uint32_t value);
void aml_string(struct aml *a, const char *text);
/* "PNP0501" as a compressed EISA id. */
void aml_eisa_id(struct aml *a, const char *id);

/* Things with a length: what is written between open and close is inside. */
uint8_t *aml_scope(struct aml *a, const char *name);
uint8_t *aml_device(struct aml *a, const char *name);
uint8_t *aml_package(struct aml *a, uint8_t elements);
void aml_close(struct aml *a, uint8_t *opened);

/* Resource templates (ACPI 6.5 6.4): between open and close. */
uint8_t *aml_resources(struct aml *a);
void aml_resources_close(struct aml *a, uint8_t *opened);
void aml_memory32(struct aml *a, uint32_t base, uint32_t bytes);
void aml_io(struct aml *a, uint16_t port, uint8_t ports);
void aml_interrupt(struct aml *a, uint32_t gsi, bool edge);

#endif
