/* SPDX-License-Identifier: MIT */
#include "dev_vm.h"

#include "x86/fpu.h"
#include "x86/time.h"

struct vm dev_vm;
struct vcpu dev_vcpu;
uint64_t dev_sys[SYS_COUNT];
uint64_t dev_tsc_hz, dev_now_ns, dev_xcr0;
unsigned dev_offset_sets;

static uint64_t get_sys(struct vcpu *v, enum sysreg reg)
{
    (void)v;
    return dev_sys[reg];
}

static void set_sys(struct vcpu *v, enum sysreg reg, uint64_t value)
{
    (void)v;
    dev_sys[reg] = value;
}

static void set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    assert_int_equal(v->tsc_offset, offset);
    dev_offset_sets++;
}

static const struct vendor fake_vendor = {
    .get_sys = get_sys, .set_sys = set_sys, .set_tsc_offset = set_tsc_offset};
const struct vendor *vendor = &fake_vendor;

uint64_t tsc_hz(void)
{
    return dev_tsc_hz;
}

uint64_t time_now_ns(void)
{
    return dev_now_ns;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * 1000000000u / dev_tsc_hz);
}

uint64_t fpu_owner_xcr0(void)
{
    return dev_xcr0;
}

bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes)
{
    (void)vm;
    return dm.platform.ops->mem_write(NULL, gpa, in, bytes);
}

int dev_vm_setup(void **state)
{
    (void)state;
    dev_machine_reset();
    memset(&dev_vm, 0, sizeof dev_vm);
    memset(&dev_vcpu, 0, sizeof dev_vcpu);
    memset(dev_sys, 0, sizeof dev_sys);
    dev_tsc_hz = 2000000000;
    dev_now_ns = 1000000;
    dev_xcr0 = 1;
    dev_offset_sets = 0;
    dev_vcpu.vm = &dev_vm;
    dev_vm.vcpu[0] = &dev_vcpu;
    dev_vm.vcpu_count = 1;
    dev_vm.platform = dm.platform;
    lapic_init(&dev_vcpu.lapic, &dev_vm.platform, 0, true);
    guest_msr_reset(&dev_vcpu);
    return 0;
}
