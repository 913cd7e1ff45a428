/* SPDX-License-Identifier: MIT
 *
 * Puts a guest at its entry: devices reset, tables and images in memory.
 */
#include "vm/vm_boot.h"

#include "lib/log.h"
#include "lib/string.h"
#include "virt/vendor.h"
#include "vm/image.h"
#include "vm/load.h"
#include "x86/cpu.h"
#include "x86/fpu.h"

static void reset_vcpu(struct vcpu *v, uint64_t tsc_offset)
{
    lapic_init(&v->lapic, &v->vm->platform, v->index, v->index == 0);
    guest_msr_reset(v);
    fpu_state_reset(&v->fpu);
    v->tsc_offset = tsc_offset;
    vendor->set_tsc_offset(v, v->tsc_offset);
    v->requests = 0;
    v->irq_check = true;
    v->window_wanted = false;
    v->clear_shadow = false;
    v->state = v->index == 0 ? VCPU_RUNNABLE : VCPU_STOPPED;
}

static int find_image(const char *what, const char *name, struct load_source *source, char *reason)
{
    if (!image_source(name, source)) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "no %s image named %s: 'images' lists what there is, 'upload' adds one", what, name);
        return TITHE_ENOENT;
    }
    return 0;
}

int vm_load(struct vm *vm, char *reason)
{
    const struct tithe_create *c = &vm->config;
    struct load_source kernel, module;
    const bool with_module = c->module[0] != '\0';
    int error = find_image("kernel", c->kernel, &kernel, reason);
    if (error == 0 && with_module) {
        error = find_image("module", c->module, &module, reason);
    }
    if (error != 0) {
        return error;
    }
    const struct load_request request = {
        .kind = c->kind,
        .kernel = &kernel,
        .module = with_module ? &module : NULL,
        .kernel_name = c->kernel,
        .module_name = c->module,
        .cmdline = c->cmdline,
    };
    struct load_result result;
    char text[TITHE_REASON_MAX];
    const char *why = load_guest(vm, &request, &result, text);
    if (why == NULL &&
        !(acpi_tables_write(&vm->platform, vm->vcpu_count) && reset_vector_write(&vm->platform))) {
        why = "no memory free for the guest's ACPI tables";
    }
    if (why != NULL) {
        fmt_string(reason, TITHE_REASON_MAX, "%s", why);
        return TITHE_EINVAL;
    }
    const uint64_t tsc_offset = (uint64_t)0 - rdtsc();
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        reset_vcpu(vm->vcpu[i], tsc_offset);
    }
    load_enter(vm->vcpu[0], &result);
    vendor->park(); /* another CPU may be the first to run it */
    return 0;
}
