/* SPDX-License-Identifier: MIT
 *
 * The snapshot as Lua tables. They are made once, and each call writes into them what has changed since the
 * last: writing everything would cost more than most policies do. Accesses are raw, for a script may have hung
 * a metatable on them, which must not be called from here.
 */
#include <lauxlib.h>
#include <stddef.h>
#include "fields.h"
#include "names.h"
#include "script.h"

/* Registry keys. by_id has each VM's table under its id, and those of its parts under its id less a multiple of PART. */
static const char host_key, vms_key, by_id_key, names_key;

#define PART (1ll << 32)

/* Where the names of fields begin in the list under names_key: as strings that need not be found again. */
#define HOST_NAMES   1
#define VM_NAMES     (HOST_NAMES + (int)host_field_count)
#define GUEST_NAMES  (VM_NAMES + (int)vm_field_count)
#define SAMPLE_NAMES (GUEST_NAMES + (int)guest_field_count)
#define DISK_NAMES   (SAMPLE_NAMES + (int)sample_field_count)

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushstring(L, name);
    lua_pushinteger(L, value > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)value);
    lua_rawset(L, -3);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, name);
    lua_pushstring(L, text);
    lua_rawset(L, -3);
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushstring(L, name);
    lua_pushboolean(L, value);
    lua_rawset(L, -3);
}

/* Pushes the table kept under a registry key. Returns whether it is new. */
static bool push_kept(lua_State *L, const void *key, int items, int fields)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return false;
    lua_pop(L, 1);
    lua_createtable(L, items, fields);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    return true;
}

/* Likewise under an id in the table at the index by_id. */
static bool push_by_id(lua_State *L, int by_id, lua_Integer id, int fields)
{
    if (lua_rawgeti(L, by_id, id) == LUA_TTABLE) return false;
    lua_pop(L, 1);
    lua_createtable(L, 0, fields);
    lua_pushvalue(L, -1);
    lua_rawseti(L, by_id, id);
    return true;
}

static void add_names(lua_State *L, int from, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, fields[i].name);
        lua_rawseti(L, -2, from + (int)i);
    }
}

static int push_names(lua_State *L)
{
    if (push_kept(L, &names_key, DISK_NAMES + (int)disk_field_count, 0)) {
        add_names(L, HOST_NAMES, host_fields, host_field_count);
        add_names(L, VM_NAMES, vm_fields, vm_field_count);
        add_names(L, GUEST_NAMES, guest_fields, guest_field_count);
        add_names(L, SAMPLE_NAMES, sample_fields, sample_field_count);
        add_names(L, DISK_NAMES, disk_fields, disk_field_count);
    }
    return lua_gettop(L);
}

struct fill {
    const struct field *fields;
    size_t count;
    int names, first; /* stack index of the list of names, and the place there of the first field's */
    bool all;         /* or only what differs from `kept` */
};

/* Into the table on top. What has been written is noted in `kept`, so that nothing is taken for written when
 * memory runs out half way. */
static void fill(lua_State *L, const struct fill *f, const void *from, void *kept)
{
    for (size_t i = 0; i < f->count; i++) {
        uint64_t value = field_value(&f->fields[i], from);
        uint64_t *before = (uint64_t *)(void *)((char *)kept + f->fields[i].offset);
        if (value == *before && !f->all) continue;
        lua_rawgeti(L, f->names, f->first + (int)i);
        if (value == UINT64_MAX) {
            lua_pushnil(L); /* the guest never told */
        } else {
            lua_pushinteger(L, value > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)value);
        }
        lua_rawset(L, -3);
        *before = value;
    }
}

void view_push_host(struct script *s)
{
    lua_State *L = s->L;
    const struct tithe_snapshot *snap = s->machine->snapshot;
    bool all = push_kept(L, &host_key, 0, (int)host_field_count + 2);
    int names = push_names(L);
    lua_pushvalue(L, -2);
    fill(L, &(struct fill){host_fields, host_field_count, names, HOST_NAMES, all}, snap, &s->view);
    if (all) {
        set_text(L, "vendor", snap->vendor);
        set_text(L, "machine", snap->machine);
    }
    lua_pop(L, 2);
}

/* A field of a VM that is a table of numbers, or nil. */
struct part {
    const char *name;
    lua_Integer place; /* of its table in by_id, less the id */
    struct fill fill;
};

