// SPDX-License-Identifier: MIT
// A disk driver that lies. After each act the device is reset and started anew; data that mite holds is untouched.
#ifndef MITE_HOSTILE_DISK_H
#define MITE_HOSTILE_DISK_H

#include <stdbool.h>

#include "text.h"

// "all" is every act.
bool hostile_disk_known(struct span name);

// Prints a line before, and one after with the device's status and whether it could be restarted.
void hostile_disk_run(struct span name);

#endif
