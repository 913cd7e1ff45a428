#!/usr/bin/env bats
# mite and the Multiboot test kernels, on QEMU without any hypervisor: what the guest says about itself must be
# true before it can be believed about Tithe. A status is (code << 1) | 1 (isa-debug-exit); 0 is a reset.

bats_load_library bats-support
bats_load_library bats-assert

GUESTS=build/guest

# guest KERNEL COMMAND-LINE [QEMU-OPTION...]: prints the serial line.
guest() {
    local kernel=$1 line=$2
    shift 2
    timeout -k 1 60 qemu-system-x86_64 -kernel "$GUESTS/$kernel.elf" -append "$line" "$@" \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -serial stdio -display none -no-reboot \
        </dev/null 2>"$BATS_TEST_TMPDIR/qemu.err" | tr -d '\r'
    return "${PIPESTATUS[0]}"
}

# The same on a machine that starts faster and has less.
small_guest() {
    guest "$@" -M microvm,isa-serial=on -m 64
}

# Instructions are time: a second of sleep costs nothing, and two runs are alike.
TIMED=(-icount "shift=3,sleep=off")

# with_balloon SCRIPT COMMAND...: runs mite on a machine with a virtio-mmio balloon; COMMAND prints QMP.
with_balloon() {
    local script=$1
    shift
    SERIAL=$BATS_TEST_TMPDIR/serial
    : >"$SERIAL"
    { echo '{"execute":"qmp_capabilities"}'; "$@"; } |
        timeout -k 1 60 qemu-system-x86_64 -M microvm,isa-serial=on -m 64 -global virtio-mmio.force-legacy=false \
            -kernel "$GUESTS/mite.elf" -append "balloon=0xfeb02e00 $script" -device virtio-balloon-device,id=b \
            -device isa-debug-exit,iobase=0xf4,iosize=4 -serial "file:$SERIAL" -display none -no-reboot -qmp stdio \
            >"$BATS_TEST_TMPDIR/qmp" 2>"$BATS_TEST_TMPDIR/qemu.err"
    local status=${PIPESTATUS[1]}
    tr -d '\r' <"$SERIAL"
    return "$status"
}

# wait_for TEXT: for as long as the guest runs, at the most.
wait_for() {
    local tries
    for tries in {1..2000}; do
        grep -q -- "$1" "$SERIAL" && return
        sleep 0.025
    done
    return 1
}

balloon_to() {
    echo "{\"execute\":\"balloon\",\"arguments\":{\"value\":$(($1 << 20))}}"
}

@test "mite touches, verifies and exits with its code" {
    run guest mite 'run=touch:8M,verify,exit:7'
    assert_equal "$status" 15
    assert_line --regexp '^mite: ready mem_pages=[0-9]+ own_pages=[0-9]+ tsc_khz=[0-9]+ '
    assert_line --regexp '^mite: touch pages=2048 ticks=[0-9]+$'
    assert_line --regexp '^mite: verify ok pages=2048 '
    assert_line 'mite: exit code=7'
}

@test "mite exits with 0 at the end of its script" {
    run guest mite 'run=say:hello'
    assert_equal "$status" 1
    assert_line 'mite: say hello'
}

@test "a spoilt page fails verification" {
    run guest mite 'run=touch:1M,spoil,verify,exit:0'
    assert_equal "$status" 3
    assert_line --regexp '^mite: verify FAIL gpa=0x[0-9a-f]+ffc expected=0x[0-9a-f]+ got=0x[0-9a-f]+$'
    assert_line 'mite: verify FAIL pages=256 wrong_pages=1'
    refute_line 'mite: exit code=0'
}

@test "every kind of content verifies, and is spoilt when spoilt" {
    local kind
    for kind in unique alike zero half sparse quarter; do
        run small_guest mite "run=touch:256K:$kind,rewrite,verify,spoil,verify"
        assert_equal "$status" 3
        assert_line --regexp '^mite: verify ok pages=64 '
        assert_line 'mite: verify FAIL pages=64 wrong_pages=1'
    done
}

@test "the report counts what was done" {
    run guest mite 'run=touch:8M,free:2M,report,read:1M,report,rewrite:2M,random:10,report'
    assert_equal "$status" 1
    assert_line --regexp '^mite: report touched_pages=2048 held_pages=1536 working_set_pages=2048 .* ballooned_pages=0'
    assert_line --regexp '^mite: report touched_pages=2048 held_pages=1536 working_set_pages=256 '
    assert_line --regexp '^mite: report touched_pages=2048 held_pages=1536 working_set_pages=5(1[2-9]|2[0-2]) '
}

