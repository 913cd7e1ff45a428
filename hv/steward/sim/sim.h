/* SPDX-License-Identifier: MIT
 *
 * A machine in the build host's memory: VMs whose guests want memory, come and
 * go, and answer to balloon targets over simulated time. Policies, protocol and
 * console are tested against it; it keeps to tithe/abi.h as the core does.
 *
 * The machine lives in memory shared between a parent, which stands for the
 * core, and a child, which is the steward. When the child dies, the parent does
 * what the core does: it counts the death, says so in an event, rolls back a
 * policy on trial, and starts the steward anew.
 */
#ifndef STEWARD_SIM_H
#define STEWARD_SIM_H

#include "machine.h"

#define SIM_IMAGES_MAX   16u
#define SIM_SESSIONS_MAX 16u
#define SIM_EVENTS_MAX   1024u
#define SIM_TEXT_BYTES   65536u /* of the log, and of each console */

struct sim_options {
    uint32_t vms;
    uint64_t drivers; /* so many of the first VMs have a balloon driver */
    uint64_t cpus;
    uint64_t pages;
    uint64_t seed;
    uint64_t tick_ms;   /* simulated time of a tick */
    uint64_t step_ms;   /* what a tick takes in real time; 0: no time at all */
    uint64_t ticks;     /* leave after so many; 0: when the input ends */
    uint64_t budget_ms; /* CPU time that policy code may take at a stretch */
    uint64_t restarts;  /* leave after so many deaths of the steward; 0: never */
    bool test_mode;
    const char *policies; /* directory of the "archive's" policies */
};

struct sim_text {
    uint64_t end;
    uint8_t bytes[SIM_TEXT_BYTES];
};

/* What a simulated guest wants. */
struct sim_guest {
    uint32_t resumes;      /* enum tithe_vm_state: what a suspended one was before */
    uint64_t shares_with;  /* the group in which its shared pages are */
    uint64_t zeros, alike; /* its shared pages */
    double writes;         /* to them, that are less than a whole one */
    uint64_t far_pages;    /* that its disk works on and cannot reach */
    double copies;         /* of each of these */
    double demand_pages;   /* working set now */
    double goal_pages;     /* where it is heading */
    double rate;           /* pages per second */
    uint64_t change_ns;    /* when it thinks again */
    struct sim_text console;
};

struct sim_source {
    char name[TITHE_NAME_MAX];
    uint64_t bytes;
    char text[TITHE_POLICY_MAX_BYTES];
    uint8_t saved[TITHE_IO_MAX];
    uint64_t saved_bytes;
};

struct sim_image {
    struct tithe_image about;
    uint64_t written;
};

struct sim {
    struct sim_options options;
    struct tithe_snapshot snap; /* the truth */
    struct tithe_snapshot view; /* what the steward has been given */
    struct tithe_note note;
    struct sim_guest guests[TITHE_VMS_MAX]; /* beside snap.vm */
    uint64_t low_free_pages;                /* within the disks' reach */
    uint32_t next_id;
    uint64_t random;
    uint64_t real_start_ns, sim_start_ns;
    uint64_t ticks_done;
    bool shut_down, input_ended;
    int exit_status;
    struct tithe_event events[SIM_EVENTS_MAX];
    struct sim_text log;
    struct sim_image images[SIM_IMAGES_MAX];
    uint32_t image_count;
    struct sim_source active, previous, staged;
    struct tithe_policy_info policy;
    bool killed; /* by request: nobody's fault */
    struct {
        uint64_t session, request, used;
        int64_t result;
        uint32_t vm;
        char reason[TITHE_REASON_MAX];
    } done[SIM_SESSIONS_MAX];
    uint64_t done_clock;
};

/* The whole program on the build host. Returns its exit status. */
int sim_main(int argc, char **argv);

/* The steward's main loop (main.c); it returns when the machine has finished. */
void steward_run(const struct machine *machine);

/* ---- Between the files of this directory -------------------------------- */

const struct machine *sim_machine(struct sim *sim);
void sim_event(struct sim *sim, uint32_t kind, uint32_t vm, uint64_t value, uint64_t value2,
               const char *text);
void sim_log(struct sim *sim, const char *line);
void sim_text_put(struct sim_text *t, const void *bytes, size_t length);
void sim_text_get(const struct sim_text *t, struct tithe_io *io);
uint64_t sim_random(struct sim *sim);                       /* xorshift64* */
void sim_pass(struct sim *sim, uint64_t to_ns);             /* lets the guests live until then */
double sim_uniform(struct sim *sim);                        /* 0 to 1 */
void sim_account(struct sim *sim);                          /* sums over VMs */
uint32_t sim_find(const struct sim *sim, uint32_t id);      /* index, or vm_count */
void sim_do(struct sim *sim, const struct tithe_action *a); /* an action of a plan that was found good */
void sim_retarget(struct sim *sim, uint32_t index, uint64_t target_pages);
void sim_suspend(struct sim *sim, uint32_t index);
bool sim_resume(struct sim *sim, uint32_t index, uint64_t pages);     /* false: it is not suspended */
void sim_touch(struct sim *sim, uint32_t index, uint64_t want_pages); /* the guest uses so many */
void sim_use_memory(struct sim *sim, uint32_t index, double seconds);
void sim_disk_begin(struct sim *sim, uint32_t index);         /* with pages that it has not used before */
int64_t sim_vm_op(struct sim *sim, struct tithe_mgmt *m);     /* create ... shares */
int64_t sim_store_op(struct sim *sim, struct tithe_mgmt *m);  /* texts, images, files */
int64_t sim_policy_op(struct sim *sim, struct tithe_mgmt *m); /* policy sources and state */
void sim_steward_died(struct sim *sim, const char *how);
__attribute__((format(printf, 2, 3))) void sim_why(struct tithe_mgmt *m, const char *format, ...);

#endif
