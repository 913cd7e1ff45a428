/* SPDX-License-Identifier: MIT
 *
 * The contract between the core (ring 0) and the steward (ring 3).
 *
 * The steward is an ordinary static Linux x86-64 program. Besides the handful
 * of Linux system calls that a static glibc makes, it uses the calls below.
 * On the build host these fail with ENOSYS and the steward falls back to a
 * simulated machine, so that the same binary is tested there.
 *
 * Everything the steward learns comes through a snapshot; everything it
 * decides goes back as a plan; everything an operator asks for goes through
 * TITHE_SYS_MGMT. All integers are little-endian and naturally aligned, all
 * structures have no hidden padding, and the core treats every byte as hostile.
 */
#ifndef TITHE_ABI_H
#define TITHE_ABI_H

#include <stdint.h>

#define TITHE_ABI_VERSION 1u

/* One page is one 4 KiB frame, everywhere. */
#define TITHE_PAGE_BYTES 4096u

#define TITHE_NAME_MAX         32u  /* VM, image and policy names, with the final NUL */
#define TITHE_VMS_MAX          128u /* VMs in one snapshot */
#define TITHE_VCPUS_MAX        8u   /* of one VM */
#define TITHE_CPUS_MAX         64u
#define TITHE_CMDLINE_MAX      512u
#define TITHE_REASON_MAX       160u
#define TITHE_POLICY_MAX_BYTES (256u * 1024u)
#define TITHE_PLAN_MAX         1024u /* actions in one plan: eight for each VM */
#define TITHE_IO_MAX           4096u /* bytes moved by one chunked request */

#define TITHE_DISK_PARTITIONS_MAX 16u /* shown of one disk */
#define TITHE_PARTITION_NAME_MAX  40u /* with the final NUL */

/* File descriptors of the steward. 0 and 1 carry raw bytes of the management line (frames, COBS between zero
 * bytes); a write to 1 is put on the line whole, never torn by a log line. A write to 2 becomes log lines
 * prefixed "steward: ". read(0) never blocks: it returns 0 when nothing has arrived; TITHE_SYS_WAIT is what
 * blocks. */

/* System calls: number in rax, arguments in rdi, rsi, rdx; the result in rax is
 * zero or positive, or minus one of the TITHE_E numbers (which are Linux's). */
enum tithe_sys {
    /* (uint64_t until_ns) -> TITHE_WAKE_* bits. Blocks till one is up or the time (of snapshot.now_ns's
     * clock) has come. */
    TITHE_SYS_WAIT = 0x7100,
    TITHE_SYS_SNAPSHOT, /* () -> generation. Refreshes *(struct tithe_snapshot *)TITHE_SNAPSHOT_ADDR. */
    /* (const struct tithe_action *a, uint64_t n, struct tithe_plan_result *r) -> 0, or -EINVAL when
     * refused: then nothing was applied and r says why. */
    TITHE_SYS_PLAN,
    TITHE_SYS_MGMT, /* (struct tithe_mgmt *m) -> 0 or -errno; m->reason says why in words. */
    /* (const struct tithe_note *n, void (*alarm)(void)) -> 0. Registers where the core may read, after a
     * death, what the steward was doing; and TITHE_ALARM_PART. */
    TITHE_SYS_NOTE,
    /* (uint64_t phase) -> 0. TITHE_PHASE_*: brackets policy code, so that the core can hold it to its
     * budget. */
    TITHE_SYS_TICK,
};

/* When policy code has used this part of its budget, the core enters `alarm` once, in the middle of whatever runs:
 * below the red zone it has pushed rip and, on top, rflags; every other register is as it was. `popfq; ret $128`
 * goes on where it stopped. So a script that loops can be ended with its line told, without counting what it does
 * from the start, which is costly; the rest of the budget is for that. 0: no alarm. */
#define TITHE_ALARM_PART 2u

/* Read-only pages in the steward's address space that hold the snapshot. */
#define TITHE_SNAPSHOT_ADDR 0x700000000000ull