@test "a random part is rewritten, and all still verifies" {
    run guest mite 'run=touch:8M,rewrite:random:0.25,random:500,verify'
    assert_equal "$status" 1
    local pages
    pages=$(sed -n 's/^mite: rewrite pages=\([0-9]*\) .*/\1/p' <<<"$output")
    assert [ "$pages" -ge 420 ] && assert [ "$pages" -le 600 ]
    assert_line --regexp '^mite: verify ok pages=2048 '
}

@test "touching more than there is takes what there is" {
    run guest mite 'run=touch:1G,verify,report' -m 32
    assert_equal "$status" 1
    assert_line 'mite: touch short wanted_pages=262144'
    assert_line --regexp ' free_pages=0 '
    assert_line --regexp '^mite: verify ok pages=7[0-9]{3} '
}

@test "memory up to 3 GiB is found and can be used" {
    run guest mite 'run=bench:first_touch:10,report' -m 3072
    assert_equal "$status" 1
    assert_line --regexp '^mite: ready mem_pages=7(8[0-9]{4}) '
}

@test "loops nest, and run as often as they say" {
    run small_guest mite 'run=loop:3:{say:a,loop:2:{say:b}},loop:0:{say:c}'
    assert_equal "$status" 1
    assert_equal "$(grep -c '^mite: say a' <<<"$output")" 3
    assert_equal "$(grep -c '^mite: say b' <<<"$output")" 6
    refute_line 'mite: say c'
}

@test "time passes as told: idle, rate and ticks" {
    run guest mite 'run=idle:5s,touch:4M@2M/s,ticks:1s' "${TIMED[@]}"
    assert_equal "$status" 1
    local khz ticks
    khz=$(sed -n 's/^mite: ready .* tsc_khz=\([0-9]*\) .*/\1/p' <<<"$output")
    ticks=$(sed -n 's/^mite: touch pages=1024 ticks=//p' <<<"$output")
    assert [ "$ticks" -ge $((khz * 1990)) ] && assert [ "$ticks" -le $((khz * 2050)) ]
    assert_line --regexp '^mite: ticks count=(999|1000|1001) expected=1000 longest_gap_us=(99[0-9]|10[0-9]{2})$'
}

@test "a bad script is refused before any of it runs" {
    local script
    for script in 'nosuch' 'touch' 'touch:3x' 'touch:-1' 'touch:5G' 'touch:99999999999999999999' 'touch:1M@' \
        'touch:1M@5M' 'touch:1M:pink' 'touch:1M:zero:zero' 'rewrite:random:1.5' 'rewrite:random' 'free:1M@1M/s' \
        'idle:5' 'idle:5h' 'verify:1' 'exit:4294967296' 'loop:3' 'loop:3:touch:1M' 'loop:x:{verify}' 'loop:2:{verify' \
        'loop:2:{}' 'say:' 'verify,' 'verify,,verify' ',verify' 'badop:nosuch' 'badballoon:nosuch' 'bench:nosuch' \
        'await:inflated' '{verify}' 'loop:1:{loop:1:{loop:1:{loop:1:{loop:1:{loop:1:{loop:1:{loop:1:{loop:1:{verify}}}}}}}}}'; do
        run small_guest mite "run=say:started,$script"
        assert_equal "$script: $status" "$script: 5"
        assert_line --regexp '^mite: bad script at ".*": [a-z].*$'
        refute_line 'mite: say started'
    done
}

@test "a bad word of the command line is refused" {
    local word
    for word in 'nosuch' 'nosuch=1' 'seed=x' 'poll=3' 'balloon=0x1ffffffff' 'balloon_rate=5M'; do
        run small_guest mite "run=verify $word"
        assert_equal "$word: $status" "$word: 5"
        assert_line --partial "mite: bad script at \"$word\""
    done
}

@test "a script too long for a command line comes as a module" {
    printf 'say:first,touch:1M,%sverify,exit:9\n' "$(printf 'random:1,%.0s' {1..500})" >"$BATS_TEST_TMPDIR/script"
    run guest mite '' -initrd "$BATS_TEST_TMPDIR/script"
    assert_equal "$status" 19
    assert_line 'mite: say first'
    assert_equal "$(grep -c '^mite: random pages=1 ' <<<"$output")" 500
}

