#!/usr/bin/env bats
# What a well-behaved guest may expect, on one platform: memory that keeps what was written, time, a balloon, ways to
# end and to start again. tests/system/guests-PLATFORM.bats are links to this file.
#
# Bochs jumps over the time when nothing runs. So a guest that is to wait for us waits with work, or for an hour.

load ../lib/machine

setup_file() {
    machine_start "$(basename "$BATS_TEST_FILENAME" .bats | sed 's/guests-//')" --memory 512M
}

teardown_file() {
    machine_end
}

setup() {
    assert_answers
}

assert_field() {
    assert_equal "$1 $2 $(vm_field "$1" "$2")" "$1 $2 $3"
}

has_field() {
    [ "$(vm_field "$1" "$2")" = "$3" ]
}

# The field NAME=VALUE of the only line that matches.
value_of() {
    sed -n "s/.*$2.* $1=\([0-9]*\).*/\1/p" <<<"$output"
}

@test "the machine is the one that was asked for" {
    run -0 tithe info --json
    case $PLATFORM in
    amd-none) assert_output --regexp '"vendor":"amd".*"machine":"pvh"' ;;
    amd-uefi) assert_output --regexp '"vendor":"amd".*"machine":"multiboot2 uefi"' ;;
    vtx-bios) assert_output --regexp '"vendor":"vtx".*"machine":"multiboot2 bios"' ;;
    vtx-uefi) assert_output --regexp '"vendor":"vtx".*"machine":"multiboot2 uefi"' ;;
    esac
}

@test "mite: memory, timer, vector registers; it costs the pages that it touched" {
    tithe create mite --size 32M \
        --mite 'touch:8M,verify,idle:200ms,ticks:500ms,fpu:50ms,rewrite:random:0.3,free:2M,verify,report,exit:5'
    run -0 vm_end mite
    assert_line --regexp '^mite: verify ok pages=2048 '
    assert_line --regexp '^mite: verify ok pages=1536 '
    assert_line --regexp '^mite: fpu ok state=x87\+sse'
    assert_line 'mite: exit code=5'
    assert_stopped mite exit 5
    local count own touched extra
    count=$(value_of count 'mite: ticks')
    case $PLATFORM in
    vtx-*) assert [ "$count" -ge 490 ] ;; # its time is the instruction count
    amd-*) assert [ "$count" -ge 50 ] ;;  # real time, on a busy host
    esac
    assert [ "$count" -le 510 ]
    own=$(value_of own_pages 'mite: report')
    touched=$(value_of touched_pages 'mite: report')
    assert_equal "$touched" 2048
    # Of its own pages mite has not used every one; tables, loader's information and reset vector are not its own.
    extra=$(($(vm_field mite first_touches) - touched))
    assert [ "$extra" -ge 10 ]
    assert [ "$extra" -le $((own + 8)) ]
}

@test "mite's balloon: pages go, pages come back, data stays" {
    tithe create balloon --size 32M \
        --mite 'touch:8M,say:waiting,await:inflated:3600s,verify,say:small,await:deflated:3600s,touch:all,verify,exit:0'
    vm_says balloon 'say waiting' 60
    tithe mem-set balloon 20M
    vm_says balloon 'say small' 60
    assert_field balloon ballooned_pages 3072
    assert_field balloon balloon_actual_pages 3072
    run -0 tithe ledger
    assert_line --regexp '^ballooned_entries +3072$'
    assert_line "the ledger balances"
    tithe mem-set balloon 32M
    run -0 vm_end balloon
    assert_line --regexp '^mite: verify ok pages=[78][0-9]{3} '
    assert_stopped balloon exit 0
    assert_field balloon balloon_pops 0
}

@test "a Multiboot kernel gets its command line, memory map and module" {
    printf 'hello\001module' >"$BATS_TEST_TMPDIR/greeting"
    tithe create mbinfo --size 16M --kernel mbinfo --module "$BATS_TEST_TMPDIR/greeting" --cmdline 'one two=3'
    run -0 vm_end mbinfo
    assert_line --regexp '^mbinfo: command_line="(.* )?one two=3"$'
    assert_line --regexp '^mbinfo: mmap base=0x100000 length=0xf00000 type=1$'
    assert_line 'mbinfo: modules=1'
    assert_line --regexp '^mbinfo: module 0 start=0x[0-9a-f]+000 bytes=12 '
    assert_line 'mbinfo: module 0 text="hello.module"'
    assert_line 'mbinfo: PASS'
    assert_stopped mbinfo exit 0
}

@test "a kernel for old hardware finds PIT, PIC, CMOS clock, keyboard controller and APICs" {
    tithe create legacy --size 16M --kernel legacy
    run -0 vm_end legacy
    local what
    for what in 'pic mask' 'serial irq' rtc 'keyboard controller' 'apic self' 'ioapic registers'; do
        assert_line "legacy: $what ok"
    done
    # On QEMU real time passes while a busy host does not let it run: machine.bats has this with its own time.
    case $PLATFORM in
    vtx-*)
        assert_line 'legacy: PASS'
        assert_stopped legacy exit 0
        ;;
    esac
    tithe create again --size 16M --kernel legacy --cmdline reset
    eventually 60 eval '[ $(vm_field again reboots) -ge 2 ]'
    run -0 tithe destroy again
}

