/* SPDX-License-Identifier: MIT
 *
 * Guest-virtual addresses by the guest's tables, and instructions carried out on a made-up device: against a
 * small guest of 1 MiB with its device memory at 16 MiB. Arithmetic is compared with the CPU's own.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "virt/vendor.h"
#include "vm/gva.h"
#include "vm/interpret.h"
#include "vm/interpret_priv.h"
#include "vm/vm.h"
#include "x86/msr.h"

#define RAM_BYTES    0x100000u
#define DEVICE       0x1000000u
#define DEVICE_BYTES 0x1000u
#define CODE         0x8000u
#define DATA         0x9000u

/* ---- the guest ---- */

static uint8_t *ram;
static uint8_t device[DEVICE_BYTES];
static unsigned device_reads, device_writes;
static gfn_t starved; /* this page has no frame and gets none; 0: none */
static uint64_t sys[SYS_COUNT];
static struct segment segments[SEG_COUNT];
static struct vm vm;
static struct vcpu vcpu;
static struct {
    bool raised, has_error;
    uint8_t vector;
    uint32_t error;
} exception;

bool vm_read(struct vm *of, gpa_t gpa, void *out, size_t bytes)
{
    (void)of;
    if (gpa > RAM_BYTES || bytes > RAM_BYTES - gpa || (starved != 0 && gpa >> PAGE_SHIFT == starved))
        return false;
    memcpy(out, ram + gpa, bytes);
    return true;
}

bool vm_write(struct vm *of, gpa_t gpa, const void *in, size_t bytes)
{
    (void)of;
    if (gpa > RAM_BYTES || bytes > RAM_BYTES - gpa || (starved != 0 && gpa >> PAGE_SHIFT == starved))
        return false;
    memcpy(ram + gpa, in, bytes);
    return true;
}

bool p2m_is_ram(struct p2m *p2m, gfn_t gfn)
{
    (void)p2m;
    return gfn < RAM_BYTES >> PAGE_SHIFT;
}

/* Another vCPU writes an entry as often as this, between the walk and the setting of its bits. */
static struct {
    unsigned times;
    gpa_t at;
    uint64_t value;
} meddler;

enum p2m_touch p2m_cmpxchg(struct p2m *p2m, gpa_t gpa, size_t bytes, uint64_t old, uint64_t value,
                           uint64_t *was)
{
    (void)p2m;
    if (meddler.times != 0) {
        meddler.times--;
        memcpy(ram + meddler.at, &meddler.value, 8);
        meddler.value ^= 0x1000;
    }
    if (gpa > RAM_BYTES || bytes > RAM_BYTES - gpa) return P2M_TOUCH_HOLE;
    *was = 0;
    memcpy(was, ram + gpa, bytes);
    if (*was == old) memcpy(ram + gpa, &value, bytes);
    return P2M_TOUCH_OK;
}

static uint64_t get_sys(struct vcpu *v, enum sysreg reg)
{
    (void)v;
    return sys[reg];
}

static void set_sys(struct vcpu *v, enum sysreg reg, uint64_t value)
{
    (void)v;
    sys[reg] = value;
}

static void get_seg(struct vcpu *v, enum seg seg, struct segment *out)
{
    (void)v;
    *out = segments[seg];
}

static void inject(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
    (void)v;
    exception.raised = true;
    exception.vector = vector;
    exception.has_error = has_error;
    exception.error = error;
}

static const struct vendor fake = {
    .get_sys = get_sys, .set_sys = set_sys, .get_seg = get_seg, .inject_exception = inject};
const struct vendor *vendor = &fake;

static uint64_t device_read(struct vcpu *v, gpa_t gpa, unsigned bytes)
{
    (void)v;
    uint64_t value = 0;
    device_reads++;
    if (gpa >= DEVICE && gpa - DEVICE <= DEVICE_BYTES - bytes) memcpy(&value, device + (gpa - DEVICE), bytes);
    return value;
}

static void device_write(struct vcpu *v, gpa_t gpa, unsigned bytes, uint64_t value)
{
    (void)v;
    device_writes++;
    if (gpa >= DEVICE && gpa - DEVICE <= DEVICE_BYTES - bytes) memcpy(device + (gpa - DEVICE), &value, bytes);
}

static const struct mmio_ops mmio = {.read = device_read, .write = device_write};

static uint8_t port_log[1024];
static size_t port_logged;

