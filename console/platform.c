/* SPDX-License-Identifier: MIT */
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "files.h"

static const char *const hw_names[] = {"auto", "vtx", "amd", "kvm", "sim"};
static const char *const firmware_names[] = {"default", "bios", "uefi", "none"};

/* What each kind of hardware can be started with; the first is its default. */
static const struct {
    enum firmware possible[4];
    const char *emulator;
} choices[] = {
    [HW_VTX] = {{FIRMWARE_BIOS, FIRMWARE_UEFI}, "Bochs"},
    [HW_AMD] = {{FIRMWARE_NONE, FIRMWARE_UEFI}, "QEMU (TCG)"},
    [HW_KVM] = {{FIRMWARE_NONE, FIRMWARE_UEFI}, "QEMU (KVM)"},
    [HW_SIM] = {{FIRMWARE_NONE}, "the simulated machine"},
};

const char *hw_name(enum hw hw)
{
    return hw_names[hw];
}

const char *firmware_name(enum firmware firmware)
{
    return firmware_names[firmware];
}

enum status platform_parse_hw(const char *text, enum hw *hw, struct error *e)
{
    size_t i;

    for (i = 0; i < sizeof hw_names / sizeof hw_names[0]; i++) {
        if (strcmp(text, hw_names[i]) != 0) continue;
        *hw = (enum hw)i;
        return STATUS_OK;
    }
    return error_set(e, STATUS_USAGE, "bad-hw", text, "say --hw vtx, amd, kvm, auto or sim",
                     "no such hardware");
}

enum status platform_parse_firmware(const char *text, enum firmware *firmware, struct error *e)
{
    size_t i;

    for (i = FIRMWARE_BIOS; i < sizeof firmware_names / sizeof firmware_names[0]; i++) {
        if (strcmp(text, firmware_names[i]) != 0) continue;
        *firmware = (enum firmware)i;
        return STATUS_OK;
    }
    return error_set(e, STATUS_USAGE, "bad-firmware", text, "say --firmware bios, uefi or none",
                     "no such firmware");
}

/* Whether the host's CPU offers an extension to guests, as far as this (possibly already virtual) host can
 * see. */
static bool cpu_has_extension(void)
{
    char line[8192];
    bool found = false;
    FILE *f = fopen("/proc/cpuinfo", "re");

    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "flags", 5) == 0)
            found = strstr(line, " vmx ") != NULL || strstr(line, " svm ") != NULL;
    if (f != NULL) fclose(f);
    return found;
}

static bool nesting_switched_off(void)
{
    static const char *const switches[] = {"/sys/module/kvm_intel/parameters/nested",
                                           "/sys/module/kvm_amd/parameters/nested"};
    size_t i;

    for (i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        FILE *f = fopen(switches[i], "re");
        int c;

        if (f == NULL) continue;
        c = fgetc(f);
        fclose(f);
        if (c == 'N' || c == '0') return true;
    }
    return false;
}

bool platform_kvm_nests(char *why_not, size_t n)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

    if (kvm < 0) {
        snprintf(why_not, n, "/dev/kvm does not open: %s", strerror(errno));
        return false;
    }
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0) snprintf(why_not, n, "/dev/kvm cannot make a VM: %s", strerror(errno));
    if (vm >= 0) close(vm);
    close(kvm);
    if (vm < 0) return false;
    if (!cpu_has_extension()) {
        snprintf(why_not, n, "this host's CPU shows neither vmx nor svm");
        return false;
    }
    if (nesting_switched_off()) {
        snprintf(why_not, n, "nested virtualisation is switched off in the KVM module");
        return false;
    }
    return true;
}

static void choose_hw(struct platform *p, char *why, size_t n)
{
    char why_not[160];

    if (platform_kvm_nests(why_not, sizeof why_not)) {
        p->hw = HW_KVM;
        snprintf(why, n, "auto: took kvm, nested virtualisation works here");
    } else if (p->firmware == FIRMWARE_BIOS) {
        p->hw = HW_VTX;
        snprintf(why, n, "auto: took vtx (Bochs), which has a BIOS; not kvm: %s", why_not);
    } else if (program_exists("qemu-system-x86_64")) {
        p->hw = HW_AMD;
        snprintf(why, n, "auto: took amd (QEMU TCG), the fastest here; not kvm: %s", why_not);
    } else {
        p->hw = HW_VTX;
        snprintf(why, n, "auto: took vtx (Bochs), as there is no qemu-system-x86_64; not kvm: %s", why_not);
    }
}

enum status platform_choose(struct platform *p, char *why, size_t n, struct error *e)
{
    char thing[64], possible[96] = "Possible with it", why_not[160];
    const enum firmware *f;

    *why = '\0';
    if (p->hw == HW_AUTO) choose_hw(p, why, n);
    if (p->hw == HW_KVM && !platform_kvm_nests(why_not, sizeof why_not))
        return error_set(e, STATUS_EMULATOR, "no-kvm", "--hw kvm",
                         "use --hw amd or vtx, or a host that offers nested virtualisation (docs/running.md)",
                         "%s", why_not);
    f = choices[p->hw].possible;
    if (p->firmware == FIRMWARE_DEFAULT) p->firmware = f[0];
    for (; *f != FIRMWARE_DEFAULT; f++) {
        if (*f == p->firmware) return STATUS_OK;
        snprintf(possible + strlen(possible), sizeof possible - strlen(possible), "%s --firmware %s",
                 f == choices[p->hw].possible ? ":" : " or", firmware_name(*f));
    }
    snprintf(thing, sizeof thing, "--hw %s --firmware %s", hw_name(p->hw), firmware_name(p->firmware));
    return error_set(e, STATUS_USAGE, "bad-combination", thing, possible, "%s cannot be started so",
                     choices[p->hw].emulator);
}

unsigned platform_cpus_max(const struct platform *p, const char **why_no_more)
{
    *why_no_more = "it would be slow";
    if (p->hw != HW_VTX) return PLATFORM_CPUS_MAX;
    if (p->firmware == FIRMWARE_UEFI) {
        *why_no_more = "there OVMF describes no others (it gives no MADT)";
        return 1;
    }
    /* At three for each CPU: 15 are too many with one device more. */
    *why_no_more = "Bochs has no timers for more";
    return 8;
}
