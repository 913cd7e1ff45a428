#!/usr/bin/env bats
# A swap partition some of whose sectors fail: the guest gets its data, or is stopped.

load ../lib/machine

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    DISK=$BATS_TEST_TMPDIR/disk.img
    head -c 100M /dev/zero >"$DISK"
    printf 'label: gpt\nstart=2048, size=190000, type=0EB00D6F-6F6A-455F-A7C8-23FB488147A7\n' | sfdisk -q "$DISK"
}

# A guest that needs more than there is, on a disk whose first slot fails in one direction.
bad_swap() {
    printf '[inject-error]\nevent = "none"\niotype = "%s"\nerrno = "5"\nsector = "2048"\n' "$1" >"$BATS_TEST_TMPDIR/blkdebug"
    MEMORY=64 run solo amd-none \
        "solo=mite solo_mib=64 solo_args=$(words poll=0s run=touch:48M,verify,rewrite:random:0.1,verify,exit:7)" \
        -drive "file=blkdebug:$BATS_TEST_TMPDIR/blkdebug:$DISK,if=ide,index=0,format=raw,werror=report,rerror=report"
}

@test "pages that cannot be written stay in memory, and go elsewhere later" {
    bad_swap write
    assert_line --partial 'swap not written: pages stay in memory: the device reported an error'
    assert_line --regexp 'mite: verify ok pages=12288'
    refute_line --partial 'page lost'
    assert_equal "$status" 7
    assert_balanced
}

@test "a page that cannot be read ends the guest that needs it" {
    bad_swap read
    assert_line --regexp 'page lost in swap: solo: gfn 0x[0-9a-f]+: the device reported an error'
    assert_line --regexp 'stopped: solo lost a page in swap'
    refute_line --partial FAIL
    assert_equal "$status" 1
    assert_balanced
}