static uint32_t port_in(struct vcpu *v, uint16_t port, unsigned bytes)
{
    (void)v, (void)port, (void)bytes;
    return 0x41414141u + (uint32_t)port_logged++;
}

static void port_out(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value)
{
    (void)v, (void)port;
    memcpy(port_log + port_logged, &value, bytes);
    port_logged += bytes;
}

static const struct pio_ops pio = {.in = port_in, .out = port_out};

/* A vCPU in flat code of a mode, paging off (in 64-bit mode on, see map_4k), RIP at CODE. */
static void machine(enum insn_mode mode)
{
    memset(ram, 0, RAM_BYTES);
    memset(device, 0, sizeof device);
    memset(sys, 0, sizeof sys);
    memset(&vcpu, 0, sizeof vcpu);
    memset(&exception, 0, sizeof exception);
    device_reads = device_writes = 0;
    port_logged = 0;
    starved = 0;
    vcpu.vm = &vm;
    vcpu.regs.rip = CODE;
    vcpu.regs.rflags = 2;
    sys[SYS_CR0] = CR0_PE;
    for (enum seg s = SEG_ES; s < SEG_COUNT; s++)
        segments[s] = (struct segment){.limit = UINT32_MAX, .attr = 0x93};
    segments[SEG_CS].attr = mode == INSN_64 ? 0xA09B : mode == INSN_32 ? 0xC09B : 0x009B;
    if (mode == INSN_64) sys[SYS_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
}

static void code(const void *bytes, size_t count)
{
    memcpy(ram + vcpu.regs.rip, bytes, count);
}
#define CODE_IS(...)                                                                                         \
    do {                                                                                                     \
        const uint8_t bytes_[] = {__VA_ARGS__};                                                              \
        code(bytes_, sizeof bytes_);                                                                         \
    } while (0)

static uint32_t device_u32(unsigned at)
{
    uint32_t value;
    memcpy(&value, device + at, 4);
    return value;
}

static void put64(gpa_t at, uint64_t value)
{
    memcpy(ram + at, &value, 8);
}
static uint64_t get64(gpa_t at)
{
    uint64_t value;
    memcpy(&value, ram + at, 8);
    return value;
}
static void put32(gpa_t at, uint32_t value)
{
    memcpy(ram + at, &value, 4);
}

static int begin(void **state)
{
    (void)state;
    ram = malloc(RAM_BYTES);
    return ram == NULL;
}
static int end(void **state)
{
    (void)state;
    free(ram);
    return 0;
}

/* ---- arithmetic, against the CPU ---- */

#define FLAGS_ALL   0x8D5u
#define FLAGS_LOGIC 0x8C5u /* AF is undefined after AND, OR, XOR, TEST */
#define CARRY       1u

#define NATIVE2(name, insn, type)                                                                            \
    static uint64_t name##_##type(uint64_t d, uint64_t s, uint64_t *flags)                                   \
    {                                                                                                        \
        type dst = (type)d, src = (type)s;                                                                   \
        uint64_t f = *flags;                                                                                 \
        __asm__("push %1; popfq; " insn " %2, %0; pushfq; pop %1" : "+r"(dst), "+r"(f) : "r"(src) : "cc");   \
        *flags = f;                                                                                          \
        return dst;                                                                                          \
    }
#define NATIVE1(name, insn, type)                                                                            \
    static uint64_t name##_##type(uint64_t d, uint64_t s, uint64_t *flags)                                   \
    {                                                                                                        \
        type dst = (type)d;                                                                                  \
        uint64_t f = *flags;                                                                                 \
        (void)s;                                                                                             \
        __asm__("push %1; popfq; " insn " %0; pushfq; pop %1" : "+r"(dst), "+r"(f) : : "cc");                \
        *flags = f;                                                                                          \
        return dst;                                                                                          \
    }
#define NATIVE_SIZES(kind, name, insn)                                                                       \
    kind(name, insn, uint8_t) kind(name, insn, uint16_t) kind(name, insn, uint32_t) kind(name, insn, uint64_t)
NATIVE_SIZES(NATIVE2, n_add, "add")
NATIVE_SIZES(NATIVE2, n_or, "or")
NATIVE_SIZES(NATIVE2, n_adc, "adc")
NATIVE_SIZES(NATIVE2, n_sbb, "sbb")
NATIVE_SIZES(NATIVE2, n_and, "and")
NATIVE_SIZES(NATIVE2, n_sub, "sub")
NATIVE_SIZES(NATIVE2, n_xor, "xor")
NATIVE_SIZES(NATIVE2, n_cmp, "cmp")
NATIVE_SIZES(NATIVE2, n_test, "test")
NATIVE_SIZES(NATIVE1, n_not, "not")
NATIVE_SIZES(NATIVE1, n_neg, "neg")
NATIVE_SIZES(NATIVE1, n_inc, "inc")
NATIVE_SIZES(NATIVE1, n_dec, "dec")

typedef uint64_t (*native)(uint64_t dst, uint64_t src, uint64_t *flags);
#define ROW(name)                                                                                            \
    {                                                                                                        \
        name##_uint8_t, name##_uint16_t, name##_uint32_t, name##_uint64_t                                    \
    }
static const struct {
    enum insn_op op;
    unsigned flags;
    native by_size[4];
} alu[] = {
    {INSN_ADD, FLAGS_ALL, ROW(n_add)},     {INSN_OR, FLAGS_LOGIC, ROW(n_or)},
    {INSN_ADC, FLAGS_ALL, ROW(n_adc)},     {INSN_SBB, FLAGS_ALL, ROW(n_sbb)},
    {INSN_AND, FLAGS_LOGIC, ROW(n_and)},   {INSN_SUB, FLAGS_ALL, ROW(n_sub)},
    {INSN_XOR, FLAGS_LOGIC, ROW(n_xor)},   {INSN_CMP, FLAGS_ALL, ROW(n_cmp)},
    {INSN_TEST, FLAGS_LOGIC, ROW(n_test)}, {INSN_NOT, FLAGS_ALL, ROW(n_not)},
    {INSN_NEG, FLAGS_ALL, ROW(n_neg)},     {INSN_INC, FLAGS_ALL, ROW(n_inc)},
    {INSN_DEC, FLAGS_ALL, ROW(n_dec)},
};

static uint64_t random_state = 0x9E3779B97F4A7C15ull;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t operand(void)
{
    static const uint64_t corners[] = {0,
                                       1,
                                       0x7F,
                                       0x80,
                                       0xFF,
                                       0x7FFF,
                                       0x8000,
                                       0xFFFF,
                                       0x7FFFFFFF,
                                       0x80000000,
                                       0xFFFFFFFF,
                                       INT64_MAX,
                                       (uint64_t)INT64_MIN,
                                       UINT64_MAX};
    uint64_t pick = random_u64();
    return pick & 1 ? corners[(pick >> 8) % (sizeof corners / sizeof corners[0])] : random_u64();
}

static void arithmetic_as_the_cpu_does_it(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        unsigned row = n % (sizeof alu / sizeof alu[0]), size = (n / 16) % 4, bytes = 1u << size;
        uint64_t dst = operand(), src = operand(), before = 0x202 | (random_u64() & FLAGS_ALL);
        uint64_t theirs = before, ours = before;
        bool write;
        uint64_t expected = alu[row].by_size[size](dst, src, &theirs);
        uint64_t got = interpret_alu(alu[row].op, dst, src, bytes, &ours, &write);

        assert_int_equal(write, alu[row].op != INSN_CMP && alu[row].op != INSN_TEST);
        if (write && got != expected)
            fail_msg("op %d of %u bytes: %lx, not %lx", alu[row].op, bytes, got, expected);
        if ((ours ^ theirs) & alu[row].flags)
            fail_msg("op %d: flags %lx, not %lx", alu[row].op, ours, theirs);
        assert_int_equal(ours & ~(uint64_t)FLAGS_ALL, before & ~(uint64_t)FLAGS_ALL);
    }
}

