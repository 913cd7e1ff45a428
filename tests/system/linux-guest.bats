#!/usr/bin/env bats
# The Linux guest on QEMU's microvm, a machine much like the one that Tithe shows its guests: what fails here is the
# guest's fault, not Tithe's.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

# microvm WORDS [ARGUMENT...]: boots with these words added to the command line; the console goes to standard output.
microvm() {
    local words=$1
    shift
    timeout 120 qemu-system-x86_64 -machine microvm,acpi=on,isa-serial=on,auto-kernel-cmdline=off -accel tcg \
        -cpu EPYC,-rdrand -m 128 -seed 1 -icount "shift=0,sleep=${SLEEP:-off}" -rtc base=2026-01-01,clock=vm \
        -nodefaults -no-user-config -display none -no-reboot -serial stdio -device virtio-balloon-device \
        -kernel build/guest/vmlinuz -initrd build/guest/initrd -append "$(cat guest-tools/linux/cmdline.txt) $words" \
        "$@" 2> "$BATS_TEST_TMPDIR/stderr" < /dev/null | sed -u 's/\r//g'
}

@test "boots, writes and verifies 64 MB, powers off; and does so twice alike" {
    run microvm 'tithe.run=clock,touch:64M,verify,rewrite,verify,free tithe.then=poweroff'
    assert_line "tithe-guest: ready"
    assert_line --partial "verify ok pages=16384 bad=0"
    assert_line "memload: PASS"
    assert_output --partial "reboot: Power down"
    refute_output --partial "did not load"
    local first=$output
    run microvm 'tithe.run=clock,touch:64M,verify,rewrite,verify,free tithe.then=poweroff'
    assert_equal "$output" "$first"
}

@test "a bad script is named, and the guest still does what comes afterwards" {
    run microvm 'tithe.run=touch tithe.then=poweroff'
    assert_line 'memload: FAIL reason="script: touch: wants a size such as 64M, or 64M:zero"'
    assert_output --partial "reboot: Power down"
}

@test "crash and reboot reset the machine" {
    # This machine's ACPI reset does nothing under Linux; a triple fault does.
    run microvm 'tithe.then=reboot reboot=t'
    assert_output --partial "reboot: Restarting system"
    run microvm 'tithe.then=crash reboot=t'
    assert_output --partial "Kernel panic - not syncing: sysrq triggered crash"
}

@test "memload's result comes out of the exit port" {
    run microvm 'tithe.run=touch:1M,verify tithe.then=exit' -device isa-debug-exit,iobase=0xf4,iosize=4
    assert_line "tithe-guest: exit"
    refute_output --partial "did not stop this machine"
}

@test "the balloon takes memory, memload waits for it, and the data is whole" {
    local qmp=$BATS_TEST_TMPDIR/qmp
    # Real time: otherwise an idle guest's waiting is over before we look.
    SLEEP=on microvm 'tithe.run=touch:40M,wait:10s,verify,touch:30M,verify tithe.then=poweroff' \
        -qmp "unix:$qmp,server=on,wait=on" > "$BATS_TEST_TMPDIR/console" &
    python3 - "$qmp" "$BATS_TEST_TMPDIR/console" <<'PY'
import json, socket, sys, time
link = socket.socket(socket.AF_UNIX)
for attempt in range(100):
    try:
        link.connect(sys.argv[1])
        break
    except OSError:
        time.sleep(0.1)
stream = link.makefile("rw")
def ask(command, **arguments):
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "return" in answer or "error" in answer:
            return answer
def see(text):
    for attempt in range(600):
        if text in open(sys.argv[2], errors="replace").read():
            return
        time.sleep(0.1)
    sys.exit(f"the guest never said: {text}")
stream.readline()
ask("qmp_capabilities")
see("phase=touch")
ask("balloon", value=80 << 20)
see("verify ok")
time.sleep(2)
ask("balloon", value=128 << 20)
PY
    wait
    run cat "$BATS_TEST_TMPDIR/console"
    assert_line --regexp 'phase=touch pages=7680 ms=[0-9]+ waited_ms=[1-9][0-9]*'
    assert_line "memload: PASS"
}
