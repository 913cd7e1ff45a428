#!/usr/bin/env bats
# Issue 2, "The console", over the serial line of a real core (AMD-V): verbs, uploads, noise, peers that vanish.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

PROXY=$BATS_TEST_DIRNAME/../../build/tests/console-proxy
TOP=$BATS_TEST_DIRNAME/../..

setup() { machines_setup; }
teardown() { machines_cleanup; }

# json EXPRESSION: the JSON in $output as j, and what Python makes of the expression, which must be true.
json() {
    printf '%s' "$output" | python3 -c "import json, sys; j = json.loads(sys.stdin.read()); assert $1, j" || fail "not so: $1"
}

# says WORDS...: tithe with --json succeeds.
says() {
    run --separate-stderr tithe "$@" --json
    assert_success
}

# QEMU with its serial line on standard input and output.
qemu() {
    echo "qemu-system-x86_64 -machine pc -m 128 -accel tcg -cpu EPYC -kernel $TOP/build/hv/tithe.elf" \
        "-initrd $TOP/build/images/modules.cpio -append test -serial stdio -nodefaults -no-user-config -display none" \
        "-no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 2>/dev/null"
}

@test "each verb on a real machine, with --json" {
    machine a --hw amd --firmware none --memory 128M --cmdline test
    says version; json 'j'
    says info; json 'j["host"]["vendor"] == "amd" and j["host"]["test_mode"]'
    says images; json 'any(i["name"] == "mite" and i["sealed"] for i in j["images"])'
    says create one --size 16M --min 4M --shares 500 --mite touch:2M,verify,idle; json 'j["name"] == "one" and j["id"] == 1'
    run tithe console one --expect 'verify ok pages=512' --timeout 20
    assert_success
    says list; json 'j["vms"][0]["state"] == "running" and j["vms"][0]["shares"] == 500'
    says info one; json 'j["vm"]["size_pages"] == 4096 and j["vm"]["consumed_pages"] > 512'
    says pause one; json 'j["name"] == "one"'
    says info 1; json 'j["vm"]["state"] == "paused"'
    says unpause one; json 'j["name"] == "one"'
    run tithe suspend one
    assert_failure 1
    assert_output --partial 'the machine has no swap to put VM one in: give it a disk with a swap partition'
    says mem-set one 8M; json 'j["id"] == 1'
    says mem-set one auto; json 'j["id"] == 1'
    says mem-max one 12M; json 'j["id"] == 1'
    says mem-min one 2M; json 'j["id"] == 1'
    says shares one 2000; json 'j["id"] == 1'
    says share-group one 9; json 'j["id"] == 1'
    says info one
    json '[j["vm"][k] for k in ("max_pages", "min_pages", "shares", "share_group", "held")] == [3072, 512, 2000, 9, False]'
    says console one --dump; json '"verify ok" in j["text"]'
    says policy list; json 'any(p["state"] == "active" for p in j["policies"])'
    says policy info; json 'j["name"] == "proportional"'
    says policy show equal; json '"policy.tick" in str(j)'
    says policy check equal; json 'j["refused"] == 0'
    says policy load equal; json 'j["name"] == "equal" and j["trial_ticks"] > 0'
    says policy set step_percent 20; json 'j["params"]["step_percent"] == 20'
    says policy rollback; json 'j["name"] == "proportional"'
    says stats; json 'j["first_touches"] > 0 and j["steward.restarts"] == 0'
    says events; json 'any(e["kind"] == "vm-created" for e in j["events"])'
    says ledger; json 'j["differences"] == 0'
    says log; json '"tithe: ready" in j["log"]'
    says top --once; json 'j["vms"][0]["name"] == "one"'
    run tithe top --once
    assert_output --partial "one"
    assert_output --partial "amd on pvh"
    says destroy one; json 'j["id"] == 1'
    says list; json 'j["vms"] == []'
    for words in "destroy one" "info 9" "pause nobody" "policy load nosuch" "create x --size 16M --kernel nosuch" \
        "create y --size 999G --kernel mite --min 999G" "images delete mite" "policy set nosuch 1"; do
        # shellcheck disable=SC2086
        run --separate-stderr tithe $words --json
        assert_failure 1
        json 'j["error"]["code"] and j["error"]["reason"]'
    done
    says stop; json '"status 0" in j["result"]'
}

