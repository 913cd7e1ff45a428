#!/usr/bin/env bats
# memload on the build host: it is a static program like any other.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

memload=build/guest/linux/memload/memload

@test "a script of every phase passes and reports each" {
    run -0 $memload 'clock,touch:4M,verify,loop:2:(rewrite,verify,loop:2:(wait:10ms)),hold:200ms,free,ticks:100ms,touch:1M,verify'
    assert_equal "${lines[-1]}" "memload: PASS"
    assert_line --regexp '^memload: phase=touch pages=1024 ms=[0-9]+ waited_ms=[0-9]+ all_pages=1024$'
    assert_line --regexp '^memload: verify ok pages=1024 bad=0 ms=[0-9]+$'
    assert_line --regexp '^memload: hold ok pages=[0-9]+ bad=0 ms=[0-9]+$'
    assert_line --regexp '^memload: phase=ticks ticks=[0-9]+ ms=[0-9]+ longest_gap_us=[0-9]+$'
    assert_line --regexp '^memload: clock realtime=[0-9.]+ monotonic=[0-9.]+ tsc=[0-9]+$'
    assert_line --regexp '^memload: mem total_kb=[0-9]+ free_kb=[0-9]+ available_kb=[0-9]+$'
}

@test "pages of every kind are verified and written anew, by threads, till a line comes in" {
    run -0 $memload 'touch:1M:alike,touch:1M:zero,touch:1M:quarter,touch:1M:unique,verify,rewrite,verify,rewrite,verify,use:2M,work:3,verify' \
        < <(sleep 0.5; echo; sleep 0.5; echo)
    assert_equal "${lines[-1]}" "memload: PASS"
    assert_line --regexp '^memload: use ok pages=512 rounds=[1-9][0-9]*$'
    assert_line --regexp '^memload: work renewed=[1-9][0-9]*$'
    assert_line --regexp '^memload: work ok pages=[1-9][0-9]* bad=0 ms=[0-9]+$'
    run -1 $memload 'touch:1M,use:2M'
    assert_output --partial 'FAIL reason="use: 256 pages have been touched"'
}

@test "a script with a slip is refused before its first phase runs" {
    local script
    for script in x touch touch:5 touch:5T touch:-1M touch:99999999999999999999G touch:1M:odd work work:2M use disk verify:1 wait:5 'loop:2:(free' \
        'loop:2:(free))' 'loop:0:(free)' 'loop:2:(free),' ''; do
        run -2 $memload "clock,$script"
        assert_output --partial 'memload: FAIL reason="script: '
        refute_output --partial realtime
    done
}

@test "loops nest only so deep" {
    local script=free i
    for i in {1..20}; do script="loop:1:($script)"; done
    run -2 $memload "$script"
    assert_output --partial "too many loops inside each other"
}

teardown() {
    [ -z "${pid:-}" ] || kill "$pid" 2> /dev/null || true
}

@test "changed memory is found" {
    # Its memory is written to from outside while it waits for a line.
    mkfifo "$BATS_TEST_TMPDIR/in"
    $memload touch:64K,await,verify <> "$BATS_TEST_TMPDIR/in" > "$BATS_TEST_TMPDIR/out" &
    pid=$!
    local tries
    for tries in {1..300}; do grep -q phase=await "$BATS_TEST_TMPDIR/out" && break; sleep 0.1; done
    # The reservation is the one mapping of 16 GiB.
    python3 - $pid <<'PY'
import sys
pid = sys.argv[1]
for line in open(f"/proc/{pid}/maps"):
    low, high = (int(x, 16) for x in line.split()[0].split("-"))
    if high - low >= 16 << 30:
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(low + 3 * 4096 + 8)
            memory.write(b"\0" * 8)
        break
PY
    echo > "$BATS_TEST_TMPDIR/in"
    if wait $pid; then fail "memload passed"; fi
    run -0 cat "$BATS_TEST_TMPDIR/out"
    assert_line --regexp '^memload: verify FAIL page=3 word=1 expected=[0-9a-f]{16} got=0000000000000000$'
    assert_equal "${lines[-1]}" "memload: FAIL"
}

@test "no script, an unknown option: says how" {
    run -2 $memload
    assert_output --partial "--help"
    run -2 $memload --nonsense
    assert_output --partial "--nonsense: unknown option"
}
