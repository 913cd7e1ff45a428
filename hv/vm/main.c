/* SPDX-License-Identifier: MIT
 *
 * The core, once the machine itself runs: virtualisation on, steward up, and then for ever vm/run.c.
 */
#include "vm/main.h"

#include "drv/disk.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "mem/share.h"
#include "steward/core/policy_store.h"
#include "steward/core/steward.h"
#include "virt/vendor.h"
#include "vm/image.h"
#include "vm/paging.h"
#include "vm/run.h"
#include "vm/sched.h"
#include "vm/snapshot.h"
#include "vm/solo.h"
#include "vm/work.h"
#include "x86/cache.h"
#include "x86/emulator.h"
#include "x86/leave.h"
#include "x86/percpu.h"
#include "x86/smp.h"

/* Exit status of a machine that cannot be a host. */
#define LEAVE_UNFIT 69

_Noreturn static void unfit(const char *what, const char *why)
{
    log_line("tithe: cannot run: %s: %s", what, why);
    machine_leave(LEAVE_UNFIT);
}

static void need(const char *what, const char *why)
{
    if (why != NULL) {
        unfit(what, why);
    }
}

/* Kept back from guests, so that the core and a restarting steward always find a frame: 16 MiB or, on
 * small machines, a sixteenth. */
static void set_reserve(void)
{
    struct frame_counts f;
    frames_counts(&f);
    const uint64_t otherwise = f.total / 16 < 16 * MIB / PAGE_BYTES ? f.total / 16 : 16 * MIB / PAGE_BYTES;
    frames_set_reserve(boot_option_u64("reserve_kib", otherwise * 4) / 4);
}

/* The boot CPU runs no guests when the operator says so, and under QEMU's TCG. There each CPU has a thread, and an XRSTOR, FXRSTOR or
 * FLDENV of any changes the *first* CPU's hidden flags without a lock (cpu_clear_ignne in target/i386/tcg/sysemu/fpu_helper.c, 7.2 and
 * later). What VMRUN or #VMEXIT have just done to these flags is then undone at times: the core goes on in a guest's nested paging, or
 * takes no interrupts any more. A CPU that never enters a guest has nothing there to lose. */
static void keep_house(void)
{
    char who[8] = "";
    if (percpu_count() == 1) {
        return;
    }
    if (!boot_option("boot_cpu", who, sizeof who)) {
        text_copy(who, sizeof who, emulator_found() == EMULATOR_QEMU_TCG ? "house" : "guests");
    }
    if (strcmp(who, "house") == 0) {
        sched_set_open(0, false);
        log_line("tithe: the boot CPU keeps house, guests run on the others");
    }
}

static void set_colours(void)
{
    const uint64_t colours = boot_option_u64("colours", cache_colours(FRAME_COLOURS_MAX));
    if (colours < 1 || colours > FRAME_COLOURS_MAX || (colours & (colours - 1)) != 0) {
        log_line("tithe: boot option colours=%lu is not a power of two up to %u: there is 1", colours,
                 FRAME_COLOURS_MAX);
        return;
    }
    frames_set_colour_count((uint32_t)colours);
}

_Noreturn void core_main(const struct boot_info *boot)
{
    need("the CPU", vendor_select());
    need("the CPU", vendor->cpu_start());
    need("the boot module", image_init(hpa_to_virt(boot->module), boot->module_bytes));
    set_reserve();
    set_colours();
#ifdef TITHE_DEBUG
    share_hash_bits((unsigned)boot_option_u64("share_hash_bits", 64));
#endif
    run_init();
    disk_init();
    paging_init();
    if (!policy_store_init() || !snapshot_init(boot->machine)) {
        unfit("memory", "too little: give the machine 64 MiB or more");
    }
    smp_start(vendor->cpu_start, run_forever);
    keep_house();
    work_init();
    need("the solo VM", solo_start());
    need("the steward", steward_init());
    log_line("tithe: ready");
    run_forever();
}
