#!/usr/bin/env bats
# Host swap, on one platform: guests that have more memory than the machine, and find all of it again.
# tests/system/swap-PLATFORM.bats are links to this file.

load ../lib/machine

SWAP=0EB00D6F-6F6A-455F-A7C8-23FB488147A7

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    DISK=$BATS_FILE_TMPDIR/disk.img
    head -c 200M /dev/zero >"$DISK"
    printf 'label: gpt\nstart=2048, size=380000, type=%s\n' $SWAP | sfdisk -q "$DISK"
    machine_start "$(basename "$BATS_TEST_FILENAME" .bats | sed 's/swap-//')" --memory 64M --cpus 3 --disk "$DISK" --cmdline tick_ms=250
}

teardown_file() {
    machine_end
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit
    assert_answers
}

@test "two guests outgrow the memory at the same moment: both have all of theirs, and end" {
    local vm
    for vm in a b; do
        tithe create $vm --size 32M --min 8M --vcpus 2 --append poll=0s --mite 'touch:28M,verify,rewrite:random:0.1,verify'
    done
    vm_end a 300
    vm_end b 300
    assert_stopped a exit 0
    assert_stopped b exit 0
    run -0 tithe log
    assert_output --partial 'reserve reached: pages of '
    assert [ "$(vm_field a swapped_in)" -gt 0 ]
    assert_equal "$(vm_field a swapped_pages)$(vm_field b swapped_pages)" 00
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy a
    tithe destroy b
}