enum tithe_wake {
    TITHE_WAKE_INPUT = 1 << 0, /* bytes wait on fd 0 */
    TITHE_WAKE_TIME = 1 << 1,  /* until_ns has come */
    TITHE_WAKE_EVENT = 1 << 2, /* snapshot.event_seq has moved */
};

/* errno values, as Linux numbers them, so strerror() works in the steward. */
enum tithe_errno {
    TITHE_EPERM = 1,
    TITHE_ENOENT = 2,
    TITHE_EIO = 5,
    TITHE_EAGAIN = 11,
    TITHE_ENOMEM = 12,
    TITHE_EFAULT = 14,
    TITHE_EBUSY = 16,
    TITHE_EEXIST = 17,
    TITHE_EINVAL = 22,
    TITHE_ENOSPC = 28,
    TITHE_ERANGE = 34,
    TITHE_ENOSYS = 38,
    TITHE_ESTALE = 116, /* a request older than the last of its session: not done again */
};

/* What the steward was doing; in its own memory, read by the core when it dies. */
struct tithe_note {
    char where[TITHE_REASON_MAX]; /* e.g. "policy proportional.lua:42 in tick" */
};

enum tithe_phase {
    TITHE_PHASE_IDLE = 0,   /* protocol work: a long budget */
    TITHE_PHASE_POLICY = 1, /* running operator-supplied Lua: TITHE_MGMT policy budget */
};

/* ---- Snapshot ----------------------------------------------------------- */

enum tithe_vm_state {
    TITHE_VM_RUNNING = 1,
    TITHE_VM_PAUSED = 2,
    TITHE_VM_STOPPED = 3,   /* ended; its memory is free; kept until destroyed so that status can be read */
    TITHE_VM_SUSPENDED = 4, /* as paused, and its memory goes to swap */
};

enum tithe_stop {
    TITHE_STOP_NONE = 0,
    TITHE_STOP_POWEROFF = 1,
    TITHE_STOP_EXIT = 2,  /* outl(code, 0xf4): exit_code is set */
    TITHE_STOP_CRASH = 3, /* triple fault or an act the core would not emulate */
    TITHE_STOP_DESTROY = 4,
    TITHE_STOP_NO_MEMORY = 5,
    TITHE_STOP_SWAP = 6, /* a page that it needs cannot be read from swap, or is not what was written */
};

/* virtio 1.2 5.5.6.3 memory statistics, converted to pages where they are sizes.
 * A field the guest never gave is UINT64_MAX. */
struct tithe_guest_stats {
    uint64_t updated_ns; /* 0: never */
    uint64_t free_pages;
    uint64_t total_pages;
    uint64_t available_pages;
    uint64_t disk_cache_pages;
    uint64_t swap_in_bytes;
    uint64_t swap_out_bytes;
    uint64_t major_faults;
    uint64_t minor_faults;
};

enum tithe_vcpu_state {
    TITHE_VCPU_STOPPED = 0, /* waits to be started by the guest, or its VM has ended */
    TITHE_VCPU_RUNNABLE = 1,
    TITHE_VCPU_HALTED = 2,
    TITHE_VCPU_WAIT_MEMORY = 3,
    TITHE_VCPU_WAIT_IO = 4, /* for a page on its way from swap */
};

struct tithe_vcpu_snapshot {
    uint64_t cpu_ns; /* CPU time used */
    uint32_t state;  /* enum tithe_vcpu_state */
    uint32_t cpu;    /* where it runs, or ran last */
};

/* Nanoseconds since boot; what is in none of these went into the core's own work. */
struct tithe_cpu_snapshot {
    uint64_t guest_ns; /* turns of vCPUs, their exits included */
    uint64_t steward_ns;
    uint64_t worker_ns; /* plans carried out in the background */
    uint64_t idle_ns;
    uint32_t apic_id;
    uint32_t unused;
};

enum tithe_sample_method {
    TITHE_SAMPLE_ABIT = 0,  /* by accessed bits: no exits */
    TITHE_SAMPLE_UNMAP = 1, /* by faults: the paper's */
};

