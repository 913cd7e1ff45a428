#!/usr/bin/env bats
# Issue 2, "The steward": whatever a script does to it, and however often it dies, guests and policy stay. On AMD-V; what
# must hold on VT-x too is in steward-vtx.bats.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "a script that loops, eats memory, throws, plans nonsense or breaks the interpreter is contained, and the good one back within a tick" {
    machine a --hw amd --firmware none --memory 256M --cmdline "test policy_ms=1000"
    experiment containment
}

@test "the steward is killed a thousand times while guests work, and nothing is lost" {
    machine a --hw amd --firmware none --memory 256M --cmdline test --deterministic
    experiment kill 1000 5000
}
