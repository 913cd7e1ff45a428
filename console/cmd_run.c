/* SPDX-License-Identifier: MIT
 *
 * `tithe run`: starts an emulator under a broker and waits until the machine is up, or until it has ended.
 */
#include "cmd_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "clock.h"
#include "json.h"
#include "loglines.h"
#include "machine.h"
#include "size.h"

#define TIMEOUT_DEFAULT_S 14400u /* no emulator is left behind for ever */
#define TIMEOUT_MAX_S     (366u * 86400u)
#define READY_WITHIN_S    600.0
#define MEMORY_DEFAULT    "512M"
#define MIB_PAGES         256u
#define CPUS_DEFAULT      1u
#define CPUS_AUTO         2u

/* The command's side of a running broker. */
struct running {
    const struct machine *machine;
    pid_t broker;
    int leash;
    int log; /* the log, read behind the broker */
    struct log_watch watch;
    struct log_clean clean;
    bool sim;   /* no emulator, no log */
    bool ended; /* the broker has */
};

/* In the child: keeps nothing of ours open but the lock and its end of the leash, so that nobody waits for
 * us. */
static void be_broker(struct broker_job *job, int lock)
{
    int null = open("/dev/null", O_RDWR);
    int i;

    setsid();
    for (i = 0; i < 3; i++) dup2(null, i);
    /* 3 and 4 may be anything by now, so by way of higher numbers. */
    lock = fcntl(lock, F_DUPFD_CLOEXEC, 10);
    job->leash = fcntl(job->leash, F_DUPFD_CLOEXEC, 11);
    dup3(lock, 3, O_CLOEXEC);
    dup3(job->leash, 4, O_CLOEXEC);
    job->leash = 4;
    close_range(5, ~0u, 0);
    _exit(broker_run(job));
}

static enum status start_broker(const struct run_start *start, struct running *r, struct error *e)
{
    static const char *const stale[] = {"log", "result", "output", "mode"};
    struct broker_job job = {
        .machine = &start->machine, .options = &start->options, .timeout_s = start->timeout_s};
    char path[MACHINE_PATH_MAX], text[160];
    int lock, leash[2];
    size_t i;
    enum status s = machine_claim(&start->machine, &lock, e);

    if (s != STATUS_OK) return s;
    for (i = 0; i < sizeof stale / sizeof stale[0]; i++)
        unlink(machine_path(&start->machine, stale[i], path));
    r->log = open(machine_path(&start->machine, "log", path), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (r->log < 0 || pipe2(leash, O_CLOEXEC) < 0 || (r->broker = fork()) < 0) {
        close(lock);
        return error_set(e, STATUS_EMULATOR, "no-start", "machine", "", "cannot be started (%s)",
                         strerror(errno));
    }
    if (r->broker == 0) {
        close(leash[1]);
        job.leash = leash[0];
        be_broker(&job, lock);
    }
    close(lock);
    close(leash[0]);
    r->leash = leash[1];
    r->machine = &start->machine;
    snprintf(text, sizeof text, "%d\n", (int)r->broker);
    machine_put(r->machine, "pid", text);
    snprintf(text, sizeof text, "hw=%s\nfirmware=%s\nmemory_mib=%" PRIu64 "\ncpus=%u\nkeep_log=%d\n",
             hw_name(start->options.platform.hw), firmware_name(start->options.platform.firmware),
             start->options.memory_mib, start->options.cpus, start->keep_log);
    machine_put(r->machine, "mode", text);
    machine_set_last(r->machine);
    return STATUS_OK;
}

/* Passes on what the log has gained. */
static void pass_log(struct running *r, FILE *out)
{
    char text[16384];
    ssize_t n;

    while ((n = read(r->log, text, sizeof text)) > 0) {
        log_watch(&r->watch, text, (size_t)n);
        if (out == NULL) continue;
        fwrite(text, 1, log_clean(&r->clean, text, (size_t)n), out);
        fflush(out);
    }
}

/* The simulated machine is ready when it can be reached; others say so themselves. */
static void look_for_sim(struct running *r)
{
    char path[MACHINE_PATH_MAX];

    if (r->sim && access(machine_path(r->machine, "socket", path), F_OK) == 0) r->watch.ready = true;
}

static void follow(struct running *r, bool foreground, FILE *out)
{
    double until = clock_now_s() + READY_WITHIN_S;

    while (foreground || (!r->watch.ready && clock_now_s() < until)) {
        if (waitpid(r->broker, NULL, WNOHANG) == r->broker) r->ended = true;
        pass_log(r, out);
        look_for_sim(r);
        if (r->ended) return;
        clock_sleep_s(0.03);
    }
}

/* What the broker found when the emulator had ended. */
enum status run_result(const struct machine *m, struct error *e)
{
    char text[1400], code[sizeof e->code], thing[80], keep[200], where[MACHINE_PATH_MAX + 80];
    char *reason, *mend;
    int status;

