/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "spawn.h"
#include "template.h"

#define CONFIG_MAX_BYTES 65536u

/* Files a platform needs, relative to the top; what is wrong when one is missing. */
struct need {
    const char *file;
    const char *mend;
};

#define ISO      "build/images/tithe.iso"
#define MAKE_ISO "make it with 'make iso'"
#define KERNEL   "build/hv/tithe.elf"
#define MODULES  "build/images/modules.cpio"
#define MAKE_ALL "make it with 'make all'"

static const struct {
    enum hw hw;
    enum firmware firmware;
    const char *config;  /* in images/emulators */
    const char *program; /* what it starts */
    const char *package; /* where that comes from */
    struct need needs[4];
} launches[] = {
    {HW_VTX,
     FIRMWARE_BIOS,
     "bochs-bios.bxrc",
     "bochs-bin",
     "bochs",
     {{ISO, MAKE_ISO},
      {"/usr/share/bochs/BIOS-bochs-latest", "say 'apt-get install bochsbios'"},
      {"/usr/share/vgabios/vgabios.bin", "say 'apt-get install vgabios'"}}},
    {HW_VTX,
     FIRMWARE_UEFI,
     "bochs-uefi.bxrc",
     "bochs-bin",
     "bochs",
     {{ISO, MAKE_ISO},
      {"/usr/share/ovmf/OVMF.fd", "say 'apt-get install ovmf'"},
      {"/usr/share/vgabios/vgabios.bin", "say 'apt-get install vgabios'"}}},
    {HW_AMD,
     FIRMWARE_UEFI,
     "qemu-amd-uefi.args",
     "qemu-system-x86_64",
     "qemu-system-x86",
     {{ISO, MAKE_ISO}, {"/usr/share/ovmf/OVMF.fd", "say 'apt-get install ovmf'"}}},
    {HW_AMD,
     FIRMWARE_NONE,
     "qemu-amd-none.args",
     "qemu-system-x86_64",
     "qemu-system-x86",
     {{KERNEL, MAKE_ALL}, {MODULES, MAKE_ALL}}},
    {HW_KVM,
     FIRMWARE_UEFI,
     "qemu-kvm-uefi.args",
     "qemu-system-x86_64",
     "qemu-system-x86",
     {{ISO, MAKE_ISO}, {"/usr/share/ovmf/OVMF.fd", "say 'apt-get install ovmf'"}}},
    {HW_KVM,
     FIRMWARE_NONE,
     "qemu-kvm-none.args",
     "qemu-system-x86_64",
     "qemu-system-x86",
     {{KERNEL, MAKE_ALL}, {MODULES, MAKE_ALL}}},
};
#define LAUNCHES (sizeof launches / sizeof launches[0])

static size_t find_launch(const struct platform *p)
{
    size_t i;

    for (i = 0; i < LAUNCHES; i++)
        if (launches[i].hw == p->hw && launches[i].firmware == p->firmware) break;
    return i;
}

static bool boots_iso(const struct platform *p)
{
    return p->firmware != FIRMWARE_NONE;
}

enum status emulator_check(const struct run_options *o, struct error *e)
{
    size_t i = find_launch(&o->platform);
    char path[FILES_PATH_MAX], mend[80];
    const struct need *n;

    if (o->platform.hw == HW_SIM) {
        if (o->sim != NULL || access(tree_path("build/steward/steward", path), X_OK) == 0) return STATUS_OK;
        return error_set(e, STATUS_EMULATOR, "missing", path, MAKE_ALL, "the simulated machine is not there");
    }
    snprintf(mend, sizeof mend, "say 'apt-get install %s', or 'make deps'", launches[i].package);
    if (!program_exists(launches[i].program))
        return error_set(e, STATUS_EMULATOR, "missing", launches[i].program, mend,
                         "the emulator is not installed");
    if (o->iso != NULL && access(o->iso, R_OK) < 0)
        return error_set(e, STATUS_USAGE, "no-file", o->iso, "check its name, or leave out --iso",
                         "cannot be read (%s)", strerror(errno));
    for (n = launches[i].needs; n->file != NULL; n++) {
        const char *file = n->file[0] == '/' ? n->file : tree_path(n->file, path);

        if (o->iso != NULL && strcmp(n->file, ISO) == 0) continue;
        if (access(file, R_OK) < 0)
            return error_set(e, STATUS_EMULATOR, "missing", file, n->mend, "is not there (%s)",
                             strerror(errno));
    }
    return STATUS_OK;
}

