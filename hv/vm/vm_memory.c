/* SPDX-License-Identifier: MIT
 *
 * The guest's memory as devices and loaders see it: by guest-physical address, touched as the guest would.
 */
#include "lib/string.h"
#include "mem/direct.h"
#include "vm/vm.h"

/* The direct-map address of one guest byte, and how many bytes of its page follow; NULL when there is no RAM.
 */
static uint8_t *locate(struct vm *vm, gpa_t gpa, size_t *room_bytes)
{
    mfn_t mfn;
    if (p2m_touch(&vm->p2m, gpa >> PAGE_SHIFT, &mfn) != P2M_TOUCH_OK) {
        return NULL;
    }
    const size_t at = gpa & (PAGE_BYTES - 1);
    *room_bytes = PAGE_BYTES - at;
    return (uint8_t *)mfn_to_virt(mfn) + at;
}

bool vm_read(struct vm *vm, gpa_t gpa, void *out, size_t bytes)
{
    uint8_t *to = out;
    while (bytes > 0) {
        size_t room;
        const uint8_t *from = locate(vm, gpa, &room);
        if (from == NULL) {
            return false;
        }
        const size_t part = bytes < room ? bytes : room;
        memcpy(to, from, part);
        to += part;
        gpa += part;
        bytes -= part;
    }
    return true;
}

bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes)
{
    const uint8_t *from = in;
    while (bytes > 0) {
        size_t room;
        uint8_t *to = locate(vm, gpa, &room);
        if (to == NULL) {
            return false;
        }
        const size_t part = bytes < room ? bytes : room;
        memcpy(to, from, part);
        from += part;
        gpa += part;
        bytes -= part;
    }
    return true;
}