static void bits(void **state)
{
    (void)state;
    uint64_t flags = 2;
    bool write;
    assert_int_equal(interpret_alu(INSN_BTS, 0, 35, 4, &flags, &write), 8);
    assert_true(write && !(flags & CARRY));
    assert_int_equal(interpret_alu(INSN_BTR, 8, 3, 2, &flags, &write), 0);
    assert_true(flags & CARRY);
    assert_int_equal(interpret_alu(INSN_BTC, 8, 67, 8, &flags, &write), 0);
    (void)interpret_alu(INSN_BT, 1, 0, 1, &flags, &write);
    assert_true(!write && (flags & CARRY));
}

/* ---- paging ---- */

#define P  1u
#define W  2u
#define U  4u
#define A  0x20u
#define D  0x40u
#define PS 0x80u
#define NX (1ull << 63)

static struct gva_fault fault;

static void four_levels(uint64_t leaf)
{
    machine(INSN_64);
    sys[SYS_CR0] = CR0_PE | CR0_PG | CR0_WP;
    sys[SYS_CR4] = CR4_PAE;
    sys[SYS_CR3] = 0x1000;
    put64(0x1000 + 8 * 3, 0x2000 | P | W | U);
    put64(0x2000 + 8 * 4, 0x3000 | P | W | U);
    put64(0x3000 + 8 * 5, 0x4000 | P | W | U);
    put64(0x4000 + 8 * 6, leaf);
}
#define GVA_4 ((3ull << 39) | (4ull << 30) | (5ull << 21) | (6ull << 12))

