#!/usr/bin/env bats
# Everything at once, for SOAK_SECONDS, in an order that SOAK_SEED decides: see tests/system/lua/soak.lua.
# tests/system/soak-PLATFORM.bats are links to this file.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }

teardown() {
    # The seed, and what was seen on the way.
    grep '^# ' "$BATS_TEST_TMPDIR/output" >&3 || true
    [ -n "$BATS_TEST_COMPLETED" ] || tail -n 30 "$XDG_RUNTIME_DIR"/tithe-*/soak/log
    machines_cleanup
}

@test "guests come and go, sleep, reboot and crash, memory and policies move, and everybody's data stays whole" {
    local hw cpus seconds words
    hw=$(basename "$BATS_TEST_FILENAME" .bats | sed 's/soak-//')
    case $hw in
    amd) cpus=5 seconds=${SOAK_SECONDS:-50} words= ;;
    vtx) cpus=2 seconds=${SOAK_SECONDS:-80} words=slow ;;
    esac
    # Linux on three vCPUs takes minutes to boot where the host is busy with other tests: it is for long soaks.
    [ "$seconds" -lt 300 ] || words="$words linux"
    truncate -s 320M "$BATS_TEST_TMPDIR/disk"
    echo 'label: gpt
        start=2048, size=600000, type=0EB00D6F-6F6A-455F-A7C8-23FB488147A7
        size=4MiB, name="guest-1"
        size=4MiB, name="guest-2"
        size=4MiB, name="guest-3"' | sfdisk -q "$BATS_TEST_TMPDIR/disk"
    machine soak --disk "$BATS_TEST_TMPDIR/disk" --hw "$hw" --cpus "${SOAK_CPUS:-$cpus}" --memory 256M --timeout $((seconds + 900)) --cmdline "slice_us=1000 tick_ms=200 disk_dma_limit_mib=128"
    TMPDIR=$BATS_TEST_TMPDIR LIMIT=$((seconds + 600)) tithe --patience 60 exp run "$LUA_DIR/soak.lua" "$seconds" "${SOAK_SEED:-$RANDOM}" $words \
        >"$BATS_TEST_TMPDIR/output" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/output"
        false
    }
    run -0 tithe stop
    assert_output --partial "the core left with status 0"
}
