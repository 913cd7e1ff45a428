/* SPDX-License-Identifier: MIT
 *
 * The operations of tithe/abi.h: a table, and exactly-once over it.
 */
#include "vm/mgmt.h"

#include "drv/disk.h"
#include "lib/log.h"
#include "lib/string.h"
#include "steward/core/policy_store.h"
#include "vm/event.h"
#include "mem/ledger.h"
#include "vm/image.h"
#include "vm/mgmt_vm.h"
#include "vm/stats.h"
#include "vm/vm.h"
#include "vm/world.h"
#include "x86/leave.h"

static int op_create(struct tithe_mgmt *m)
{
    const int error = vm_create(&m->u.create, m->reason);
    m->vm = error == 0 ? m->u.create.id : 0;
    return error;
}

static int op_log_read(struct tithe_mgmt *m)
{
    struct tithe_io *io = &m->u.io;
    const uint64_t want = io->length < TITHE_IO_MAX ? io->length : TITHE_IO_MAX;
    io->length = log_read(&io->offset, io->data, want);
    io->total = log_offset();
    return 0;
}

static int op_event_read(struct tithe_mgmt *m)
{
    return event_read(m->u.event.seq, &m->u.event) ? 0 : TITHE_ENOENT;
}

static int op_ledger(struct tithe_mgmt *m)
{
    struct p2m *maps[TITHE_VMS_MAX];
    size_t count = 0;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        struct vm *vm = vm_at(place);
        if (vm != NULL && vm->state != TITHE_VM_STOPPED) {
            maps[count++] = &vm->p2m;
        }
    }
    world_stop();
    ledger_check(maps, count, &m->u.ledger);
    world_resume();
    return 0;
}

static int op_image_next(struct tithe_mgmt *m)
{
    return image_next(&m->u.image);
}
static int op_image_create(struct tithe_mgmt *m)
{
    return image_create(&m->u.image, m->reason);
}
static int op_image_write(struct tithe_mgmt *m)
{
    return image_write(&m->u.io, m->reason);
}
static int op_image_seal(struct tithe_mgmt *m)
{
    return image_seal(&m->u.image, m->reason);
}
static int op_image_delete(struct tithe_mgmt *m)
{
    return image_delete(&m->u.image, m->reason);
}
static int op_file_read(struct tithe_mgmt *m)
{
    return image_file_read(&m->u.io, m->reason);
}
static int op_file_next(struct tithe_mgmt *m)
{
    return image_file_next(&m->u.image);
}
static int op_policy_stage(struct tithe_mgmt *m)
{
    return policy_stage(&m->u.io, m->reason);
}
static int op_policy_activate(struct tithe_mgmt *m)
{
    return policy_activate(&m->u.policy, m->reason);
}
static int op_policy_confirm(struct tithe_mgmt *m)
{
    return policy_confirm(m->reason);
}
static int op_policy_rollback(struct tithe_mgmt *m)
{
    return policy_rollback(&m->u.policy, m->reason);
}
static int op_policy_read(struct tithe_mgmt *m)
{
    return policy_read(&m->u.io, m->reason);
}
static int op_policy_save(struct tithe_mgmt *m)
{
    return policy_save(&m->u.io, m->reason);
}
static int op_stats(struct tithe_mgmt *m)
{
    return stats_get(&m->u.stat) ? 0 : TITHE_ENOENT;
}

static int op_disk_next(struct tithe_mgmt *m)
{
    return disk_describe(&m->u.disk) ? 0 : TITHE_ENOENT;
}

static int op_policy_info(struct tithe_mgmt *m)
{
    policy_info(&m->u.policy);
    return 0;
}

static int op_policy_saved(struct tithe_mgmt *m)
{
    policy_saved(&m->u.io);
    return 0;
}

static int shutdown_status = -1;

static int op_shutdown(struct tithe_mgmt *m)
{
    if (m->u.set.value > 127) {
        fmt_string(m->reason, sizeof m->reason, "an exit status is 0 to 127");
        return TITHE_ERANGE;
    }
    shutdown_status = (int)m->u.set.value;
    return 0;
}

int mgmt_shutdown_status(void)
{
    return shutdown_status;
}

/* Which member of the union an operation is about, for the texts in it. */
enum about { PLAIN, CREATE, IO, IMAGE, POLICY };

struct operation {
    int (*run)(struct tithe_mgmt *m);
    bool changes; /* done once per request */
    enum about about;
};

