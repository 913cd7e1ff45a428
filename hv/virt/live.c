/* SPDX-License-Identifier: MIT */
#include "virt/live.h"

#include "lib/log.h"
#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

/* RDTSCP (CPUID 80000001h EDX bit 27) or RDPID (7 ECX bit 22): there is a TSC_AUX. */
static bool has_tsc_aux(void)
{
    static signed char known = -1;
    if (known < 0) {
        known = ((cpuid(0x80000001u, 0).edx >> 27) & 1) != 0;
    }
    return known != 0;
}

void live_reset(struct live_state *s)
{
    *s = (struct live_state){.dr6 = 0xFFFF0FF0u};
}

void live_check(const struct vcpu *v)
{
#ifdef TITHE_DEBUG
    for (uint32_t i = 0; i < percpu_count(); i++) {
        if (i != this_cpu()->index && percpu_of(i)->live_vcpu == v)
            panic("vCPU %s/%u is wanted on CPU %u while CPU %u holds it", v->vm->name, v->index,
                  this_cpu()->index, i);
    }
#else
    (void)v;
#endif
}

void live_save_common(struct live_state *s)
{
    s->dr[0] = read_dr0();
    s->dr[1] = read_dr1();
    s->dr[2] = read_dr2();
    s->dr[3] = read_dr3();
    if (has_tsc_aux()) s->tsc_aux = rdmsr(MSR_TSC_AUX);
}

void live_load_common(const struct live_state *s)
{
    write_dr0(s->dr[0]);
    write_dr1(s->dr[1]);
    write_dr2(s->dr[2]);
    write_dr3(s->dr[3]);
    if (has_tsc_aux()) wrmsr(MSR_TSC_AUX, s->tsc_aux);
}
