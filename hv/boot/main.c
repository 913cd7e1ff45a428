/* SPDX-License-Identifier: MIT
 *
 * From start.S to core_main: what the loader said, then memory, interrupts, time, and the rest of the CPU.
 */
#include "boot/boot_priv.h"
#include "boot/layout.h"
#include "boot/selftest.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "vm/main.h"
#include "x86/acpi.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/irq.h"
#include "x86/leave.h"
#include "x86/percpu.h"
#include "x86/time.h"
#include "x86/trap.h"
#include "x86/user.h"

static struct percpu boot_cpu __attribute__((aligned(256)));

const void *boot_data(uint64_t hpa, uint64_t bytes)
{
    return bytes <= EARLY_LIMIT && hpa <= EARLY_LIMIT - bytes ? hpa_to_virt(hpa) : NULL;
}

static void log_cpu(void)
{
    char brand[49] = "unknown CPU";

    if (cpuid(0x80000000, 0).eax >= 0x80000004) {
        for (unsigned i = 0; i < 3; i++) {
            struct cpuid c = cpuid(0x80000002 + i, 0);
            memcpy(brand + 16 * i, &c, 16);
        }
        brand[48] = '\0';
    }
    const char *name = brand;
    while (*name == ' ') name++;
    log_line("tithe: CPU: %s; %u of them; VT-x %s, AMD-V %s", name,
             acpi_info.cpu_count > 0 ? acpi_info.cpu_count : 1, cpuid(1, 0).ecx & 1u << 5 ? "yes" : "no",
             cpuid(0x80000001, 0).ecx & 1u << 2 ? "yes" : "no");
}

static void log_memory(void)
{
    static const char *const names[] = {"", "RAM", "ACPI", "reserved"};
    struct frame_counts counts;

    for (size_t i = 0; i < boot_info.mem_count; i++) {
        const struct boot_mem *m = &boot_info.mem[i];
        log_line("tithe: memory 0x%09lx-0x%09lx %8llu KiB %s", m->start, m->end - 1,
                 (m->end - m->start) / KIB, names[m->type]);
    }
    frames_counts(&counts);
    log_line("tithe: %llu MiB managed, %llu MiB free; core %llu KiB, module %llu KiB",
             counts.total * PAGE_BYTES / MIB, counts.free * PAGE_BYTES / MIB,
             (uint64_t)(image_end - image_start) / KIB, boot_info.module_bytes / KIB);
}

static void read_loader(bool multiboot2, uint32_t info)
{
    const char *why = multiboot2 ? multiboot2_read(info) : pvh_read(info);

    if (why == NULL) why = memmap_finish();
    if (why != NULL) {
        log_line("tithe: cannot start: %s", why);
        machine_leave(1);
    }
    if (boot_info.rsdt == 0 && boot_info.xsdt == 0) boot_rsdp_scan();
}

void boot_start(bool multiboot2, uint32_t info)
{
    idt_init();
    percpu_init(&boot_cpu, 0, boot_stacks);
    percpu_add(&boot_cpu);
    percpu_load(&boot_cpu);
    serial_init();
    read_loader(multiboot2, info);
#ifdef TITHE_DEBUG
    log_line("Tithe (debug build), started by %s: %s", boot_info.machine, boot_info.cmdline);
#else
    log_line("Tithe, started by %s: %s", boot_info.machine, boot_info.cmdline);
#endif
    boot_memory();
    acpi_init(&boot_info);
    irq_init();
    apic_init();
    time_init();
    fpu_cpu_init();
    user_cpu_init();
    serial_start();
    log_cpu();
    log_memory();
    log_line("tithe: core up %lu us after its first instruction", time_now_ns() / 1000);
#ifdef TITHE_DEBUG
    selftest();
#endif
    core_main(&boot_info);
}

/* Until there is one. */
__attribute__((weak)) void core_main(const struct boot_info *boot)
{
    (void)boot;
    log_line("tithe: there is no core_main");
    machine_leave(0);
}