@test "the seed changes unique pages and leaves alike ones" {
    local kind seed
    for kind in unique alike; do
        for seed in 1 2; do
            run small_guest mite "seed=$seed run=touch:4K:$kind,spoil,verify"
            sed -n 's/.*expected=//p' <<<"$output" | head -1 >"$BATS_TEST_TMPDIR/$kind$seed"
        done
    done
    run cmp -s "$BATS_TEST_TMPDIR/unique1" "$BATS_TEST_TMPDIR/unique2"
    assert_failure
    run cut -d' ' -f2 "$BATS_TEST_TMPDIR/alike1"
    assert_output --regexp '^got=0x'
    run cmp "$BATS_TEST_TMPDIR/alike1" "$BATS_TEST_TMPDIR/alike2"
    assert_success
}

@test "benchmarks and the vector registers report" {
    run guest mite 'run=cpuid:100,bench:first_touch:50,bench:serial:8,touch:1M,bench:read:50,bench:write:50,verify,fpu:20ms' -cpu max "${TIMED[@]}"
    assert_equal "$status" 1
    assert_line --regexp '^mite: bench cpuid count=100 average=[0-9]+ minimum=[0-9]+$'
    assert_line --regexp '^mite: bench first_touch count=50 average=[0-9]+ minimum=[0-9]+$'
    assert_line --regexp '^mite: bench serial count=8 '
    assert_line --regexp '^mite: bench read count=50 '
    assert_line --regexp '^mite: bench write count=50 '
    assert_line --regexp '^mite: fpu ok state=x87\+sse\+avx rounds=[1-9]'
}

@test "crash and reboot leave by a reset" {
    local verb
    for verb in crash reboot; do
        run guest mite "run=$verb"
        assert_equal "$status" 0
        assert_line "mite: $verb"
        refute_line 'mite: still here'
    done
}

@test "mite outlives its own bad acts" {
    # Not here: port sweeps, which end QEMU 7.2's UART in an assertion.
    local acts=(ud2 int3 int control msr efer cpuid virt odd step holes devices apic exotic smi paging realmode taskswitch)
    run guest mite "run=touch:4M$(printf ',badop:%s' "${acts[@]}"),verify,exit:0" -cpu max
    assert_equal "$status" 1
    local act
    for act in "${acts[@]}"; do
        assert_line --regexp "^mite: badop $act survived "
    done
    # The exceptions that the architecture promises did come.
    assert_line --regexp '^mite: badop ud2 survived tried=20000 faulted=20000 vectors=0x40 soft=0$'
    assert_line --regexp '^mite: badop int3 survived tried=20000 faulted=0 vectors=0x0 soft=20000$'
    assert_line --regexp '^mite: badop paging survived tried=5 faulted=2 vectors=0x4000 soft=0$'
    assert_line --regexp '^mite: badop step survived tried=100 faulted=0 vectors=0x0 soft=1000$'
    assert_line --regexp '^mite: verify ok pages=1024 '
}

up_and_down() {
    wait_for 'say waiting' && balloon_to 40 && wait_for 'say down' && echo '{"execute":"query-balloon"}' && balloon_to 64
    wait_for 'exit code'
}

@test "the balloon takes free pages, and gives them back" {
    run with_balloon 'run=touch:16M,say:waiting,await:inflated:40s,report,verify,say:down,await:deflated:40s,touch:all,verify,report,exit:7' up_and_down
    assert_equal "$status" 15
    assert_line --regexp '^mite: balloon actual_pages=6144 target_pages=6144 given_pages=0$'
    assert_line --regexp '^mite: report touched_pages=4096 held_pages=4096 .* ballooned_pages=6144 '
    assert_line --regexp '^mite: report .* free_pages=0 ballooned_pages=0 '
    # The device was told, too.
    assert grep -q '"return": {"actual": 41943040}' "$BATS_TEST_TMPDIR/qmp"
}

beyond_free() {
    wait_for 'say waiting' && balloon_to 8
    wait_for 'exit code'
}

@test "the balloon leaves held pages alone, unless they are given" {
    run with_balloon 'run=touch:40M,say:waiting,idle:3s,verify,report,give:4M,idle:1s,verify,report,exit:0' beyond_free
    assert_equal "$status" 1
    assert_line --regexp '^mite: verify ok pages=10240 '
    assert_line --regexp '^mite: report .* held_pages=10240 .* free_pages=0 '
    assert_line --regexp '^mite: verify ok pages=9216 '
    assert_line --regexp '^mite: report .* held_pages=9216 '
}

# As the device sees it: what it had before the first poll is older than the report.
free_memory() {
    local free
    free=$(sed -n 's/^mite: report .* free_pages=\([0-9]*\) .*/\1/p' "$SERIAL")
    echo "\"stat-free-memory\": $((free * 4096)),"
}

