/* SPDX-License-Identifier: MIT
 *
 * What a guest is made of when the user does not say.
 */
#ifndef CONSOLE_LINUXGUEST_H
#define CONSOLE_LINUXGUEST_H

#include <stddef.h>

#include "error.h"

#define LINUX_IMAGE  "vmlinuz"
#define INITRD_IMAGE "initrd"
#define MITE_IMAGE   "mite"

/* The command line that Debian's kernel needs here (guest-tools/linux/cmdline.txt, or a minimum when that is
 * not at hand). */
enum status linux_cmdline(char *buf, size_t n, struct error *e);

#endif
