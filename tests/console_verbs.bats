# Every verb against the steward's simulated machine.
load console_helper

setup_file() {
    console_setup
    start_sim
}
teardown_file() { console_cleanup; }

# Each test has VMs of its own; what they are called says whose.

@test "version, info and list of an empty machine" {
    run tithe version
    assert_success
    assert_line 'machine 0.1'
    run tithe info
    assert_line --regexp '^total_pages +256M \(65536 pages\)'
    run tithe list
    assert_success
    assert_line --index 0 --partial CONSUMED
}

@test "create, list, info, destroy" {
    run tithe create c1 --size 64M --min 16M --max 48M --shares 2000
    assert_success
    assert_output --regexp '^c1 \(id [0-9]+\) created$'
    run tithe list
    assert_line --regexp '^ +[0-9]+ +c1 +running +64M +16M +48M +2000 +1 '
    run tithe info c1
    assert_line --regexp '^min_pages +16M'
    run tithe destroy c1
    assert_success
    run tithe info c1
    assert_failure 1
    assert_output --partial "no VM 'c1'"
}

@test "a VM is also found by its id" {
    local id
    id=$(tithe --json create byid --size 16M | field id)
    run tithe --json info "$id"
    [ "$(field name <<<"$output")" = byid ]
    tithe destroy "$id"
}

@test "a name twice, a name that is none, a VM larger than can be" {
    tithe create twice --size 16M
    run tithe create twice --size 16M
    assert_failure 1
    assert_output --partial "already"
    run tithe create 'a b' --size 16M
    assert_failure 1
    run tithe create big --size 1T
    assert_failure 1
    run tithe create minimum --size 1G --min 1G
    assert_failure 1
    tithe destroy twice
}

@test "an image that is not there, a file that is not, a directory, an empty file" {
    run tithe create x --size 16M --kernel nosuchimage
    assert_failure 1
    assert_output --partial nosuchimage
    run tithe create x --size 16M --kernel ./nosuchfile
    assert_failure 2
    assert_output --partial './nosuchfile: cannot be read'
    run tithe create x --size 16M --kernel /tmp
    assert_failure 2
    assert_output --partial 'not a regular file'
    : >"$BATS_TEST_TMPDIR/empty"
    run tithe create x --size 16M --kernel "$BATS_TEST_TMPDIR/empty"
    assert_failure 2
    assert_output --partial 'is empty'
    run tithe create x --size 16M --cmdline "$(head -c 600 /dev/zero | tr '\0' x)"
    assert_failure 2
    assert_output --partial 'more than 511 bytes'
}

@test "pause and unpause" {
    tithe create p1 --size 16M --paused
    [ "$(tithe --json info p1 | field state)" = paused ]
    run tithe unpause p1
    assert_success
    [ "$(tithe --json info p1 | field state)" = running ]
    tithe pause p1
    [ "$(tithe --json info p1 | field state)" = paused ]
    tithe destroy p1
    run tithe pause p1
    assert_failure 1
}

@test "suspend and resume" {
    tithe create s1 --size 16M
    tithe create s2 --size 16M --paused
    tithe suspend s1
    run tithe list
    assert_output --regexp 's1 +suspended|suspended.*s1'
    run tithe unpause s1
    assert_failure 1
    run tithe resume s1 --prefetch
    assert_success
    assert_output --partial 'is resumed'
    [ "$(tithe --json info s1 | field state)" = running ]
    run tithe resume s1
    assert_failure 1
    assert_output --partial 'is not suspended'
    tithe suspend s2
    [ "$(tithe --json info s2 | field state)" = suspended ]
    tithe resume s2
    [ "$(tithe --json info s2 | field state)" = paused ]
    tithe suspend s2
    tithe destroy s1
    tithe destroy s2
}

@test "mem-set, mem-max, mem-min, shares" {
    tithe create m1 --size 64M
    tithe mem-set m1 32M
    [ "$(tithe --json info m1 | field target_pages)" = 8192 ]
    [ "$(tithe --json info m1 | field held)" = true ]
    run tithe mem-set m1 auto
    assert_output --partial 'left to the policy'
    [ "$(tithe --json info m1 | field held)" = false ]
    tithe mem-max m1 48M
    tithe mem-min m1 8M
    tithe mem-min m1 0
    tithe mem-min m1 1000p
    tithe shares m1 7
    run tithe --json info m1
    [ "$(field max_pages <<<"$output")" = 12288 ]
    [ "$(field min_pages <<<"$output")" = 1000 ]
    [ "$(field shares <<<"$output")" = 7 ]
    run tithe mem-max m1 65M
    assert_failure 1
    run tithe mem-set nosuch 32M
    assert_failure 1
    tithe destroy m1
}

@test "share groups" {
    tithe create g1 --size 16M
    run tithe share-group g1 127
    assert_success
    assert_output --regexp '^g1 \(id [0-9]+\) share group: 127$'
    [ "$(tithe --json info g1 | field share_group)" = 127 ]
    [ "$(tithe --json share-group g1 0 | field name)" = g1 ]
    [ "$(tithe --json info g1 | field share_group)" = 0 ]
    for group in 128 -1 web ''; do
        run tithe share-group g1 "$group"
        assert_failure 2
        assert_output --partial "share-group '$group': "
        assert_output --partial 'from 0 to 127'
    done
    run tithe share-group nosuch 1
    assert_failure 1
    tithe destroy g1
}

