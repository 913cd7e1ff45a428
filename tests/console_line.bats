# The line between console and machine at its worst: each request has its one effect, or there is a clear error.
load console_helper

setup_file() { console_setup; }
teardown_file() { console_cleanup; }

# bad_line PROXY-OPTIONS... : a connection through the proxy to a simulated machine of its own
bad_line() {
    echo "exec:$PROXY $* $STEWARD --sim vms=0 step-ms=1000 policies=$POLICIES"
}

# Makes VMs and destroys every other one; the machine's own list and events say how often that was done.
changes() {
    cat >"$BATS_TEST_TMPDIR/changes.lua" <<'LUA'
local n = 12
for i = 1, n do
    local made = tithe.create { name = "v" .. i, size = "4M", kernel = "mite" }
    assert(made.name == "v" .. i)
    if i % 2 == 0 then tithe.destroy("v" .. i) else tithe.shares("v" .. i, 1000 + i) end
end
local created, destroyed = 0, 0
for _, event in ipairs(tithe.events()) do
    if event.kind == "vm-created" then created = created + 1 end
    if event.kind == "vm-destroyed" then destroyed = destroyed + 1 end
end
local vms = tithe.list()
assert(#vms == n / 2, #vms .. " VMs")
for i, vm in ipairs(vms) do assert(vm.name == "v" .. 2 * i - 1 and vm.shares == 1000 + 2 * i - 1) end
assert(created == n, created .. " created")
assert(destroyed == n / 2, destroyed .. " destroyed")
print("each once")
LUA
    run tithe --connect "$(bad_line "$@")" exp run "$BATS_TEST_TMPDIR/changes.lua"
    assert_success
    assert_output 'each once'
}

@test "a good line" { changes rate=0; }
@test "a long session: ids of every length" {
    echo 'for _ = 1, 700 do tithe.hello() end print("all")' >"$BATS_TEST_TMPDIR/long.lua"
    run tithe --connect "$(bad_line rate=0)" --patience 2 exp run "$BATS_TEST_TMPDIR/long.lua"
    assert_success
    assert_output all
}
@test "frames lost" { changes seed=1 rate=15 faults=drop; }
@test "frames cut" { changes seed=2 rate=25 faults=cut; }
@test "frames with a bit turned" { changes seed=3 rate=30 faults=flip; }
@test "frames twice" { changes seed=4 rate=50 faults=twice; }
@test "frames in another order" { changes seed=5 rate=15 faults=late; }
@test "frames far too long in between" { changes seed=6 rate=30 faults=huge; }
@test "noise in between" { changes seed=7 rate=50 faults=noise; }
@test "log lines in between, and halves of them" { changes seed=8 rate=50 faults=text; }

@test "all of that together" {
    for seed in 11 12; do changes seed=$seed rate=15; done
}

@test "a chunked upload over a bad line arrives whole" {
    head -c 40000 /dev/urandom >"$BATS_TEST_TMPDIR/file"
    cat >"$BATS_TEST_TMPDIR/upload.lua" <<'LUA'
local name = tithe.image(tithe.args[1])
local list = tithe.images()
local image = list[#list]
assert(image.name == name and image.bytes == 40000 and image.sealed)
LUA
    run tithe --connect "$(bad_line seed=21 rate=20)" exp run "$BATS_TEST_TMPDIR/upload.lua" "$BATS_TEST_TMPDIR/file"
    assert_success
}

@test "a machine that vanishes in the middle of an answer" {
    run tithe --connect "$(bad_line vanish=0)" list
    assert_failure 3
    assert_output --partial "went away before it answered 'list'"
    echo 'for i = 1, 20 do tithe.hello() end' >"$BATS_TEST_TMPDIR/many.lua"
    run tithe --connect "$(bad_line vanish=7)" exp run "$BATS_TEST_TMPDIR/many.lua"
    assert_failure 3
    assert_output --partial "went away before it answered 'hello'"
}

@test "a line that breaks everything: an error in time" {
    for fault in drop flip; do
        run tithe --connect "$(bad_line rate=100 faults=$fault)" --patience 1 list
        assert_failure 3
    done
}

@test "a steward that dies between deed and answer" {
    # The broker keeps the line; the simulated core starts the steward anew and knows what was done.
    start_sim dying
    cat >"$BATS_TEST_TMPDIR/dying.lua" <<'LUA'
for i = 1, 3 do
    tithe.create { name = "d" .. i, size = "4M", kernel = "mite" }
    pcall(tithe.call, "steward-kill")
end
assert(#tithe.list() == 3)
assert(tithe.info().steward_restarts >= 3)
LUA
    run tithe --machine dying --patience 5 exp run "$BATS_TEST_TMPDIR/dying.lua"
    assert_success
}