@test "eight vCPUs take turns on one CPU: interrupts, INIT, clocks and timers are what they should be" {
    tithe create smp --size 16M --vcpus 8 --kernel smp
    run -0 vm_end smp 400
    assert_line --regexp '^smp: start .* cpus=8 '
    assert_line 'smp: PASS'
    assert_stopped smp exit 0
}

@test "three Linux guests at once: data, time, power-off; a crash ends only the one that crashes" {
    local before after
    before=$(tithe info --json | sed -n 's/.*"wall_ns":\([0-9]*\).*/\1/p')
    tithe create keeper --size 128M --append 'tithe.run=touch:24M,verify,keep tithe.then=shell tithe.seed=1'
    tithe create worker --size 96M \
        --append 'tithe.run=clock,touch:20M,verify,ticks:2s,rewrite,verify,clock tithe.then=poweroff tithe.seed=2'
    # By a triple fault: without reboot=t the kernel would start again.
    tithe create crasher --size 96M --append 'tithe.run=touch:20M,verify tithe.then=crash tithe.seed=3 reboot=t'

    run -0 vm_end crasher 400
    assert_line "tithe-guest: ready"
    assert_line --regexp '^memload: verify ok pages=5120 bad=0 '
    assert_output --partial 'Kernel panic - not syncing: sysrq triggered crash'
    assert_stopped crasher crash

    run -0 vm_end worker 400
    after=$(tithe info --json | sed -n 's/.*"wall_ns":\([0-9]*\).*/\1/p')
    assert_line "tithe-guest: ready"
    assert_equal "$(grep -c '^memload: verify ok pages=5120 bad=0 ' <<<"$output")" 2
    assert_line "memload: PASS"
    assert_output --partial 'reboot: Power down'
    assert_stopped worker poweroff
    local realtime monotonic ms count
    mapfile -t realtime < <(sed -n 's/^memload: clock realtime=\([0-9]*\)\..*/\1/p' <<<"$output")
    mapfile -t monotonic < <(sed -n 's/^memload: clock .*monotonic=\([0-9]*\)\..*/\1/p' <<<"$output")
    assert_equal "${#realtime[@]}" 2
    # Wall time is that of the machine, to the second that the CMOS clock tells; both clocks run alike.
    assert [ "${realtime[0]}" -ge $((before / 1000000000 - 2)) ]
    assert [ "${realtime[1]}" -le $((after / 1000000000 + 2)) ]
    local apart=$(((realtime[1] - realtime[0]) - (monotonic[1] - monotonic[0])))
    assert [ "${apart#-}" -le 1 ]
    ms=$(value_of ms 'memload: phase=ticks')
    count=$(value_of ticks 'memload: phase=ticks')
    assert [ "$ms" -ge 1990 ]
    assert [ "$count" -ge 10 ]

    # The third one has not noticed.
    run -0 vm_says keeper 'verify ok pages=6144 bad=0'
    assert_field keeper state running
    refute [ "$(vm_field keeper updated_ns)" = 0 ] # its driver gives statistics
    run -0 tithe ledger
    assert_line "the ledger balances"
}

@test "Linux's balloon: pages go, pages come back, data stays" {
    tithe mem-set keeper 96M
    eventually 120 has_field keeper ballooned_pages 8192
    run -0 tithe ledger
    assert_line --regexp '^ballooned_entries +8192$'
    assert_line "the ledger balances"
    assert [ "$(vm_field keeper consumed_pages)" -le 24576 ]
    # The line ends the verifying.
    run -0 tithe console keeper --send '\n' --expect 'memload: (PASS|FAIL)' --timeout 120
    assert_output --partial 'memload: PASS'
    refute_output --partial 'FAIL'
    tithe mem-set keeper 128M
    eventually 120 has_field keeper ballooned_pages 0
    run -0 tithe console keeper --send 'memload touch:40M,verify,free\n' --expect 'memload: (PASS|FAIL)' --timeout 240
    assert_output --partial 'verify ok pages=10240 bad=0'
    assert_output --partial 'memload: PASS'
    assert_field keeper balloon_pops 0
}

@test "Linux reboots with an inflated balloon, which comes back; and is destroyed as it runs" {
    tithe mem-set keeper 112M
    eventually 120 has_field keeper ballooned_pages 4096
    assert_field keeper reboots 0
    run -0 tithe console keeper --send 'reboot -f\n' --expect 'tithe-guest: ready' --timeout 300
    assert_output --partial 'reboot: Restarting system'
    assert_field keeper reboots 1
    eventually 120 has_field keeper ballooned_pages 4096
    run -0 tithe console keeper --send '\n' --expect 'memload: (PASS|FAIL)' --timeout 240
    assert_output --partial 'memload: PASS'
    run -0 tithe ledger
    assert_line "the ledger balances"
    run -0 tithe destroy keeper
}

@test "the machine ends well" {
    assert_machine_ends_well
}