@test "vCPUs, more than the machine has CPUs: list, info, cpu-shares" {
    run tithe create v1 --size 16M --vcpus 8 --cpu-shares 250
    assert_success
    run tithe list
    assert_line --regexp '^ +[0-9]+ +v1 +running +16M +0K +16M +1000 +8 '
    run tithe info v1
    assert_line --regexp '^vcpus +8$'
    assert_line --regexp '^cpu_shares +250$'
    assert_line --regexp '^vcpu 0 +runnable, CPU [01], [0-9.]+ s$'
    assert_line --regexp '^vcpu 7 +runnable, CPU [01], [0-9.]+ s$'
    refute_line --regexp '^vcpu 8'
    run tithe cpu-shares v1 7
    assert_success
    assert_output --regexp '^v1 \(id [0-9]+\) CPU shares: 7$'
    [ "$(tithe --json info v1 | field cpu_shares)" = 7 ]
    [ "$(tithe --json cpu-shares v1 8 | field name)" = v1 ]
    run tithe cpu-shares nosuch 7
    assert_failure 1
    tithe destroy v1
}

@test "the machine's CPUs in info" {
    run tithe info
    assert_line --regexp '^cpus +2$'
    assert_line --regexp '^cpu 1 +guests [0-9.]+ s, steward [0-9.]+ s, worker [0-9.]+ s, idle [0-9.]+ s, APIC id 1$'
    [ "$(tithe --json info | json '["host"]["cpu"][1]["apic_id"]')" = 1 ]
}

@test "console: dump, send, expect, and its ends" {
    tithe create k1 --size 16M
    run tithe console k1 --dump
    assert_success
    assert_output --partial 'k1: simulated guest'
    run tithe console k1 --expect 'simulated +guest, [0-9]+ pages$'
    assert_success
    run tithe console k1 --expect 'never seen' --timeout 1
    assert_failure 3
    assert_output --partial 'within 1 s'
    run tithe console k1 --expect '(' --timeout 1
    assert_failure 2
    run tithe console k1 --send 'bad \q'
    assert_failure 2
    run tithe console k1 --send 'hello\x0a\n'
    assert_success
    run tithe console nosuch --dump
    assert_failure 1
    [[ $(tithe --json console k1 --dump | field text) == k1:* ]]
    tithe destroy k1
}

@test "policy list, show, info, check, load, rollback, set" {
    run tithe policy list
    assert_line --regexp '^proportional +active'
    assert_line --regexp '^equal +available'
    run tithe policy show
    assert_output --partial 'name = "proportional"'
    diff <(tithe policy show equal) "$POLICIES/equal.lua"
    run tithe policy check equal
    assert_success
    assert_output --partial 'equal (equal) is good'
    run tithe policy load "$POLICIES/equal.lua"
    assert_success
    assert_output --partial 'is active'
    [ "$(tithe --json policy info | field name)" = equal ]
    run tithe policy set step_percent 25
    assert_success
    assert_line --regexp 'step_percent = 25(.0)?$'
    run tithe policy set step_percent=20
    assert_success
    run tithe policy set nosuch 1
    assert_failure 1
    run tithe policy set step_percent
    assert_failure 2
    run tithe policy rollback --reason 'a test'
    assert_success
    assert_output --partial 'proportional is active again'
    tithe policy load proportional
}

@test "bad policies are refused with file, line and reason, and the old one stays" {
    local dir=$BATS_TEST_TMPDIR
    printf 'local policy = {\nname = "x" api = 1 }' >"$dir/syntax.lua"
    printf 'return { name = "x", api = 99, tick = function() return {} end }' >"$dir/api.lua"
    printf 'return { name = "x", api = 1 }' >"$dir/missing.lua"
    printf 'return { name = "x", api = 1, tick = function() return 42 end }' >"$dir/types.lua"
    printf '\n\nerror("at load")' >"$dir/throws.lua"
    for bad in syntax api missing types throws; do
        for verb in check load; do
            run tithe policy $verb "$dir/$bad.lua"
            assert_failure 1
            assert_output --partial "$bad"
        done
    done
    run tithe policy load "$dir/syntax.lua"
    assert_output --partial ':2'
    run tithe policy load "$dir/nosuch.lua"
    assert_failure 2
    run tithe policy load nosuchpolicy
    assert_failure 1
    head -c 300000 /dev/zero | tr '\0' ' ' >"$dir/large.lua"
    run tithe policy load "$dir/large.lua"
    assert_failure 2
    assert_output --partial 'more than the'
    [ "$(tithe --json policy info | field name)" = proportional ]
}

