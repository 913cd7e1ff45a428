# Shared by the console's tests: a state directory of their own, and a simulated machine in it.
bats_load_library bats-support
bats_load_library bats-assert

TITHE=$BATS_TEST_DIRNAME/../build/console/tithe
STEWARD=$BATS_TEST_DIRNAME/../build/steward/steward
POLICIES=$BATS_TEST_DIRNAME/../policy-lua
PROXY=$BATS_TEST_DIRNAME/../build/tests/console-proxy

# A short path: sockets lie in it. It is removed by console_cleanup.
console_setup() {
    unset TITHE_CONNECT TITHE_TOP
    XDG_RUNTIME_DIR=$(mktemp -d /tmp/tithe-test.XXXXXX)
    export XDG_RUNTIME_DIR
}

start_sim() {
    "$TITHE" run --hw sim --name "${1:-sim}" --memory 256M --cpus 2 --timeout 100 >/dev/null
}

console_cleanup() {
    for dir in "$XDG_RUNTIME_DIR"/tithe-*/*/; do
        [ -d "$dir" ] || continue
        timeout 10 "$TITHE" --machine "$(basename "$dir")" --patience 2 stop --force >/dev/null 2>&1 || true
    done
    rm -rf "$XDG_RUNTIME_DIR"
}

# tithe, with a limit, as nothing here may hang.
tithe() {
    timeout 30 "$TITHE" "$@"
}

# The last field of this name in the JSON on stdin, without quotes: field state
field() {
    sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p'
}

# The JSON on stdin is JSON, and Python's idea of a part of it: json '["vms"][0]["name"]'
json() {
    python3 -c "import json, sys; print(json.load(sys.stdin)$1)"
}