ask_statistics() {
    wait_for 'say waiting'
    echo '{"execute":"qom-set","arguments":{"path":"/machine/peripheral/b","property":"guest-stats-polling-interval","value":1}}'
    local tries
    for tries in {1..100}; do
        echo '{"execute":"qom-get","arguments":{"path":"/machine/peripheral/b","property":"guest-stats"}}'
        sleep 0.2
        grep -q "$(free_memory)" "$BATS_TEST_TMPDIR/qmp" && break
    done
    balloon_to 40
    wait_for 'exit code'
}

@test "the statistics queue tells how much is free" {
    run with_balloon 'run=touch:16M,report,say:waiting,await:inflated:40s,exit:0' ask_statistics
    assert_equal "$status" 1
    SERIAL=$BATS_TEST_TMPDIR/serial
    assert grep -q "$(free_memory)" "$BATS_TEST_TMPDIR/qmp"
}

@test "a misused balloon device comes back, and held data stays" {
    run with_balloon 'run=touch:16M,badballoon:all,verify,say:waiting,await:inflated:40s,verify,say:down,exit:0' up_and_down
    assert_equal "$status" 1
    assert_equal "$(grep -c '^mite: badballoon .* survived .* restarted=yes$' <<<"$output")" 16
    assert_line 'mite: badballoon touched_pages=4 zero_pages=4'
    assert_equal "$(grep -c '^mite: verify ok pages=4096 ' <<<"$output")" 2
}

@test "mbinfo prints command line, memory map and module" {
    printf 'hello\001module' >"$BATS_TEST_TMPDIR/module"
    run guest mbinfo 'one two=3' -initrd "$BATS_TEST_TMPDIR/module with words"
    assert_equal "$status" 1
    assert_line 'mbinfo: command_line="build/guest/mbinfo.elf one two=3"'
    assert_line --regexp '^mbinfo: mmap base=0x100000 length=0x[0-9a-f]+ type=1$'
    assert_line 'mbinfo: modules=1'
    assert_line --regexp '^mbinfo: module 0 start=0x[0-9a-f]+000 bytes=12 fnv1a=0x[0-9a-f]+ string=".*module with words"$'
    assert_line 'mbinfo: module 0 text="hello.module"'
    assert_line 'mbinfo: PASS'
}

@test "legacy finds a PC's old hardware at work" {
    run guest legacy '' -icount shift=7,sleep=off
    assert_equal "$status" 1
    local what
    for what in pit 'pic mask' 'pit hlt' 'pit gate' 'serial irq' rtc 'keyboard controller' 'apic timer' 'apic self' ioapic; do
        assert_line "legacy: $what ok"
    done
    assert_line 'legacy: PASS'
}

@test "legacy resets through the keyboard controller" {
    run guest legacy reset
    assert_equal "$status" 0
    assert_line 'legacy: reset'
    refute_line 'legacy: keyboard reset FAIL'
}

@test "several vCPUs share memory, hold registers, and time interrupts" {
    run guest mite 'vcpus=all timer=periodic run=touch:1M,together:4M:200ms:2ms,verify,fpu:20ms,burn:20ms,bench:touch:300,bench:ipi:50,bench:ipi_halt:50,idle:20ms' \
        -smp 4 -cpu EPYC "${TIMED[@]}"
    assert_equal "$status" 1
    assert_line --regexp '^mite: together ok vcpus=4 pages=1024 naps=[1-9][0-9]* rounds=[1-9][0-9]*/[1-9][0-9]*/[1-9][0-9]*/[1-9]'
    assert_line --regexp '^mite: verify ok pages=1280 '
    assert_line --regexp '^mite: fpu ok '
    assert_line --regexp '^mite: bench touch count=300 .* vcpus=1 '
    assert_line --regexp '^mite: bench touch count=1200 .* vcpus=4 '
    assert_line --regexp '^mite: bench ipi count=50 average=[0-9]+ minimum=[1-9]'
    assert_line --regexp '^mite: bench ipi_halt count=50 average=[0-9]+ minimum=[1-9]'
    run guest mite 'vcpus=3 run=idle' -smp 2
    assert_equal "$status" 9
}

@test "smp: vCPUs, interrupts between them, INIT, clocks" {
    run guest smp '' -smp 4 "${TIMED[@]}"
    assert_equal "$status" 1
    assert_line --regexp '^smp: start .* cpus=4 '
    assert_line 'smp: wake ok'
    assert_line 'smp: PASS'
    run guest smp act=exit -smp 4 # by the last one
    assert_equal "$status" 7
    run guest smp act=nothing -smp 2
    assert_equal "$status" 3
    assert_line 'smp: FAIL'
}