/* What a VM does on its disk, and what that costs. Pieces are parts of requests within one page. */
struct tithe_disk_use {
    uint64_t sectors;  /* of the disk; 0: it has none */
    uint64_t requests; /* ended; this and the next three ever growing */
    uint64_t errors;   /* of these */
    uint64_t direct;   /* pieces that went straight from or to the guest's frame */
    uint64_t copied;   /* pieces that were copied, for the frame was out of the disk's reach, or shared */
    /* Pages that have been copied so often or more, the frame being out of reach, and were not remapped. Of the pages copied most some hundred are
     * remembered, and no count is too high. */
    uint64_t hot_1, hot_4, hot_16, hot_64, hot_256, hot_1024;
};

/* Sampling of a VM's working set: how many of so many random pages its guest has touched. */
struct tithe_sample {
    uint64_t period;  /* number of the period under way; 0: none has begun */
    uint64_t method;  /* enum tithe_sample_method: without accessed bits the CPU leaves UNMAP only */
    uint64_t pages;   /* in the sample of the period under way */
    uint64_t touched; /* of these, so far: by accessed bits, as of the last look */
    uint64_t started_ns;
    uint64_t started_cpu_ns; /* the VM's cpu_ns then: its own, virtual time */
    uint64_t finished_pages; /* of the period before; 0: there was none */
    uint64_t finished_touched;
};

struct tithe_vm_snapshot {
    uint32_t id;    /* never reused while the machine is up; from 1 */
    uint32_t state; /* enum tithe_vm_state */
    char name[TITHE_NAME_MAX];
    uint64_t size_pages; /* what the guest was booted with; fixed */
    uint64_t max_pages;  /* ceiling for the target; <= size_pages (mem-max) */
    uint64_t min_pages;  /* guaranteed; <= max_pages */
    uint64_t shares;
    uint64_t target_pages;         /* what the last accepted plan (or mem-set) lets it have */
    uint64_t held;                 /* 1: target set by the operator (mem-set); plans may not move it */
    uint64_t consumed_pages;       /* frames it has now: mapped for the guest, or of its store */
    uint64_t overhead_pages;       /* tables, vCPUs, devices: reserved at creation */
    uint64_t balloon_driver;       /* 1: the guest's driver is up */
    uint64_t balloon_target_pages; /* balloon size asked of the driver */
    uint64_t balloon_actual_pages; /* balloon size the driver reports */
    uint64_t ballooned_pages;      /* map entries in the state "ballooned": the core's truth */
    uint64_t first_touches;        /* counters since creation, ever growing */
    uint64_t balloon_pops;         /* ballooned pages touched again by the guest */
    uint64_t populated_pages;      /* that got a frame before they were touched */
    uint64_t reported_pages;       /* freed, ever, because the guest's kernel reported them free */
    uint64_t share_group;          /* 0: alone */
    uint64_t shared_pages;         /* of consumed_pages, those in a frame that is shared now */
    uint64_t cow_breaks;           /* writes to a shared page; this and the next three ever growing */
    uint64_t scanned_pages;        /* that scans have looked at */
    uint64_t scan_hits;            /* of these, were found to be another's equal and shared */
    uint64_t scan_zeros;           /* of these, were all zeros */
    uint64_t scan_left;            /* pages that a plan has asked to be scanned and were not yet */
    uint64_t colours;              /* of its new frames, a bit each; 0: any */
    uint64_t coloured_pages;   /* pages that got a frame of its colours; this and the next two ever growing */
    uint64_t off_colour_pages; /* that got another, for none of its colours was free */
    uint64_t recoloured_pages; /* that were moved to a frame of its colours */
    uint64_t recolour_left;    /* pages that a plan has asked to be moved and were not yet */
    uint64_t stray_pages;      /* of consumed_pages, at most so many are in frames of other colours */
    uint64_t exits;
    uint64_t cpu_ns;
    uint64_t created_ns;
    uint64_t stop_reason; /* enum tithe_stop */
    uint64_t exit_code;   /* of TITHE_STOP_EXIT */
    uint64_t reboots;
    uint64_t vcpus;
    uint64_t console_offset;      /* bytes the guest has written to its console so far */
    uint64_t swapped_pages;       /* map entries in the state "swapped" */
    uint64_t swap_reserved_pages; /* it can have no more of them, compressed ones among them */
    uint64_t swapped_out;         /* pages written since creation, ever growing; as the next */
    uint64_t swapped_in;
    uint64_t swap_unwritten;  /* pages that were to go out and needed no writing: zeros, or shared instead */
    uint64_t swap_out_wanted; /* pages that are still to go, or come, as the last plan wants */
    uint64_t prefetch_wanted;
    uint64_t compressed_pages;  /* map entries in the state "compressed" */
    uint64_t compressed_bytes;  /* of these, in the store */
    uint64_t store_pages;       /* frames of the store, part of consumed_pages */
    uint64_t store_limit_pages; /* it may have; 0: the tier is off */
    uint64_t compress_tried;    /* pages that were compressed; this and the rest ever growing */
    uint64_t compress_poor;     /* of these, did not become small enough */
    uint64_t compress_full;     /* of these, found no room in the store */
    uint64_t expanded_pages;    /* came back because somebody wanted them */
    uint64_t evicted_pages;     /* went on to swap */
    uint64_t compress_ns;       /* spent on compressing; on expanding */
    uint64_t expand_ns;
    /* Pages that went without being written, and that were not read, since creation: its own disk has, or was about to bring, their
     * contents. */
    uint64_t swap_writes_avoided;
    uint64_t swap_reads_avoided;
    uint64_t expands_avoided;      /* the same for compressed pages */
    uint64_t avoids_double_paging; /* 1: it does, as the last plan wants */
    uint64_t cpu_shares;           /* weight against other VMs on the CPUs, all vCPUs together */
    uint64_t
        remapped_pages;     /* into frames that the disks can address; this and the next three ever growing */
    uint64_t vacated_pages; /* out of them */
    uint64_t moves_busy;    /* pages tried that were in use */
    uint64_t moves_no_frame; /* ... for which no frame was found */
    uint64_t remap_left;     /* pages that a plan wants to be tried, and were not yet */
    uint64_t vacate_left;
    struct tithe_disk_use disk;
    struct tithe_sample sample;
    struct tithe_vcpu_snapshot vcpu[TITHE_VCPUS_MAX]; /* `vcpus` of them */
    struct tithe_guest_stats guest;
};

