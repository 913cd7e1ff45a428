#!/usr/bin/env bats
# The core alone: machines it cannot run on, archives and command lines that make no sense, its own end; and that the
# tests' idea of success cannot be had by accident. Mostly on QEMU's -kernel, as what is tried is the same everywhere.

load ../lib/machine

@test "one VM alone on AMD-V: its status is the machine's, and the ledger balances" {
    run solo amd-none "solo=mite solo_mib=32 solo_args=$(words run=touch:4M,verify,report,exit:7)"
    assert_equal "$status" 7
    assert_line 'guest: mite: exit code=7'
    assert_line --partial 'guest: mite: verify ok pages=1024 '
    assert_balanced
}

@test "one VM alone on VT-x: its status is the machine's, and the ledger balances" {
    run solo vtx-bios "solo=mite solo_mib=32 solo_args=$(words run=touch:4M,verify,report,exit:7)"
    assert_equal "$status" 7
    assert_line 'guest: mite: exit code=7'
    assert_balanced
}

@test "wrong data in a guest is no success" {
    run solo amd-none "solo=mite solo_mib=32 solo_args=$(words run=touch:1M,spoil,verify,exit:0)"
    assert_equal "$status" 1
    assert_line --partial 'guest: mite: verify FAIL pages=256 wrong_pages=1'
    assert_balanced
}

@test "neither a triple fault, nor another's exit, nor the time limit counts as an end of the core" {
    KERNEL=$BUILD/guest/mite.elf MODULES=none run solo amd-none run=crash
    assert_line 'mite: crash'
    assert_equal "$status" $SOLO_EARLY
    KERNEL=$BUILD/guest/mite.elf MODULES=none run solo amd-none run=exit:0
    assert_equal "$status" $SOLO_EARLY
    LIMIT=2 run solo amd-none "solo=mite solo_mib=32 solo_args=$(words run=idle)"
    assert_equal "$status" $SOLO_EARLY
    LIMIT=4 run solo vtx-bios "solo=mite solo_mib=32 solo_args=$(words run=idle)"
    assert_equal "$status" $SOLO_EARLY
}

@test "a kernel for old hardware finds its timers right on AMD-V, where time is the instruction count" {
    run solo amd-none 'solo=legacy solo_mib=16' -icount shift=5,sleep=off
    assert_equal "$status" 0
    local what
    for what in pit 'pit hlt' 'pit gate' 'apic timer' ioapic; do
        assert_line "guest: legacy: $what ok"
    done
    assert_line 'guest: legacy: PASS'
    assert_balanced
}

@test "a CPU without AMD-V and VT-x" {
    run solo amd-none '' -cpu EPYC,-svm
    assert_equal "$status" 69
    assert_line --regexp '^tithe: cannot run: the CPU: .*(VT-x|AMD-V)'
}

@test "a CPU without nested paging" {
    run solo amd-none '' -cpu EPYC,-npt
    assert_equal "$status" 69
    assert_line --regexp '^tithe: cannot run: the CPU: .*nested paging'
}

@test "a CPU without dirty bits in EPT: what a guest has on its disk goes to swap all the same, and the log says so" {
    local disk=$BATS_TEST_TMPDIR/disk what=touch:4M,disk:4M,say:bench-swap,idle:1s,verify,exit:0
    truncate -s 60M "$disk"
    printf 'label: gpt\nsize=32MiB, type=0EB00D6F-6F6A-455F-A7C8-23FB488147A7\nsize=16MiB, name="guest"\n' | sfdisk -q "$disk"
    run -0 solo vtx-bios "solo=mite solo_mib=16 solo_disk=guest solo_bench solo_args=poll=0s+run=$what" \
        'cpu: model=corei7_sandy_bridge_2600k' 'ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14' \
        "ata0-master: type=disk, mode=flat, path=\"$disk\", cylinders=0"
    assert_line --regexp "^vm solo: all of it that goes to swap is written, .*: this CPU's EPT has no dirty bits"
    assert_line --regexp '^guest: mite: disk ok pages=1024 '
    assert_line --regexp '^guest: mite: verify ok pages=1024 '
    assert_balanced
}

@test "no module, with -kernel and from the image" {
    MODULES=none run solo amd-none ''
    assert_equal "$status" 69
    assert_line --regexp '^tithe: cannot run: the boot module: '
    MODULES=none run solo vtx-bios ''
    assert_equal "$status" 69
    assert_line --regexp '^tithe: cannot run: the boot module: '
}

