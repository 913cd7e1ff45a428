/* SPDX-License-Identifier: MIT
 *
 * The guest's memory as devices and loaders see it: by guest-physical address, touched as the guest would.
 */
#include "vm/vm.h"

/* Bytes from gpa to the end of its page, at most `bytes`. */
static size_t in_page(gpa_t gpa, size_t bytes)
{
    const size_t room = PAGE_BYTES - (gpa & (PAGE_BYTES - 1));
    return bytes < room ? bytes : room;
}

bool vm_read(struct vm *vm, gpa_t gpa, void *out, size_t bytes)
{
    uint8_t *to = out;
    while (bytes > 0) {
        const size_t part = in_page(gpa, bytes);
        if (p2m_read(&vm->p2m, gpa, to, part) != P2M_TOUCH_OK) {
            return false;
        }
        to += part;
        gpa += part;
        bytes -= part;
    }
    return true;
}

bool vm_touch(struct vm *vm, gpa_t gpa, size_t bytes)
{
    while (bytes > 0) {
        const size_t part = in_page(gpa, bytes);
        const enum p2m_touch touch = p2m_touch(&vm->p2m, gpa >> PAGE_SHIFT, true);
        if (touch == P2M_TOUCH_WAIT || touch == P2M_TOUCH_NO_MEMORY) {
            return false;
        }
        gpa += part;
        bytes -= part;
    }
    return true;
}

bool vm_is_ram(struct vm *vm, gpa_t gpa, size_t bytes)
{
    while (bytes > 0) {
        const size_t part = in_page(gpa, bytes);
        if (!p2m_is_ram(&vm->p2m, gpa >> PAGE_SHIFT)) {
            return false;
        }
        gpa += part;
        bytes -= part;
    }
    return true;
}

bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes)
{
    const uint8_t *from = in;
    while (bytes > 0) {
        const size_t part = in_page(gpa, bytes);
        if (p2m_write(&vm->p2m, gpa, from, part) != P2M_TOUCH_OK) {
            return false;
        }
        from += part;
        gpa += part;
        bytes -= part;
    }
    return true;
}