static const struct operation operations[] = {
    [TITHE_OP_CREATE] = {op_create, true, CREATE},
    [TITHE_OP_DESTROY] = {mgmt_destroy, true},
    [TITHE_OP_PAUSE] = {mgmt_pause, true},
    [TITHE_OP_UNPAUSE] = {mgmt_unpause, true},
    [TITHE_OP_SUSPEND] = {mgmt_suspend, true},
    [TITHE_OP_RESUME] = {mgmt_resume, true},
    [TITHE_OP_SET_TARGET] = {mgmt_set_target, true},
    [TITHE_OP_SET_MAX] = {mgmt_set_max, true},
    [TITHE_OP_SET_MIN] = {mgmt_set_min, true},
    [TITHE_OP_SET_SHARES] = {mgmt_set_shares, true},
    [TITHE_OP_SET_GROUP] = {mgmt_set_group, true},
    [TITHE_OP_CONSOLE_READ] = {mgmt_console_read, false},
    [TITHE_OP_CONSOLE_WRITE] = {mgmt_console_write, true},
    [TITHE_OP_LOG_READ] = {op_log_read, false},
    [TITHE_OP_EVENT_READ] = {op_event_read, false},
    [TITHE_OP_LEDGER] = {op_ledger, false},
    [TITHE_OP_IMAGE_NEXT] = {op_image_next, false},
    [TITHE_OP_IMAGE_CREATE] = {op_image_create, true, IMAGE},
    [TITHE_OP_IMAGE_WRITE] = {op_image_write, false, IO},
    [TITHE_OP_IMAGE_SEAL] = {op_image_seal, true, IMAGE},
    [TITHE_OP_IMAGE_DELETE] = {op_image_delete, true, IMAGE},
    [TITHE_OP_FILE_READ] = {op_file_read, false, IO},
    [TITHE_OP_POLICY_STAGE] = {op_policy_stage, false, IO},
    [TITHE_OP_POLICY_ACTIVATE] = {op_policy_activate, true, POLICY},
    [TITHE_OP_POLICY_CONFIRM] = {op_policy_confirm, true},
    [TITHE_OP_POLICY_ROLLBACK] = {op_policy_rollback, true, POLICY},
    [TITHE_OP_POLICY_READ] = {op_policy_read, false, IO},
    [TITHE_OP_POLICY_INFO] = {op_policy_info, false},
    [TITHE_OP_POLICY_SAVE] = {op_policy_save, true},
    [TITHE_OP_POLICY_SAVED] = {op_policy_saved, false},
    [TITHE_OP_STATS] = {op_stats, false},
    [TITHE_OP_SET_CPU_SHARES] = {mgmt_set_cpu_shares, true},
    [TITHE_OP_SHUTDOWN] = {op_shutdown, true},
    [TITHE_OP_FILE_NEXT] = {op_file_next, false},
    [TITHE_OP_DISK_NEXT] = {op_disk_next, false},
};

/* ---- exactly once ---- */

struct memory {
    uint64_t session, request;
    uint32_t op;
    uint64_t used; /* for finding the one least lately used; 0: nothing remembered yet */
    int error;
    uint32_t vm;
    uint64_t length; /* CONSOLE_WRITE: bytes taken */
    char reason[TITHE_REASON_MAX];
};

#define SESSIONS 32u
static struct memory memories[SESSIONS];
static uint64_t uses;

static struct memory *memory_of(uint64_t session)
{
    struct memory *oldest = &memories[0];
    for (size_t i = 0; i < SESSIONS; i++) {
        if (memories[i].session == session) {
            return &memories[i];
        }
        if (memories[i].used < oldest->used) {
            oldest = &memories[i];
        }
    }
    *oldest = (struct memory){.session = session};
    return oldest;
}

static int once(const struct operation *op, struct tithe_mgmt *m)
{
    struct memory *memory = memory_of(m->session);
    const bool first = memory->used == 0;
    memory->used = ++uses;
    if (!first && m->request == memory->request && m->op == memory->op) {
        m->repeated = 1;
        m->vm = memory->vm;
        if (m->op == TITHE_OP_CREATE) {
            m->u.create.id = memory->vm;
        } else if (m->op == TITHE_OP_CONSOLE_WRITE) {
            m->u.io.length = memory->length;
        }
        memcpy(m->reason, memory->reason, sizeof m->reason);
        return memory->error;
    }
    if (!first && m->request <= memory->request) {
        fmt_string(m->reason, sizeof m->reason,
                   "request %llu of this session is not newer than its last, %llu: not done",
                   (unsigned long long)m->request, (unsigned long long)memory->request);
        return TITHE_ESTALE;
    }
    memory->request = m->request;
    memory->op = m->op;
    memory->error = op->run(m);
    memory->vm = m->vm;
    memory->length = m->op == TITHE_OP_CONSOLE_WRITE ? m->u.io.length : 0;
    memcpy(memory->reason, m->reason, sizeof memory->reason);
    return memory->error;
}

/* Every text that comes from ring 3 has an end from here on. */
static void end_texts(struct tithe_mgmt *m, enum about about)
{
    switch (about) {
    case PLAIN: break;
    case CREATE:
        m->u.create.name[TITHE_NAME_MAX - 1] = '\0';
        m->u.create.kernel[TITHE_NAME_MAX - 1] = '\0';
        m->u.create.module[TITHE_NAME_MAX - 1] = '\0';
        m->u.create.cmdline[TITHE_CMDLINE_MAX - 1] = '\0';
        m->u.create.disk[TITHE_PARTITION_NAME_MAX - 1] = '\0';
        break;
    case IO: m->u.io.name[TITHE_NAME_MAX - 1] = '\0'; break;
    case IMAGE: m->u.image.name[TITHE_NAME_MAX - 1] = '\0'; break;
    case POLICY:
        m->u.policy.name[TITHE_NAME_MAX - 1] = '\0';
        m->u.policy.reason[TITHE_REASON_MAX - 1] = '\0';
        break;
    }
}

int mgmt_do(struct tithe_mgmt *m)
{
    if (m->op >= ARRAY_LEN(operations) || operations[m->op].run == NULL) {
        fmt_string(m->reason, sizeof m->reason, "no operation %u", m->op);
        return TITHE_ENOSYS;
    }
    const struct operation *op = &operations[m->op];
    end_texts(m, op->about);
    return op->changes && m->session != 0 ? once(op, m) : op->run(m);
}
