/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
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

static enum status check_disk(const struct run_options *o, struct error *e)
{
    struct stat st;

    if (o->platform.hw == HW_SIM)
        return error_set(e, STATUS_USAGE, "bad-option", "--disk", "leave it out",
                         "the simulated machine has a disk of its own");
    if (stat(o->disk, &st) < 0 || access(o->disk, R_OK | W_OK) < 0)
        return error_set(e, STATUS_USAGE, "no-file", o->disk,
                         "make one with 'truncate -s 64M FILE' and sfdisk", "cannot be read and written (%s)",
                         strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size % 512 != 0)
        return error_set(e, STATUS_USAGE, "bad-disk", o->disk,
                         "make one with 'truncate -s 64M FILE' and sfdisk",
                         "is no file of whole sectors of 512 bytes");
    /* Neither emulator's notation has a way to quote every character. */
    if (strpbrk(o->disk, ",\"\n") != NULL)
        return error_set(e, STATUS_USAGE, "bad-name", o->disk, "rename it",
                         "has a comma, a quote or a line end in its name");
    return STATUS_OK;
}

enum status emulator_check(const struct run_options *o, struct error *e)
{
    size_t i = find_launch(&o->platform);
    char path[FILES_PATH_MAX], mend[80];
    const struct need *n;

    if (o->disk != NULL && check_disk(o, e) != STATUS_OK) return e->status;
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

/* Adds a copy of an argument, with its placeholders filled. */
static enum status add_word(struct launch *l, const char *word, const struct template_value *values,
                            const char *thing, struct error *e)
{
    char *filled;

    if (l->argc == LAUNCH_ARGS_MAX - 1)
        return error_set(e, STATUS_EMULATOR, "bad-template", thing, "shorten it", "has too many arguments");
    filled = template_fill(word, values, thing, e);
    if (filled == NULL) return e->status;
    l->argv[l->argc++] = filled;
    return STATUS_OK;
}

/* Arguments are separated by white space, and a comment goes to the end of its line; "..." keeps white space
 * together. They are split before they are filled, so that a value may hold anything. */
static enum status add_words(struct launch *l, char *text, const struct template_value *values,
                             const char *thing, struct error *e)
{
    for (;;) {
        char *word, *to;
        bool quoted = false;
        enum status s;

        text += strspn(text, " \t\r\n");
        if (*text == '#') {
            text += strcspn(text, "\n");
            continue;
        }
        if (*text == '\0') return STATUS_OK;
        for (word = to = text; *text != '\0' && (quoted || strchr(" \t\r\n", *text) == NULL); text++) {
            if (*text == '"')
                quoted = !quoted;
            else
                *to++ = *text;
        }
        if (*text != '\0') text++;
        *to = '\0';
        s = add_word(l, word, values, thing, e);
        if (s != STATUS_OK) return s;
    }
}

static enum status qemu_command(struct launch *l, char *text, const struct template_value *values,
                                const char *thing, struct error *e)
{
    /* Time is the instruction count, 1 ns each; firmware would be slow at that, so it gets 16. */
    static char direct[] = "-icount shift=0,sleep=off -rtc base=2026-01-01,clock=vm -seed 1";
    static char disk[] = "-drive \"file=@DISK@,format=raw,if=ide,index=0\"";
    static char by_firmware[] = "-icount shift=4,sleep=off -rtc base=2026-01-01,clock=vm -seed 1";
    enum status s = add_word(l, "qemu-system-x86_64", values, thing, e);

    if (s == STATUS_OK) s = add_words(l, text, values, thing, e);
    if (s == STATUS_OK && l->options->disk != NULL) s = add_words(l, disk, values, thing, e);
    if (s != STATUS_OK || !l->options->deterministic) return s;
    return add_words(l, boots_iso(&l->options->platform) ? by_firmware : direct, values, thing, e);
}

/* Bochs takes a file, and a second one with commands for the debugger that Debian's is built with: it waits
 * for them at its start, and when the core leaves. */
static enum status bochs_command(struct launch *l, const char *text, const struct template_value *values,
                                 const char *thing, struct error *e)
{
    static const char *const words[] = {"bochs-bin", "-q", "-f", "bochsrc", "-rc", "debugger"};
    /* Without a geometry Bochs takes the size of the file. */
    static const char disk[] = "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n"
                               "ata0-master: type=disk, mode=flat, path=\"@DISK@\", cylinders=0\n";
    char *all = NULL, *filled = NULL;
    enum status s = STATUS_OK;
    size_t i;

    if (asprintf(&all, "%s\n%s", text, l->options->disk != NULL ? disk : "") < 0)
        return error_set(e, STATUS_EMULATOR, "no-memory", thing, "", "no memory");
    filled = template_fill(all, values, thing, e);
    free(all);
    if (filled == NULL) return e->status;
    machine_put(l->machine, "bochsrc", filled);
    free(filled);
    machine_put(l->machine, "debugger", "c\nq\n");
    for (i = 0; s == STATUS_OK && i < sizeof words / sizeof words[0]; i++)
        s = add_word(l, words[i], values, thing, e);
    /* Its text display needs a terminal type, but no terminal. */
    setenv("TERM", "vt100", 1);
    return s;
}

enum status launch_make(struct launch *l, struct error *e)
{
    const struct run_options *o = l->options;
    const char *name = launches[find_launch(&o->platform)].config;
    char config[FILES_PATH_MAX], file[80], iso[FILES_PATH_MAX], kernel[FILES_PATH_MAX],
        modules[FILES_PATH_MAX];
    char serial[MACHINE_PATH_MAX], log[MACHINE_PATH_MAX], port[16], memory[24], cpus[16];
    const char *cmdline = o->cmdline != NULL ? o->cmdline : "";
    char iso_real[PATH_MAX], disk_real[PATH_MAX] = "";
    uint8_t *raw;
    size_t bytes;
    enum status s;

    snprintf(file, sizeof file, "images/emulators/%s", name);
    s = file_read(tree_path(file, config), CONFIG_MAX_BYTES, &raw, &bytes, e);
    if (s != STATUS_OK) return s;
    tree_path(ISO, iso);
    /* The emulator has a working directory of its own. */
    if (o->iso != NULL && realpath(o->iso, iso_real) != NULL)
        snprintf(iso, sizeof iso, "%.*s", (int)sizeof iso - 1, iso_real);
    if (o->disk != NULL && realpath(o->disk, disk_real) == NULL)
        s = error_set(e, STATUS_USAGE, "no-file", o->disk, "", "cannot be found (%s)", strerror(errno));
    if (s == STATUS_OK && boots_iso(&o->platform) && o->cmdline != NULL)
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
            {"DISK", disk_real},
            {"LOG", machine_path(l->machine, "emulator.log", log)},
            {NULL, NULL},
        };

        s = o->platform.hw == HW_VTX ? bochs_command(l, (char *)raw, values, config, e)
                                     : qemu_command(l, (char *)raw, values, config, e);
    }
    free(raw);
    return s;
}

void launch_free(struct launch *l)
{
    while (l->argc > 0) free(l->argv[--l->argc]);
}
