#!/usr/bin/env bats
# Hot I/O pages, as plans remap them.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() {
    machines_setup
    truncate -s 16M "$BATS_TEST_TMPDIR/disk.img"
    printf 'label: gpt\nsize=8MiB, name="hot"\n' | sfdisk -q "$BATS_TEST_TMPDIR/disk.img"
}
teardown() { machines_cleanup; }

hot_pages() {
    machine a "${@:2}" --disk "$BATS_TEST_TMPDIR/disk.img" --memory 128M --cmdline "tick_ms=250 disk_dma_limit_mib=$1"
    PATIENCE=120 experiment remap
}

@test "AMD-V, two CPUs: pages that are copied again and again move into the disk's reach, cold ones out of it" {
    hot_pages 16 --hw amd --firmware none --cpus 2
}

@test "VT-x: pages that are copied again and again move into the disk's reach, cold ones out of it" {
    hot_pages 40 --hw vtx --firmware bios
}
