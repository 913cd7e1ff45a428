// SPDX-License-Identifier: MIT
// A balloon driver that lies, forgets and scribbles. After each act the device is reset and started
// anew, so what was in the balloon is back as fresh pages, and data that mite holds is untouched.
#ifndef MITE_HOSTILE_BALLOON_H
#define MITE_HOSTILE_BALLOON_H

#include <stdbool.h>

#include "text.h"

// "all" is every act.
bool hostile_balloon_known(struct span name);

// Prints a line before, and one after with the device's status and whether it could be restarted.
void hostile_balloon_run(struct span name);

#endif
