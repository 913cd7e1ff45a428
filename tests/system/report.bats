#!/usr/bin/env bats
# Free page reporting, by Linux.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "AMD-V: Linux gives back what it has freed, without a balloon target" {
    machine a --hw amd --firmware none --memory 320M
    experiment report "$(cat guest-tools/linux/cmdline.txt)"
}
