# What the console says to command lines that need no machine.
bats_require_minimum_version 1.5.0
load console_helper

setup_file() { console_setup; }
teardown_file() { console_cleanup; }

@test "--help lists every verb and the exit statuses" {
    run tithe --help
    assert_success
    for verb in list info top create destroy pause unpause suspend resume console mem-set mem-max mem-min shares cpu-shares share-group 'policy list' \
        'policy show' 'policy check' 'policy load' 'policy rollback' 'policy set' stats events ledger log disks images \
        upload run stop demo 'exp run' version; do
        assert_line --regexp "^ +$verb +[a-z]"
    done
    assert_line --partial '5  the ledger differs'
}

@test "every verb has a man page" {
    local verbs
    verbs=$(tithe --help | sed -n 's/^       \([a-z][a-z-]*\( [a-z]*\)\?\)  .*/\1/p' | grep -v '^tithe')
    [ "$(wc -l <<<"$verbs")" -ge 30 ]
    while read -r verb; do
        # shellcheck disable=SC2086
        run tithe $verb --help
        assert_success
        assert_line NAME
        assert_line SYNOPSIS
        assert_line OPTIONS
        assert_line 'EXIT STATUS'
        assert_line --partial "tithe $verb"
    done <<<"$verbs"
}

@test "no verb, an unknown verb, half a verb" {
    run tithe
    assert_failure 2
    assert_output --partial 'no verb given'
    run tithe lits
    assert_failure 2
    assert_output "tithe: lits: unknown verb. 'tithe --help' lists the verbs."
    run tithe policy
    assert_failure 2
    assert_output --partial 'policy check'
    run tithe policy chekc x
    assert_failure 2
    assert_output --partial 'policy chekc: unknown verb'
}

@test "an unknown option, a missing value, too many arguments, too few" {
    run tithe list --colour
    assert_failure 2
    assert_output --partial -- '--colour: unknown option'
    run tithe create a --size
    assert_failure 2
    assert_output --partial 'needs a value'
    run tithe list all
    assert_failure 2
    assert_output --partial 'one argument too many'
    run tithe destroy
    assert_failure 2
    assert_output --partial 'tithe destroy VM'
}

@test "sizes that are none: no unit, a nonsense unit, negative, overflowing, nothing" {
    for size in 96 5X -5M 99999999999999999999G 17000000T 0M '' M 1.5p; do
        run tithe create a --size "$size"
        assert_failure 2
        assert_output --partial '96M, 1.5G, 4096K, or 100p'
        run tithe mem-set a "$size"
        assert_failure 2
        assert_output --partial '96M, 1.5G, 4096K, or 100p'
    done
}

@test "min above max, max above size, no size, shares out of range" {
    run tithe create a --size 64M --min 65M
    assert_failure 2
    assert_output --partial 'min: is larger than the max'
    run tithe create a --size 64M --max 65M
    assert_failure 2
    assert_output --partial 'max: is larger than the size'
    run tithe create a
    assert_failure 2
    assert_output --partial 'is missing'
    for shares in 0 -1 1000001 many 1.5; do
        run tithe shares a "$shares"
        assert_failure 2
        assert_output --partial 'from 1 to 1000000'
    done
}

@test "vCPUs and CPU shares out of range, or no numbers: the thing, the range" {
    for vcpus in 0 9 -1 two 1.5 18446744073709551617; do
        run tithe create a --size 16M --vcpus "$vcpus"
        assert_failure 2
        assert_output --partial "vcpus '$vcpus': "
        assert_output --partial 'from 1 to 8'
    done
    for shares in 0 -1 1000001 many ''; do
        run tithe create a --size 16M --cpu-shares "$shares"
        assert_failure 2
        assert_output --partial "cpu-shares '$shares': "
        assert_output --partial 'from 1 to 1000000'
        run tithe cpu-shares a "$shares"
        assert_failure 2
        assert_output --partial "cpu-shares '$shares': "
        assert_output --partial 'from 1 to 1000000'
    done
    run tithe cpu-shares a
    assert_failure 2
    assert_output --partial 'tithe cpu-shares VM N'
}

@test "without a machine: says so, and how to get one" {
    run tithe list
    assert_failure 3
    assert_output --partial "none was started here"
    assert_output --partial "tithe run"
    run tithe --machine nowhere list
    assert_failure 3
    assert_output --partial "machine 'nowhere': is not running"
    run tithe --machine '../x' list
    assert_failure 2
    assert_output --partial 'not a name a machine can have'
}

@test "ways to connect that lead nowhere" {
    for where in 'unix:/nonexistent/socket' 'tcp:127.0.0.1:1' 'tty:/dev/null' 'tty:/nonexistent'; do
        run tithe --connect "$where" list
        assert_failure 3
        assert_output --partial "$where: cannot connect"
    done
    for where in 'carrier:pigeon' 'unix:' 'tcp:host' 'tty:/dev/ttyS0,12345' ''; do
        run tithe --connect "$where" --machine none list
        [ "$status" -eq 2 ] || [ "$where" = '' ]
    done
    run tithe --connect 'exec:/nonexistent/program' list
    assert_failure 3
    run tithe --connect 'exec:true' list
    assert_failure 3
    assert_output --partial 'went away'
}

@test "a peer that never answers: an error within the patience, not a hang" {
    run tithe --connect 'exec:sleep 20' --patience 1 list
    assert_failure 3
    assert_output --partial "gave no answer to 'list' within 1 s"
    # A peer that does not even read.
    run tithe --connect 'exec:yes' --patience 1 list
    assert_failure 3
}

@test "errors in JSON" {
    run --separate-stderr tithe --json mem-set a 5X
    assert_failure 2
    [ "$(field code <<<"$output")" = bad-size ]
    [[ $stderr == tithe:* ]]
}

@test "works with stdin, stdout and stderr closed" {
    run bash -c "'$TITHE' --connect 'exec:$STEWARD --sim vms=1 policies=$POLICIES' list <&-"
    assert_success
    run bash -c "'$TITHE' --connect 'exec:$STEWARD --sim vms=1 policies=$POLICIES' list <&- >&- 2>&-"
    assert_success
}

@test "full disk for the output: not a success" {
    [ -e /dev/full ] || skip "no /dev/full here"
    run bash -c "'$TITHE' --help >/dev/full"
    assert_failure 2
}