static void four_level_paging(void **state)
{
    (void)state;
    gpa_t gpa;
    four_levels(0x5000 | P | W);
    assert_int_equal(gva_translate(&vcpu, GVA_4 + 0x123, GVA_READ, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x5123);
    assert_int_equal(get64(0x1018), 0x2000 | P | W | U | A);
    assert_int_equal(get64(0x4030), 0x5000 | P | W | A);
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_int_equal(get64(0x4030), 0x5000 | P | W | A | D);
    /* Not there: P clear in the error code. */
    assert_int_equal(gva_translate(&vcpu, GVA_4 + 0x1000, GVA_WRITE, &gpa, &fault), GVA_FAULT);
    assert_int_equal(fault.vector, VECTOR_PF);
    assert_int_equal(fault.error, GVA_WRITE);
    assert_int_equal(fault.address, GVA_4 + 0x1000);
    /* Not canonical. */
    assert_int_equal(gva_translate(&vcpu, 1ull << 47, GVA_READ, &gpa, &fault), GVA_FAULT);
    assert_int_equal(fault.vector, VECTOR_GP);
}

static void rights(void **state)
{
    (void)state;
    gpa_t gpa;
    four_levels(0x5000 | P | NX);
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_FETCH, &gpa, &fault), GVA_FAULT);
    assert_int_equal(fault.error, GVA_FETCH | P);
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_WRITE, &gpa, &fault), GVA_FAULT);
    assert_int_equal(fault.error, GVA_WRITE | P);
    sys[SYS_CR0] &= ~CR0_WP;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_WRITE, &gpa, &fault), GVA_OK);
    segments[SEG_SS].attr = 0xF3; /* user mode */
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_FAULT);
    assert_int_equal(fault.error, P | U);

    four_levels(0x5000 | P | U);
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_OK);
    sys[SYS_CR4] |= CR4_SMAP | CR4_SMEP;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_FAULT);
    vcpu.regs.rflags |= RFLAGS_AC;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_OK);
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_FETCH, &gpa, &fault), GVA_FAULT);
}

