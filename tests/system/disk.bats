#!/usr/bin/env bats
# The host's disk: found, read and written, on both emulators; and what a bad one does to the core: nothing.

load ../lib/machine

SWAP=0EB00D6F-6F6A-455F-A7C8-23FB488147A7

# A partition that is nobody's business, and one for swap.
setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    DISK=$BATS_TEST_TMPDIR/disk.img
    head -c 24M /dev/zero | tr '\0' 'x' >"$DISK"
    printf 'label: gpt\nsize=4MiB, name="not ours"\nstart=12345, size=12001, type=%s, name="tithe"\n' $SWAP |
        sfdisk -q "$DISK"
    cp "$DISK" "$DISK.before"
}

teardown() {
    BATS_FILE_TMPDIR=$BATS_TEST_TMPDIR XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR machine_end
}

use_disk() {
    BATS_FILE_TMPDIR=$BATS_TEST_TMPDIR machine_start "$1" --memory 96M --cpus 2 --disk "$DISK" --cmdline disk-test=forever
    run cat "$BATS_TEST_TMPDIR/run"
    assert_line --partial "disk 0: partition 2 'tithe', 6000 KiB from sector 12345, for Tithe's swap"
    assert_line 'disk-test: disk 0, partition 2: passed, 0 failures'
    run -0 tithe disks
    assert_line --regexp '^disk 0  ata0-master  .* 24M  DMA below 4G$'
    assert_line --regexp "^ +1 +4M at sector 2048 +0FC63DAF-8483-4772-8E79-3D69D8477DE4  not ours$"
    # 63 chunks each way at boot; from then on the disk is busy while guests run.
    tithe create a --size 16M --mite 'touch:4M,loop:10:{verify,rewrite:random:0.1,idle:10ms}'
    tithe create b --size 16M --mite 'touch:4M,loop:10:{verify,rewrite:random:0.1}'
    eventually 60 eval '[ "$(tithe --json disks | sed "s/.*\"reads\":\([0-9]*\).*/\1/")" -gt 80 ]'
    vm_end a >/dev/null
    vm_end b >/dev/null
    assert_stopped a exit 0
    assert_stopped b exit 0
    run -0 tithe disks
    assert_line --regexp '^    reads .* flushes 1  retries 0  errors 0$'
    run -0 tithe log
    refute_line --partial 'disk-test: sector'
    run -0 tithe ledger
    run -0 tithe stop
    assert_output --partial 'the core left with status 0'
    run -0 python3 tests/lib/disk_image.py "$DISK" 12345 12001 "$DISK.before"
}

@test "a disk on AMD-V: written to on its swap partition, and nowhere else" {
    use_disk amd-none
}

@test "a disk on VT-x: written to on its swap partition, and nowhere else" {
    use_disk vtx-bios
}

# solo with a disk whose image fails as the rest of the arguments tell blkdebug.
bad_disk() {
    printf '%s\n' "$1" >"$BATS_TEST_TMPDIR/blkdebug"
    run solo amd-none "disk-test ${*:2} solo=mite solo_mib=16 solo_args=$(words run=touch:1M,verify,exit:7)" \
        -drive "file=blkdebug:$BATS_TEST_TMPDIR/blkdebug:$DISK,if=ide,index=0,format=raw,werror=report,rerror=report"
    assert_equal "$status" 7 # whatever the disk does
    assert_balanced
}

@test "a write error that happens once is tried again; one that stays is reported" {
    bad_disk $'[inject-error]\nevent = "pwritev"\nonce = "on"\nerrno = "5"'
    assert_line --regexp 'disk 0: write at sector 12345: the device reported an error'
    assert_line 'disk-test: disk 0, partition 2: passed, 0 failures'
    bad_disk $'[inject-error]\nevent = "pwritev"\nerrno = "5"'
    assert_line 'disk-test: sector 12345: the device reported an error; 1 words wrong'
    assert_line --regexp 'disk-test: disk 0, partition 2: FAILED'
}

@test "a disk that cannot be read has no partitions; a broken table has a backup" {
    bad_disk $'[inject-error]\nevent = "read_aio"\nerrno = "5"'
    assert_line --regexp 'disk 0: .* partitions: unknown: the device reported an error'
    refute_line --partial disk-test:
    printf 'xx' | dd of="$DISK" bs=1 seek=$((2 * 512)) conv=notrunc status=none
    bad_disk ''
    assert_line --regexp 'partitions: GPT, by its backup \(primary: damaged entries\)'
    assert_line 'disk-test: disk 0, partition 2: passed, 0 failures'
}

@test "a guest whose disk fails gets errors, and its VM goes on" {
    sfdisk -q --part-type "$DISK" 2 0FC63DAF-8483-4772-8E79-3D69D8477DE4
    printf '[inject-error]\nevent = "pwritev"\nerrno = "5"\n' >"$BATS_TEST_TMPDIR/blkdebug"
    run solo amd-none "solo=mite solo_mib=16 solo_disk=tithe solo_args=$(words run=touch:1M,verify,disk:1M,exit:7)" \
        -drive "file=blkdebug:$BATS_TEST_TMPDIR/blkdebug:$DISK,if=ide,index=0,format=raw,werror=report,rerror=report"
    assert_equal "$status" 1
    assert_line 'guest: mite: disk FAIL error status=0x1'
    assert_balanced
}

@test "memory out of reach is refused" {
    bad_disk '' disk_dma_limit_mib=4
    assert_line --regexp 'disk-test: disk 0, partition 2: FAILED'
    run cmp "$DISK" "$DISK.before"
    assert_success
}