struct tithe_snapshot {
    uint32_t abi_version;
    uint32_t vm_count;
    uint64_t generation; /* grows with every refresh */
    uint64_t boot_id;    /* random per boot of the core */
    uint64_t now_ns;     /* since boot; monotonic */
    uint64_t wall_ns;    /* since 1970, from the RTC at boot */
    uint64_t tsc_hz;
    uint64_t total_pages; /* RAM the core manages */
    uint64_t free_pages;
    uint64_t reserve_pages; /* below this the core acts by itself */
    uint64_t swap_pages;    /* slots of a page on the swap partition; 0: there is none */
    uint64_t swap_free_pages;
    uint64_t swap_reserved_pages; /* sum over VMs */
    uint64_t swap_errors;         /* requests that failed, and pages that were not what was written */
    uint64_t dma_limit_pages;     /* frames from here on are out of the disks' reach */
    uint64_t core_pages;          /* core, frame table, steward, images, uploads */
    uint64_t overhead_pages;      /* sum over VMs */
    uint64_t guest_pages;         /* sum of consumed_pages */
    uint64_t shared_frames;       /* frames that more than one page may be in */
    uint64_t shared_entries;      /* pages that are in them: the difference is saved */
    uint64_t zero_entries;        /* of these, pages of zeros */
    uint64_t colours;             /* of frames: a power of two; 1: they have none */
    uint64_t event_seq;           /* sequence number the next event will have */
    uint64_t log_offset;          /* bytes logged so far */
    uint64_t cpus;
    uint64_t idle_ns; /* summed over CPUs */
    uint64_t steward_restarts;
    uint64_t plans_applied;
    uint64_t plans_refused;
    uint64_t reload_core_instructions; /* cost in the core of the last policy activation; TSC ticks */
    uint64_t test_mode;                /* 1: core command line has "test": tithe.test exists in Lua */
    uint64_t tick_ns;                  /* default policy period, from the core command line */
    char vendor[TITHE_NAME_MAX];       /* "vtx" or "amd" */
    char machine[TITHE_NAME_MAX];      /* what boots us: "multiboot2 bios", "multiboot2 uefi", "pvh" */
    struct tithe_cpu_snapshot cpu[TITHE_CPUS_MAX]; /* `cpus` of them */
    struct tithe_vm_snapshot vm[TITHE_VMS_MAX];    /* vm_count of them, by ascending id */
};

