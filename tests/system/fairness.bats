#!/usr/bin/env bats
# A guest that has the core work for it pays with its own CPU time, and fills neither log nor line.

load ../lib/machine

setup_file() {
    machine_start amd-none --memory 256M
}

teardown_file() {
    machine_end
}

setup() {
    assert_answers
}

cpu_ns() {
    vm_field "$1" cpu_ns
}

@test "a guest that reboots for ever pays for its reboots, and is not told of each time" {
    tithe create rebooter --size 16M --mite reboot
    tithe create worker --size 16M --mite 'touch:4M,loop:forever:{spin:100ms,verify}'
    vm_says worker 'verify ok' 60 >/dev/null
    local rebooter worker
    rebooter=$(cpu_ns rebooter) worker=$(cpu_ns worker)
    sleep 4
    rebooter=$(($(cpu_ns rebooter) - rebooter)) worker=$(($(cpu_ns worker) - worker))
    echo "rebooter $rebooter ns, worker $worker ns"
    # Equal weights, both always runnable.
    [ "$rebooter" -gt $((worker / 2)) ]
    [ "$worker" -gt $((rebooter / 2)) ]
    local reboots told
    eventually 120 eval '[ $(vm_field rebooter reboots) -gt 60 ]'
    reboots=$(vm_field rebooter reboots)
    told=$(tithe log | grep -c 'rebooted: rebooter') || true
    echo "$reboots reboots, $told told"
    [ "$told" -lt $((16 + reboots / 2)) ]
    tithe destroy rebooter
    tithe destroy worker
}

@test "the ledger balances, and the machine ends" {
    assert_machine_ends_well
}
