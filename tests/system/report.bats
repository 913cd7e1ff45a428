#!/usr/bin/env bats
# Memory that guests give back unasked, and that they get ahead.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "AMD-V: Linux gives back what it has freed, without a balloon target" {
    machine a --hw amd --firmware none --memory 320M
    experiment report "$(cat guest-tools/linux/cmdline.txt)"
}

@test "AMD-V, two CPUs: a VM is populated, as far as there is memory" {
    machine a --hw amd --firmware none --memory 160M --cpus 2
    experiment populate
}
