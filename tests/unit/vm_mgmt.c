/* SPDX-License-Identifier: MIT
 *
 * Operations of a hostile steward or peer: exactly-once at its edges, texts without an end, the store of policies.
 */
#include "host_env.h"

#include "boot/boot_info.h"
#include "drv/disk.h"
#include "lib/log.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "steward/core/policy_store.h"
#include "vm/event.h"
#include "vm/image.h"
#include "vm/mgmt.h"
#include "vm/mgmt_vm.h"
#include "vm/stats.h"
#include "vm/vm.h"
#include "vm/world.h"
#include "x86/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm_tests.h"

#define FRAMES 4096u

/* ---- what the operations ask of the machine ---- */

static unsigned paused;
static int pause_error;

int mgmt_pause(struct tithe_mgmt *m)
{
    paused++;
    m->vm = 7;
    return pause_error;
}

#define NOTHING(name)                                                                                        \
    int name(struct tithe_mgmt *m)                                                                           \
    {                                                                                                        \
        (void)m;                                                                                             \
        return 0;                                                                                            \
    }
NOTHING(mgmt_destroy)
NOTHING(mgmt_unpause)
NOTHING(mgmt_suspend)
NOTHING(mgmt_resume)
NOTHING(mgmt_set_target)
NOTHING(mgmt_set_max)
NOTHING(mgmt_set_min)
NOTHING(mgmt_set_shares)
NOTHING(mgmt_set_cpu_shares)
NOTHING(mgmt_set_group)
NOTHING(mgmt_console_read)
NOTHING(mgmt_console_write)

int vm_create(struct tithe_create *config, char *reason)
{
    (void)reason;
    config->id = (uint32_t)strlen(config->name) + (uint32_t)strlen(config->kernel) +
                 (uint32_t)strlen(config->module) + (uint32_t)strlen(config->cmdline);
    return 0;
}

void world_stop(void) {}
void world_resume(void) {}

bool disk_describe(struct tithe_disk *disk)
{
    (void)disk;
    return false;
}

bool stats_get(struct tithe_stat *stat)
{
    (void)stat;
    return false;
}

bool event_read(uint64_t seq, struct tithe_event *out)
{
    (void)seq, (void)out;
    return false;
}

void event_emit(enum tithe_event_kind kind, uint32_t vm_id, uint64_t value, uint64_t value2, const char *fmt,
                ...)
{
    char text[TITHE_REASON_MAX];
    va_list args;

    (void)kind, (void)vm_id, (void)value, (void)value2;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
}

size_t log_read(uint64_t *offset, void *out, size_t size)
{
    (void)offset, (void)out, (void)size;
    return 0;
}

uint64_t log_offset(void)
{
    return 0;
}

uint64_t time_now_ns(void)
{
    return 1;
}

uint64_t boot_option_u64(const char *key, uint64_t otherwise)
{
    (void)key;
    return otherwise;
}

size_t text_copy(char *to, size_t size, const char *from)
{
    return (size_t)snprintf(to, size, "%s", from);
}

/* ---- */

/* On the heap and no longer than it is, so that the sanitizer sees who reads past it. */
static struct tithe_mgmt *request(uint32_t op, uint64_t session, uint64_t number)
{
    static struct tithe_mgmt *m;

    free(m);
    m = calloc(1, sizeof *m);
    m->op = op;
    m->session = session;
    m->request = number;
    return m;
}

static void start(void)
{
    host_env_reset(FRAMES);
    const uint64_t kept = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_init(direct_base, FRAMES);
    frames_add(0, kept, FRAME_CORE);
    frames_add(kept, FRAMES - kept, FRAME_FREE);
    assert_true(policy_store_init());
    paused = 0;
    pause_error = 0;
}

static void request_zero_is_done(void **state)
{
    (void)state;
    start();
    assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, 0x100, 0)), 0);
    assert_int_equal(paused, 1);
    struct tithe_mgmt *m = request(TITHE_OP_PAUSE, 0x100, 0);
    assert_int_equal(mgmt_do(m), 0);
    assert_int_equal(m->repeated, 1);
    assert_int_equal(m->vm, 7);
    assert_int_equal(paused, 1);
}

static void a_failure_is_remembered_too(void **state)
{
    (void)state;
    start();
    pause_error = TITHE_ENOMEM;
    assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, 0x101, 5)), TITHE_ENOMEM);
    pause_error = 0;
    assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, 0x101, 5)), TITHE_ENOMEM);
    assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, 0x101, 6)), 0);
    assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, 0x101, 5)), TITHE_ESTALE);
    assert_int_equal(paused, 2);
}

/* An outcome is the answer only to what it was the outcome of. */
static void another_operation_under_the_same_number_is_refused(void **state)
{
    (void)state;
    start();
    assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, 0x102, 1)), 0);
    struct tithe_mgmt *m = request(TITHE_OP_DESTROY, 0x102, 1);
    assert_int_equal(mgmt_do(m), TITHE_ESTALE);
    assert_int_equal(m->repeated, 0);
}