static void large_pages(void **state)
{
    (void)state;
    gpa_t gpa;
    four_levels(0);
    put64(0x3000 + 8 * 5, 0x200000 | PS | P | W);
    assert_int_equal(gva_translate(&vcpu, GVA_4 + 0x42, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x206042);
    assert_int_equal(get64(0x3028), 0x200000 | PS | P | W | A | D);
    put64(0x2000 + 8 * 4, 0x40000000 | PS | P | W);
    assert_int_equal(gva_translate(&vcpu, GVA_4 + 0x42, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x40000000 + 5 * 0x200000 + 0x6042);
}

static void old_paging(void **state)
{
    (void)state;
    gpa_t gpa;
    machine(INSN_32); /* 32-bit, 10 + 10 bits */
    sys[SYS_CR0] = CR0_PE | CR0_PG;
    sys[SYS_CR3] = 0x1000;
    put32(0x1000 + 4 * 0x300, 0x2000 | P | W);
    put32(0x2000 + 4 * 7, 0x5000 | P | W);
    assert_int_equal(gva_translate(&vcpu, 0xC0007008, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x5008);
    put32(0x1000 + 4 * 0x301, 0x00402000 | PS | P); /* 4 MiB, with address bit 32 */
    assert_int_equal(gva_translate(&vcpu, 0xC0407008, GVA_READ, &gpa, &fault),
                     GVA_DEVICE); /* PSE off: a table */
    sys[SYS_CR4] = CR4_PSE;
    assert_int_equal(gva_translate(&vcpu, 0xC0407008, GVA_READ, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x100407008);

    machine(INSN_32); /* PAE: four top entries without rights */
    sys[SYS_CR0] = CR0_PE | CR0_PG | CR0_WP;
    sys[SYS_CR4] = CR4_PAE;
    sys[SYS_CR3] = 0x1020;
    put64(0x1020 + 8 * 3, 0x2000 | P);
    put64(0x2000 + 8 * 2, 0x3000 | P | W);
    put64(0x3000 + 8 * 9, 0x6000 | P | W);
    assert_int_equal(gva_translate(&vcpu, 0xC0409004, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x6004);
    assert_int_equal(get64(0x1038), 0x2000 | P);
}

static void tables_that_change_are_walked_again(void **state)
{
    (void)state;
    gpa_t gpa;
    /* The leaf is replaced under the walk: the new one counts, and nothing of the old one is written over it. */
    four_levels(0x5000 | P | W);
    meddler.times = 1, meddler.at = 0x4000 + 8 * 6, meddler.value = 0x7000 | P | W;
    assert_int_equal(gva_translate(&vcpu, GVA_4 + 0x42, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_int_equal(gpa, 0x7042);
    assert_int_equal(get64(0x4000 + 8 * 6), 0x7000 | P | W | A | D);
    /* It is taken away. */
    four_levels(0x5000 | P | W);
    meddler.times = 1, meddler.value = 0;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_WRITE, &gpa, &fault), GVA_FAULT);
    assert_int_equal(get64(0x4000 + 8 * 6), 0);
    /* For ever: the core does not wait for the guest. */
    four_levels(0x5000 | P | W);
    meddler.times = 1000000, meddler.value = 0x6000 | P | W;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_WRITE, &gpa, &fault), GVA_OK);
    assert_true(gpa == 0x6000 || gpa == 0x7000);
    assert_true(meddler.times > 999900);
    meddler.times = 0;
}

static void tables_out_of_reach(void **state)
{
    (void)state;
    gpa_t gpa;
    four_levels(0x5000 | P | W);
    put64(0x2000 + 8 * 4, DEVICE | P | W);
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_DEVICE);
    four_levels(0x5000 | P | W);
    starved = 3;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_NO_MEMORY);
    sys[SYS_CR3] = 0xFFFFFFFFFF000ull;
    assert_int_equal(gva_translate(&vcpu, GVA_4, GVA_READ, &gpa, &fault), GVA_DEVICE);
}

static void across_pages(void **state)
{
    (void)state;
    uint64_t value = 0;
    four_levels(0x5000 | P | W);
    put64(0x4000 + 8 * 7, 0xA000 | P | W);
    put32(0x5FFC, 0x11111111);
    put32(0xA000, 0x22222222);
    assert_int_equal(gva_read(&vcpu, GVA_4 + 0xFFC, &value, 8, GVA_READ, &fault), GVA_OK);
    assert_int_equal(value, 0x2222222211111111);
    value = 0x8877665544332211;
    assert_int_equal(gva_write(&vcpu, GVA_4 + 0xFFE, &value, 8, &fault), GVA_OK);
    assert_int_equal(ram[0x5FFF], 0x22);
    assert_int_equal(ram[0xA005], 0x88);
    put64(0x4000 + 8 * 7, 0);
    assert_int_equal(gva_read(&vcpu, GVA_4 + 0xFFC, &value, 8, GVA_READ, &fault), GVA_FAULT);
    assert_int_equal(fault.address, GVA_4 + 0x1000);
}

/* ---- device memory ---- */

static void loads_and_stores(void **state)
{
    (void)state;
    machine(INSN_32);
    vcpu.regs.gpr[RBX] = DEVICE;
    vcpu.regs.gpr[RAX] = 0xFFFFFFFF12345678;
    CODE_IS(0x89, 0x43, 0x10, 0x8B, 0x4B, 0x10, 0x88, 0x63,
            0x13); /* mov %eax,16(%ebx); mov 16(%ebx),%ecx; mov %ah,19(%ebx) */
    vcpu.regs.gpr[RCX] = UINT64_MAX;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(16), 0x12345678);
    assert_int_equal(vcpu.regs.rip, CODE + 3);
    assert_true(vcpu.clear_shadow);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RCX], 0x12345678);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(16), 0x56345678);
    assert_int_equal(device_reads, 1);
    assert_int_equal(device_writes, 2);
    CODE_IS(0x0F, 0xBE, 0x53, 0x11, 0x66, 0x0F, 0xB6, 0x53,
            0x12); /* movsbl 17(%ebx),%edx; movzbw 18(%ebx),%dx */
    device[17] = 0x80;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RDX], 0xFFFFFF80);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RDX], 0xFFFF0034);
}

