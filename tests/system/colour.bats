#!/usr/bin/env bats
# Page colouring, as plans ask for it.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "AMD-V, two CPUs: frames of a VM's colours, moved when they change, and others when there are none" {
    machine a --hw amd --firmware none --memory 192M --cpus 2 --cmdline "tick_ms=250 colours=8"
    experiment colour
}

@test "VT-x: frames of a VM's colours, moved when they change, and others when there are none" {
    machine a --hw vtx --firmware bios --memory 192M --cmdline "tick_ms=250 colours=8"
    PATIENCE=120 experiment colour
}

@test "without the word, there are as many colours as the last cache has" {
    machine a --hw amd --firmware none --memory 96M
    run tithe --json info
    assert_success
    assert_output --regexp '"colours": ?(1|2|4|8|16|32)[,}]'
    tithe log > "$BATS_TEST_TMPDIR/log"
    run grep -c 'boot option colours' "$BATS_TEST_TMPDIR/log"
    assert_output 0
    machine b --hw amd --firmware none --memory 96M --cmdline colours=12
    run tithe --machine b --json info
    assert_output --regexp '"colours": ?1[,}]'
    tithe --machine b log > "$BATS_TEST_TMPDIR/log"
    grep 'boot option colours=12 is not a power of two up to 32: there is 1' "$BATS_TEST_TMPDIR/log"
}
