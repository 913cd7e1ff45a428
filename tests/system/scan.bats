#!/usr/bin/env bats
# Sharing, as plans ask for it.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "AMD-V, two CPUs: a group shares what is alike, and nobody else does" {
    machine a --hw amd --firmware none --memory 192M --cpus 2 --cmdline tick_ms=250
    experiment scan 8s
}

@test "VT-x: a group shares what is alike, and nobody else does" {
    machine a --hw vtx --firmware bios --memory 192M --cmdline tick_ms=250
    PATIENCE=120 experiment scan 8s
}
