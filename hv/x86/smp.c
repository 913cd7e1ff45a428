/* SPDX-License-Identifier: MIT
 *
 * Starting the other CPUs, one after the other (SDM 3A 9.4.4). What a CPU does before it is SLOT_UP touches nothing but itself and
 * what belongs to it alone.
 */
#include "x86/smp.h"
#include "boot/boot_info.h"
#include "boot/layout.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/acpi.h"
#include "x86/alike.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/host_map.h"
#include "x86/irq.h"
#include "x86/percpu.h"
#include "x86/smp_slot.h"
#include "x86/time.h"
#include "x86/user.h"

_Static_assert(offsetof(struct smp_slot, state) == SLOT_STATE, "for assembler");
_Static_assert(offsetof(struct smp_slot, self) == SLOT_SELF, "for assembler");
_Static_assert(offsetof(struct smp_slot, stack_top) == SLOT_STACK, "for assembler");
_Static_assert(offsetof(struct smp_slot, cr3) == SLOT_CR3, "for assembler");
_Static_assert(SLOT + sizeof(struct smp_slot) <= PAGE_BYTES, "one page");

#define INIT_NS   10000000ull   /* from INIT to the first start-up message */
#define SIPI_NS   200000ull     /* and from that to the second */
#define ANSWER_NS 3000000000ull /* far more than a CPU needs; an emulator's may be starved for a while */

static const char no_answer[] = "it does not answer";

extern const char smp_trampoline[], smp_trampoline_end[];
void smp_ap_entry(struct smp_slot *s);

static const char *(*host_main)(void);
static void (*host_forever)(void);
static bool released; /* all are started: those that are may run */

/* What tests ask for, e.g. smp-test=silent:2 of the CPU that is third in ACPI's list. */
static bool test_wants(const char *what, uint32_t number)
{
#ifdef TITHE_DEBUG
    char asked[16], wanted[16];

    (void)fmt_string(wanted, sizeof wanted, "%s:%u", what, number);
    return boot_option("smp-test", asked, sizeof asked) && strcmp(asked, wanted) == 0;
#else
    (void)what, (void)number;
    return false;
#endif
}

static uint32_t state_of(const struct smp_slot *s)
{
    return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

/* False: the other side was faster. */
static bool advance(struct smp_slot *s, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&s->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- on the CPU that is started ---- */

static void advance_or_halt(struct smp_slot *s, uint32_t from, uint32_t to, const char *why)
{
    s->why = why;
    if (!advance(s, from, why != NULL ? SLOT_REFUSED : to) || why != NULL) cpu_halt();
}

/* From x86/smp_entry.S, on its own stack and the core's tables. */
void smp_ap_entry(struct smp_slot *s)
{
    percpu_load(s->cpu);
    host_map_cpu_init();
    while (test_wants("stuck", s->number) && state_of(s) == SLOT_CLAIMED) cpu_pause();
    if (test_wants("mtrr", s->number)) {
        static const uint32_t some[] = {0x2ff, 0x250, 0x200};
        for (size_t i = 0; i < ARRAY_LEN(some); i++) wrmsr(some[i], 0);
    }
    const char *why = alike_cpu_init();
    if (why == NULL) {
        apic_init();
        time_cpu_init();
        fpu_cpu_init();
        user_cpu_init();
    }
    advance_or_halt(s, SLOT_CLAIMED, SLOT_UP, why);
    tsc_sync_second(&s->sync);
    while (state_of(s) == SLOT_UP) cpu_pause();
    if (state_of(s) != SLOT_IN_STEP) cpu_halt();
    advance_or_halt(s, SLOT_IN_STEP, SLOT_READY, host_main());
    while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE)) cpu_pause();
    host_forever();
    panic("CPU %u has nothing more to do", this_cpu()->index);
}

/* ---- on the boot CPU ---- */

/* Waits till the state is another than `while_it_is`. False: it was not, and now is SLOT_GIVEN_UP. */
static bool await(struct smp_slot *s, uint32_t while_it_is)
{
    const uint64_t until = time_now_ns() + ANSWER_NS;

    while (state_of(s) == while_it_is && time_now_ns() < until) cpu_pause();
    return !advance(s, while_it_is, SLOT_GIVEN_UP);
}

/* For the next CPU: structure and stacks. NULL: no memory. */
static struct percpu *make_percpu(void)
{
    static uint32_t made;
    const mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    const char *stacks = mfn != MFN_NONE ? host_map_stacks(made++) : NULL;

    _Static_assert(sizeof(struct percpu) <= PAGE_BYTES, "one frame");
    if (stacks == NULL) return NULL;
    percpu_init(mfn_to_virt(mfn), percpu_count(), stacks);
    return mfn_to_virt(mfn);
}