@test "stats, events, log" {
    run tithe stats
    assert_success
    assert_line --regexp '^sim\.ticks +[0-9]+$'
    [ "$(tithe --json stats sim.deaths | field sim.deaths)" -ge 0 ]
    run tithe events
    assert_line --regexp '^ +0 +[0-9.]+ s  policy-active'
    [ "$(tithe --json events --since 1 | json '["events"][0]["seq"]')" = 1 ] # the one that asks Python
    run tithe events --since -1
    assert_failure 2
    run tithe log
    assert_line 'simulated machine is up'
    tithe --json log | field log | grep -q 'simulated machine'
}

@test "disks: partitions with the GUIDs of their types" {
    run tithe disks
    assert_success
    assert_line --regexp '^disk 0  sim  simulated disk  1G  DMA below 4G$'
    assert_line --regexp '^ +1 +512M at sector 2048 +0FC63DAF-8483-4772-8E79-3D69D8477DE4  data$'
    assert_line --regexp "0EB00D6F-6F6A-455F-A7C8-23FB488147A7  swap  \(Tithe's swap\)$"
    [ "$(tithe --json disks | json '["disks"][0]["partitions"][1]["swap"]')" = True ]
}

@test "the ledger balances" {
    tithe create l1 --size 16M
    run tithe ledger
    assert_success
    assert_line 'the ledger balances'
    [ "$(tithe --json ledger | field differences)" = 0 ]
    tithe destroy l1
}

@test "images: list, upload, delete, create from a file" {
    head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/my kernel"
    run tithe upload "$BATS_TEST_TMPDIR/my kernel"
    assert_success
    assert_line "image 'my_kernel' is there"
    run tithe upload "$BATS_TEST_TMPDIR/my kernel"
    assert_failure 1
    run tithe upload "$BATS_TEST_TMPDIR/my kernel" --name other
    assert_success
    run tithe images
    assert_line --regexp '^my_kernel +100000  uploaded$'
    tithe images delete my_kernel
    tithe images delete other
    run tithe images delete vmlinuz
    assert_failure 1
    tithe create up1 --size 16M --kernel "$BATS_TEST_TMPDIR/my kernel"
    tithe create up2 --size 16M --kernel "$BATS_TEST_TMPDIR/my kernel"
    [ "$(tithe images | grep -c uploaded)" = 1 ]
    tithe destroy up1
    tithe destroy up2
}

@test "top: once, several, JSON, narrow and wide" {
    tithe create t1 --size 16M
    run tithe top --once
    assert_success
    assert_line --index 0 --partial 'policy proportional'
    assert_line --regexp ' t1 +running '
    run tithe top --count 2 --delay 1 --width 60
    assert_success
    [ "$(awk '{ if (length > m) m = length } END { print m }' <<<"$output")" -le 60 ]
    assert_line --regexp '^CPU% guest/core/steward/idle  0: [0-9]+/[0-9]+/[0-9]+/[0-9]+  1: '
    [ "$(tithe top --json --count 2 --delay 1 | grep -c '"vms":\[{')" = 2 ]
    run tithe top --count 0
    assert_failure 2
    tithe destroy t1
}

@test "several consoles at once" {
    local i pids=()
    for i in 1 2 3 4 5 6 7 8; do
        (tithe create "par$i" --size 4M --kernel mite && tithe pause "par$i" && tithe list &&
            tithe destroy "par$i") >/dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    run tithe list
    refute_output --partial par
}

@test "exp run: verbs as functions, arguments, errors with their status" {
    cat >"$BATS_TEST_TMPDIR/good.lua" <<'LUA'
local made = tithe.create { name = tithe.args[1], size = "16M", min = "1M", vcpus = 3, cpu_shares = 9 }
assert(tithe.info(made.id).min_pages == 256)
assert(#tithe.info(made.id).vcpu == 3 and tithe.info(made.id).cpu_shares == 9)
tithe.cpu_shares(made.id, 10)
assert(tithe.info(made.id).cpu_shares == 10 and #tithe.info().cpu == 2)
tithe.mem_set(made.id, "8M")
local ok, e = tithe.try("destroy", { vm = "nosuch" })
assert(not ok and e.code == "not-found" and e.status == 1)
assert(#tithe.events() > 0 and tithe.ledger().differences == 0)
local before = tithe.now()
tithe.sleep(1)
assert(tithe.now() - before >= 1)
tithe.destroy(made.id)
print("done")
LUA
    run tithe exp run "$BATS_TEST_TMPDIR/good.lua" e1
    assert_success
    assert_output done
    echo 'tithe.destroy("nosuch")' >"$BATS_TEST_TMPDIR/refused.lua"
    run tithe exp run "$BATS_TEST_TMPDIR/refused.lua"
    assert_failure 1
    printf '\nnil()' >"$BATS_TEST_TMPDIR/broken.lua"
    run tithe exp run "$BATS_TEST_TMPDIR/broken.lua"
    assert_failure 2
    assert_output --partial 'broken.lua:2:'
    echo 'return 5' >"$BATS_TEST_TMPDIR/five.lua"
    run tithe exp run "$BATS_TEST_TMPDIR/five.lua"
    assert_failure 5
    run tithe exp run "$BATS_TEST_TMPDIR/nosuch.lua"
    assert_failure 2
}
