/* SPDX-License-Identifier: MIT
 *
 * memload: a memory workload inside a Linux guest that verifies its own data and reports in lines that a machine
 * can read.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

#include "meminfo.h"
#include "script.h"

#define EXIT_PORT 0xf4

static const char usage[] =
    "usage: memload [--check] [--seed N] SCRIPT\n"
    "       memload --exit-code N\n"
    "       memload --help\n"
    "\n"
    "Runs a script of memory phases and ends with 'memload: PASS' (status 0) or\n"
    "'memload: FAIL' (status 1).\n"
    "\n"
    "  --check        only check the script\n"
    "  --seed N       part of the pattern written, so that no two guests write the same pages\n"
    "  --exit-code N  stop the virtual machine with exit code N (port 0xf4)\n"
    "\n";

static int bad_usage(const char *what, const char *why)
{
    fprintf(stderr, "memload: %s: %s. 'memload --help' shows how.\n", what, why);
    return 2;
}

/* The port is what Tithe and QEMU's isa-debug-exit offer; elsewhere nothing happens. */
static int leave(const char *code)
{
    if (ioperm(EXIT_PORT, 4, 1)) return bad_usage("--exit-code", "only root may write to the exit port");
    outl((unsigned)strtoul(code, NULL, 0), EXIT_PORT);
    fputs("memload: the exit port did not stop this machine.\n", stderr);
    return 1;
}

int main(int argc, char **argv)
{
    const char *script = NULL;
    uint64_t seed = 1;
    int check_only = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            fputs(script_help, stdout);
            return 0;
        }
        if (!strcmp(argv[i], "--exit-code") && i + 1 < argc) return leave(argv[i + 1]);
        if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--check"))
            check_only = 1;
        else if (argv[i][0] == '-')
            return bad_usage(argv[i], "unknown option, or its value is missing");
        else if (script)
            return bad_usage(argv[i], "one script is enough");
        else
            script = argv[i];
    }
    if (!script) return bad_usage("script", "missing");

    setvbuf(stdout, NULL, _IOLBF, 0);
    /* A slip at the end of a script is found before its first minute has gone by. */
    if (script_run(script, NULL)) return 2;
    if (check_only) return 0;

    struct load load;
    if (load_init(&load, seed)) return 1;
    meminfo_print();
    int failed = script_run(script, &load) || load.bad_pages;
    puts(failed ? "memload: FAIL" : "memload: PASS");
    return failed ? 1 : 0;
}