@test "a module that is no archive, is cut, or has no steward" {
    local dir=$BATS_TEST_TMPDIR
    head -c 100000 /dev/urandom >"$dir/noise"
    head -c 3000000 $BUILD/images/modules.cpio >"$dir/cut"
    : >"$dir/empty"
    images/mkmodules --output "$dir/no-steward" images/mite=$BUILD/guest/mite.elf
    images/mkmodules --output "$dir/bad-steward" steward=README.md
    local archive
    for archive in noise cut empty no-steward bad-steward; do
        MODULES=$dir/$archive run solo amd-none ''
        assert_equal "$archive: $status" "$archive: 69"
        assert_line --regexp '^tithe: cannot run: (the boot module|the steward): .+'
    done
}

@test "too little memory: it says how much it needs" {
    local mib
    for mib in 24 32 40; do # with less, QEMU itself refuses the modules
        MEMORY=$mib LIMIT=20 run solo amd-none ''
        refute_line --partial panic
        assert [ "$status" -ne $SOLO_EARLY ]
        assert [ "$status" -ne 0 ]
        assert_line --regexp '^tithe: this machine has too little memory: [0-9]+ MiB are usable, Tithe needs at least [0-9]+ MiB$'
    done
}

@test "command line values that are none are named, and the default is used" {
    local words='tick_ms=soon slice_us=-1 reserve_kib=99999999999999999999999 steward_mib= policy_ms=0x leave=nowhere'
    run solo amd-none "$words leave=qemu solo=mite solo_mib=1e3 solo_args=run=touch:1M,verify,exit:0"
    assert_equal "$status" 0
    local name
    for name in tick_ms slice_us reserve_kib steward_mib policy_ms solo_mib; do
        assert_line --regexp "^tithe: boot option $name=.* is not a number "
    done
    assert_balanced
}

@test "command line values at their ends do not hang or crash the core" {
    local words
    for words in slice_us=0 slice_us=18446744073709551615 tick_ms=0 tick_ms=18446744073709551615 \
        reserve_kib=0 policy_ms=0 protocol_ms=0 steward_mib=0 stats_ms=0 serial=polled; do
        LIMIT=30 run solo amd-none "$words solo=mite solo_mib=32 solo_args=run=touch:1M,verify,exit:0"
        refute_line --partial 'panic:'
        # Refused in words, or carried out.
        if [ "$status" -eq 69 ]; then
            assert_line --regexp '^tithe: cannot run: .+'
        else
            assert_equal "$words: $status" "$words: 0"
            assert_balanced
        fi
    done
    for words in steward_mib=18446744073709551615 steward_mib=100000 reserve_kib=18446744073709551615; do
        LIMIT=30 run solo amd-none "$words solo=mite solo_mib=32 solo_args=run=touch:1M,verify,exit:0"
        refute_line --partial 'panic:'
        assert_equal "$words: $status" "$words: 69"
        assert_line --regexp '^tithe: cannot run: .+'
    done
}

@test "a solo VM that cannot be made" {
    local words
    for words in solo=nothing solo=initrd solo=mite+solo_mib=0 solo=mite+solo_mib=99999999999999 \
        solo=mite+solo_module=nothing solo=vmlinuz+solo_mib=8; do
        LIMIT=30 run solo amd-none "${words//+/ }"
        assert_equal "$words: $status" "$words: 69"
        assert_line --regexp '^tithe: cannot run: the solo VM: .+'
    done
}

# selftest PLATFORM
selftest() {
    run solo "$1" self-test
    assert_equal "$status" 0
    assert_line 'self-test: passed, 0 failures'
}

@test "protection, ring 3, timer and FPU on AMD-V" {
    selftest amd-none
}

@test "protection, ring 3, timer and FPU on VT-x" {
    selftest vtx-bios
}

# panics PLATFORM HOW PATTERN
panics() {
    run solo "$1" "panic-test=$2"
    assert_equal "$2: $status" "$2: 70"
    assert_line --regexp "^panic: .*$3"
    assert_line --regexp '^panic: .* [0-9a-f]{16} panic_test\+0x|^panic: .* [0-9a-f]{16} selftest\+0x'
    assert_line --regexp '^panic: .*boot_start\+0x'
    assert_line --regexp '^panic: cr0 '
    assert_line --regexp '^panic:   event 1 at [0-9]+ us: .* a panic is to show this$'
}

@test "a panic shows registers and a backtrace with names, on AMD-V" {
    panics amd-none now 'a test'
    panics amd-none fault 'page fault'
    panics amd-none stack 'double fault|page fault'
}

@test "a panic shows registers and a backtrace with names, on VT-x" {
    panics vtx-bios now 'a test'
    panics vtx-bios stack 'double fault|page fault'
}
