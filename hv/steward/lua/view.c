/* SPDX-License-Identifier: MIT
 *
 * The snapshot as Lua tables. They are made once and filled anew for each call,
 * since making them would cost more than most policies do.
 */
#include <lauxlib.h>
#include <stddef.h>
#include "fields.h"
#include "names.h"
#include "script.h"

/* Registry keys. */
static const char host_key, vms_key, by_id_key;

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, value > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

/* Pushes the table kept under a registry key, made at the first use. A script may
 * have hung a metatable on it, which must not be called from here. */
static void push_kept(lua_State *L, const void *key, int fields)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, fields);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
    lua_pushnil(L);
    lua_setmetatable(L, -2);
}

void view_push_host(struct script *s)
{
    lua_State *L = s->L;
    const struct tithe_snapshot *snap = s->machine->snapshot;
    push_kept(L, &host_key, (int)host_field_count + 2);
    for (size_t i = 0; i < host_field_count; i++) {
        set_integer(L, host_fields[i].name, field_value(&host_fields[i], snap));
    }
    set_text(L, "vendor", snap->vendor);
    set_text(L, "machine", snap->machine);
}

/* With many VMs, finding the same names again and again would be most of the cost: they are put on the
 * stack once, in order, from `keys` up. */
static void push_names(lua_State *L, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) lua_pushstring(L, fields[i].name);
}

static void fill_by_keys(lua_State *L, int keys, const struct field *fields, size_t count, const void *from)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = field_value(&fields[i], from);
        lua_pushvalue(L, keys + (int)i);
        if (value == UINT64_MAX) {
            lua_pushnil(L); /* the guest never told */
        } else {
            lua_pushinteger(L, value > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)value);
        }
        lua_rawset(L, -3);
    }
}

/* Pushes the subtable `guest` of the VM's table on top, or nil when the guest has told nothing. */
static void fill_guest(lua_State *L, int guest_keys, const struct tithe_guest_stats *g)
{
    if (g->updated_ns == 0) {
        lua_pushnil(L);
        lua_setfield(L, -2, "guest");
        return;
    }
    lua_pushliteral(L, "guest");
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, (int)guest_field_count);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "guest");
    }
    lua_pushnil(L);
    lua_setmetatable(L, -2);
    fill_by_keys(L, guest_keys, guest_fields, guest_field_count, g);
    lua_pop(L, 1);
}

/* Returns whether the VM is new here. */
static bool push_vm(lua_State *L, int by_id, int keys, const struct tithe_vm_snapshot *vm)
{
    bool is_new = lua_rawgeti(L, by_id, vm->id) != LUA_TTABLE;
    if (is_new) {
        lua_pop(L, 1);
        lua_createtable(L, 0, (int)vm_field_count + 6);
        lua_pushvalue(L, -1);
        lua_rawseti(L, by_id, vm->id);
    }
    lua_pushnil(L);
    lua_setmetatable(L, -2);
    fill_by_keys(L, keys, vm_fields, vm_field_count, vm);
    set_integer(L, "id", vm->id);
    set_text(L, "name", vm->name);
    set_text(L, "state", name_of_state(vm->state));
    set_boolean(L, "held", vm->held != 0);
    set_boolean(L, "balloon_driver", vm->balloon_driver != 0);
    fill_guest(L, keys + (int)vm_field_count, &vm->guest);
    return is_new;
}

static const struct tithe_vm_snapshot *find(const struct tithe_snapshot *snap, lua_Integer id)
{
    for (uint32_t i = 0; i < snap->vm_count; i++) {
        if (snap->vm[i].id == id && snap->vm[i].state != TITHE_VM_STOPPED) return &snap->vm[i];
    }
    return NULL;
}

/* Lets go of tables of VMs that are gone. */
static void forget_gone(lua_State *L, int by_id, const struct tithe_snapshot *snap)
{
    for (lua_pushnil(L); lua_next(L, by_id);) {
        lua_pop(L, 1);
        lua_Integer id = lua_tointeger(L, -1);
        if (find(snap, id) != NULL) continue;
        lua_pushnil(L);
        lua_rawseti(L, by_id, id); /* clearing a field while traversing is allowed */
    }
}

/* VMs that have ended are left out: no plan may name them. */
void view_push_vms(struct script *s)
{
    lua_State *L = s->L;
    const struct tithe_snapshot *snap = s->machine->snapshot;
    push_kept(L, &by_id_key, 0);
    int by_id = lua_gettop(L);
    push_kept(L, &vms_key, 0);
    int vms = lua_gettop(L);
    luaL_checkstack(L, (int)(vm_field_count + guest_field_count) + LUA_MINSTACK, NULL);
    int keys = vms + 1;
    push_names(L, vm_fields, vm_field_count);
    push_names(L, guest_fields, guest_field_count);
    lua_Integer have = 0;
    bool changed = false;
    for (uint32_t i = 0; i < snap->vm_count; i++) {
        if (snap->vm[i].state == TITHE_VM_STOPPED) continue;
        if (push_vm(L, by_id, keys, &snap->vm[i])) changed = true;
        lua_rawseti(L, vms, ++have);
    }
    while (lua_rawgeti(L, vms, ++have) != LUA_TNIL) { /* left from a longer list */
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_rawseti(L, vms, have);
        changed = true;
    }
    lua_pop(L, 1);
    if (changed) forget_gone(L, by_id, snap);
    lua_settop(L, vms);
    lua_remove(L, by_id);
}

void view_push_create(lua_State *L, const struct tithe_create *vm)
{
    lua_createtable(L, 0, 10);
    set_text(L, "name", vm->name);
    set_text(L, "kernel", vm->kernel);
    set_text(L, "module", vm->module);
    set_text(L, "cmdline", vm->cmdline);
    set_integer(L, "size_pages", vm->size_pages);
    set_integer(L, "max_pages", vm->max_pages);
    set_integer(L, "min_pages", vm->min_pages);
    set_integer(L, "shares", vm->shares);
    set_integer(L, "vcpus", vm->vcpus);
}

void view_push_event(lua_State *L, const char *kind, const struct tithe_event *e)
{
    lua_createtable(L, 0, 7);
    set_text(L, "kind", kind);
    if (e == NULL) return;
    set_integer(L, "seq", e->seq);
    set_integer(L, "ns", e->ns);
    set_integer(L, "value", e->value);
    set_integer(L, "value2", e->value2);
    set_text(L, "text", e->text);
    if (e->vm != 0) set_integer(L, "vm", e->vm);
}
