#!/usr/bin/env bats
# Many CPUs as the console shows them.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "four CPUs on AMD-V: the times of CPUs, VMs and vCPUs add up, and top shows them" {
    machine a --hw amd --firmware none --memory 128M --cpus 4
    run -0 tithe top --count 2 --delay 1
    assert_line --regexp '^CPU% guest/core/steward/idle  0: .*  3: 0/[0-9]+/0/[0-9]+$'
    experiment cpus 4 house # QEMU's TCG: docs/running.md
}

@test "two CPUs on VT-x: the times of CPUs, VMs and vCPUs add up" {
    machine a --hw vtx --firmware bios --memory 128M --cpus 2
    PATIENCE=120 experiment cpus 2
}

@test "cpus=1 of the core's command line: one CPU is used of those there are" {
    machine a --hw amd --firmware none --memory 128M --cpus 2 --cmdline cpus=1
    run -0 tithe info
    assert_line --regexp '^cpus +1$'
    refute_line --regexp '^cpu 1 '
}