/* ---- Plan --------------------------------------------------------------- */

enum tithe_verb {
    TITHE_VERB_BALLOON = 1, /* pages: target of the VM; min_pages <= it <= max_pages */
    /* Ends the period of sampling under way and begins one with so many random pages, 1 .. TITHE_SAMPLE_MAX; 0: only brings
     * `touched` of the one under way up to date. how: enum tithe_sample_method. */
    TITHE_VERB_SAMPLE = 2,
    /* So many untouched pages, the lowest first, get a frame, as long as there are any above the reserve; at its end there is an
     * event. At most size_pages; 0: no more. */
    TITHE_VERB_POPULATE = 3,
    /* Looks at so many pages and shares those of which there is an equal one in the VM's group; ends early after all of its pages have been
     * looked at. At most size_pages; 0: no more. how: enum tithe_scan_order. */
    TITHE_VERB_SCAN = 4,
    /* At once. pages: 0. how: the group that the VM shares with from now on, 1 .. TITHE_SHARE_GROUPS_MAX; 0, where it begins: with itself
     * alone. */
    TITHE_VERB_SHARE_GROUP = 5,
    TITHE_VERB_SWAP_OUT = 6, /* so many pages go to swap; how: enum tithe_pick */
    TITHE_VERB_PREFETCH = 7, /* so many swapped pages come back */
    /* At once. how: the colours, a bit each, of the frames that the VM gets from now on, as long as any such are free; 0 or all: any. pages:
     * so many of the pages that it has, the lowest first, are moved to frames of its colours, as long as any such are free, in the
     * background; at most size_pages. */
    TITHE_VERB_COLOUR = 8,
    /* The pages that disk I/O has copied most, but so many at most, get frames that the disks can address. how: the least copies that such a page has
     * had. */
    TITHE_VERB_REMAP = 9,
    TITHE_VERB_VACATE =
        10, /* so many pages leave the frames that the disks can address; how: enum tithe_vacate */
    /* At once. Pages on their way out are compressed, and kept in a store of at most so many frames if they become as small as `how` percent
     * of their size, 0 .. TITHE_COMPRESS_PERCENT_MAX. At most size_pages; 0: the tier is off, and what is in the store goes on to
     * swap, if there is any, or stays till it is wanted. */
    TITHE_VERB_COMPRESS = 11,
    /* At once: none of its vCPUs runs any more, and all of its memory that is not shared goes to swap. pages: 0. Again: what has come
     * back since, too. */
    TITHE_VERB_SUSPEND = 12,
    /* At once: it runs again, or is paused, if it was. pages: so many of its swapped pages come back before they are asked for; what
     * does not comes when it is. Of one that is not suspended: nothing else. */
    TITHE_VERB_RESUME = 13,
    /* At once. pages: 0. how: 1, where it begins: pages of which its disk has the contents go to swap without being written, and those that it
     * is about to overwrite do not come back first; 0: they do as others. */
    TITHE_VERB_DOUBLE_PAGING = 14,
};

enum tithe_vacate {
    TITHE_VACATE_ANY = 0,
    TITHE_VACATE_COLD =
        1, /* those not accessed since they were looked at before; ANY on CPUs without accessed bits */
};

enum tithe_scan_order {
    TITHE_SCAN_RANDOM = 0,
    TITHE_SCAN_SEQUENTIAL = 1,
    TITHE_SCAN_UNSHARED_LAST = 2, /* first the pages whose sharing was not broken since the last pass */
    TITHE_SCAN_HINTED = 3,        /* first those that looked like another's */
    TITHE_SCAN_ORDERS
};

