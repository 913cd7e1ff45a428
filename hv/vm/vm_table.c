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

/* ---- sets ---- */

struct vm_set vms_pending, vms_without_memory;

void vm_set_add(struct vm_set *set, const struct vm *vm)
{
    const unsigned bit = vm->slot - 1u;
    __atomic_fetch_or(&set->slots[bit / 64], 1ull << bit % 64, __ATOMIC_SEQ_CST);
}

void vm_set_remove(struct vm_set *set, const struct vm *vm)
{
    const unsigned bit = vm->slot - 1u;
    __atomic_fetch_and(&set->slots[bit / 64], ~(1ull << bit % 64), __ATOMIC_SEQ_CST);
}

bool vm_set_has(const struct vm_set *set, size_t place)
{
    return (__atomic_load_n(&set->slots[place / 64], __ATOMIC_SEQ_CST) >> place % 64 & 1) != 0;
}

bool vm_set_empty(const struct vm_set *set)
{
    uint64_t any = 0;
    for (size_t i = 0; i < ARRAY_LEN(set->slots); i++) {
        any |= __atomic_load_n(&set->slots[i], __ATOMIC_RELAXED);
    }
    return any == 0;
}

void vm_set_take(struct vm_set *set, void (*act)(struct vm *vm))
{
    for (size_t i = 0; i < ARRAY_LEN(set->slots); i++) {
        uint64_t slots = __atomic_exchange_n(&set->slots[i], 0, __ATOMIC_SEQ_CST);
        for (; slots != 0; slots &= slots - 1) {
            struct vm *vm = vm_at(i * 64 + (size_t)__builtin_ctzll(slots));
            if (vm != NULL) {
                act(vm);
            }
        }
    }
}