@test "an uploaded image runs as the built-in one does; what is no image is refused" {
    machine a --hw amd --firmware none --memory 128M
    says upload "$TOP/build/guest/mite.elf" --name copy; json 'j'
    says images; json 'any(i["name"] == "copy" and i["upload"] and i["sealed"] for i in j["images"])'
    # mite reports the pages of its own image, and finds a changed byte of its code sooner or later.
    for kernel in mite copy; do
        says create "$kernel" --size 16M --kernel "$kernel" --cmdline run=touch:4M,verify,report,exit:7
    done
    for vm in mite copy; do
        run tithe console "$vm" --expect 'exit code=7' --timeout 20
        assert_success
        says info "$vm"; json '[j["vm"][k] for k in ("state", "stop_reason", "exit_code")] == ["stopped", "exit", 7]'
        run tithe console "$vm" --dump
        printf '%s\n' "$output" | grep 'mite: report' > "$BATS_TEST_TMPDIR/$vm"
    done
    run diff "$BATS_TEST_TMPDIR/mite" "$BATS_TEST_TMPDIR/copy"
    assert_success
    head -c 9000 /dev/urandom > "$BATS_TEST_TMPDIR/noise"
    head -c 9000 "$TOP/build/guest/mite.elf" > "$BATS_TEST_TMPDIR/cut"
    for file in noise cut; do
        says upload "$BATS_TEST_TMPDIR/$file"
        run tithe create bad --size 16M --kernel "$file"
        assert_failure 1
        assert_output --partial "$file"
    done
    run tithe create bad --size 16M --kernel "$BATS_TEST_TMPDIR/absent"
    assert_failure 2
    says list; json 'len(j["vms"]) == 2'
    says images delete copy
    says destroy copy
    run tithe create again --size 16M --kernel copy
    assert_failure
    run tithe ledger
    assert_success
}

@test "two consoles at the same time, and consoles that are killed in the middle of a request" {
    machine a --hw amd --firmware none --memory 128M
    cat > "$BATS_TEST_TMPDIR/churn.lua" << 'LUA'
local me = tithe.args[1]
for i = 1, 15 do
    local made = tithe.create { name = me .. i, size = "4M", kernel = "mite" }
    assert(tithe.info(made.id).name == me .. i)
    if i % 3 ~= 0 then tithe.destroy(me .. i) end
end
LUA
    tithe exp run "$BATS_TEST_TMPDIR/churn.lua" p &
    local p=$!
    tithe exp run "$BATS_TEST_TMPDIR/churn.lua" q
    wait $p
    says list; json 'sorted(v["name"] for v in j["vms"]) == sorted(c + str(i) for c in "pq" for i in (3, 6, 9, 12, 15))'
    says events; json 'sum(e["kind"] == "vm-created" for e in j["events"]) == 30'
    head -c 4000000 /dev/urandom > "$BATS_TEST_TMPDIR/large"
    for i in 1 2 3 4 5; do
        timeout -s KILL "0.0$((i * 7))" "$TITHE" create "kill$i" --size 4M --kernel mite > /dev/null 2>&1 || true
        timeout -s KILL "0.$i" "$TITHE" upload "$BATS_TEST_TMPDIR/large" --name "large$i" > /dev/null 2>&1 || true
        timeout -s KILL "0.0$((i * 7))" "$TITHE" policy load equal > /dev/null 2>&1 || true
    done
    says list; json 'len(j["vms"]) <= 15 and len(set(v["name"] for v in j["vms"])) == len(j["vms"])'
    says info; json 'j["host"]["steward_restarts"] == 0'
    says ledger; json 'j["differences"] == 0'
}