#define TITHE_SAMPLE_MAX       1024u
#define TITHE_SHARE_GROUPS_MAX 127u
#define TITHE_COLOURS_MAX      32u

#define TITHE_COMPRESS_PERCENT_MAX 75u

enum tithe_pick {
    TITHE_PICK_RANDOM = 0,
    TITHE_PICK_COLD = 1, /* a clock hand, by accessed bits */
};

/* BALLOON and what says so take effect at once. What the other verbs ask for is done soon, in the background; asking again replaces what has not
 * been done yet, and a reboot or the end of the VM ends it. */
struct tithe_action {
    uint32_t verb;
    uint32_t vm;
    uint64_t pages;
    uint64_t how; /* 0 where the verb knows no choice */
};

/* Why an action was refused. */
enum tithe_refusal {
    TITHE_OK = 0,
    TITHE_NO_SUCH_VERB = 1,
    TITHE_NO_SUCH_VM = 2, /* never was, or has ended */
    TITHE_BELOW_MIN = 3,
    TITHE_ABOVE_MAX = 4,
    TITHE_HELD = 5,        /* the operator holds this VM's target */
    TITHE_TWICE = 6,       /* a second action of this verb for this VM */
    TITHE_TOO_LONG = 7,    /* more than TITHE_PLAN_MAX actions */
    TITHE_TOO_MANY = 8,    /* pages of one action of this verb */
    TITHE_NO_SUCH_WAY = 9, /* `how` is none of the verb's */
    TITHE_NO_SWAP =
        10, /* there is no swap partition, or too little of it free; nor, for SWAP_OUT, compression */
};

struct tithe_plan_result {
    uint32_t refused;            /* how many actions are at fault */
    uint32_t first;              /* index of the first such */
    uint8_t why[TITHE_PLAN_MAX]; /* enum tithe_refusal per action */
};

/* ---- Management --------------------------------------------------------- */

enum tithe_op {
    TITHE_OP_CREATE = 1,      /* create */
    TITHE_OP_DESTROY,         /* vm */
    TITHE_OP_PAUSE,           /* vm */
    TITHE_OP_UNPAUSE,         /* vm */
    TITHE_OP_SET_TARGET,      /* set: value = pages, or TITHE_AUTO to let policies decide again */
    TITHE_OP_SET_MAX,         /* set: value = pages */
    TITHE_OP_SET_MIN,         /* set: value = pages */
    TITHE_OP_SET_SHARES,      /* set: value = shares, 1..1000000 */
    TITHE_OP_CONSOLE_READ,    /* io: offset in, offset of the first byte given and length out */
    TITHE_OP_CONSOLE_WRITE,   /* io: length in; length taken out */
    TITHE_OP_LOG_READ,        /* io, as CONSOLE_READ */
    TITHE_OP_EVENT_READ,      /* event: seq in; the first event at or after it out; -ENOENT when none */
    TITHE_OP_LEDGER,          /* ledger */
    TITHE_OP_IMAGE_NEXT,      /* image: index in; name and bytes out; -ENOENT past the last */
    TITHE_OP_IMAGE_CREATE,    /* image: name and bytes in: room for an upload */
    TITHE_OP_IMAGE_WRITE,     /* io: name, offset, length, data */
    TITHE_OP_IMAGE_SEAL,      /* image: name; from now on VMs can be made of it */
    TITHE_OP_IMAGE_DELETE,    /* image: name; only uploads */
    TITHE_OP_FILE_READ,       /* io: name of a file of the module archive (e.g. "policy/equal.lua"), offset */
    TITHE_OP_POLICY_STAGE,    /* io: name, offset, data: fills the staged source */
    TITHE_OP_POLICY_ACTIVATE, /* policy: staged source becomes active on trial, the active one previous */
    TITHE_OP_POLICY_CONFIRM,  /* policy: the trial is over: the active one is good */
    TITHE_OP_POLICY_ROLLBACK, /* policy: previous becomes active again, with the reason */
    TITHE_OP_POLICY_READ,     /* io: slot in `name`: "active", "previous" or "staged"; offset */
    TITHE_OP_POLICY_INFO,     /* policy */
    /* io: up to TITHE_IO_MAX bytes of saved policy state and parameters, kept across steward restarts */
    TITHE_OP_POLICY_SAVE,
    TITHE_OP_POLICY_SAVED, /* io: reads them back */
    TITHE_OP_STATS,        /* stat: index in; name and value out; -ENOENT past the last */
    TITHE_OP_KILL_STEWARD, /* tests: the core kills the calling steward */
    TITHE_OP_SHUTDOWN,     /* set: value = exit status for an emulator (0..127): ends all VMs, leaves */
    /* image: index in; name and bytes of a file of the module archive out; -ENOENT past the last */
    TITHE_OP_FILE_NEXT,
    TITHE_OP_SET_CPU_SHARES, /* set: value = CPU shares, 1..1000000 */
    TITHE_OP_DISK_NEXT,      /* disk: index in; the rest out; -ENOENT past the last */
    TITHE_OP_SUSPEND,        /* vm */
    TITHE_OP_RESUME,         /* set: value = swapped pages to be read ahead, at most */
    TITHE_OP_SET_GROUP,      /* set: value = share group, 0..TITHE_SHARE_GROUPS_MAX */
};