static void sessions_are_forgotten_oldest_first(void **state)
{
    (void)state;
    start();
    for (uint64_t session = 0x200; session < 0x240; session++) {
        assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, session, 3)), 0);
    }
    const unsigned before = paused;
    for (uint64_t session = 0x220; session < 0x240; session++) {
        assert_int_equal(mgmt_do(request(TITHE_OP_PAUSE, session, 3)), 0);
    }
    assert_int_equal(paused, before);
}

/* Every operation there may be, with a union without a single NUL and all lengths and offsets beyond all bounds. */
static void texts_without_end_and_wild_numbers(void **state)
{
    (void)state;
    start();
    for (uint32_t op = 0; op < 40; op++) {
        if (op == TITHE_OP_SHUTDOWN) continue; /* it would be remembered */
        struct tithe_mgmt *m = request(op, 0, 0);
        memset(&m->u, 0xff, sizeof m->u);
        (void)mgmt_do(m);
        m = request(op, 0, 0);
        memset(&m->u, 'x', sizeof m->u);
        if (op == TITHE_OP_IMAGE_CREATE) m->u.image.bytes = 5000;
        if (op == TITHE_OP_POLICY_STAGE) m->u.io.offset = 0, m->u.io.length = 100;
        (void)mgmt_do(m);
        assert_true(memchr(m->reason, 0, sizeof m->reason) != NULL);
    }
    struct tithe_mgmt *m = request(TITHE_OP_CREATE, 0, 0);
    memset(&m->u, 'x', sizeof m->u);
    assert_int_equal(mgmt_do(m), 0);
    assert_int_equal(m->vm, 3 * (TITHE_NAME_MAX - 1) + TITHE_CMDLINE_MAX - 1);
    m = request(TITHE_OP_IMAGE_NEXT, 0, 0);
    (void)mgmt_do(m);
    assert_true(memchr(m->u.image.name, 0, TITHE_NAME_MAX) != NULL);
}

static int stage(uint64_t offset, const char *text)
{
    struct tithe_mgmt *m = request(TITHE_OP_POLICY_STAGE, 0, 0);
    memcpy(m->u.io.name, "p", 2);
    m->u.io.offset = offset;
    m->u.io.length = strlen(text);
    memcpy(m->u.io.data, text, strlen(text));
    return mgmt_do(m);
}

static int activate(const char *name)
{
    struct tithe_mgmt *m = request(TITHE_OP_POLICY_ACTIVATE, 0, 0);
    memcpy(m->u.policy.name, name, strlen(name));
    return mgmt_do(m);
}

static const char *active(void)
{
    static struct tithe_policy_info info;
    policy_info(&info);
    return info.active_bytes > 0 ? info.name : "";
}

static void policies_come_and_go(void **state)
{
    (void)state;
    start();
    assert_int_equal(activate("none"), TITHE_ENOENT);
    assert_int_equal(stage(5, "late"), TITHE_EINVAL);
    assert_int_equal(stage(0, "first"), 0);
    assert_int_equal(activate("one"), 0);
    assert_int_equal(activate("again"), TITHE_ENOENT);
    assert_int_equal(stage(3, "rest of what was staged before"), TITHE_EINVAL);
    assert_string_equal(active(), "one");
    assert_int_equal(mgmt_do(request(TITHE_OP_POLICY_ROLLBACK, 0, 0)), TITHE_ENOENT);
    assert_int_equal(stage(0, "second"), 0);
    assert_int_equal(activate("two"), 0);
    policy_store_blame("test", "");
    assert_string_equal(active(), "one");
    assert_int_equal(mgmt_do(request(TITHE_OP_POLICY_CONFIRM, 0, 0)), 0);
    for (unsigned i = 0; i < 3; i++) policy_store_blame("test", "");
    assert_string_equal(active(), ""); /* nothing before it: the steward takes the first of the archive */
    assert_int_equal(mgmt_do(request(TITHE_OP_POLICY_ROLLBACK, 0, 0)), TITHE_ENOENT);
    policy_store_blame("test", "");
    assert_int_equal(stage(TITHE_POLICY_MAX_BYTES - 1, "xx"), TITHE_ERANGE);
    assert_int_equal(stage(UINT64_MAX, "xx"), TITHE_ERANGE);
}

/* The store and the uploads outlive a test's machine: in this order. */
const struct CMUnitTest mgmt_tests[] = {
    cmocka_unit_test(policies_come_and_go),
    cmocka_unit_test(request_zero_is_done),
    cmocka_unit_test(a_failure_is_remembered_too),
    cmocka_unit_test(another_operation_under_the_same_number_is_refused),
    cmocka_unit_test(sessions_are_forgotten_oldest_first),
    cmocka_unit_test(texts_without_end_and_wild_numbers),
};
const size_t mgmt_test_count = sizeof mgmt_tests / sizeof mgmt_tests[0];
