#!/usr/bin/env bats
# Guests' disks on one platform: data that comes back, nothing beside the partition, VMs that end in the middle, and guests that lie.
# tests/system/guest-disk-PLATFORM.bats are links to this file.

load ../lib/machine

SWAP=0EB00D6F-6F6A-455F-A7C8-23FB488147A7

# Two guests' partitions between others. Guests have no swap, for they are not to wait for the disk at other times.
setup_file() {
    export DISK=$BATS_FILE_TMPDIR/disk.img
    head -c 40M /dev/zero | tr '\0' 'x' >"$DISK"
    sfdisk -q "$DISK" <<EOF
label: gpt
size=1MiB, name="not ours"
start=4097, size=16411, name="guest-a"
start=20992, size=18432, name="guest-b"
size=1MiB, name="twice"
size=1MiB, name="twice"
size=4MiB, type=$SWAP, name="swap"
EOF
    cp "$DISK" "$DISK.before"
    machine_start "$(basename "$BATS_TEST_FILENAME" .bats | sed 's/guest-disk-//')" --memory 256M --cpus 2 --disk "$DISK" \
        --cmdline "disk_dma_limit_mib=${LOW_MIB:-4096}"
}

teardown_file() {
    machine_end
}

setup() {
    assert_answers
}

# create NAME SIZE ARGUMENT...: all of its memory is its own.
create() {
    tithe create "$1" --size "$2" --min "$2" "${@:3}"
}

@test "a partition is named: one that there is, once, not for swap, and not another VM's" {
    run -1 create x 16M --mite idle --disk nothing
    assert_output --partial "no partition is named 'nothing'"
    run -1 create x 16M --mite idle --disk twice
    assert_output --partial "more than one partition is named 'twice'"
    run -1 create x 16M --mite idle --disk swap
    assert_output --partial "for Tithe's swap"
    create a 16M --mite idle --disk guest-a
    run -1 create x 16M --mite idle --disk guest-a
    assert_output --partial "in use by another VM"
    tithe destroy a
    create a 16M --mite idle --disk guest-a
    tithe destroy a
}

@test "Linux reads what it wrote, mite beside it" {
    create b 16M --mite 'touch:4M,loop:4:{disk:2M,verify,rewrite:2M,verify},exit:7' --disk guest-b
    create linux 96M --append 'tithe.disk=2:1 tithe.then=exit' --disk guest-a
    run -0 vm_end b 600
    assert_line --regexp '^mite: disk ok pages=512 rounds=1 '
    refute_line --partial FAIL
    assert_stopped b exit 7
    run -0 vm_end linux 600
    assert_equal "$(grep -c '^tithe-guest: disk ok mib=2' <<<"$output")" 2
    assert_stopped linux exit 0
    tithe destroy linux
    tithe destroy b
}

@test "VMs end and start again while their requests are under way" {
    local i
    create witness 16M --mite 'touch:4M,loop:forever:{disk:1M,verify}' --disk guest-b
    for i in 1 2; do
        create a 16M --mite 'touch:4M,loop:forever:{disk:4M}' --disk guest-a
        eventually 60 eval '[ "$(vm_field a consumed_pages)" -gt 1024 ]'
        tithe destroy a
        run -0 tithe ledger
        assert_line "the ledger balances"
        # The partition is free when the last of them has ended.
        eventually 20 create a 16M --mite 'touch:2M,disk:2M,loop:8:{disk:8p},reboot' --disk guest-a
        eventually 60 eval '[ "$(vm_field a reboots)" -ge 2 ]'
        tithe destroy a
        eventually 20 create a 16M --mite 'touch:64p,disk:64p,verify,exit:3' --disk guest-a
        vm_end a >/dev/null
        assert_stopped a exit 3
        tithe destroy a
    done
    run -0 tithe console witness --dump
    assert_output --partial 'mite: verify ok pages=1024'
    refute_output --partial FAIL
    tithe destroy witness
}

@test "a driver that lies hurts itself only" {
    create witness 16M --mite 'touch:4M,loop:forever:{disk:1M,verify}' --disk guest-b
    create misuser 16M --mite 'touch:4M,baddisk:all,verify,disk:1M,verify,exit:9' --disk guest-a
    run -0 vm_end misuser 600
    assert_equal "$(grep -c '^mite: baddisk .* survived .* restarted=yes$' <<<"$output")" 11
    assert_equal "$(grep -c '^mite: verify ok pages=1024' <<<"$output")" 2
    refute_line --partial answered
    assert_stopped misuser exit 9
    run -0 tithe console witness --dump
    refute_output --partial FAIL
    tithe destroy witness
}

@test "nothing was lost, nothing beside the partitions was written, and the machine leaves as it should" {
    tithe pause misuser || true
    tithe destroy misuser
    run -0 tithe disks
    assert_line --regexp '^    reads .* retries 0  errors 0$'
    assert_machine_ends_well
    # Sectors before, between and behind guest-a (4097 + 16411) and guest-b (20992 + 18432).
    local at count
    while read -r at count; do
        cmp -i $((at * 512)) -n $((count * 512)) "$DISK" "$DISK.before"
    done <<<'0 4097
20508 484
39424 42496'
}