static void read_modify_write(void **state)
{
    (void)state;
    machine(INSN_32);
    vcpu.regs.gpr[RBX] = DEVICE;
    vcpu.regs.gpr[RCX] = 33;
    device[0] = 1;
    CODE_IS(0x81, 0x0B, 0x00, 0x01, 0x00, 0x00, /* orl $0x100,(%ebx) */
            0x0F, 0xAB, 0x0B,                   /* bts %ecx,(%ebx): bit 1 of the next word */
            0x87, 0x0B,                         /* xchg %ecx,(%ebx) */
            0x3A, 0x3B);                        /* cmp (%ebx),%bh */
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(0), 0x101);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(4), 2);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(0), 33);
    assert_int_equal(vcpu.regs.gpr[RCX], 0x101);
    unsigned writes = device_writes;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_writes, writes);
    assert_int_equal(vcpu.regs.rip, CODE + 13);
}

static void addressing(void **state)
{
    (void)state;
    machine(INSN_32);
    segments[SEG_FS].base = DEVICE;
    CODE_IS(0x64, 0xA1, 0x08, 0, 0, 0,     /* mov %fs:8,%eax */
            0x67, 0x64, 0x8B, 0x40, 0xFE); /* mov %fs:-2(%bx,%si),%eax: wraps at 64 KiB */
    device[8] = 7;
    device[4] = 9;
    vcpu.regs.gpr[RBX] = 0xABCD0005;
    vcpu.regs.gpr[RSI] = 1;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RAX], 7);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RAX], 9);

    four_levels(DEVICE | P | W);
    put64(0x1000, 0x6000 | P | W);
    put64(0x6000, 0x00 | P | W | PS); /* 1 GiB: code */
    uint32_t relative = 0x10;
    uint8_t load[8] = {0x48, 0x8B, 0x05}; /* mov rel(%rip),%rax */
    memcpy(load + 3, &relative, 4);
    code(load, 7);
    put64(CODE + 7 + 0x10, 0x1122334455667788);
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK); /* RAM does as well */
    assert_int_equal(vcpu.regs.gpr[RAX], 0x1122334455667788);
    vcpu.regs.gpr[R13] = GVA_4;
    CODE_IS(0x49, 0x89, 0x45, 0x08); /* mov %rax,8(%r13) */
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(8), 0x55667788);
    assert_int_equal(get64(0x4030), DEVICE | P | W | A | D);
}

static void strings(void **state)
{
    (void)state;
    machine(INSN_32);
    CODE_IS(0xF3, 0xA5); /* rep movsl */
    for (uint32_t i = 0; i < 4; i++) put32(DATA + 4 * i, 0x100 + i);
    vcpu.regs.gpr[RSI] = DATA + 12;
    vcpu.regs.gpr[RDI] = DEVICE + 12;
    vcpu.regs.gpr[RCX] = 4;
    vcpu.regs.rflags |= RFLAGS_DF;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(0), 0x100);
    assert_int_equal(device_u32(12), 0x103);
    assert_int_equal(vcpu.regs.gpr[RCX], 0);
    assert_int_equal(vcpu.regs.gpr[RSI], DATA - 4);
    assert_int_equal(vcpu.regs.rip, CODE + 2);

    vcpu.regs.rip = CODE; /* a count of 0 does nothing */
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.rip, CODE + 2);
    assert_int_equal(device_writes, 4);

    machine(INSN_32);    /* many iterations: in portions */
    CODE_IS(0xF3, 0xAA); /* rep stosb */
    vcpu.regs.gpr[RAX] = 0x5A;
    vcpu.regs.gpr[RDI] = DEVICE;
    vcpu.regs.gpr[RCX] = 600;
    unsigned turns = 0;
    for (; vcpu.regs.rip == CODE; turns++) assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(turns, 3);
    assert_int_equal(device[599], 0x5A);
    assert_int_equal(device[600], 0);

    machine(INSN_32); /* lods: the register alone changes */
    CODE_IS(0xAC);
    device[3] = 0x77;
    vcpu.regs.gpr[RAX] = 0x11223344;
    vcpu.regs.gpr[RSI] = DEVICE + 3;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RAX], 0x11223377);
}

