/* SPDX-License-Identifier: MIT
 *
 * The words of docs/protocol.cddl for the numbers of tithe/abi.h.
 */
#ifndef STEWARD_NAMES_H
#define STEWARD_NAMES_H

#include <stdbool.h>
#include <stdint.h>

const char *name_of_state(uint32_t state); /* enum tithe_vm_state */
const char *name_of_vcpu_state(uint32_t state);
const char *name_of_stop(uint64_t reason); /* enum tithe_stop */
const char *name_of_event(uint32_t kind);  /* enum tithe_event_kind */
const char *name_of_refusal(uint8_t why);  /* enum tithe_refusal */
const char *name_of_verb(uint32_t verb);   /* enum tithe_verb */
/* What `how` says; NULL: the verb knows no choice. */
struct tithe_action;
extern const char *const scan_orders[]; /* enum tithe_scan_order, NULL at the end */
const char *name_of_way(const struct tithe_action *a);
const char *name_of_method(uint64_t method);    /* enum tithe_sample_method */
const char *name_of_error(int64_t minus_errno); /* error-code of the protocol */

/* What is allowed as the name of a VM, an image or a policy. */
bool name_is_good(const char *name);

#endif