/* An image with another command line for the core is made anew, in the machine's directory. */
static enum status make_iso(const struct launch *l, const char *iso, struct error *e)
{
    char tool[FILES_PATH_MAX];
    char *argv[] = {tree_path("images/mkiso", tool),
                    (char *)"--cmdline",
                    (char *)l->options->cmdline,
                    (char *)"--output",
                    (char *)iso,
                    NULL};
    int status;
    pid_t pid = spawn(&(struct spawn){.argv = argv, .in = -1, .out = -1, .err = -1});

    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return STATUS_OK;
    return error_set(e, STATUS_EMULATOR, "no-iso", tool, "run it by hand to see why",
                     "could not make an image with that command line");
}

/* Arguments are separated by white space and end at a comment; "…" keeps white space together. In place. */
static enum status split_words(struct launch *l, char *text, const char *thing, struct error *e)
{
    size_t count = 0;

    for (;;) {
        char *to;

        text += strspn(text, " \t\r\n");
        if (*text == '#') {
            text += strcspn(text, "\n");
            continue;
        }
        if (*text == '\0') break;
        if (count == LAUNCH_ARGS_MAX - 1)
            return error_set(e, STATUS_EMULATOR, "bad-template", thing, "shorten it",
                             "has too many arguments");
        l->argv[count++] = to = text;
        for (bool quoted = false; *text != '\0' && (quoted || strchr(" \t\r\n", *text) == NULL); text++) {
            if (*text == '"')
                quoted = !quoted;
            else
                *to++ = *text;
        }
        if (*text != '\0') text++;
        *to = '\0';
    }
    l->argv[count] = NULL;
    return STATUS_OK;
}

/* Bochs takes a file, and a second one with commands for the debugger that Debian's is built with: it waits
 * for them at its start, and when the core leaves. */
static void bochs_command(struct launch *l)
{
    static const char *const argv[] = {"bochs-bin", "-q", "-f", "bochsrc", "-rc", "debugger", NULL};

    machine_put(l->machine, "bochsrc", l->text);
    machine_put(l->machine, "debugger", "c\nq\n");
    memcpy(l->argv, argv, sizeof argv);
    /* Its text display needs a terminal type, but no terminal. */
    setenv("TERM", "vt100", 1);
}

/* In QEMU's own syntax a comma in a value is doubled; ours come in quotes, which therefore they cannot hold.
 */
static enum status check_cmdline(const char *cmdline, struct error *e)
{
    const char *c;

    for (c = cmdline; *c != '\0'; c++)
        if (*c == '"' || (unsigned char)*c < 0x20)
            return error_set(e, STATUS_USAGE, "bad-cmdline", "--cmdline", "leave them out",
                             "has quotes or control characters in it");
    return STATUS_OK;
}

enum status launch_make(struct launch *l, struct error *e)
{
    const struct run_options *o = l->options;
    const char *name = launches[find_launch(&o->platform)].config;
    char config[FILES_PATH_MAX], file[80], iso[FILES_PATH_MAX], kernel[FILES_PATH_MAX],
        modules[FILES_PATH_MAX];
    char serial[MACHINE_PATH_MAX], log[MACHINE_PATH_MAX], port[16], memory[24], cpus[16];
    const char *cmdline = o->cmdline != NULL ? o->cmdline : "";
    uint8_t *raw;
    size_t bytes;
    enum status s = check_cmdline(cmdline, e);

    snprintf(file, sizeof file, "images/emulators/%s", name);
    if (s == STATUS_OK) s = file_read(tree_path(file, config), CONFIG_MAX_BYTES, &raw, &bytes, e);
    if (s != STATUS_OK) return s;
    tree_path(ISO, iso);
    if (o->iso != NULL) snprintf(iso, sizeof iso, "%s", o->iso);
    if (boots_iso(&o->platform) && o->cmdline != NULL)
        s = make_iso(l, machine_path(l->machine, "iso", iso), e);
    snprintf(port, sizeof port, "%u", l->serial_port);
    snprintf(memory, sizeof memory, "%" PRIu64, o->memory_mib);
    snprintf(cpus, sizeof cpus, "%u", o->cpus);
    if (s == STATUS_OK) {
        const struct template_value values[] = {
            {"ISO", iso},
            {"KERNEL", tree_path(KERNEL, kernel)},
            {"MODULES", tree_path(MODULES, modules)},
            {"CMDLINE", cmdline},
            {"SERIAL", machine_path(l->machine, "serial", serial)},
            {"SERIAL_PORT", port},
            {"MEMORY_MIB", memory},
            {"CPUS", cpus},
            {"LOG", machine_path(l->machine, "emulator.log", log)},
            {NULL, NULL},
        };

        l->text = template_fill((const char *)raw, values, config, e);
        s = l->text == NULL ? e->status : STATUS_OK;
    }
    free(raw);
    if (s != STATUS_OK) return s;
    if (o->platform.hw == HW_VTX)
        bochs_command(l);
    else
        s = split_words(l, l->text, config, e);
    return s;
}

void launch_free(struct launch *l)
{
    free(l->text);
    l->text = NULL;
}
