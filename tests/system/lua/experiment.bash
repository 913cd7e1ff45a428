# Shared by the system tests of steward, policies and console: a machine of the file's own, and experiments on it.
bats_load_library bats-support
bats_load_library bats-assert

LUA_DIR=$BATS_TEST_DIRNAME/lua
export LUA_PATH="$LUA_DIR/?.lua"
TITHE=$BATS_TEST_DIRNAME/../../build/console/tithe

# A short path, for sockets lie in it; removed by machines_cleanup.
machines_setup() {
    unset TITHE_CONNECT TITHE_TOP
    XDG_RUNTIME_DIR=$(mktemp -d /tmp/tithe-test.XXXXXX)
    export XDG_RUNTIME_DIR
}

machines_cleanup() {
    for dir in "$XDG_RUNTIME_DIR"/tithe-*/*/; do
        [ -d "$dir" ] || continue
        timeout 20 "$TITHE" --machine "$(basename "$dir")" --patience 2 stop --force > /dev/null 2>&1 || true
    done
    rm -rf "$XDG_RUNTIME_DIR"
}

# machine NAME OPTIONS...: starts one that ends after ten minutes at the latest.
machine() {
    local name=$1
    shift
    tithe run --name "$name" --timeout 600 "$@" > /dev/null
}

tithe() {
    timeout "${LIMIT:-120}" "$TITHE" "$@"
}

# experiment NAME [WORDS]: runs lua/NAME.lua on the machine that was last started. What it prints after `# ` is shown.
experiment() {
    local name=$1
    shift
    TMPDIR=$BATS_TEST_TMPDIR LIMIT=${LIMIT:-900} run tithe --patience "${PATIENCE:-30}" exp run "$LUA_DIR/$name.lua" "$@"
    printf '%s\n' "$output" | grep '^# ' >&3 || true
    assert_success
}