static struct smp_slot *make_slot(hpa_t page, uint32_t number, struct percpu *cpu)
{
    struct smp_slot *s = hpa_to_virt(page + SLOT);

    memcpy(hpa_to_virt(page), smp_trampoline, (size_t)(smp_trampoline_end - smp_trampoline));
    *s = (struct smp_slot){
        .state = SLOT_WAITING,
        .number = number,
        .self = s,
        .stack_top = cpu->stack_top,
        .cr3 = host_pt.root,
        .cpu = cpu,
        .sync.skew = test_wants("skew", number) ? tsc_hz() / 1000 : 0,
    };
    return s;
}

static void wake(uint32_t apic_id, const struct smp_slot *s)
{
    const uint8_t page = (uint8_t)(virt_to_hpa(s) >> PAGE_SHIFT);

    apic_send_init(apic_id);
    time_delay_ns(INIT_NS);
    for (unsigned i = 0; i < 2 && state_of(s) == SLOT_WAITING; i++) {
        if (test_wants("silent", s->number) || test_wants("late", s->number)) continue;
        apic_send_startup(apic_id, page);
        time_delay_ns(SIPI_NS);
    }
}

/* NULL, or why that CPU stays out. */
static const char *start(uint32_t apic_id, struct smp_slot *s)
{
    static char why[96];

    wake(apic_id, s);
    if (!await(s, SLOT_WAITING)) return no_answer;
    if (!await(s, SLOT_CLAIMED)) return "it stops in the middle of its start";
    if (state_of(s) == SLOT_REFUSED) return s->why;
    const uint64_t back = tsc_sync_first(&s->sync, ns_to_tsc(ANSWER_NS));
    if (back != 0) {
        (void)advance(s, SLOT_UP, SLOT_GIVEN_UP);
        if (back == TSC_SYNC_SILENT) return "it stops in the middle of its start";
        (void)fmt_string(why, sizeof why, "its TSC is out of step with the boot CPU's by %lu ticks or more",
                         back);
        return why;
    }
    percpu_add(s->cpu);
    (void)advance(s, SLOT_UP, SLOT_IN_STEP);
    /* It may have begun things that others must not begin again under its number. */
    if (!await(s, SLOT_IN_STEP))
        panic("CPU %u (APIC id %u) stops while it becomes a host", s->number, apic_id);
    if (state_of(s) != SLOT_REFUSED) return NULL;
    percpu_drop_last();
    return s->why;
}

static void left_out(uint32_t number, uint32_t apic_id, const char *why)
{
    log_line("tithe: CPU %u (APIC id %u) does not start: %s; it is left out", number, apic_id, why);
}

void smp_start(const char *(*ap_main)(void), void (*forever)(void))
{
    const uint64_t limit = boot_option_u64("cpus", CPUS_MAX);
    struct percpu *cpu = NULL; /* for the next that comes */
    hpa_t page = UINT64_MAX;
    const struct smp_slot *late = NULL;

    host_main = ap_main;
    host_forever = forever;
    alike_init();
    smp_ipi_init();
    if (acpi_info.cpus_left_out)
        log_line("tithe: this machine has more than %u CPUs: the rest is left out", CPUS_MAX);
    for (uint32_t i = 0; i < acpi_info.cpu_count && percpu_count() < limit && percpu_count() < CPUS_MAX;
         i++) {
        const uint32_t apic_id = acpi_info.cpu_apic_id[i];
        if (apic_id == this_cpu()->apic_id) continue;
        if (cpu == NULL) cpu = make_percpu();
        page = boot_low_page(page);
        if (cpu == NULL || page == 0 || !apic_reaches(apic_id)) {
            left_out(i, apic_id,
                     cpu == NULL ? "there is no memory for it"
                     : page == 0 ? "there is no memory below 1 MiB for it"
                                 : "its APIC cannot be reached without x2APIC");
            continue;
        }
        struct smp_slot *s = make_slot(page, i, cpu);
        const char *why = start(apic_id, s);
        if (why != NULL) left_out(i, apic_id, why);
        if (test_wants("late", i)) {
            apic_send_startup(apic_id, (uint8_t)(page >> PAGE_SHIFT));
            late = s;
        }
        if (why != no_answer) cpu = NULL; /* one that never came does not use it */
    }
    if (late != NULL)
        log_line("smp-test: %s", state_of(late) == SLOT_TOO_LATE ? "late, and halted" : "never came");
    log_line("tithe: %u CPU%s", percpu_count(), percpu_count() == 1 ? "" : "s");
    __atomic_store_n(&released, true, __ATOMIC_RELEASE);
}
