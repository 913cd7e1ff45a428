#!/usr/bin/env bats
# All of `make lint` in the host tier, and its counter of code lines.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

@test "lint: all C is laid out as .clang-format says, and luacheck finds nothing" {
    run -0 images/lint layout lua
}

@test "lint: every script can be parsed, no file is too long, and the core is as small as it is to be" {
    run -0 images/lint shell files size
    assert_line --regexp '^lint: hv/ without the steward has [0-9]+ lines of code'
}

@test "code lines: no blanks, no comments, however they are written" {
    cat > "$BATS_TEST_TMPDIR/x.c" <<'C'
/* one
   two */

// three \
   four
int a; /* five */ int b;
    /* six */ /* seven */
char *c = "/* not a comment", *d = "\"//", e = '"'; // eight
/* nine */ int f;
   * g = 1;
C
    printf '\n' >> "$BATS_TEST_TMPDIR/x.c"
    run -0 images/code-lines "$BATS_TEST_TMPDIR/x.c"
    assert_output 4
    echo 'int a;' > "$BATS_TEST_TMPDIR/y.c"
    run -0 images/code-lines --each "$BATS_TEST_TMPDIR/y.c" "$BATS_TEST_TMPDIR/x.c"
    assert_output "4 $BATS_TEST_TMPDIR/x.c
1 $BATS_TEST_TMPDIR/y.c
5"
}

@test "lint: an unknown part is refused" {
    run -2 images/lint nonsense
    assert_output --partial "unknown part 'nonsense'"
}
