#!/usr/bin/env bats
# Every mechanism of memory on unmodified Linux guests that verify their data: see lua/linux_memory.lua.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() {
    machines_setup
    truncate -s 400M "$BATS_TEST_TMPDIR/disk.img"
    printf 'label: gpt\nsize=380MiB, type=0EB00D6F-6F6A-455F-A7C8-23FB488147A7\nsize=2MiB, name="data"\n' | sfdisk -q "$BATS_TEST_TMPDIR/disk.img"
}
teardown() { machines_cleanup; }

@test "AMD-V, three CPUs: two guests with two vCPUs" {
    machine a --hw amd --firmware none --cpus 3 --disk "$BATS_TEST_TMPDIR/disk.img" --memory 480M \
        --cmdline "tick_ms=250 colours=8 disk_dma_limit_mib=48"
    experiment linux_memory 2 24
}

@test "VT-x: two guests with one vCPU" {
    machine a --hw vtx --firmware bios --disk "$BATS_TEST_TMPDIR/disk.img" --memory 320M \
        --cmdline "tick_ms=250 colours=8"
    PATIENCE=120 experiment linux_memory 1 8 short
}