static void faults_of_emulated_instructions(void **state)
{
    (void)state;
    /* A string that runs into a page that is not there: what is done stays done. */
    four_levels(DEVICE | P | W);
    put64(0x1000, 0x6000 | P | W);
    put64(0x6000, 0x00 | P | W | PS);
    CODE_IS(0xF3, 0xAA); /* rep stosb */
    vcpu.regs.gpr[RDI] = GVA_4 + 0xFFE;
    vcpu.regs.gpr[RCX] = 10;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_FAULT);
    assert_true(exception.raised && exception.has_error);
    assert_int_equal(exception.vector, VECTOR_PF);
    assert_int_equal(exception.error, GVA_WRITE);
    assert_int_equal(sys[SYS_CR2], GVA_4 + 0x1000);
    assert_int_equal(vcpu.regs.gpr[RCX], 8);
    assert_int_equal(vcpu.regs.rip, CODE);
    assert_int_equal(device_writes, 2);

    /* An instruction that goes on in a page that is not there. */
    four_levels(0x5000 | P | W);
    vcpu.regs.rip = 0x5FFE;
    CODE_IS(0x8B, 0x04);
    vcpu.regs.rip = GVA_4 + 0xFFE;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_FAULT);
    assert_int_equal(exception.error, GVA_FETCH);
    assert_int_equal(sys[SYS_CR2], GVA_4 + 0x1000);

    /* One that ends right before it. */
    ram[0x5FFE] = 0x89;
    ram[0x5FFF] = 0x18;
    put64(0x4000 + 8 * 8, DEVICE | P | W);
    vcpu.regs.gpr[RAX] = GVA_4 + 0x2000;
    vcpu.regs.gpr[RBX] = 5;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_OK);
    assert_int_equal(device_u32(0), 5);
}

static void not_emulated(void **state)
{
    (void)state;
    machine(INSN_32);
    CODE_IS(0x0F, 0x6F, 0x00); /* movq (%eax),%mm0 */
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_UNSUPPORTED);
    CODE_IS(0x89, 0x03); /* a store across the end of RAM into nowhere */
    vcpu.regs.gpr[RBX] = RAM_BYTES - 2;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_UNSUPPORTED);
    vcpu.regs.rip = DEVICE; /* code in a device */
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_UNSUPPORTED);
    vcpu.regs.rip = CODE;
    CODE_IS(0xA4); /* from a page that waits for a frame: nothing happens yet */
    starved = DATA >> PAGE_SHIFT;
    vcpu.regs.gpr[RSI] = DATA;
    vcpu.regs.gpr[RDI] = DEVICE;
    assert_int_equal(interpret_mmio(&vcpu, &mmio), INTERPRET_NO_MEMORY);
    assert_int_equal(device_writes, 0);
    assert_int_equal(vcpu.regs.rip, CODE);
}

/* ---- strings through ports ---- */

/* Runs the instruction as the one that exited. */
static enum interpret_result string_pio(bool in, uint8_t bytes)
{
    vcpu.exit.u.pio.in = in;
    vcpu.exit.u.pio.bytes = bytes;
    return interpret_string_pio(&vcpu, &pio);
}

static void outs(void **state)
{
    (void)state;
    machine(INSN_32);
    CODE_IS(0xF3, 0x6E);
    memcpy(ram + DATA, "hello", 5);
    vcpu.regs.gpr[RSI] = DATA;
    vcpu.regs.gpr[RCX] = 5;
    assert_int_equal(string_pio(false, 1), INTERPRET_OK);
    assert_memory_equal(port_log, "hello", 5);
    assert_int_equal(vcpu.regs.gpr[RCX], 0);
    assert_int_equal(vcpu.regs.rip, CODE + 2);

    machine(INSN_16); /* 16-bit counters: the upper halves stay */
    CODE_IS(0xF3, 0x6F);
    vcpu.regs.gpr[RSI] = 0xAAAAAAAA0000FFFE;
    vcpu.regs.gpr[RCX] = 0xBBBB00000002;
    assert_int_equal(string_pio(false, 2), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RSI], 0xAAAAAAAA00000002);
    assert_int_equal(vcpu.regs.gpr[RCX], 0xBBBB00000000);
}

