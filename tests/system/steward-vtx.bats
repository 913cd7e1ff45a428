#!/usr/bin/env bats
# Issue 2, "The steward" and policies, on VT-x (Bochs, BIOS): the same experiments as on AMD-V, with fewer deaths, for each
# takes a third of a second here.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "VT-x: a script that goes wrong in any way is contained, and the good one back within a tick" {
    machine a --hw vtx --firmware bios --memory 128M --cmdline "test policy_ms=1000"
    # One of each kind: a case takes ten seconds here.
    experiment containment "loop-pcall memory error-table plan-nan plan-vm crash corrupt-heap spin eat-stack"
}

@test "VT-x: the steward is killed sixty times while guests work, and nothing is lost" {
    machine a --hw vtx --firmware bios --memory 128M --cmdline test
    experiment kill 60
}

@test "VT-x: refusals, reloads, targets, and memory that runs out" {
    machine a --hw vtx --firmware bios --memory 128M --cmdline "test tick_ms=200"
    experiment refusals
    tithe stop
    machine b --hw vtx --firmware bios --memory 256M --cmdline "test tick_ms=200"
    experiment shares
    tithe stop
    machine c --hw vtx --firmware bios --memory 128M --cmdline "test tick_ms=200"
    experiment memory
}
