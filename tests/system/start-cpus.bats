#!/usr/bin/env bats
# Starting the other CPUs; CPUs that do not start, or not as they should; all of them at the end.
# The core's own tests do the work: they compare each CPU's control registers with the boot CPU's, look at its stacks and
# timer, and kick all of them out of their halt 2000 times.

load ../lib/machine

export MODULES=none

# starts PLATFORM CPUS WORDS COUNT: of so many CPUs that the machine has, COUNT run.
starts() {
    CPUS=$2 run solo "$1" "self-test=smp $3"
    assert_equal "$1 $2 $3: $status" "$1 $2 $3: 0"
    assert_line "tithe: $4 CPU$([ "$4" = 1 ] || echo s)"
    assert_line 'self-test: passed, 0 failures'
}

# left_out PLATFORM CPUS WORDS PLACE WHY: all but the CPU in that place of ACPI's list run.
left_out() {
    starts "$1" "$2" "$3" $(($2 - 1))
    assert_line --regexp "^tithe: CPU $4 \(APIC id $4\) does not start: $5; it is left out$"
    assert_equal "$(grep -c 'is left out' <<<"$output")" 1
}

@test "four CPUs on AMD-V, booted directly and by UEFI" {
    starts amd-none 4 '' 4
    refute_output --partial 'left out'
    starts amd-uefi 4 '' 4
    refute_output --partial 'left out'
}

@test "two CPUs on VT-x" {
    starts vtx-bios 2 '' 2
    refute_output --partial 'left out'
}

@test "one CPU" {
    starts amd-none 1 '' 1
    starts vtx-bios 1 '' 1
}

@test "cpus=N takes N of them, the boot CPU whatever it says" {
    starts amd-none 4 cpus=2 2
    starts amd-none 4 cpus=0 1
    starts amd-none 2 cpus=100 2
}

@test "a CPU that never answers is named and left out" {
    left_out amd-none 4 smp-test=silent:2 2 'it does not answer'
    left_out vtx-bios 2 smp-test=silent:1 1 'it does not answer'
}

@test "a CPU that was given up finds that out when it awakes, while another starts" {
    left_out amd-none 4 smp-test=late:2 2 'it does not answer'
    assert_line 'smp-test: late, and halted'
    left_out amd-none 4 smp-test=stuck:1 1 'it stops in the middle of its start'
}

@test "a CPU whose TSC is out of step is left out" {
    left_out amd-none 4 smp-test=skew:3 3 'its TSC is out of step .* by [0-9]+ ticks or more'
    left_out vtx-bios 2 smp-test=skew:1 1 'its TSC is out of step .* by [0-9]+ ticks or more'
}

@test "a CPU that cannot be a host is left out, and the next gets its number" {
    left_out amd-none 4 refuse=1 1 'the test refuses it'
}

@test "more CPUs than the core takes" {
    LIMIT=300 starts amd-none 66 cpus=5 5
    assert_line 'tithe: this machine has more than 64 CPUs: the rest is left out'
}

# A machine with three sockets; what the second one lacks, as QEMU's -device has it.
unlike() {
    local cpu=EPYC-x86_64-cpu,core-id=0,thread-id=0
    CPUS=1,maxcpus=3,sockets=3,cores=1,threads=1 run solo amd-none self-test=smp \
        -device "$cpu,socket-id=1,$1" -device "$cpu,socket-id=2"
    assert_equal "$1: $status" "$1: 0"
    assert_line --regexp "^tithe: CPU 1 \(APIC id 1\) does not start: $2; it is left out$"
    assert_line 'tithe: 2 CPUs'
    assert_line 'self-test: passed, 0 failures'
}

@test "a CPU with other features than the boot CPU's is left out" {
    unlike avx2=off "its CPUID leaf 7 differs from the boot CPU's"
    unlike xsave=off "its CPUID leaf 1 differs from the boot CPU's"
    unlike svm=off 'its CPUID leaf 0x80000001 differs .*'
    unlike vendor=GenuineIntel 'it is of another make .*'
}

@test "places for CPUs that are not there are none" {
    starts amd-none 2,maxcpus=4 '' 2
    refute_output --partial 'left out'
}

@test "memory types that firmware has set on the boot CPU alone are those of all" {
    starts amd-none 4 smp-test=mtrr:1 4
    starts vtx-bios 2 smp-test=mtrr:1 2
}

# panics PLATFORM CPUS HOW: one CPU is heard, from beginning to end and without a word of another.
panics() {
    CPUS=$2 run solo "$1" "panic-test=$3"
    assert_equal "$status" 70
    assert_line "tithe: $2 CPUs"
    local panic
    panic=$(sed -n '/panic: /,$p' <<<"$output") # also where it is not the line's beginning
    assert_equal "$(grep -c 'a test' <<<"$panic")" 1
    assert_equal "$(grep -vc '^panic: ' <<<"$panic")" 1 # the core's last line
    assert_line --regexp '^panic: efer .* cpu [0-9] '
    refute_output --partial 'do not stop'
    # What others had begun to say is whole.
    assert_equal "$(grep 'self-test: ' <<<"$output" | grep -vc '^self-test: this line is never cut$')" 0
}

@test "when all CPUs panic at once, one is heard" {
    for _ in 1 2 3; do
        panics amd-none 4 smp
    done
    panics vtx-bios 2 smp
}

@test "a CPU's panic stops the others, in the middle of whatever they do" {
    for _ in 1 2 3; do
        panics amd-none 4 one
        assert_line 'panic: CPU 3, a test'
    done
    panics vtx-bios 2 one
    assert_line 'panic: CPU 1, a test'
}