static void ins(void **state)
{
    (void)state;
    machine(INSN_32);
    CODE_IS(0xF3, 0x6C);
    vcpu.regs.gpr[RDI] = DATA;
    vcpu.regs.gpr[RCX] = 300;
    assert_int_equal(string_pio(true, 1), INTERPRET_OK);
    assert_int_equal(vcpu.regs.gpr[RCX], 300 - INTERPRET_REPEATS_MAX);
    assert_int_equal(vcpu.regs.rip, CODE);
    assert_int_equal(string_pio(true, 1), INTERPRET_OK);
    assert_int_equal(vcpu.regs.rip, CODE + 2);
    assert_int_equal(ram[DATA + 1], 'B');

    /* No port is read for a value that cannot be put down. */
    four_levels(0x5000 | P);
    put64(0x1000, 0x6000 | P | W);
    put64(0x6000, 0x00 | P | W | PS);
    CODE_IS(0x6C);
    vcpu.regs.gpr[RDI] = GVA_4;
    port_logged = 0;
    assert_int_equal(string_pio(true, 1), INTERPRET_FAULT);
    assert_int_equal(exception.error, GVA_WRITE | P);
    assert_int_equal(port_logged, 0);
    CODE_IS(0x90);
    assert_int_equal(string_pio(true, 1), INTERPRET_UNSUPPORTED);
}

/* The guest's permission to use the port was looked at for another instruction than the one that is there now. */
static void another_string_instruction(void **state)
{
    (void)state;
    machine(INSN_32);
    vcpu.regs.gpr[RSI] = vcpu.regs.gpr[RDI] = DATA;
    CODE_IS(0x6F); /* OUTSD */
    assert_int_equal(string_pio(false, 1), INTERPRET_UNSUPPORTED);
    assert_int_equal(string_pio(true, 4), INTERPRET_UNSUPPORTED);
    CODE_IS(0x6D); /* INSD */
    assert_int_equal(string_pio(false, 4), INTERPRET_UNSUPPORTED);
    assert_int_equal(port_logged, 0);
    assert_int_equal(vcpu.regs.rip, CODE);
    assert_int_equal(string_pio(true, 4), INTERPRET_OK);
}

/* ---- whatever a guest may think of ---- */

static void random_machines(void **state)
{
    (void)state;
    unsigned done = 0;
    for (unsigned n = 0; n < 30000; n++) {
        if (n % 500 == 0) machine((enum insn_mode)(n / 500 % 3));
        for (unsigned r = 0; r < GPR_COUNT; r++) {
            uint64_t pick = random_u64();
            vcpu.regs.gpr[r] = pick & 3 ? DEVICE + (pick >> 32) % DEVICE_BYTES : random_u64();
        }
        sys[SYS_CR0] = random_u64() & (CR0_PE | CR0_WP | CR0_PG);
        sys[SYS_CR3] = random_u64() & 0xFF000;
        sys[SYS_CR4] = random_u64() & (CR4_PAE | CR4_PSE | CR4_SMAP | CR4_SMEP | CR4_LA57);
        vcpu.regs.rflags = random_u64() & 0x3F7FD7;
        vcpu.regs.rip = n % 3 ? CODE + (random_u64() & 0x1FFF) : random_u64();
        for (unsigned i = 0; i < 64; i++) put64((random_u64() & (RAM_BYTES - 1)) & ~7ull, random_u64());
        if (vcpu.regs.rip < RAM_BYTES - 16) {
            uint64_t a = random_u64();
            memcpy(ram + vcpu.regs.rip, &a, 8);
        }
        if (interpret_mmio(&vcpu, &mmio) == INTERPRET_OK) done++;
        if (string_pio(n & 1, (uint8_t)(1u << n / 2 % 3)) == INTERPRET_OK) done++;
        port_logged = 0;
    }
    assert_true(done > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_as_the_cpu_does_it),
        cmocka_unit_test(bits),
        cmocka_unit_test(four_level_paging),
        cmocka_unit_test(rights),
        cmocka_unit_test(large_pages),
        cmocka_unit_test(old_paging),
        cmocka_unit_test(tables_that_change_are_walked_again),
        cmocka_unit_test(tables_out_of_reach),
        cmocka_unit_test(across_pages),
        cmocka_unit_test(loads_and_stores),
        cmocka_unit_test(read_modify_write),
        cmocka_unit_test(addressing),
        cmocka_unit_test(strings),
        cmocka_unit_test(faults_of_emulated_instructions),
        cmocka_unit_test(not_emulated),
        cmocka_unit_test(outs),
        cmocka_unit_test(ins),
        cmocka_unit_test(another_string_instruction),
        cmocka_unit_test(random_machines),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
