#!/usr/bin/env bats
# Pages that are on their VM's own disk, on one platform: they are not written to swap, and nobody ever sees an old one.
# tests/system/origin-PLATFORM.bats are links to this file.

load ../lib/machine

SWAP=0EB00D6F-6F6A-455F-A7C8-23FB488147A7

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    export DISK=$BATS_FILE_TMPDIR/disk.img
    head -c 80M /dev/zero >"$DISK"
    sfdisk -q "$DISK" <<EOT
label: gpt
start=2048, size=40960, name="a"
start=43008, size=40960, name="b"
start=83968, size=75000, type=$SWAP
EOT
    local policy=$BATS_FILE_TMPDIR/verbs.lua
    cat >"$policy" <<'END'
local policy
policy = {
    name = "verbs", api = 1, params = { pages = 0, pick = "random", avoid = 1, store = 0 },
    tick = function(host, vms, dt)
        local plan = {}
        for _, vm in ipairs(vms) do
            local pages = math.max(policy.params.pages - vm.swapped_pages, 0)
            local avoid = policy.params.avoid
            if avoid == 2 then avoid = math.random(0, 1) end
            plan[#plan + 1] = { verb = "double-paging", vm = vm.id, avoid = avoid }
            plan[#plan + 1] = { verb = "compress", vm = vm.id, pages = policy.params.store, percent = 75 }
            plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = pages, pick = policy.params.pick }
        end
        return plan
    end,
}
return policy
END
    machine_start "$(basename "$BATS_TEST_FILENAME" .bats | sed 's/origin-//')" --memory 128M --cpus 3 --disk "$DISK"
    tithe policy load "$policy"
}

teardown_file() {
    machine_end
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    assert_answers
}

# want PARAMETER=VALUE...
want() {
    local word
    for word in "$@"; do tithe policy set "$word"; done
}

@test "what a guest has read or written is not written to swap, and comes back from its disk" {
    tithe policy set pages=0
    tithe create reader --size 16M --min 1M --disk a --mite 'touch:4M,disk:4M,say:go,idle:2s,loop:forever:{verify,idle:50ms}'
    vm_says reader go 60
    tithe policy set pages=1000
    eventually 60 eval '[ $(vm_field reader swap_writes_avoided) -ge 500 ]'
    run -0 tithe ledger
    assert_line "the ledger balances"
    vm_says reader 'verify ok pages=1024' 60
    tithe policy set pages=0
    run -0 tithe console reader --dump
    refute_output --partial FAIL
    assert [ "$(vm_field reader swapped_in)" -ge 500 ]
    tithe destroy reader
}

@test "guests that read, write and write to it, in any order, while their pages come and go" {
    local vm
    tithe policy set pages=700
    tithe create a --size 16M --min 1M --disk a --append poll=0s --mite 'touch:3M,files:2M:2000,verify,exit:3'
    tithe create b --size 16M --min 1M --disk b --append poll=0s --mite 'touch:3M,loop:2:{files:1M:500,disk:512K,verify},exit:4'
    vm_end a 480
    vm_end b 480
    assert_stopped a exit 3
    assert_stopped b exit 4
    for vm in a b; do
        assert [ "$(vm_field $vm swap_writes_avoided)" -gt 100 ]
        assert [ "$(vm_field $vm swap_reads_avoided)" -gt 0 ]
    done
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy a
    tithe destroy b
}

@test "... parts of blocks, and several pages from one, with compression, and avoidance on and off" {
    local field steps=1500
    [ "${PLATFORM%-*}" != vtx ] || steps=300 # Bochs is slow
    want pages=700 store=40 avoid=2
    tithe create a --size 16M --min 1M --disk a --append poll=0s --mite "touch:3M:quarter,blocks:2M:$steps,verify,exit:3"
    tithe create b --size 16M --min 1M --disk b --append poll=0s --mite "touch:3M:quarter,loop:2:{blocks:1M:$((steps / 3)),verify},exit:4"
    vm_end a 480
    vm_end b 480
    assert_stopped a exit 3
    assert_stopped b exit 4
    for field in swap_writes_avoided swap_reads_avoided expands_avoided; do
        assert [ $(($(vm_field a $field) + $(vm_field b $field))) -gt 0 ]
    done
    run -0 tithe ledger
    assert_line "the ledger balances"
    want pages=0 store=0 avoid=1
    tithe destroy a
    tithe destroy b
}

@test "a plan turns it off: all that goes to swap is written" {
    want pages=0 avoid=0
    tithe create reader --size 16M --min 1M --disk a --mite 'touch:4M,disk:4M,say:go,idle:1s,loop:forever:{verify,idle:1s}'
    vm_says reader go 60
    tithe policy set pages=700
    eventually 60 eval '[ $(vm_field reader swapped_out) -ge 500 ]'
    assert_equal "$(vm_field reader swap_writes_avoided)" 0
    assert_equal "$(vm_field reader avoids_double_paging)" 0
    want pages=0 avoid=1
    vm_says reader 'verify ok pages=1024' 60
    assert_equal "$(vm_field reader avoids_double_paging)" 1
    tithe destroy reader
}

@test "a driver that lies, with pages on its disk, hurts itself only" {
    tithe policy set pages=600
    tithe create witness --size 16M --min 1M --disk b --append poll=0s --mite 'touch:2M,loop:forever:{files:1M:100,verify,idle:20ms}'
    tithe create misuser --size 16M --min 1M --disk a --mite 'touch:2M,disk:2M,baddisk:all,verify,files:1M:200,verify,exit:9'
    run -0 vm_end misuser 480
    refute_line --partial FAIL
    assert_stopped misuser exit 9
    run -0 tithe ledger
    assert_line "the ledger balances"
    run -0 tithe console witness --dump
    refute_output --partial FAIL
    assert_equal "$(vm_field witness state)" running
    tithe destroy misuser
    tithe destroy witness
}

@test "a disk that changes by itself: the guest that needs a page of it is stopped, and sees nothing of it" {
    tithe policy set pages=0
    tithe create hurt --size 16M --min 1M --disk a --mite 'touch:4M,disk:4M,say:go,idle:3s,loop:forever:{verify,idle:5ms}'
    vm_says hurt go 60
    tithe pause hurt
    tithe policy set pages=800
    eventually 60 eval '[ $(vm_field hurt swap_writes_avoided) -ge 500 ]'
    tithe policy set pages=0
    tr '\0' 'x' </dev/zero | dd of="$DISK" bs=1M seek=1 count=20 conv=notrunc iflag=fullblock status=none
    tithe unpause hurt
    run vm_end hurt 120
    refute_output --partial FAIL
    assert_stopped hurt swap
    run -0 tithe log
    assert_output --regexp 'page lost in swap: hurt: gfn 0x[0-9a-f]+: it is not what was written'
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy hurt
}

@test "the machine ends well" {
    assert_machine_ends_well
}