@test "a bad serial line: each request has its one effect, or there is a clear error" {
    cat > "$BATS_TEST_TMPDIR/once.lua" << 'LUA'
for i = 1, 8 do
    tithe.create { name = "v" .. i, size = "4M", kernel = "mite" }
    if i % 2 == 0 then tithe.destroy("v" .. i) else tithe.shares("v" .. i, 1000 + i) end
end
local created, destroyed = 0, 0
for _, event in ipairs((tithe.events())) do
    if event.kind == "vm-created" then created = created + 1 end
    if event.kind == "vm-destroyed" then destroyed = destroyed + 1 end
end
local vms = tithe.list()
assert(#vms == 4 and created == 8 and destroyed == 4, #vms .. " VMs, " .. created .. " made, " .. destroyed .. " destroyed")
for i, vm in ipairs(vms) do assert(vm.name == "v" .. 2 * i - 1 and vm.shares == 1000 + 2 * i - 1) end
assert(tithe.info().steward_restarts == 0)
assert(tithe.ledger().differences == 0)
pcall(tithe.shutdown, 0) -- the answer may be lost with the machine
LUA
    for faults in "seed=1 rate=15" "seed=2 rate=30 faults=drop,cut,flip" "seed=3 rate=60 faults=noise,huge,twice,text"; do
        run tithe --connect "exec:timeout -k 5 100 $PROXY $faults $(qemu)" exp run "$BATS_TEST_TMPDIR/once.lua"
        assert_success
    done
    # Nothing comes through at all.
    run tithe --connect "exec:timeout -k 5 100 $PROXY seed=4 rate=100 faults=drop $(qemu)" --patience 3 list
    assert_failure 3
    # It vanishes in the middle of an answer.
    run tithe --connect "exec:timeout -k 5 100 $PROXY vanish=3 $(qemu)" exp run "$BATS_TEST_TMPDIR/once.lua"
    assert_failure 3
    assert_output --partial "went away before it answered"
}

@test "between frames the line is a log that can be read" {
    cat > "$BATS_TEST_TMPDIR/talk.lua" << 'LUA'
for i = 1, 20 do
    tithe.create { name = "t" .. i, size = "4M", kernel = "mite" }
    tithe.snapshot()
    tithe.destroy("t" .. i)
end
tithe.shutdown(0)
LUA
    run tithe --connect "exec:timeout -k 5 100 $(qemu) | tee $BATS_TEST_TMPDIR/raw" exp run "$BATS_TEST_TMPDIR/talk.lua"
    assert_success
    run python3 - "$BATS_TEST_TMPDIR/raw" << 'PY'
import re, sys
raw = open(sys.argv[1], 'rb').read()
parts = raw.split(b'\0')
# Frames stand between two zeros: text, frame, text, frame ... with nothing torn.
text = b''.join(parts[0::2])
assert len(parts) > 80, len(parts)
bad = re.search(rb'[^\n\r\t\x20-\x7e]', text)
assert not bad, text[max(bad.start() - 60, 0):bad.start() + 60]
for part in parts[0::2]:
    assert part == b'' or part.endswith(b'\n') or part is parts[-1], part
created = re.findall(rb'^event \d+: vm=\d+ created: t\d+\r?$', text, re.M)
assert len(created) == 20, created
PY
    assert_success
}

@test "shutdown ends the emulator with the status asked for" {
    machine a --hw amd --firmware none --memory 128M
    says create one --size 8M --mite idle
    run tithe stop
    assert_success
    assert_output --partial "status 0"
    echo 'tithe.shutdown(5)' > "$BATS_TEST_TMPDIR/five.lua"
    machine b --hw amd --firmware none --memory 128M --keep-log
    run tithe --machine b exp run "$BATS_TEST_TMPDIR/five.lua"
    assert_success
    for i in 1 2 3 4 5 6 7 8 9 10; do
        [ -s "$XDG_RUNTIME_DIR/tithe-$(id -u)/b/result" ] && break
        sleep 0.5
    done
    run cat "$XDG_RUNTIME_DIR/tithe-$(id -u)/b/result"
    assert_output --partial "status 5"
    run tithe --machine b list
    assert_failure 3
    echo 'tithe.try("shutdown", { code = 200 }) tithe.hello()' > "$BATS_TEST_TMPDIR/far.lua"
    machine c --hw amd --firmware none --memory 128M
    run tithe --machine c exp run "$BATS_TEST_TMPDIR/far.lua"
    assert_success
}