@test "a policy sends pages out, and has them back before the guest asks" {
    local policy=$BATS_TEST_TMPDIR/verbs.lua
    cat >"$policy" <<'END'
local policy
policy = {
    name = "verbs", api = 1, params = { verb = "none", pick = "cold", pages = 2000 },
    tick = function(host, vms, dt)
        local plan = {}
        for _, vm in ipairs(vms) do
            local p = policy.params
            if p.verb == "share" then
                plan[#plan + 1] = { verb = "share-group", vm = vm.id, group = 1 }
                plan[#plan + 1] = { verb = "scan", vm = vm.id, pages = vm.name == "third" and 0 or vm.size_pages }
            elseif p.verb == "swap_out" then
                plan[#plan + 1] = { verb = p.verb, vm = vm.id, pages = math.max(p.pages - vm.swapped_pages, 0), pick = p.pick }
            elseif p.verb == "prefetch" then
                plan[#plan + 1] = { verb = p.verb, vm = vm.id, pages = vm.swapped_pages }
            end
        end
        return plan
    end,
}
return policy
END
    tithe policy load "$policy"
    tithe create cold --size 24M --min 4M --mite 'touch:16M,loop:forever:{idle:5ms},exit:0'
    vm_says cold ready 60
    eventually 60 eval '[ $(vm_field cold consumed_pages) -ge 4096 ]'
    tithe policy set verb=swap_out
    eventually 120 eval '[ $(vm_field cold swapped_pages) -ge 1900 ]'
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe policy set verb=prefetch
    eventually 120 eval '[ $(vm_field cold swapped_pages) -lt 100 ]'
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy cold
}

@test "whoever misbehaves does so while its pages go out all the time" {
    tithe policy set pages=1200
    tithe policy set verb=swap_out
    tithe create misuser --size 16M --min 2M --mite 'touch:6M,badballoon:all,verify,badop:int,badop:step,badop:paging,badop:realmode,verify,exit:9'
    run -0 vm_end misuser 240
    assert_equal "$(grep -c '^mite: badballoon .* survived .* restarted=yes$' <<<"$output")" 16
    assert_equal "$(grep -c '^mite: badop .* survived ' <<<"$output")" 4
    refute_output --partial FAIL
    assert_stopped misuser exit 9
    assert [ "$(vm_field misuser swapped_in)" -gt 0 ]
    tithe create rebooter --size 16M --min 2M --mite 'touch:6M,verify,idle:300ms,verify,reboot'
    tithe create crasher --size 16M --min 2M --mite 'touch:6M,verify,idle:600ms,verify,crash'
    run vm_end crasher 120
    refute_output --partial FAIL
    assert_stopped crasher crash
    eventually 120 eval '[ $(vm_field rebooter reboots) -ge 3 ]'
    run -0 tithe console rebooter --dump
    refute_output --partial FAIL
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy misuser
    tithe destroy crasher
    tithe destroy rebooter
    tithe policy set verb=none
    tithe policy set pages=2000
}

@test "pages of zeros, and those of which there is a shared one, go without being written" {
    tithe policy set verb=share
    for vm in first second; do
        tithe create $vm --size 8M --min 8M --mite 'touch:4M:alike,loop:forever:{idle:20ms}'
    done
    eventually 120 eval '[ $(vm_field second shared_pages) -ge 1000 ]'
    tithe create third --size 16M --min 2M --mite 'touch:4M:alike,touch:4M:zero,idle:2s,loop:forever:{verify,idle:100ms}'
    eventually 60 eval '[ $(vm_field third share_group) = 1 ] && [ $(vm_field third consumed_pages) -ge 2048 ]'
    tithe policy set verb=swap_out
    eventually 120 eval '[ $(vm_field third swap_unwritten) -ge 2000 ]'
    assert [ "$(vm_field third swapped_out)" -lt 500 ]
    tithe policy set verb=none
    vm_says third 'verify ok pages=2048' 60
    run -0 tithe ledger
    assert_line "the ledger balances"
    run -0 tithe console third --dump
    refute_output --partial FAIL
    tithe destroy first
    tithe destroy second
    tithe destroy third
}

@test "a disk that returns something else than was written: the guest that needs it is stopped, and sees nothing of it" {
    local witness='touch:2M,loop:forever:{verify,idle:20ms}'
    tithe policy set verb=none
    tithe create hurt --size 16M --min 2M --mite 'touch:12M,loop:forever:{verify,idle:5ms}'
    vm_says hurt 'verify ok pages=3072' 60
    tithe pause hurt
    tithe policy set verb=swap_out
    eventually 120 eval '[ $(vm_field hurt swapped_pages) -ge 1900 ] && [ $(vm_field hurt swap_out_wanted) = 0 ]'
    tithe policy set verb=none
    tithe create witness --size 8M --min 8M --mite "$witness"
    tr '\0' 'x' </dev/zero | dd of="$BATS_FILE_TMPDIR/disk.img" bs=1M seek=1 count=180 conv=notrunc iflag=fullblock status=none
    tithe unpause hurt
    run vm_end hurt 120
    refute_output --partial FAIL
    assert_stopped hurt swap
    run -0 tithe log
    assert_output --regexp 'page lost in swap: hurt: gfn 0x[0-9a-f]+: it is not what was written'
    run -0 tithe console witness --dump
    refute_output --partial FAIL
    assert_equal "$(vm_field witness state)" running
    run -0 tithe ledger
    assert_line "the ledger balances"
    tithe destroy hurt
    tithe destroy witness
}

@test "a suspended VM has no memory, and goes on with all of its data when it is resumed" {
    local round
    tithe policy set verb=none
    tithe create sleeper --size 24M --min 16M --vcpus 2 --append vcpus=all --mite 'touch:12M,loop:forever:{verify,rewrite:random:0.3,random:100}'
    vm_says sleeper 'verify ok pages=3072' 60
    for round in 1 2; do
        run -0 tithe suspend sleeper
        assert_output --partial 'suspended'
        eventually 120 eval '[ $(vm_field sleeper consumed_pages) -lt 20 ] && [ $(vm_field sleeper swap_out_wanted) = 0 ]'
        assert [ "$(vm_field sleeper swapped_pages)" -ge 3072 ]
        assert_equal "$(vm_field sleeper state)" suspended
        run -0 tithe list
        assert_output --regexp 'sleeper .*suspended'
        run -1 tithe unpause sleeper
        assert_output --partial 'is suspended: resume it'
        run -1 tithe pause sleeper
        assert_output --partial 'is suspended already'
        tithe mem-min sleeper 15M
        tithe mem-min sleeper 16M
        run -0 tithe ledger
        assert_line "the ledger balances"
        if [ $round = 2 ]; then tithe resume sleeper --prefetch; else tithe resume sleeper; fi
        tithe console sleeper --dump >"$BATS_TEST_TMPDIR/before"
        eventually 120 eval '[ $(tithe console sleeper --dump | grep -c "verify ok") -ge $(($(grep -c "verify ok" "$BATS_TEST_TMPDIR/before") + 2)) ]'
        assert_equal "$(vm_field sleeper state)" running
    done
    # What was set aside beyond its max less its min is given back with its pages.
    eventually 60 eval '[ $(vm_field sleeper swap_reserved_pages) = 2048 ]'
    run -0 tithe console sleeper --dump
    refute_output --partial FAIL
    tithe destroy sleeper
}

@test "suspended VMs: one that was paused, ends, reboots, is suspended in the middle of its pages' coming and going" {
    local i vm
    tithe create paused --size 8M --min 8M --mite 'touch:4M,loop:forever:{verify,idle:10ms}'
    vm_says paused 'verify ok' 60
    tithe pause paused
    tithe suspend paused
    tithe suspend paused
    eventually 60 eval '[ $(vm_field paused consumed_pages) -lt 20 ]'
    tithe resume paused
    assert_equal "$(vm_field paused state)" paused
    tithe unpause paused
    tithe create gone --size 16M --min 16M --mite 'touch:12M,loop:forever:{verify}'
    tithe create again --size 16M --min 16M --mite 'touch:8M,verify,reboot'
    vm_says gone 'verify ok' 60
    for i in 1 2 3 4; do
        tithe suspend again
        tithe suspend gone
        tithe resume again --prefetch
        tithe resume gone
        [ $((i % 2)) = 1 ] || sleep 0.3
    done
    tithe suspend gone
    tithe destroy gone
    eventually 120 eval '[ $(vm_field again reboots) -ge 3 ]'
    run -0 tithe ledger
    assert_line "the ledger balances"
    for vm in paused again; do
        run -0 tithe console $vm --dump
        refute_output --partial FAIL
        tithe suspend $vm
        tithe destroy $vm
    done
    assert_equal "$(tithe --json info | python3 -c 'import json, sys; h = json.load(sys.stdin)["host"]; print(h["swap_reserved_pages"], h["swap_pages"] - h["swap_free_pages"])')" '0 0'
}

@test "what swap has no room for is not suspended" {
    tithe create large --size 24M --min 24M --mite 'touch:16M,loop:forever:{idle:1s}'
    tithe create other --size 180M --min 2M --mite 'idle'
    vm_says large 'touch pages' 60
    run -1 tithe suspend large
    assert_output --regexp 'VM large has [0-9]+ pages, and swap has no room for so many'
    assert_equal "$(vm_field large state)" running
    tithe destroy other
    tithe suspend large
    tithe destroy large
}

@test "max less min must fit in swap" {
    run -1 tithe create big --size 400M --min 1M --mite 'touch:1M'
    assert_output --partial 'max less min is 102144 pages, and swap has'
}

@test "the machine ends well" {
    assert_machine_ends_well
}