    snprintf(thing, sizeof thing, "machine '%s'", m->name);
    if (!machine_get(m, "result", text, sizeof text) || sscanf(text, "%d %39s", &status, code) != 2)
        return error_set(e, STATUS_EMULATOR, "no-result", thing, "see its log", "ended without a word");
    reason = text + strcspn(text, "\n");
    reason += *reason == '\n';
    mend = reason + strcspn(reason, "\n");
    if (*mend == '\n') *mend++ = '\0';
    mend[strcspn(mend, "\n")] = '\0';
    snprintf(where, sizeof where, "its log and the emulator's output are in %s", m->dir);
    error_set(e, (enum status)status, code, thing, *mend != '\0' || status == 0 ? mend : where, "%s", reason);
    if (machine_get(m, "mode", keep, sizeof keep) && strstr(keep, "keep_log=0") != NULL &&
        status == STATUS_OK)
        machine_forget(m);
    return (enum status)status;
}

static void report(const struct run_start *start, const struct running *r, bool json, const struct error *e)
{
    char path[MACHINE_PATH_MAX];
    const struct platform *p = &start->options.platform;

    if (json) {
        struct json j = json_begin(stdout);

        json_text(&j, "machine", r->machine->name);
        json_text(&j, "hw", hw_name(p->hw));
        json_text(&j, "firmware", firmware_name(p->firmware));
        json_uint(&j, "memory_mib", start->options.memory_mib);
        json_uint(&j, "cpus", start->options.cpus);
        json_text(&j, "log", machine_path(r->machine, "log", path));
        json_text(&j, "state", r->ended ? "ended" : "running");
        if (r->ended) json_text(&j, "result", e->reason);
        json_end(&j);
    } else if (r->ended) {
        printf("machine '%s': %s\n", r->machine->name, e->reason);
    } else {
        printf(
            "machine '%s' is up (%s, %s, %" PRIu64 " MiB, %u CPU%s). 'tithe stop' ends it; its log is %s\n",
            r->machine->name, hw_name(p->hw), firmware_name(p->firmware), start->options.memory_mib,
            start->options.cpus, start->options.cpus == 1 ? "" : "s", machine_path(r->machine, "log", path));
    }
    fflush(stdout);
}

static int kept_leash = -1;

void run_release(void)
{
    if (kept_leash < 0) return;
    if (write(kept_leash, "d", 1) != 1) fputs("tithe: the machine's broker has gone.\n", stderr);
    close(kept_leash);
    kept_leash = -1;
}

enum status run_machine(const struct run_start *start, bool json, struct error *e)
{
    struct running r = {.sim = start->options.platform.hw == HW_SIM};
    FILE *out = start->quiet ? NULL : json ? stderr : stdout;
    enum status s = emulator_check(&start->options, e);

    if (s == STATUS_OK) s = start_broker(start, &r, e);
    if (s != STATUS_OK) return s;
    follow(&r, start->foreground, out);
    if (!r.ended && !r.watch.ready) {
        close(r.leash);
        waitpid(r.broker, NULL, 0);
        return error_set(e, STATUS_EMULATOR, "not-ready", "machine", "its log says how far it came",
                         "was not ready after %.0f s and was ended", READY_WITHIN_S);
    }
    if (r.ended) {
        s = run_result(r.machine, e);
        if (s == STATUS_OK && !start->foreground)
            s = error_set(e, STATUS_EMULATOR, "early-exit", "machine", "its log says why",
                          "ended by itself before it was ready");
    } else if (start->tethered) {
        kept_leash = r.leash;
    } else if (write(r.leash, "d", 1) != 1) {
        s = error_set(e, STATUS_EMULATOR, "no-start", "machine", "", "its broker has gone");
    }
    if (kept_leash != r.leash) close(r.leash);
    close(r.log);
    if (s == STATUS_OK && !start->quiet) report(start, &r, json, e);
    return s;
}

const struct option_spec run_options_table[] = {
    {"hw", "vtx|amd|kvm|auto|sim",
     "what to run on: Bochs, QEMU (TCG), nested KVM, whatever is best here, or the "
     "steward's simulated machine (default: auto)"},
    {"firmware", "bios|uefi|none",
     "how it boots; none is QEMU's -kernel (default: what the hardware has first)"},
    {"memory", "SIZE", "of the machine (default: " MEMORY_DEFAULT ")"},
    {"cpus", "N|auto",
     "of the machine, 1 to 16; on Bochs 1 to 8, with UEFI 1. auto: 2 where that can be had (default: 1)"},
    {"cmdline", "TEXT", "command line of the core instead of the image's own"},
    {"iso", "FILE", "boot this image instead of build/images/tithe.iso"},
    {"disk", "FILE", "a raw disk image, to be the machine's first IDE disk; it is written to"},
    {"sim-command", "COMMAND", "with --hw sim: run this instead of the steward"},
    {"deterministic", NULL, "time is the instruction count, so that two runs are alike"},
    {"timeout", "SECONDS", "end the machine after this time (default: 14400)"},
    {"name", "NAME", "of the machine, for --machine (default: default)"},
    {"foreground", NULL, "stay, show the log, and end with the machine"},
    {"keep-log", NULL, "keep log and state directory when the machine has ended well, too"},
    {NULL, NULL, NULL},
};

/* --name value as a number, or the default when it was not given. */
static enum status number_option(const struct options *o, const char *name, uint64_t max, uint64_t otherwise,
                                 uint64_t *value, struct error *e)
{
    const char *text = option_value(o, name);

    *value = otherwise;
    return text == NULL ? STATUS_OK : number_parse(text, name, 1, max, value, e);
}

static enum status parse_cpus(const char *text, const struct platform *p, unsigned *cpus, struct error *e)
{
    const char *why_no_more;
    const unsigned most = platform_cpus_max(p, &why_no_more);
    uint64_t value = CPUS_DEFAULT;
    char thing[32], mend[48];
    enum status s = STATUS_OK;

