#!/usr/bin/env bats
# The scripts that make the images: what they refuse, and that the same input gives the same bytes.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

setup() {
    cd "$BATS_TEST_TMPDIR"
    images=$BATS_TEST_DIRNAME/../images
    echo one > one
    echo two > two
}

# A file that GRUB takes for a Multiboot2 kernel: an ELF with the header in it.
kernel() {
    printf '.section .mb,"a"\n.balign 8\nh: .long 0xe85250d6,0,e-h,-(0xe85250d6+e-h)\n.word 0,0\n.long 8\ne:\n.text\n.globl _start\n_start: hlt\n' > k.S
    gcc -nostdlib -static -Wl,-Ttext=0x100000,--build-id=none -o k.elf k.S
}

@test "modules: names, sorted, data whole, the same bytes again" {
    run -0 "$images/mkmodules" --output a.cpio policy/b.lua=two steward=one
    touch one two
    run -0 "$images/mkmodules" --output b.cpio steward=one policy/b.lua=two
    cmp a.cpio b.cpio
    run -0 cpio --quiet -t < a.cpio
    assert_output $'policy/b.lua\nsteward'
    mkdir out
    (cd out && cpio --quiet -id < ../a.cpio)
    cmp out/steward one
}

@test "modules: a missing file, a name twice, a path out of the archive" {
    run -1 "$images/mkmodules" --output a.cpio steward=nowhere
    assert_output --partial "nowhere, wanted as steward, is not there"
    run -1 "$images/mkmodules" --output a.cpio steward=one steward=two
    assert_output --partial "steward is given twice"
    run -1 "$images/mkmodules" --output a.cpio ../steward=one
    run -1 "$images/mkmodules" steward=one
    assert_output --partial "--output is missing"
}

@test "iso: the same bytes again, and boot entries for both firmwares" {
    kernel
    run -0 "$images/mkiso" --output a.iso --elf k.elf --modules one --cmdline "log=debug x"
    run -0 "$images/mkiso" --output b.iso --elf k.elf --modules one --cmdline "log=debug x"
    cmp a.iso b.iso
    run -0 xorriso -indev a.iso -report_el_torito plain -find /boot
    assert_output --partial "BIOS  y   none"
    assert_output --partial "UEFI  y   none"
    assert_output --partial "'/boot/tithe.elf'"
    assert_output --partial "'/boot/modules.cpio'"
}

@test "iso: no core, a core that is none, quotes in the command line, an unknown option" {
    run -1 "$images/mkiso" --output a.iso --elf nowhere --modules one
    assert_output --partial "the core nowhere cannot be read"
    run -1 "$images/mkiso" --output a.iso --elf one --modules one
    assert_output --partial "one is not a Multiboot2 kernel"
    kernel
    run -1 "$images/mkiso" --output a.iso --elf k.elf --modules nowhere
    assert_output --partial "the module archive nowhere cannot be read"
    run -1 "$images/mkiso" --output a.iso --elf k.elf --modules one --cmdline 'a "b"'
    assert_output --partial "has quotes"
    run -1 "$images/mkiso" --nonsense
    assert_output --partial "unknown option '--nonsense'"
}

@test "deps: --check says nothing when all is there, and an unknown option is refused" {
    run -0 "$images/deps" --check
    assert_output ""
    run -2 "$images/deps" --nonsense
}

@test "deps: names what is missing" {
    mkdir other
    cp "$images/deps" other/
    printf 'bash # there\nno-such-package-anywhere # not there\n' > other/packages.txt
    run -1 other/deps --check
    assert_output "deps: missing: no-such-package-anywhere"
}

@test "every script has --help" {
    local script
    for script in images/code-lines images/deps images/fetch-kernel images/lint images/mkiso images/mkmodules \
        guest-tools/linux/mkinitrd tests/bench tests/run-tests .ci/run; do
        run -0 "$BATS_TEST_DIRNAME/../$script" --help
        assert_output --regexp "[Uu]sage: "
    done
}
