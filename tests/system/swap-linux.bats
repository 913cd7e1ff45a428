#!/usr/bin/env bats
# Linux whose memory goes to swap beneath it, its kernel, page tables and programs as well as its data. tests/lib/swap.bats has the rest.

load ../lib/machine

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    DISK=$BATS_FILE_TMPDIR/disk.img
    truncate -s 300M "$DISK"
    printf 'label: gpt\nstart=2048, size=540000, type=0EB00D6F-6F6A-455F-A7C8-23FB488147A7\nsize=64000, name="linux"\n' | sfdisk -q "$DISK"
    machine_start amd-none --memory 112M --cpus 3 --disk "$DISK" --cmdline tick_ms=250
}

teardown_file() {
    machine_end
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    assert_answers
}

@test "a guest with more memory than the machine, of which ever more is sent out: all its data is whole" {
    local policy=$BATS_TEST_TMPDIR/out.lua
    cat >"$policy" <<'END'
return {
    name = "out", api = 1,
    tick = function(host, vms)
        local plan = {}
        for _, vm in ipairs(vms) do
            plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = vm.consumed_pages // 8, pick = host.generation % 2 == 0 and "cold" or "random" }
        end
        return plan
    end,
}
END
    tithe policy load "$policy"
    tithe create linux --size 128M --min 32M --vcpus 2 \
        --append "tithe.run=touch:48M,verify,rewrite,verify,free,touch:48M,verify tithe.then=poweroff"
    run vm_end linux 240
    assert_line "memload: PASS"
    refute_output --partial FAIL
    refute_output --partial BUG
    assert_stopped linux poweroff
    assert [ "$(vm_field linux swapped_in)" -gt 1000 ]
    assert [ "$(vm_field linux swap_unwritten)" -gt 0 ]
}

@test "a guest whose files go out and come back: what it does to them on the disk, in its cache and past it, is what it sees" {
    local policy=$BATS_TEST_TMPDIR/share.lua
    cat >"$policy" <<'END'
return {
    name = "share", api = 1,
    tick = function(host, vms)
        local plan = {}
        for _, vm in ipairs(vms) do
            plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = math.max(vm.consumed_pages - 9000, 0), pick = "random" }
        end
        return plan
    end,
}
END
    tithe policy load "$policy"
    tithe create linux3 --size 80M --min 32M --disk linux --append "tithe.disk=4:1 tithe.read=24:2 tithe.then=exit"
    run -0 vm_end linux3 240
    assert_equal "$(grep -c 'tithe-guest: disk ok mib=4' <<<"$output")" 2
    assert_equal "$(grep -c 'tithe-guest: disk ok parts' <<<"$output")" 2
    assert_equal "$(grep -c 'tithe-guest: read ok' <<<"$output")" 2
    refute_output --partial FAIL
    assert_stopped linux3 exit 0
    assert [ "$(vm_field linux3 swap_writes_avoided)" -gt 500 ]
    assert [ "$(vm_field linux3 swap_reads_avoided)" -gt 0 ]
    run -0 tithe ledger
    assert_line "the ledger balances"
}

@test "Linux is suspended and resumed in the middle of its work" {
    local i
    tithe policy load equal
    tithe create linux2 --size 74M --min 74M --vcpus 2 \
        --append "tithe.run=touch:16M,verify,rewrite,verify,rewrite,verify,rewrite,verify,rewrite,verify tithe.then=poweroff"
    vm_says linux2 'memload: ' 120
    for i in 1 2 3; do
        [ $i = 1 ] || [ "$(vm_field linux2 state)" = running ] || break
        tithe suspend linux2 || break
        eventually 120 eval '[ $(vm_field linux2 consumed_pages) -lt 100 ]'
        tithe resume linux2
        sleep 0.5
    done
    run vm_end linux2 240
    assert_line "memload: PASS"
    refute_output --partial FAIL
    refute_output --partial BUG
    assert_stopped linux2 poweroff
    run -0 tithe ledger
    assert_line "the ledger balances"
}

@test "the machine ends well" {
    assert_machine_ends_well
}