    if (text != NULL && strcmp(text, "auto") == 0)
        value = most < CPUS_AUTO ? most : CPUS_AUTO;
    else if (text != NULL)
        s = number_parse(text, "cpus", 1, PLATFORM_CPUS_MAX, &value, e);
    if (s != STATUS_OK) return s;
    if (value > most) {
        snprintf(thing, sizeof thing, "--cpus %" PRIu64, value);
        if (most == 1)
            snprintf(mend, sizeof mend, "leave it out, or use --firmware bios");
        else
            snprintf(mend, sizeof mend, "give 1 to %u", most);
        return error_set(e, STATUS_USAGE, "bad-combination", thing, mend,
                         "--hw %s --firmware %s can have %u: %s", hw_name(p->hw), firmware_name(p->firmware),
                         most, why_no_more);
    }
    *cpus = (unsigned)value;
    return STATUS_OK;
}

enum status run_start_parse(const struct options *o, const char *machine, struct run_start *start,
                            struct error *e)
{
    const char *hw = option_value(o, "hw"), *firmware = option_value(o, "firmware");
    const char *memory = option_value(o, "memory"), *name = option_value(o, "name");
    uint64_t pages, timeout_s;
    enum status s = STATUS_OK;

    memset(start, 0, sizeof *start);
    if (name == NULL) name = machine != NULL ? machine : "default";
    if (hw != NULL) s = platform_parse_hw(hw, &start->options.platform.hw, e);
    if (s == STATUS_OK && firmware != NULL)
        s = platform_parse_firmware(firmware, &start->options.platform.firmware, e);
    if (s == STATUS_OK) s = size_parse(memory != NULL ? memory : MEMORY_DEFAULT, "memory", &pages, e);
    if (s == STATUS_OK && pages % MIB_PAGES != 0)
        s = error_set(e, STATUS_USAGE, "bad-size", memory, "give it in M or G",
                      "is not a whole number of MiB");
    if (s == STATUS_OK) s = number_option(o, "timeout", TIMEOUT_MAX_S, TIMEOUT_DEFAULT_S, &timeout_s, e);
    if (s == STATUS_OK) s = machine_find(&start->machine, name, e);
    if (s == STATUS_OK) s = platform_choose(&start->options.platform, start->why, sizeof start->why, e);
    if (s == STATUS_OK)
        s = parse_cpus(option_value(o, "cpus"), &start->options.platform, &start->options.cpus, e);
    if (s != STATUS_OK) return s;
    start->options.memory_mib = pages / MIB_PAGES;
    start->options.cmdline = option_value(o, "cmdline");
    start->options.iso = option_value(o, "iso");
    start->options.disk = option_value(o, "disk");
    start->options.sim = option_value(o, "sim-command");
    start->options.deterministic = option_given(o, "deterministic");
    start->timeout_s = (double)timeout_s;
    start->foreground = option_given(o, "foreground");
    start->keep_log = option_given(o, "keep-log");
    return STATUS_OK;
}

enum status cmd_run(struct context *t, struct error *e)
{
    struct run_start start;
    enum status s = run_start_parse(t->options, t->machine, &start, e);

    if (s != STATUS_OK) return s;
    if (start.why[0] != '\0') fprintf(stderr, "tithe: %s\n", start.why);
    return run_machine(&start, t->json, e);
}
