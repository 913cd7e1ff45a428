# `tithe run` and `stop`, with emulators that are scripts: what counts as success, what is left behind, what is missing.
load console_helper

setup() {
    console_setup
    # A tree with images that nobody looks into, and the real configurations.
    export TITHE_TOP=$XDG_RUNTIME_DIR/top
    mkdir -p "$TITHE_TOP"/{build/images,build/hv,images,bin}
    cp -r "$BATS_TEST_DIRNAME/../images/emulators" "$TITHE_TOP/images/"
    touch "$TITHE_TOP"/build/{images/tithe.iso,images/modules.cpio,hv/tithe.elf}
    PATH=$TITHE_TOP/bin:$PATH
}
teardown() {
    unset TITHE_TOP
    console_cleanup
}

# fake_qemu STATUS SHELL-COMMANDS: connects to the serial socket; `say` prints a line there
fake_qemu() {
    cat >"$TITHE_TOP/bin/qemu-system-x86_64" <<EOF
#!/usr/bin/env bash
echo "\$\$" > "$XDG_RUNTIME_DIR/qemu.pid"
printf '%s\n' "\$@" > "$XDG_RUNTIME_DIR/qemu.args"
socket=\$(printf '%s\n' "\$@" | sed -n 's/.*path=\([^,]*\).*/\1/p')
coproc LINE { exec socat - "UNIX-CONNECT:\$socket"; }
say() { echo "\$*" >&"\${LINE[1]}"; }
$2
sleep 0.2
exit $1
EOF
    chmod +x "$TITHE_TOP/bin/qemu-system-x86_64"
}

run_amd() {
    run tithe run --hw amd --firmware none --timeout 20 "$@"
}

