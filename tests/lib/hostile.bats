#!/usr/bin/env bats
# Guests that misbehave, beside one that verifies its memory all the time. Each act is survived or ends that one VM
# with a reason in the log; then the ledger balances and the others go on. tests/system/hostile-PLATFORM.bats are links
# to this file.

load ../lib/machine

setup_file() {
    machine_start "$(basename "$BATS_TEST_FILENAME" .bats | sed 's/hostile-//')" --memory 256M
    witness_start
}

teardown_file() {
    machine_end
}

setup() {
    assert_answers
}

teardown() {
    [ ! -e "$BATS_FILE_TMPDIR/lost" ] || return 0
    # Whatever a failed test left behind must not disturb the next one.
    local vm
    for vm in $(tithe list | awk 'NR > 1 && $2 != "witness" {print $2}'); do
        tithe destroy "$vm" >/dev/null
    done
}

assert_unharmed() {
    assert_witness
    run -0 tithe ledger
    assert_line "the ledger balances"
    assert_equal "$(tithe stats steward.restarts | awk '{print $2}')" 0
}

# survives ACT...: one VM does them in a row, and its data is whole afterwards.
survives() {
    tithe create survivor --size 16M --mite "touch:4M$(printf ',badop:%s' "$@"),verify,exit:9"
    run -0 vm_end survivor
    local act
    for act in "$@"; do
        assert_line --regexp "^mite: badop $act survived "
    done
    assert_line --regexp '^mite: verify ok pages=1024 '
    assert_stopped survivor exit 9
    assert_unharmed
}

# ends_at_most_itself ACT...: each in a VM of its own, which survives or is stopped with a reason.
ends_at_most_itself() {
    local act how
    for act in "$@"; do
        tithe create "$act" --size 16M --mite "touch:4M,badop:$act,verify,exit:9"
        run -0 vm_end "$act" 120
        how=$(vm_field "$act" stop_reason)
        case $how in
        exit)
            assert_line --regexp "^mite: badop $act survived "
            assert_line --regexp '^mite: verify ok pages=1024 '
            assert_stopped "$act" exit 9
            ;;
        crash)
            refute_line --regexp "^mite: badop $act survived "
            assert_stopped "$act" crash
            run -0 tithe log
            assert_output --regexp "vm $act: vCPU 0: [[:alpha:]]"
            ;;
        *) fail "$act ended by $how" ;;
        esac
    done
    assert_unharmed
}

@test "exceptions, interrupts and single steps" {
    survives ud2 int3 int step
}

@test "MSRs, EFER, CPUID, control registers, instructions of virtualisation" {
    survives msr cpuid control virt odd efer
}

@test "local APIC, ports, system management, paging of all kinds, real mode" {
    survives apic ports smi paging realmode
}

@test "holes, devices, and every kind of memory operand on them" {
    ends_at_most_itself holes devices exotic jump
}

@test "string instructions on ports, hardware task switches" {
    ends_at_most_itself strings taskswitch
}

@test "page tables where nothing is; reserved control bits; paging without protection" {
    ends_at_most_itself wildcr3 cr4 pgnope
}

@test "QEMU loses its host when a guest has EFER.LME without PAE" {
    case $PLATFORM in
    amd-*) skip "QEMU 7.2 leaves such a guest with the host's paging off (cpu_x86_update_cr0)" ;;
    esac
    ends_at_most_itself lme
}

@test "a misused balloon: every act, and the data stays" {
    tithe create misuser --size 16M --mite 'touch:4M,badballoon:all,verify,exit:9'
    run -0 vm_end misuser
    assert_equal "$(grep -c '^mite: badballoon .* survived .* restarted=yes$' <<<"$output")" 16
    assert_line 'mite: badballoon touched_pages=4 zero_pages=4'
    assert_line --regexp '^mite: verify ok pages=1024 '
    assert_stopped misuser exit 9
    assert_unharmed
}

@test "random code" {
    local seed
    for seed in 1 2 3; do
        tithe create "fuzz$seed" --size 16M --kernel mite --cmdline "seed=$seed run=touch:2M,badop:fuzz"
    done
    vm_says fuzz3 'badop fuzz begin' 60
    sleep 2
    assert_unharmed
    for seed in 1 2 3; do
        run -0 tithe destroy "fuzz$seed"
    done
    assert_unharmed
}

@test "VMs that hold interrupts off, spinning, halted or exiting for ever, stop neither others nor the console" {
    tithe create clispin --size 16M --mite 'touch:2M,badop:clispin'
    tithe create clihlt --size 16M --mite 'touch:2M,badop:clihlt'
    tithe create cliexit --size 16M --mite 'touch:2M,loop:forever:{cpuid:100000}'
    tithe create clihole --size 16M --mite 'touch:2M,loop:forever:{badop:holes}'
    vm_says clispin 'badop clispin begin' 60
    vm_says clihlt 'badop clihlt begin' 60
    assert_unharmed
    # The console answers, and whoever spins gets no more than its share.
    TITHE_LIMIT=20 run -0 tithe list
    local before after
    before=$(vm_field witness cpu_ns)
    eventually 60 eval '[ $(vm_field clispin cpu_ns) -gt 300000000 ]'
    after=$(vm_field witness cpu_ns)
    assert [ "$after" -gt "$before" ]
    local vm
    for vm in clispin clihlt cliexit clihole; do
        assert_equal "$(vm_field $vm state)" running
        run -0 tithe destroy $vm
    done
    assert_unharmed
}

@test "a VM that reboots for ever, one that fills the console, one that wants more memory than it has" {
    tithe create rebooter --size 16M --mite 'touch:1M,reboot'
    tithe create chatter --size 16M --mite 'loop:forever:{say:ABCDEFGHIJKLMNOPQRSTUVWXYZ}'
    tithe create greedy --size 16M --mite 'touch:1G,verify,loop:forever:{rewrite}'
    eventually 60 eval '[ $(vm_field rebooter reboots) -ge 3 ]'
    eventually 60 eval '[ $(vm_field chatter console_offset) -ge 20000 ]'
    vm_says greedy 'touch short' 60
    assert_unharmed
    run -0 tithe destroy rebooter
    run -0 tithe destroy chatter
    run -0 tithe destroy greedy
    assert_unharmed
}

@test "the machine ends well" {
    assert_witness
    assert_machine_ends_well
}