#define TITHE_AUTO UINT64_MAX

enum tithe_guest_kind {
    TITHE_GUEST_LINUX = 1,     /* bzImage + initrd */
    TITHE_GUEST_MULTIBOOT = 2, /* Multiboot v1 ELF32 + one module */
};

struct tithe_create {
    char name[TITHE_NAME_MAX];
    char kernel[TITHE_NAME_MAX]; /* image names, e.g. "vmlinuz" */
    char module[TITHE_NAME_MAX]; /* initrd or Multiboot module; "" for none */
    char cmdline[TITHE_CMDLINE_MAX];
    char disk[TITHE_PARTITION_NAME_MAX]; /* name of the partition that is its disk; "" for none */
    uint64_t size_pages;
    uint64_t min_pages;
    uint64_t max_pages; /* <= size_pages */
    uint64_t shares;
    uint64_t cpu_shares; /* 1..1000000; 0: 1000 */
    uint32_t kind;       /* enum tithe_guest_kind; 0: find out from the kernel image */
    uint32_t vcpus;      /* 1..TITHE_VCPUS_MAX */
    uint32_t paused;     /* 1: do not start yet */
    uint32_t id;         /* out */
};

struct tithe_io {
    char name[TITHE_NAME_MAX];
    uint64_t offset;
    uint64_t length; /* <= TITHE_IO_MAX */
    uint64_t total;  /* out: bytes there are in all, where that makes sense */
    uint8_t data[TITHE_IO_MAX];
};

enum tithe_event_kind {
    TITHE_EVENT_VM_CREATED = 1,
    TITHE_EVENT_VM_STOPPED, /* value: enum tithe_stop; value2: exit code */
    TITHE_EVENT_VM_DESTROYED,
    TITHE_EVENT_VM_PAUSED,
    TITHE_EVENT_VM_UNPAUSED,
    TITHE_EVENT_VM_REBOOTED,
    TITHE_EVENT_VM_CHANGED,      /* max, min, shares, share group or hold changed */
    TITHE_EVENT_POLICY_ACTIVE,   /* text: name */
    TITHE_EVENT_POLICY_ROLLBACK, /* text: reason */
    TITHE_EVENT_POLICY_GOOD,
    TITHE_EVENT_PLAN_REFUSED,   /* text: reason */
    TITHE_EVENT_STEWARD_DIED,   /* text: why and where */
    TITHE_EVENT_RESERVE,        /* free memory reached the reserve; value: free pages */
    TITHE_EVENT_BALLOON_UP,     /* a guest's balloon driver is up */
    TITHE_EVENT_VM_MEMORY_WAIT, /* a vCPU waits for a free frame */
    TITHE_EVENT_VM_POPULATED, /* value: pages that a plan's `populate` gave; value2: pages it could not give */
    TITHE_EVENT_SWAP_LOST, /* a page cannot be had back from swap: its VM is stopped; value: gfn; text: why */
    TITHE_EVENT_SWAP_WRITE, /* pages could not be written, and stay where they are; text: why */
    TITHE_EVENT_VM_SUSPENDED,
    TITHE_EVENT_VM_RESUMED,
};

