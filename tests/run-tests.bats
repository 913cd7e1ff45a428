#!/usr/bin/env bats
# The test driver itself: it must not take a broken suite for a good one.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

setup() {
    # A tree of its own, with nothing but the driver in it.
    mkdir -p "$BATS_TEST_TMPDIR"/tests/{lua,system} "$BATS_TEST_TMPDIR/build/tests"
    cp tests/run-tests "$BATS_TEST_TMPDIR/tests/"
    cd "$BATS_TEST_TMPDIR"
}

program() {
    printf '#!/bin/sh\n%s\n' "$2" > "build/tests/$1"
    chmod +x "build/tests/$1"
    echo "build/tests/$1" >> build/tests/programs
}

last_line() {
    assert_equal "${lines[-1]}" "$1"
}

@test "sums up, with the reasons of skips, and writes JSON" {
    program a 'echo 1..2; echo "ok 1 - one"; echo "ok 2 two # SKIP no such CPU"'
    echo 'print("1..1") print("ok 1 - lua")' > tests/lua/test_x.lua
    echo '@test "in bats" { true; }' > tests/x.bats
    echo '@test "slow" { skip "not today"; }' > tests/system/y.bats
    run -0 tests/run-tests --json out.json
    last_line "3 passed, 0 failed, 2 skipped"
    assert_line "  a: two: no such CPU"
    assert_line "  system/y.bats: slow: not today"
    run -0 python3 -c 'import json; print(len(json.load(open("out.json"))))'
    assert_output 5
}

@test "a failed test fails the run and shows what it printed" {
    program a 'echo 1..2; echo "ok 1"; echo "not ok 2 - two"; echo "# expected this"; exit 1'
    run -1 tests/run-tests
    last_line "1 passed, 1 failed, 0 skipped"
    assert_output --partial "# expected this"
}

@test "a suite that reports fewer tests than it announced has failed" {
    program a 'echo 1..3; echo "ok 1"; echo "ok 2"'
    run -1 tests/run-tests
    assert_output --partial "3 tests were announced and 2 reported"
}

@test "a suite that crashes has failed" {
    program a 'echo 1..1; echo "ok 1"; kill -SEGV $$'
    run -1 tests/run-tests
    assert_output --partial "killed by SIGSEGV"
}

@test "a suite that passes every test but exits with a status has failed" {
    program a 'echo 1..1; echo "ok 1"; exit 3'
    run -1 tests/run-tests
    assert_output --partial "the exit status is 3"
}

@test "a suite that prints no result, or is not there, has failed" {
    program a 'echo hello'
    echo build/tests/b >> build/tests/programs
    run -1 tests/run-tests
    assert_output --partial "printed no test result"
    assert_output --partial "cannot start"
    last_line "0 passed, 2 failed, 0 skipped"
}

@test "nothing to run is not a success" {
    run -1 tests/run-tests --tier host
    last_line "0 passed, 0 failed, 0 skipped"
}

@test "cmocka's way to say skip counts as one" {
    program a 'echo 1..1; echo "no KVM here"; echo "not ok 1 # SKIP nested"'
    run -0 tests/run-tests
    last_line "0 passed, 0 failed, 1 skipped"
    assert_line "  a: nested: no KVM here"
}

@test "--only chooses suites by name" {
    program a 'echo 1..1; echo "ok 1"'
    program b 'echo 1..1; echo "not ok 1"; exit 1'
    run -0 tests/run-tests --only a
    last_line "1 passed, 0 failed, 0 skipped"
}

@test "what a suite leaves behind in the background is ended" {
    program a 'setsid timeout 1234 sleep 1234 >/dev/null 2>&1 & echo $! > left; echo 1..1; echo "ok 1"'
    run -0 tests/run-tests
    # It may be a zombie until the first process looks after it.
    run ! grep -qs '^State:[[:space:]]*[^Z[:space:]]' "/proc/$(cat left)/status"
}

@test "the CPU time of what runs in the background is the suite's, too" {
    printf 'import time\nwhile time.process_time() < 1: pass\n' > burn.py
    echo '@test "leaves it" { setsid python3 burn.py >/dev/null 2>&1 3>&- & echo $! > pid; }' > tests/x.bats
    echo '@test "awaits it" { while kill -0 $(cat pid) 2>/dev/null; do sleep 0.1; done; }' >> tests/x.bats
    run -0 tests/run-tests
    assert_output --regexp ', [1-9][0-9]*\.[0-9] s of CPU'
}

@test "interrupted, it ends what runs and begins nothing more" {
    for name in a b c d e f g h; do program $name ": > began-$name; exec sleep 1234"; done
    tests/run-tests 3>&- &
    until [ -e began-a ]; do sleep 0.05; done
    kill -TERM $!
    wait $! || true
    local pid
    for pid in /proc/[0-9]*; do
        [ "$(readlink "$pid/cwd")" != "$PWD" ] || ! grep -qz '^1234$' "$pid/cmdline" || fail "$(tr '\0' ' ' <"$pid/cmdline") is left"
    done
}
