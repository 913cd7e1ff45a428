# Whole machines for the system tests. A platform is amd-none (QEMU -kernel), amd-uefi (QEMU, OVMF), vtx-bios or
# vtx-uefi (Bochs). Two ways to start one:
#
#   solo          a core that runs one VM by itself, or none, and leaves: its log is printed, its status returned
#   machine_start a machine that `tithe run` keeps in the background, for all tests of a file
bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

BUILD=build
LINUX_WORDS=$(cat guest-tools/linux/cmdline.txt)

# ---- solo ----

# Statuses of `solo` that no core leaves with.
SOLO_EARLY=200 # the emulator ended, or was ended by the time limit, before the core said that it leaves
SOLO_DISAGREES=201

# fill FILE: the emulator configuration on standard output, with its placeholders filled.
fill() {
    sed -e "s|@ISO@|$SOLO_DIR/iso|; s|@KERNEL@|$KERNEL|; s|@MODULES@|$MODULES|; s|@CPUS@|${CPUS:-1}|" \
        -e "s|@MEMORY_MIB@|$MEMORY|; s|@LOG@|$SOLO_DIR/emulator.log|; s|@CMDLINE@|$WORDS|" \
        -e "s|socket,id=line,path=@SERIAL@|file,id=line,path=$SOLO_DIR/log|" \
        -e "s|mode=socket-client, dev=.*|mode=file, dev=$SOLO_DIR/log|" "images/emulators/$1"
}

start_qemu() {
    local option value arguments=()
    while read -r option value; do
        case $option in
        '' | '#'*) continue ;;
        -initrd) [ "$MODULES" != none ] || continue ;;
        esac
        arguments+=("$option")
        case $value in
        '') ;; # an option without
        '"'*'"') arguments+=("${value:1:-1}") ;;
        *) arguments+=("$value") ;;
        esac
    done < <(fill "qemu-$1.args")
    timeout -k 2 "$LIMIT" qemu-system-x86_64 "${arguments[@]}" "${EMULATOR_EXTRA[@]}" </dev/null >"$SOLO_DIR/output" 2>&1
}

start_bochs() {
    { fill "bochs-${1#vtx-}.bxrc"; printf '%s\n' "${EMULATOR_EXTRA[@]}"; } >"$SOLO_DIR/bochsrc"
    printf 'c\nq\n' >"$SOLO_DIR/commands"
    # It can outlive a SIGTERM.
    TERM=vt100 timeout -k 2 "$LIMIT" bochs-bin -q -f "$SOLO_DIR/bochsrc" -rc "$SOLO_DIR/commands" </dev/null \
        >"$SOLO_DIR/output" 2>&1
}

# solo PLATFORM CORE-COMMAND-LINE: prints the log without its counters and returns the core's status, if the core's
# last word and the emulator agree on it. A triple fault, whose status looks like success in QEMU, does not pass.
# More arguments are QEMU's, or lines of Bochs' configuration. From the environment: MEMORY in MiB, MODULES (an archive or none), CPUS, LIMIT in seconds, KERNEL (with
# amd-none, another ELF than the core).
solo() {
    local platform=$1 WORDS=$2 EMULATOR_EXTRA=("${@:3}") emulator said wanted
    local MEMORY=${MEMORY:-128} MODULES=${MODULES:-$BUILD/images/modules.cpio} LIMIT=${LIMIT:-120}
    local KERNEL=${KERNEL:-$BUILD/hv/tithe.elf}
    SOLO_DIR=$(mktemp -d "$BATS_TEST_TMPDIR/solo.XXXXXX")
    : >"$SOLO_DIR/log"
    if [ "$platform" != amd-none ]; then
        images/mkiso --cmdline "$WORDS" --modules "$MODULES" --output "$SOLO_DIR/iso" || return $SOLO_EARLY
    fi
    case $platform in
    amd-*) start_qemu "$platform" && emulator=0 || emulator=$? ;;
    vtx-*) start_bochs "$platform" && emulator=0 || emulator=$? ;;
    esac
    tr -d '\r' <"$SOLO_DIR/log" | grep -av '^stat: '
    said=$(tr -d '\r' <"$SOLO_DIR/log" | tail -n 1 | sed -n 's/^tithe: exit \([0-9]*\)$/\1/p')
    [ -n "$said" ] || { echo "solo: ended early, emulator status $emulator"; tail -n 3 "$SOLO_DIR/output"; return $SOLO_EARLY; }
    case $platform in
    amd-*) wanted=$(((said << 1) | 1)) ;;    # isa-debug-exit
    vtx-*) wanted=$((said == 0 ? 0 : 1)) ;; # through the debugger, or by a shutdown
    esac
    [ "$emulator" = "$wanted" ] || { echo "solo: core says $said, emulator $emulator"; return $SOLO_DISAGREES; }
    return "$said"
}