/* Into the VM's table on top. `given`: there is something to tell; it was so in `kept`. */
static void fill_part(lua_State *L, int by_id, const struct part *part, uint32_t id, bool given, bool appears,
                      const void *from, void *kept)
{
    if (!given) {
        if (!appears) return;
        lua_pushstring(L, part->name);
        lua_pushnil(L);
        lua_rawset(L, -3);
        return;
    }
    push_by_id(L, by_id, (lua_Integer)id - part->place, (int)part->fill.count);
    if (appears) {
        lua_pushstring(L, part->name);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    struct fill f = part->fill;
    f.all = appears;
    fill(L, &f, from, kept);
    lua_pop(L, 1);
}

static void fill_parts(lua_State *L, int by_id, int names, const struct tithe_vm_snapshot *vm,
                       struct tithe_vm_snapshot *kept, bool all)
{
    const struct part guest = {"guest", PART, {guest_fields, guest_field_count, names, GUEST_NAMES, false}};
    const struct part sample = {
        "sample", 2 * PART, {sample_fields, sample_field_count, names, SAMPLE_NAMES, false}};
    bool told = vm->guest.updated_ns != 0, tells = all || told != (kept->guest.updated_ns != 0);
    if (tells || vm->guest.updated_ns != kept->guest.updated_ns)
        fill_part(L, by_id, &guest, vm->id, told, tells, &vm->guest, &kept->guest);
    kept->guest.updated_ns = vm->guest.updated_ns;
    bool sampled = vm->sample.period != 0, begins = all || sampled != (kept->sample.period != 0);
    fill_part(L, by_id, &sample, vm->id, sampled, begins, &vm->sample, &kept->sample);
    kept->sample.period = vm->sample.period;
    const struct part disk = {"disk", 3 * PART, {disk_fields, disk_field_count, names, DISK_NAMES, false}};
    bool there = vm->disk.sectors != 0, comes = all || there != (kept->disk.sectors != 0);
    fill_part(L, by_id, &disk, vm->id, there, comes, &vm->disk, &kept->disk);
    kept->disk.sectors = vm->disk.sectors;
}

/* Pushes the VM's table. Returns whether it is new here. */
static bool push_vm(lua_State *L, int by_id, int names, const struct tithe_vm_snapshot *vm,
                    struct tithe_vm_snapshot *kept)
{
    bool is_new = push_by_id(L, by_id, vm->id, (int)vm_field_count + 6);
    bool all = is_new || kept->id != vm->id;
    if (all) {
        kept->id = 0; /* until all is written */
        set_integer(L, "id", vm->id);
        set_text(L, "name", vm->name);
    }
    if (all || vm->state != kept->state) set_text(L, "state", name_of_state(vm->state));
    if (all || vm->held != kept->held) set_boolean(L, "held", vm->held != 0);
    if (all || vm->balloon_driver != kept->balloon_driver)
        set_boolean(L, "balloon_driver", vm->balloon_driver != 0);
    fill(L, &(struct fill){vm_fields, vm_field_count, names, VM_NAMES, all}, vm, kept);
    fill_parts(L, by_id, names, vm, kept, all);
    kept->id = vm->id;
    kept->state = vm->state;
    kept->held = vm->held;
    kept->balloon_driver = vm->balloon_driver;
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
        if (find(snap, id & (PART - 1)) != NULL) continue;
        lua_pushnil(L);
        lua_rawseti(L, by_id, id); /* clearing a field while traversing is allowed */
    }
}

/* VMs that have ended are left out: no plan may name them. The list itself is written anew, for scripts sort it. */
void view_push_vms(struct script *s)
{
    lua_State *L = s->L;
    const struct tithe_snapshot *snap = s->machine->snapshot;
    push_kept(L, &by_id_key, 0, 0);
    int by_id = lua_gettop(L);
    int names = push_names(L);
    push_kept(L, &vms_key, 0, 0);
    int vms = lua_gettop(L);
    lua_Integer have = 0;
    bool changed = false;
    for (uint32_t i = 0; i < snap->vm_count; i++) {
        if (snap->vm[i].state == TITHE_VM_STOPPED) continue;
        if (push_vm(L, by_id, names, &snap->vm[i], &s->view.vm[have])) changed = true;
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
    lua_replace(L, by_id);
    lua_settop(L, by_id);
}

void view_push_create(lua_State *L, const struct tithe_create *vm)
{
    lua_createtable(L, 0, 11);
    set_text(L, "name", vm->name);
    set_text(L, "kernel", vm->kernel);
    set_text(L, "module", vm->module);
    set_text(L, "cmdline", vm->cmdline);
    set_text(L, "disk", vm->disk);
    set_integer(L, "size_pages", vm->size_pages);
    set_integer(L, "max_pages", vm->max_pages);
    set_integer(L, "min_pages", vm->min_pages);
    set_integer(L, "shares", vm->shares);
    set_integer(L, "vcpus", vm->vcpus);
    set_integer(L, "cpu_shares", vm->cpu_shares);
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
