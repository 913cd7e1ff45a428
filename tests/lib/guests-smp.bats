#!/usr/bin/env bats
# Guests with several vCPUs on two CPUs: what they may expect, and what they may do to themselves.
# tests/system/guests-smp-PLATFORM.bats are links to this file.

load ../lib/machine

setup_file() {
    local platform cpus=2
    platform=$(basename "$BATS_TEST_FILENAME" .bats | sed 's/guests-smp-//')
    case $platform in amd-*) cpus=3 ;; esac # the first of QEMU's runs no guests
    machine_start "$platform" --memory 512M --cpus $cpus
}

teardown_file() {
    machine_end
}

setup() {
    assert_answers
}

# in_guest NAME COMMANDS: of its shell; prints what they print.
in_guest() {
    run -0 tithe console "$1" --send "$2; echo EN''D\n" --expect END --timeout 120
}

# The kernel's messages complain of no clock, timer, APIC or CPU.
refute_doubts() {
    local doubts='unstable|tsc.*(warp|not sync)|timer.*(not |broken|does)|apic.*(error|timeout)|BUG:|WARNING:|soft lockup|rcu.*stall|not responding'
    run grep -iE "$doubts" <<<"$output"
    assert_output ''
}

@test "a kernel that tries every kind of interrupt, INIT, clock and timer on three vCPUs" {
    tithe create smp --size 16M --vcpus 3 --kernel smp
    run -0 vm_end smp 400
    local mode what
    for mode in '' 'x2apic '; do
        for what in start 'ipi physical' 'ipi nmi' 'ipi shorthand' 'ipi logical' 'ipi lowest priority' 'ipi from others' \
            'init and restart' wake 'nmi wakes' tsc timers 'ioapic to every vCPU'; do
            assert_line "smp: $mode$what ok"
        done
    done
    assert_line 'smp: ipi cluster ok'
    assert_line 'smp: PASS'
    assert_stopped smp exit 0
}

@test "mite on four vCPUs: shared memory, vector registers, naps by every timer" {
    tithe create mite --size 48M --vcpus 4 --kernel mite \
        --cmdline 'vcpus=all timer=one-shot run=together:12M:500ms:1ms,verify,fpu:200ms,bench:touch:2000,bench:ipi:100,bench:ipi_halt:100,verify,exit:6'
    run -0 vm_end mite
    assert_line --regexp '^mite: ready .* vcpus=4$'
    assert_line --regexp '^mite: together ok vcpus=4 pages=3072 naps=[1-9]'
    assert_equal "$(grep -c '^mite: verify ok pages=3072 ' <<<"$output")" 2
    assert_line --regexp '^mite: fpu ok '
    assert_line --regexp '^mite: bench touch count=2000 '
    assert_line --regexp '^mite: bench ipi_halt count=100 '
    assert_stopped mite exit 6
}

@test "vCPUs that make a storm of interrupts, restart each other, or end all at once, trouble nobody else" {
    witness_start
    local act
    for act in storm wild init-self; do
        tithe create "$act" --size 16M --vcpus 4 --kernel smp --cmdline "act=$act"
    done
    for act in storm wild init-self; do
        run -0 vm_end "$act"
        assert_line 'smp: PASS'
        assert_stopped "$act" exit 0
    done
    for act in triple poweroff exit; do
        tithe create "$act" --size 16M --vcpus 4 --kernel smp --cmdline "act=$act"
        run -0 vm_end "$act"
    done
    assert_stopped triple crash
    assert_stopped poweroff poweroff
    assert_stopped exit exit 3
    # INIT of the first is a reset of the machine, as often as it likes.
    tithe create again --size 16M --vcpus 4 --kernel smp --cmdline act=init-first
    eventually 60 eval '[ $(vm_field again reboots) -ge 2 ]'
    tithe destroy again
    assert_witness
    tithe destroy witness
}

@test "Linux on several vCPUs: all are there, take load, go and come back, and no clock is doubted" {
    local vcpus=4 mode
    [ "$PLATFORM" != vtx-bios ] || vcpus=2
    tithe create linux --size 160M --vcpus $vcpus
    [ "$PLATFORM" = vtx-bios ] || tithe create old --size 128M --vcpus 2 --append nox2apic
    run -0 vm_says linux 'tithe-guest: shell' 400
    in_guest linux 'nproc; cat /sys/devices/system/clocksource/clocksource0/current_clocksource'
    assert_line --regexp "^$vcpus"$'\r?$'
    assert_line --regexp $'^tsc\r?$'
    in_guest linux "for cpu in \$(seq 0 $((vcpus - 1))); do taskset -c \$cpu memload --seed \$cpu touch:8M,verify,rewrite,verify & done; wait"
    assert_equal "$(grep -c 'memload: PASS' <<<"$output")" $vcpus
    refute_output --partial FAIL
    in_guest linux 'cd /sys/devices/system/cpu; for r in 1 2 3; do echo 0 > cpu1/online; echo now $(nproc); echo 1 > cpu1/online; echo now $(nproc); done; cd /'
    assert_equal "$(grep -c "^now $((vcpus - 1))" <<<"$output")" 3
    assert_equal "$(grep -c "^now $vcpus" <<<"$output")" 3
    in_guest linux 'taskset -c 1 memload touch:4M,verify; dmesg'
    assert_output --partial 'memload: PASS'
    assert_output --partial 'Switched APIC routing to physical x2apic'
    assert_output --partial "Brought up 1 node, $vcpus CPUs"
    refute_doubts
    tithe destroy linux
    [ "$PLATFORM" != vtx-bios ] || return 0
    run -0 vm_says old 'tithe-guest: shell' 400
    in_guest old 'nproc; dmesg'
    assert_output --partial 'Brought up 1 node, 2 CPUs'
    refute_output --partial 'x2apic enabled'
    refute_doubts
    tithe destroy old
}

@test "the machine ends well" {
    assert_machine_ends_well
}
