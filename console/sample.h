/* SPDX-License-Identifier: MIT
 *
 * One snapshot of a machine, as `top` shows it and experiments record it.
 */
#ifndef CONSOLE_SAMPLE_H
#define CONSOLE_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "listing.h"
#include "tithe/abi.h"

#define SAMPLE_UNKNOWN UINT64_MAX /* the guest has not told */

struct vm_sample {
    uint64_t id;
    char name[TITHE_NAME_MAX], state[16], stop_reason[16];
    uint64_t size_pages, min_pages, max_pages, shares, vcpus, cpu_shares, target_pages, consumed_pages;
    bool held, balloon_driver;
    uint64_t balloon_target_pages, balloon_actual_pages;
    uint64_t swapped_pages, swap_out_wanted, swapped_in, compressed_pages, store_pages;
    uint64_t first_touches, balloon_pops, exits, cpu_ns, exit_code;
    uint64_t shared_pages, cow_breaks;
    uint64_t sampled_pages, touched_pages; /* of the last full period of sampling; 0: there was none */
    uint64_t guest_free_pages, guest_available_pages; /* SAMPLE_UNKNOWN */
};

struct cpu_sample {
    uint64_t guest_ns, steward_ns, idle_ns;
};

struct sample {
    uint64_t now_ns, idle_ns, cpus, total_pages, free_pages, reserve_pages, core_pages, overhead_pages,
        guest_pages;
    uint64_t event_seq, steward_restarts, boot_id;
    char vendor[TITHE_NAME_MAX], machine[TITHE_NAME_MAX], policy[TITHE_NAME_MAX];
    bool policy_trial;
    uint64_t policy_trial_left;
    char policy_error[TITHE_REASON_MAX];
    size_t cpu_count;
    struct cpu_sample cpu[TITHE_CPUS_MAX];
    size_t vm_count;
    struct vm_sample vm[TITHE_VMS_MAX];
};

/* Asks the machine. With `raw` not NULL the answers are left there, for the caller to free. */
enum status sample_take(struct client *c, struct sample *s, struct listing *raw, struct error *e);

/* The VM of this id in an earlier sample, or NULL. */
const struct vm_sample *sample_vm(const struct sample *s, uint64_t id);

/* Sum of the sizes of the VMs that have not stopped, over the machine's memory. */
double sample_overcommit(const struct sample *s);

#endif
