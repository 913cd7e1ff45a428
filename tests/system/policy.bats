#!/usr/bin/env bats
# Issue 2: policies on the running machine. On AMD-V; steward-vtx.bats runs the same on VT-x.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "a policy is reloaded ten times, and guests are not paused" {
    machine a --hw amd --firmware none --memory 256M --cmdline test --deterministic
    experiment reload exact
}

@test "bad sources, plans for VMs that have ended, late failures and refused admissions change nothing" {
    machine a --hw amd --firmware none --memory 128M --cmdline "test tick_ms=200"
    experiment refusals
}

@test "targets are the closed form's, whatever shares, min, max and mem-set say" {
    machine a --hw amd --firmware none --memory 256M --cmdline "tick_ms=200"
    experiment shares
}

@test "when memory runs out guests wait, nothing dies, and less for others lets them go on" {
    machine a --hw amd --firmware none --memory 128M --cmdline "test tick_ms=200"
    experiment memory
}
