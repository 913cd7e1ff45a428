#!/usr/bin/env bats
# Pages that are taken from a VM while its other vCPUs use them, and vCPUs that go from CPU to CPU. Only Bochs keeps
# translations as a CPU does: QEMU forgets them all at each entry. There the test shows only that nobody waits for ever.

load ../lib/machine

# stale PLATFORM CPUS VCPUS ROUNDS [WORD...]: see guest-tools/testkernels/stale.c.
stale() {
    CPUS=$2 run solo "$1" "solo=stale solo_mib=16 solo_vcpus=$3 solo_args=rounds=$4 ${*:5}"
    assert_line --partial "stale: vcpus=$3 rounds=$4 "
    assert_balanced
}

@test "VT-x: what a VM gives to its balloon is forgotten by all its vCPUs before the frame is used again" {
    stale vtx-bios 2 2 320
    assert_equal "$status" 0
    assert_line --partial 'stale_reads=0 stale_writes=0'
}

@test "VT-x: when the flush is left out, the same test sees stale accesses" {
    stale vtx-bios 2 2 320 test skip_flush
    assert_equal "$status" 1
    assert_line --regexp 'stale_reads=[1-9][0-9]* stale_writes=[1-9]'
}

@test "VT-x: the same with more vCPUs than CPUs" {
    stale vtx-bios 2 4 32
    assert_equal "$status" 0
}

@test "AMD-V: the same on four CPUs" {
    stale amd-none 4 3 32
    assert_equal "$status" 0
}

# wander PLATFORM CPUS VCPUS
wander() {
    CPUS=$2 run solo "$1" \
        "slice_us=500 solo=mite solo_vcpus=$3 solo_args=$(words vcpus=all run=fpu:300ms,together:8M:2s:1ms,burn:50ms,verify,exit:0)"
    assert_equal "$status" 0
    assert_line --partial "mite: together ok vcpus=$3 "
    assert_balanced
}

@test "VT-x: vCPUs that go from CPU to CPU keep registers and data" {
    wander vtx-bios 2 3
}

@test "AMD-V: vCPUs that go from CPU to CPU keep registers and data" {
    wander amd-none 4 6
}
