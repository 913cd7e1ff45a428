#!/usr/bin/env bats
# The compression tier, on one platform: first on a machine without a swap partition, then with one.
# tests/system/compress-PLATFORM.bats are links to this file.

load ../lib/machine

SWAP=0EB00D6F-6F6A-455F-A7C8-23FB488147A7

start() {
    machine_start "$(basename "$BATS_TEST_FILENAME" .bats | sed 's/compress-//')" --memory 64M --cpus 3 "$@"
    cat >"$BATS_FILE_TMPDIR/tier.lua" <<'END_LUA'
local policy
policy = {
    name = "tier", api = 1, params = { store = 0, percent = 60, out = 0 },
    tick = function(host, vms, dt)
        local plan, p = {}, policy.params
        for _, vm in ipairs(vms) do
            plan[#plan + 1] = { verb = "compress", vm = vm.id, pages = p.store, percent = p.percent }
            if vm.store_limit_pages > 0 or host.swap_pages > 0 then
                plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = p.out }
            end
        end
        return plan
    end,
}
return policy
END_LUA
    tithe policy load "$BATS_FILE_TMPDIR/tier.lua"
}

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    start
}

teardown_file() {
    machine_end
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    assert_answers
}

# Each NAME=VALUE.
set_params() {
    local param
    for param in "$@"; do tithe policy set "$param"; done
}

@test "pages go into the store and come back, while the guest uses them; its vector registers stay" {
    set_params store=1000 out=2000
    tithe create busy --size 16M --min 1M --vcpus 2 --append poll=0s --mite 'touch:10M:quarter,loop:forever:{fpu:300ms,verify,rewrite:random:0.1}'
    eventually 60 eval '[ $(vm_field busy expanded_pages) -gt 2000 ] && [ $(vm_field busy compressed_pages) -gt 100 ]'
    tithe pause busy
    eventually 60 eval '[ $(vm_field busy compressed_pages) -gt 1500 ]'
    tithe policy set out 0
    eventually 60 eval '[ $(vm_field busy swap_out_wanted) = 0 ]'
    local pages bytes frames
    pages=$(vm_field busy compressed_pages) bytes=$(vm_field busy compressed_bytes) frames=$(vm_field busy store_pages)
    # A quarter of a page and what tells the repetition; and little room is lost.
    assert [ "$bytes" -ge $((pages * 1024)) ]
    assert [ "$bytes" -lt $((pages * 1300)) ]
    assert [ $((frames * 4096)) -lt $((bytes * 100 / 70)) ]
    run -0 tithe ledger
    assert_line "the ledger balances"
    assert_line --regexp "compressed_entries +$pages"
    tithe unpause busy
    # But for a few that it has no use for.
    eventually 60 eval '[ $(vm_field busy compressed_pages) -lt 100 ]'
    assert [ "$(vm_field busy store_pages)" -lt 50 ]
    assert [ "$(vm_field busy compress_ns)" -gt 0 ]
    run -0 tithe console busy --dump
    assert_output --partial 'fpu ok state=x87+sse'
    refute_output --partial FAIL
    tithe destroy busy
}

@test "what cannot be compressed stays where it is" {
    set_params store=1000 out=2000
    tithe create noise --size 8M --min 1M --mite 'touch:6M,loop:forever:{verify,idle:50ms}'
    eventually 60 eval '[ $(vm_field noise compress_poor) -gt 1000 ]'
    assert_equal "$(vm_field noise swapped_out)" 0
    assert [ "$(vm_field noise compressed_pages)" -lt 20 ]
    run -0 tithe console noise --dump
    assert_output --partial 'verify ok pages=1536'
    refute_output --partial FAIL
    tithe destroy noise
}

@test "guests outgrow the memory, and compression alone makes room" {
    local vm
    set_params store=4000 out=0
    for vm in a b; do
        tithe create $vm --size 32M --min 4M --vcpus 2 --append poll=0s --mite 'touch:27M:quarter,verify,rewrite:random:0.1'
    done
    vm_end a 150
    vm_end b 150
    assert_stopped a exit 0
    assert_stopped b exit 0
    assert [ "$(vm_field a expanded_pages)" -gt 0 ]
    run -0 tithe log
    assert_output --partial 'reserve reached: pages of '
    tithe destroy a
    tithe destroy b
}

@test "the machine ends well" {
    assert_machine_ends_well
}

@test "with a swap partition the oldest pages go on to it when the store is full, and all when it is given up" {
    local disk=$BATS_FILE_TMPDIR/disk.img
    machine_end
    head -c 200M /dev/zero >"$disk"
    printf 'label: gpt\nstart=2048, size=380000, type=%s\n' $SWAP | sfdisk -q "$disk"
    start --disk "$disk"
    set_params store=100 out=1000
    tithe create cold --size 16M --min 1M --mite 'touch:6M:quarter,say:full,loop:3:{idle:500ms,verify},say:verified,idle:1000s'
    vm_says cold full 60
    eventually 60 eval '[ $(vm_field cold evicted_pages) -gt 100 ]'
    run -0 tithe ledger
    assert_line "the ledger balances"
    run vm_says cold verified 200
    assert_success
    refute_output --partial FAIL
    set_params store=0 out=0
    eventually 60 eval '[ $(vm_field cold compressed_pages) = 0 ] && [ $(vm_field cold store_pages) = 0 ]'
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy cold
}

@test "... and guests whose pages are half noise have all of them" {
    local vm
    set_params store=1000 percent=60 out=500
    tithe create mixed --size 16M --min 2M --vcpus 2 --append poll=0s --mite 'touch:4M:quarter,touch:4M,touch:4M:half,loop:forever:{verify,rewrite:random:0.2}'
    tithe create other --size 16M --min 2M --append poll=0s --mite 'touch:8M:half,loop:forever:{verify,rewrite:random:0.2}'
    for vm in mixed other; do
        eventually 90 eval "[ \$(vm_field $vm expanded_pages) -gt 500 ]"
    done
    eventually 90 eval '[ $(vm_field mixed swapped_in) -gt 500 ]'
    tithe policy set out 0
    for vm in mixed other; do
        run -0 tithe console $vm --dump
        assert_output --partial 'verify ok'
        refute_output --partial FAIL
        tithe destroy $vm
    done
    run -0 tithe ledger
    assert_line "the ledger balances"
    assert_line --regexp "compressed_entries +0"
}

@test "... and a suspended VM has no store: its pages go on to swap, and its limit counts again when it is resumed" {
    set_params store=1000 percent=75 out=2000
    tithe create sleeper --size 16M --min 8M --mite 'touch:12M:quarter,loop:forever:{verify,idle:10ms}'
    eventually 60 eval '[ $(vm_field sleeper compressed_pages) -gt 500 ]'
    tithe suspend sleeper
    # More of them than its max less its min.
    eventually 120 eval '[ $(vm_field sleeper consumed_pages) -lt 20 ] && [ $(vm_field sleeper store_pages) = 0 ]'
    assert [ "$(vm_field sleeper swapped_pages)" -ge 3000 ]
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe resume sleeper
    eventually 60 eval '[ $(vm_field sleeper compressed_pages) -gt 200 ]'
    tithe policy set out 0
    run -0 tithe console sleeper --dump
    refute_output --partial FAIL
    tithe destroy sleeper
}

@test "that machine ends well, too" {
    assert_machine_ends_well
}
