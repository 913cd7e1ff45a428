#!/usr/bin/env bats
# Working sets, as the core samples them.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "AMD-V, two CPUs: known working sets are estimated by accessed bits and by faults" {
    # By instruction count: on a busy host a guest may get nothing for a whole period, and is then rightly found idle.
    machine a --hw amd --firmware none --memory 320M --cpus 2 --deterministic --cmdline tick_ms=250
    experiment sample 5
}

@test "VT-x: known working sets are estimated by accessed bits and by faults" {
    machine a --hw vtx --firmware bios --memory 320M --cmdline tick_ms=250
    PATIENCE=120 experiment sample 2
}
