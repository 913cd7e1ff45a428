/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <string.h>
#include "tithe/abi.h"

#define PICK(table, i) ((i) < sizeof(table) / sizeof *(table) && (table)[i] != NULL ? (table)[i] : "unknown")

const char *name_of_state(uint32_t state)
{
    static const char *const names[] = {[TITHE_VM_RUNNING] = "running",
                                        [TITHE_VM_PAUSED] = "paused",
                                        [TITHE_VM_STOPPED] = "stopped",
                                        [TITHE_VM_SUSPENDED] = "suspended"};
    return PICK(names, state);
}

const char *name_of_vcpu_state(uint32_t state)
{
    static const char *const names[] = {[TITHE_VCPU_STOPPED] = "stopped",
                                        [TITHE_VCPU_RUNNABLE] = "runnable",
                                        [TITHE_VCPU_HALTED] = "halted",
                                        [TITHE_VCPU_WAIT_MEMORY] = "wait-memory",
                                        [TITHE_VCPU_WAIT_IO] = "wait-io"};
    return PICK(names, state);
}

const char *name_of_stop(uint64_t reason)
{
    static const char *const names[] = {
        [TITHE_STOP_NONE] = "none",       [TITHE_STOP_POWEROFF] = "poweroff",
        [TITHE_STOP_EXIT] = "exit",       [TITHE_STOP_CRASH] = "crash",
        [TITHE_STOP_DESTROY] = "destroy", [TITHE_STOP_NO_MEMORY] = "no-memory",
        [TITHE_STOP_SWAP] = "swap"};
    return PICK(names, reason);
}

const char *name_of_event(uint32_t kind)
{
    static const char *const names[] = {
        [TITHE_EVENT_VM_CREATED] = "vm-created",
        [TITHE_EVENT_VM_STOPPED] = "vm-stopped",
        [TITHE_EVENT_VM_DESTROYED] = "vm-destroyed",
        [TITHE_EVENT_VM_PAUSED] = "vm-paused",
        [TITHE_EVENT_VM_SUSPENDED] = "vm-suspended",
        [TITHE_EVENT_VM_RESUMED] = "vm-resumed",
        [TITHE_EVENT_VM_UNPAUSED] = "vm-unpaused",
        [TITHE_EVENT_VM_REBOOTED] = "vm-rebooted",
        [TITHE_EVENT_VM_CHANGED] = "vm-changed",
        [TITHE_EVENT_POLICY_ACTIVE] = "policy-active",
        [TITHE_EVENT_POLICY_ROLLBACK] = "policy-rollback",
        [TITHE_EVENT_POLICY_GOOD] = "policy-good",
        [TITHE_EVENT_PLAN_REFUSED] = "plan-refused",
        [TITHE_EVENT_STEWARD_DIED] = "steward-died",
        [TITHE_EVENT_RESERVE] = "reserve",
        [TITHE_EVENT_BALLOON_UP] = "balloon-up",
        [TITHE_EVENT_VM_MEMORY_WAIT] = "vm-memory-wait",
        [TITHE_EVENT_VM_POPULATED] = "vm-populated",
        [TITHE_EVENT_SWAP_LOST] = "swap-lost",
        [TITHE_EVENT_SWAP_WRITE] = "swap-write",
    };
    return PICK(names, kind);
}

const char *name_of_refusal(uint8_t why)
{
    static const char *const names[] = {
        [TITHE_OK] = "ok",
        [TITHE_NO_SUCH_VERB] = "no-such-verb",
        [TITHE_NO_SUCH_VM] = "no-such-vm",
        [TITHE_BELOW_MIN] = "below-min",
        [TITHE_ABOVE_MAX] = "above-max",
        [TITHE_HELD] = "held",
        [TITHE_TWICE] = "twice",
        [TITHE_TOO_LONG] = "too-long",
        [TITHE_TOO_MANY] = "too-many",
        [TITHE_NO_SUCH_WAY] = "no-such-way",
        [TITHE_NO_SWAP] = "no-swap",
    };
    return PICK(names, why);
}

const char *name_of_verb(uint32_t verb)
{
    static const char *const names[] = {[TITHE_VERB_BALLOON] = "balloon",
                                        [TITHE_VERB_SAMPLE] = "sample",
                                        [TITHE_VERB_POPULATE] = "populate",
                                        [TITHE_VERB_SCAN] = "scan",
                                        [TITHE_VERB_SHARE_GROUP] = "share-group",
                                        [TITHE_VERB_SWAP_OUT] = "swap_out",
                                        [TITHE_VERB_PREFETCH] = "prefetch",
                                        [TITHE_VERB_COLOUR] = "colour",
                                        [TITHE_VERB_REMAP] = "remap",
                                        [TITHE_VERB_VACATE] = "vacate",
                                        [TITHE_VERB_COMPRESS] = "compress",
                                        [TITHE_VERB_SUSPEND] = "suspend",
                                        [TITHE_VERB_RESUME] = "resume",
                                        [TITHE_VERB_DOUBLE_PAGING] = "double-paging"};
    return PICK(names, verb);
}

const char *name_of_method(uint64_t method)
{
    static const char *const names[] = {[TITHE_SAMPLE_ABIT] = "abit", [TITHE_SAMPLE_UNMAP] = "unmap"};
    return PICK(names, method);
}

const char *const scan_orders[] = {"random", "sequential", "unshared_last", "hinted", NULL};

const char *name_of_way(const struct tithe_action *a)
{
    switch (a->verb) {
    case TITHE_VERB_SAMPLE: return name_of_method(a->how);
    case TITHE_VERB_SCAN: return PICK(scan_orders, a->how);
    case TITHE_VERB_VACATE: return a->how == TITHE_VACATE_COLD ? "cold" : "any";
    case TITHE_VERB_SWAP_OUT: return a->how == TITHE_PICK_COLD ? "cold" : "random";
    default: return NULL;
    }
}

const char *name_of_error(int64_t minus_errno)
{
    static const char *const names[] = {
        [TITHE_EPERM] = "not-permitted", [TITHE_ENOENT] = "not-found",   [TITHE_EIO] = "io",
        [TITHE_EAGAIN] = "try-again",    [TITHE_ENOMEM] = "no-memory",   [TITHE_EBUSY] = "busy",
        [TITHE_EEXIST] = "exists",       [TITHE_EINVAL] = "invalid",     [TITHE_ENOSPC] = "no-space",
        [TITHE_ERANGE] = "out-of-range", [TITHE_ENOSYS] = "unsupported", [TITHE_ESTALE] = "stale"};
    uint64_t number = (uint64_t)-minus_errno;
    return number < sizeof names / sizeof *names && names[number] != NULL ? names[number] : "internal";
}

bool name_is_good(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    size_t length = strlen(name);
    return length > 0 && length < TITHE_NAME_MAX && name[0] != '-' && strspn(name, allowed) == length;
}