struct tithe_event {
    uint64_t seq;
    uint64_t ns;
    uint32_t kind;
    uint32_t vm; /* 0: none */
    uint64_t value;
    uint64_t value2;
    char text[TITHE_REASON_MAX];
};

struct tithe_ledger {
    uint64_t total_pages;
    uint64_t free_pages;
    uint64_t core_pages;
    uint64_t table_pages;
    uint64_t guest_pages;
    uint64_t ballooned_entries; /* map entries, all VMs */
    uint64_t swapped_entries;
    uint64_t compressed_entries;
    uint64_t differences;         /* 0: everything agrees */
    char first[TITHE_REASON_MAX]; /* the first difference in words */
};

struct tithe_image {
    char name[TITHE_NAME_MAX];
    uint64_t bytes;
    uint32_t index;
    uint32_t sealed; /* out: 1: usable */
    uint32_t upload; /* out: 1: came over the line */
    uint32_t unused;
};

struct tithe_policy_info {
    char name[TITHE_NAME_MAX];     /* ACTIVATE: name of the staged policy; INFO: of the active */
    char previous[TITHE_NAME_MAX]; /* "" when there is none */
    uint64_t active_bytes;
    uint64_t previous_bytes;
    uint64_t activated_ns;
    uint64_t activations;
    uint64_t rollbacks;
    uint32_t trial;                /* 1: the active one is still on trial */
    uint32_t failed;               /* ACTIVATE/INFO: deaths of the steward under the active policy */
    char reason[TITHE_REASON_MAX]; /* ROLLBACK in; INFO: of the last rollback */
};

struct tithe_stat {
    uint32_t index;
    uint32_t unused;
    char name[64]; /* with the unit, e.g. "exits.cpuid" */
    uint64_t value;
};

/* Sectors are of 512 bytes. */
struct tithe_partition {
    uint64_t first_sector;
    uint64_t sectors;
    uint8_t type[16]; /* GUID, in the byte order it has on the disk (UEFI 2.10, 5.3.3) */
    char name[TITHE_PARTITION_NAME_MAX];
    uint32_t number; /* its place in the table, from 1 */
    uint32_t swap;   /* 1: of Tithe's own type, for swap */
};

struct tithe_disk {
    uint32_t index;
    uint32_t partition_count;
    char name[16]; /* where it is, e.g. "ata0-master" */
    char model[48];
    char table[TITHE_REASON_MAX]; /* what kind of partition table it has, or what is wrong with it */
    uint64_t sectors;
    uint64_t dma_limit_pages; /* frames from here on are out of its reach */
    uint64_t reads;           /* requests that went well; they and the rest ever growing */
    uint64_t writes;
    uint64_t flushes;
    uint64_t read_sectors;
    uint64_t written_sectors;
    uint64_t retries;                                            /* tries that failed and were repeated */
    uint64_t errors;                                             /* requests that failed for good */
    struct tithe_partition partition[TITHE_DISK_PARTITIONS_MAX]; /* partition_count of them */
};

struct tithe_mgmt {
    uint32_t op;
    uint32_t vm; /* where the operation is about one */
    /* Exactly-once: an operation that changes something carries the peer's session and
     * request number; the core remembers the last of each session, so a retry after a
     * lost answer, or after a death of the steward between deed and answer, gets the
     * first outcome again with `repeated` set. session 0: the steward's own doing. */
    uint64_t session;
    uint64_t request;
    uint32_t repeated; /* out */
    uint32_t unused;
    char reason[TITHE_REASON_MAX]; /* out: why it failed and how to mend it */
    union {
        struct tithe_create create;
        struct {
            uint64_t value;
        } set;
        struct tithe_io io;
        struct tithe_event event;
        struct tithe_ledger ledger;
        struct tithe_image image;
        struct tithe_policy_info policy;
        struct tithe_stat stat;
        struct tithe_disk disk;
    } u;
};

#endif
