// SPDX-License-Identifier: MIT
#include "balloon.h"

bool balloon_present(void) {
    return false;
}

void balloon_service(void) {
}
