/* SPDX-License-Identifier: MIT */
#include "vm/solo.h"

#include "boot/boot_info.h"
#include "lib/log.h"
#include "vm/mgmt.h"
#include "vm/solo_bench.h"
#include "vm/stats.h"
#include "vm/vm.h"
#include "x86/leave.h"
#include "x86/cpu.h"
#include "x86/percpu.h"
#include "x86/time.h"

static uint32_t solo_id;

static void mirror(void *ctx, const char *text, size_t bytes)
{
    log_line("guest: %.*s", (int)bytes, text);
    if (ctx != NULL) {
        solo_bench(ctx, text, bytes);
    }
}

/* Words of the core's own command line hold no spaces. */
static bool words_option(const char *name, char *words, size_t bytes)
{
    if (!boot_option(name, words, bytes)) {
        return false;
    }
    for (char *at = words; *at != '\0'; at++) {
        *at = *at == '+' ? ' ' : *at;
    }
    return true;
}

const char *solo_start(void)
{
    static struct tithe_create c;
    static char reason[TITHE_REASON_MAX];
    if (!boot_option("solo", c.kernel, sizeof c.kernel)) {
        return NULL;
    }
    (void)boot_option("solo_module", c.module, sizeof c.module);
    (void)boot_option("solo_disk", c.disk, sizeof c.disk);
    (void)words_option("solo_args", c.cmdline, sizeof c.cmdline);
    fmt_string(c.name, sizeof c.name, "solo");
    const uint64_t extra = boot_option_u64("solo_extra", 0);
    c.size_pages = boot_option_u64("solo_mib", 64) * (MIB / PAGE_BYTES);
    c.max_pages = c.size_pages;
    c.shares = 1000;
    c.vcpus = (uint32_t)boot_option_u64("solo_vcpus", 1);
    c.paused = 1;
    if (vm_create(&c, reason) != 0) {
        return reason;
    }
    for (uint64_t i = 0; i < extra; i++) {
        struct tithe_create other = c;
        fmt_string(other.name, sizeof other.name, "other%u", (unsigned)i);
        other.vcpus = 1;
        other.disk[0] = '\0';
        if (!words_option("solo_extra_args", other.cmdline, sizeof other.cmdline)) {
            fmt_string(other.cmdline, sizeof other.cmdline, "poll=0s run=idle");
        }
        other.paused = 0;
        if (vm_create(&other, reason) != 0) {
            return reason;
        }
    }
    struct vm *vm = vm_find(c.id);
    solo_id = c.id;
    vm->platform.uart.line = mirror;
    vm->platform.uart.line_ctx = boot_flag("solo_bench") && percpu_count() == 1 ? vm : NULL;
    log_line("solo: first guest enters %llu TSC ticks after the core's clock began",
             (unsigned long long)(rdtsc() - tsc_at_boot()));
    return vm_unpause(vm) ? NULL : "it cannot be started";
}

/* For benchmarks: every counter, as it is now. */
static void log_stats(void)
{
    struct tithe_stat stat = {.index = 0};
    while (stats_get(&stat)) {
        log_line("stat: %s %llu", stat.name, (unsigned long long)stat.value);
        stat.index++;
    }
}

void solo_stopped(const struct vm *vm)
{
    static struct tithe_mgmt m = {.op = TITHE_OP_LEDGER};
    if (vm->id != solo_id || solo_id == 0) {
        return;
    }
    log_stats();
    (void)mgmt_do(&m);
    log_line("ledger: total=%llu free=%llu core=%llu table=%llu guest=%llu differences=%llu %s",
             (unsigned long long)m.u.ledger.total_pages, (unsigned long long)m.u.ledger.free_pages,
             (unsigned long long)m.u.ledger.core_pages, (unsigned long long)m.u.ledger.table_pages,
             (unsigned long long)m.u.ledger.guest_pages, (unsigned long long)m.u.ledger.differences,
             m.u.ledger.first);
    const bool clean = vm->stop_reason == TITHE_STOP_POWEROFF || vm->stop_reason == TITHE_STOP_EXIT;
    const uint8_t status = clean ? (uint8_t)(vm->exit_code & 0x7f) : 1;
    machine_leave(m.u.ledger.differences == 0 ? status : 5);
}