# words WORD...: as one value of the core's command line, whose words hold no spaces.
words() {
    local text=$*
    echo "${text// /+}"
}

assert_balanced() {
    assert_line --regexp '^ledger: .* differences=0 *$'
}

# ---- a machine for a whole file ----

# machine_start PLATFORM [ARGUMENT of `tithe run`...]: for setup_file. Its files are this bats file's own.
machine_start() {
    export XDG_RUNTIME_DIR=$BATS_FILE_TMPDIR PLATFORM=$1
    unset TITHE_CONNECT TITHE_TOP
    shift
    timeout 300 $BUILD/console/tithe run --name m --hw "${PLATFORM%-*}" --firmware "${PLATFORM#*-}" --timeout 1500 "$@" \
        </dev/null >"$BATS_FILE_TMPDIR/run" 2>&1 || { cat "$BATS_FILE_TMPDIR/run"; return 1; }
}

# For teardown_file: ends the machine, however it fares, and whatever process may be left of it.
machine_end() {
    local broker
    broker=$(cat "$XDG_RUNTIME_DIR"/tithe-*/m/pid 2>/dev/null) || return 0
    timeout 60 $BUILD/console/tithe --machine m --patience 5 stop --force >/dev/null 2>&1 || true
    # The emulator dies with its broker. The pid is ours as long as that program runs under it.
    if tr '\0' ' ' <"/proc/$broker/cmdline" 2>/dev/null | grep -q 'tithe run --name m'; then
        kill -KILL "$broker"
    fi
}

# The last test of a file: nothing was lost, and the machine leaves as it should.
assert_machine_ends_well() {
    run -0 tithe ledger
    assert_line "the ledger balances"
    run -0 tithe stop
    assert_output --partial "the core left with status 0"
}

tithe() {
    local status=0
    timeout "${TITHE_LIMIT:-120}" $BUILD/console/tithe --machine m "$@" || status=$?
    # No answer: see assert_answers.
    [ "$status" != 3 ] || [ "$1" = console ] || touch "$BATS_FILE_TMPDIR/lost"
    return "$status"
}

# For setup: a machine that was lost fails every later test at once, and not after half a minute each.
assert_answers() {
    [ ! -e "$BATS_FILE_TMPDIR/lost" ] || fail "the machine has not answered an earlier test; its log: $(tail -n 20 "$XDG_RUNTIME_DIR"/tithe-*/m/log)"
}

# vm_end NAME [SECONDS]: waits until the VM has stopped, and prints its console without carriage returns.
vm_end() {
    timeout "${2:-240}" $BUILD/console/tithe --machine m console "$1" --follow | tr -d '\r'
    [ "${PIPESTATUS[0]}" = 0 ] || { echo "vm_end: $1 has not stopped"; return 1; }
}

# vm_says NAME REGEX [SECONDS]
vm_says() {
    TITHE_LIMIT=$((${3:-240} + 10)) tithe console "$1" --expect "$2" --timeout "${3:-240}"
}

# vm_field NAME FIELD: of `tithe info`.
vm_field() {
    tithe info "$1" --json | sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p"
}

# assert_stopped NAME HOW [EXIT-CODE]
assert_stopped() {
    assert_equal "$1 $(vm_field "$1" stop_reason)" "$1 $2"
    [ -z "${3:-}" ] || assert_equal "$1 $(vm_field "$1" exit_code)" "$1 $3"
    assert_equal "$(vm_field "$1" consumed_pages)" 0
}

# eventually SECONDS COMMAND...: until it succeeds.
eventually() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || { echo "never: $*"; return 1; }
        sleep 0.3
    done
}

# A VM that verifies and rewrites its memory for ever: what others do must not touch it.
witness_start() {
    tithe create witness --size 16M --mite 'touch:6M,loop:forever:{verify,rewrite:random:0.1,idle:20ms}'
    vm_says witness 'verify ok' 60 >/dev/null
}

# It has found its data whole, and goes on.
assert_witness() {
    local before
    before=$(vm_field witness console_offset)
    eventually 60 eval "[ \$(vm_field witness console_offset) -gt $before ]"
    run -0 tithe console witness --dump
    assert_output --partial 'mite: verify ok pages=1536'
    refute_output --partial 'FAIL'
}