gone() {
    local pid
    pid=$(cat "$XDG_RUNTIME_DIR/qemu.pid")
    for _ in $(seq 200); do
        # A container's init may leave the dead lying about.
        if [ ! -e "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status"; then return 0; fi
        sleep 0.1
    done
    return 1
}

@test "the word and the status together are a success" {
    fake_qemu 1 'say "tithe: ready"; say "tithe: exit 0"'
    run_amd --foreground
    assert_success
    assert_line 'tithe: ready'
    assert_line "machine 'default': the core left with status 0"
}

@test "a triple fault never looks like a success" {
    fake_qemu 0 'say "tithe: ready"'
    run_amd --foreground
    assert_failure 4
    assert_output --partial 'ended with status 0 before the core said so'
    fake_qemu 0 'say "tithe: exit 0"'
    run_amd --foreground
    assert_failure 4
    assert_output --partial 'but the emulator ended with 0'
    fake_qemu 1 'say "tithe: ready"'
    run_amd --foreground
    assert_failure 4
}

@test "a status that is not 0 is a failure, and named" {
    fake_qemu 7 'say "tithe: exit 3"'
    run_amd --foreground
    assert_failure 4
    assert_output --partial 'left with status 3'
}

@test "an end before it is ready is a failure also in the background" {
    fake_qemu 1 'say "tithe: exit 0"'
    run_amd
    assert_failure 4
    assert_output --partial 'before it was ready'
}

@test "its time is up" {
    fake_qemu 1 'sleep 60'
    run tithe run --hw amd --firmware none --timeout 3 --foreground
    assert_failure 4
    assert_output --partial 'its time was up'
    gone
}

@test "runs in the background, is not started twice, and is ended by stop --force" {
    fake_qemu 1 'say "tithe: ready"; sleep 60'
    run_amd
    assert_success
    assert_line --partial "machine 'default' is up"
    run_amd
    assert_failure 4
    assert_output --partial 'is already running'
    run tithe --patience 1 list
    assert_failure 3
    run tithe --patience 1 stop
    assert_failure 3
    assert_output --partial 'stop --force'
    run tithe --patience 1 stop --force
    assert_success
    gone
    run tithe list
    assert_failure 3
    assert_output --partial 'is not running'
}

@test "no emulator is left behind when the command is killed" {
    fake_qemu 1 'sleep 60'
    "$TITHE" run --hw amd --firmware none --timeout 30 >/dev/null 2>&1 &
    local pid=$!
    for _ in $(seq 200); do [ -e "$XDG_RUNTIME_DIR/qemu.pid" ] && break || sleep 0.1; done
    kill -KILL $pid
    gone
}

@test "no emulator is left behind when its broker is killed" {
    fake_qemu 1 'say "tithe: ready"; sleep 60'
    run_amd
    assert_success
    kill -KILL "$(cat "$XDG_RUNTIME_DIR"/tithe-*/default/pid)"
    gone
    run tithe list
    assert_failure 3
}

@test "the emulator dies under a request" {
    fake_qemu 1 'say "tithe: ready"; sleep 1; exit 3'
    run_amd
    assert_success
    run tithe list
    assert_failure 3
    assert_output --partial "machine 'default': has ended: the emulator ended with status 3"
}

@test "memory, CPUs and command line reach the emulator whole" {
    fake_qemu 1 'say "tithe: exit 0"'
    run_amd --foreground --memory 1.5G --cpus 16 --cmdline 'a "b c" #d @e@ f=$HOME'
    assert_success
    run cat "$XDG_RUNTIME_DIR/qemu.args"
    assert_line 1536
    assert_equal "$(grep -A 1 -x -e -smp <<<"$output")" $'-smp\n16'
    assert_line 'a "b c" #d @e@ f=$HOME'
    run_amd --foreground --deterministic
    run cat "$XDG_RUNTIME_DIR/qemu.args"
    assert_line 'shift=0,sleep=off'
}

@test "a disk image reaches the emulator by its whole path, or is refused" {
    local dir=$BATS_TEST_TMPDIR
    truncate -s 1M "$dir/a disk.img" "$dir/a,b.img"
    truncate -s 1000 "$dir/odd.img"
    fake_qemu 1 'say "tithe: exit 0"'
    cd "$dir"
    run_amd --foreground --disk 'a disk.img'
    assert_success
    run cat "$XDG_RUNTIME_DIR/qemu.args"
    assert_line "file=$dir/a disk.img,format=raw,if=ide,index=0"
    run_amd --disk odd.img
    assert_failure 2
    assert_output --partial 'whole sectors'
    run_amd --disk a,b.img
    assert_failure 2
    run_amd --disk none.img
    assert_failure 2
    assert_output --partial "truncate"
    run tithe run --hw sim --disk 'a disk.img'
    assert_failure 2
}

@test "what is missing is named, with what mends it" {
    fake_qemu 1 true
    rm "$TITHE_TOP/build/images/modules.cpio"
    run_amd
    assert_failure 4
    assert_output --partial 'modules.cpio'
    assert_output --partial "'make all'"
    rm "$TITHE_TOP/build/images/tithe.iso"
    run tithe run --hw amd --firmware uefi
    assert_failure 4
    assert_output --partial "'make iso'"
    run tithe run --hw amd --firmware uefi --iso /nonexistent.iso
    assert_failure 2
    PATH=$TITHE_TOP/none run "$TITHE" run --hw vtx
    assert_failure 4
    assert_output --partial 'apt-get install bochs'
}

@test "hardware, firmware, memory and time that cannot be" {
    run tithe run --hw arm
    assert_failure 2
    assert_output --partial 'vtx, amd, kvm, auto or sim'
    run tithe run --firmware coreboot
    assert_failure 2
    run tithe run --hw vtx --firmware none
    assert_failure 2
    assert_output --partial '--firmware bios or --firmware uefi'
    run tithe run --hw amd --memory 100p
    assert_failure 2
    run tithe run --hw amd --memory 5X
    assert_failure 2
    run tithe run --hw amd --timeout 0
    assert_failure 2
    run tithe run --hw amd --name '../x'
    assert_failure 2
}

@test "CPUs: one unless asked, as many as the platform can have, and auto" {
    fake_qemu 1 'say "tithe: exit 0"'
    local asked
    for asked in '' '--cpus 4' '--cpus auto'; do
        run_amd --json --foreground $asked
        assert_success
        case $asked in '') assert_output --partial '"cpus":1,' ;; *4) assert_output --partial '"cpus":4,' ;; *) assert_output --partial '"cpus":2,' ;; esac
        assert_equal "$(grep -A 1 -x -e -smp "$XDG_RUNTIME_DIR/qemu.args" | tail -n 1)" "$(field cpus <<<"$output")"
    done
    for asked in 0 17 -1 two ''; do
        run tithe run --hw amd --cpus "$asked"
        assert_failure 2
        assert_output --partial "cpus '$asked': "
        assert_output --partial 'from 1 to 16'
    done
}

@test "CPUs: Bochs has at most eight, with UEFI one, and says so; auto takes what there is" {
    run tithe run --hw vtx --firmware uefi --cpus 2
    assert_failure 2
    assert_output --partial -- '--cpus 2: --hw vtx --firmware uefi can have 1: '
    assert_output --partial -- '--firmware bios'
    run tithe run --hw vtx --firmware bios --cpus 9
    assert_failure 2
    assert_output --partial -- '--cpus 9: --hw vtx --firmware bios can have 8: '
    assert_output --partial 'ive 1 to 8'
    rm "$TITHE_TOP/build/images/tithe.iso"
    for asked in 'uefi --cpus 1' 'uefi --cpus auto' 'bios --cpus 8'; do
        run tithe run --hw vtx --firmware $asked
        assert_failure 4 # that it misses the image means that it was content with the CPUs
    done
}

@test "auto says what it took and why" {
    fake_qemu 1 'say "tithe: exit 0"'
    run tithe run --hw auto --foreground --timeout 20
    assert_output --regexp 'auto: took (amd|kvm).*,'
}
