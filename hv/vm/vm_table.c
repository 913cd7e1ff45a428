/* SPDX-License-Identifier: MIT
 *
 * The set of VMs.
 */
#include "vm/vm_table.h"

#include "lib/string.h"

static struct vm *table[TITHE_VMS_MAX];

struct vm *vm_at(size_t place)
{
    return place < TITHE_VMS_MAX ? table[place] : NULL;
}

struct vm *vm_find(uint32_t id)
{
    for (size_t i = 0; i < TITHE_VMS_MAX; i++) {
        if (table[i] != NULL && table[i]->id == id) {
            return table[i];
        }
    }
    return NULL;
}

struct vm *vm_find_name(const char *name)
{
    for (size_t i = 0; i < TITHE_VMS_MAX; i++) {
        if (table[i] != NULL && strcmp(table[i]->name, name) == 0) {
            return table[i];
        }
    }
    return NULL;
}

uint16_t vm_table_free_slot(void)
{
    for (size_t i = 0; i < TITHE_VMS_MAX; i++) {
        if (table[i] == NULL) {
            return (uint16_t)(i + 1);
        }
    }
    return 0;
}

void vm_table_put(struct vm *vm)
{
    table[vm->slot - 1] = vm;
}

void vm_table_drop(struct vm *vm)
{
    table[vm->slot - 1] = NULL;
}
