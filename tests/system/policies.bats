#!/usr/bin/env bats
# Policies that come with Tithe, on the machine: what each is for, seen to happen, and guests' data whole. `remapped` is in remap.bats;
# the others are in policy.bats, colour.bats, sample.bats and the soak test. One machine for all, without `test`.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup_file() {
    machines_setup
    truncate -s 240M "$BATS_FILE_TMPDIR/disk.img"
    echo 'label: gpt
        start=2048, size=480000, type=0EB00D6F-6F6A-455F-A7C8-23FB488147A7' | sfdisk -q "$BATS_FILE_TMPDIR/disk.img"
    machine a --hw amd --firmware none --memory 128M --cpus 3 --disk "$BATS_FILE_TMPDIR/disk.img" --cmdline tick_ms=250
}
teardown_file() { machines_cleanup; }

@test "sharing: VMs of one name share what is alike, who writes gets a copy, and what is saved is handed out" {
    experiment sharing
}

@test "parked: while memory is far too short a VM is suspended, and comes back with its data when there is room" {
    experiment parked
}

@test "ahead: a VM that is named has its memory before it touches it, and swapped pages come back unasked" {
    experiment ahead
}

@test "the machine leaves as it should" {
    run tithe stop
    assert_success
    assert_output --partial "the core left with status 0"
}
