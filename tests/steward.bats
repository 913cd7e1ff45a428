#!/usr/bin/env bats
# The steward on the simulated machine, spoken to by a second implementation of the protocol (steward_cases.py).

setup() {
    bats_load_library bats-support
    bats_load_library bats-assert
    python=/usr/bin/python3 # Debian's, which sees Debian's python3-cbor2
}

run_case() {
    "$python" -c 'import cbor2' 2>/dev/null || skip "python3-cbor2 is not installed"
    PYTHONDONTWRITEBYTECODE=1 run timeout 60 "$python" tests/steward_cases.py "$1"
    assert_success
}

@test "steward: every verb's answer is deterministic CBOR of the shape the schema gives" {
    run_case schema
}

@test "steward: answers are byte for byte what another encoder makes of them" {
    run_case deterministic
}

@test "steward: 128 VMs come in pages, none twice and none left out" {
    run_case paging
}

@test "steward: CPUs and vCPUs: their times add up, a VM has what its vCPUs have, and CPU shares can be changed" {
    run_case cpus
}

@test "steward: cut, corrupt, oversized, and no CBOR: one complaint each, and the next request is served" {
    run_case bad_frames
}

@test "steward: an envelope with missing or mistyped parts is complained of; nothing is done" {
    run_case bad_envelopes
}

@test "steward: noise before, between and instead of frames: every request is answered at last, by a retry if need be" {
    run_case noise
}

@test "steward: a duplicate is answered and not done again; stale and reused ids are refused; order does not matter" {
    run_case exactly_once
}

@test "steward: the same after the steward has died between the deed and its repetition" {
    run_case exactly_once_across_death
}

@test "steward: unknown verbs, missing, unknown and mistyped arguments, names and sizes out of bounds" {
    run_case bad_arguments
}

@test "steward: every CBOR type and width in place of every argument and part of a request is refused, and survived" {
    run_case every_type
}

@test "steward: images arrive in chunks, repeated chunks do no harm, and only whole ones are sealed" {
    run_case uploads
}

@test "steward: half a request and the end of the line: the steward leaves in good order" {
    run_case vanishing_peer
}

@test "steward: load, trial, confirmation, parameters carried over, rollback" {
    run_case load_and_rollback
}

@test "steward: a source longer than a chunk; and a source that is not the one meant is not loaded" {
    run_case staging
}

@test "steward: every policy of the archive is listed, whatever was known when the steward was built" {
    run_case policy_list
}

@test "steward: the simulated machine's ledger balances, with VMs and without" {
    run_case ledger
}

@test "steward: parameters: types, ranges, unknown names" {
    run_case params
}

@test "steward: what save() returns is there again after a death of the steward and a reload" {
    run_case state_survives
}

@test "steward: every bad or hostile script is refused with file, line and reason, and the old policy stays" {
    run_case bad_scripts
}

@test "steward: a policy that misbehaves on trial is rolled back, whatever it does" {
    run_case trial_fails
}

@test "steward: a confirmed policy that keeps misbehaving is rolled back after a few times" {
    run_case confirmed_fails
}

@test "steward: with no previous policy, the first one of the archive takes over" {
    run_case first_policy_at_last
}

@test "steward: what must not be there is not there; what must be there is" {
    run_case sandbox
}

@test "steward: the policy's word on a new VM reaches the console; a broken admit() refuses" {
    run_case admit
}

@test "steward: the policy hears of events; of a burst it hears at least that something changed" {
    run_case events
}

@test "steward: under the simulator, memory follows the workloads, and the machine never runs dry" {
    run_case memory_moves
}

@test "steward: sampling, simulated" {
    run_case sampling
}

@test "steward: killed many times in a row: the machine, its VMs and the policy's parameters are as before" {
    run_case thousand_deaths
}

@test "steward: an unknown option is refused by name" {
    run build/steward/steward --sim colour=red
    assert_failure 2
    assert_output --partial "unknown option 'colour=red'"
    run build/steward/steward --sim vms=many
    assert_failure 2
    assert_output --partial "vms=many is not a whole number"
}

@test "steward: without its first policy it says so and serves requests all the same" {
    run timeout 10 build/steward/steward --sim step-ms=0 ticks=3 policies=/nonexistent
    assert_success
    assert_output --partial "no policy is in charge: policy/proportional.lua is not in the module archive"
}

@test "steward: it is a static program" {
    run readelf -lW build/steward/steward
    refute_output --partial "INTERP"
}

@test "policies: luacheck has nothing to say" {
    command -v luacheck >/dev/null || skip "lua-check is not installed"
    cd policy-lua
    run luacheck --no-color .
    assert_success
}
