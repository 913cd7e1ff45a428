/* SPDX-License-Identifier: MIT
 *
 * Texts, images and policy sources of the simulated machine.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim.h"
#include "text.h"

/* Deaths of the steward in a confirmed policy before it is taken out of charge. */
#define DEATHS_MAX 3u

/* ---- Texts -------------------------------------------------------------- */

void sim_text_put(struct sim_text *t, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) t->bytes[t->end++ % SIM_TEXT_BYTES] = ((const uint8_t *)bytes)[i];
}

void sim_text_get(const struct sim_text *t, struct tithe_io *io)
{
    uint64_t oldest = t->end > SIM_TEXT_BYTES ? t->end - SIM_TEXT_BYTES : 0;
    if (io->offset < oldest) io->offset = oldest;
    if (io->offset > t->end) io->offset = t->end;
    uint64_t length = t->end - io->offset;
    if (length > io->length) length = io->length;
    if (length > TITHE_IO_MAX) length = TITHE_IO_MAX;
    for (uint64_t i = 0; i < length; i++) io->data[i] = t->bytes[(io->offset + i) % SIM_TEXT_BYTES];
    io->length = length;
    io->total = t->end;
}

void sim_log(struct sim *sim, const char *line)
{
    sim_text_put(&sim->log, line, strlen(line));
    sim_text_put(&sim->log, "\n", 1);
    sim->snap.log_offset = sim->log.end;
}

/* ---- Disks -------------------------------------------------------------- */

static int64_t disk_next(struct tithe_disk *d)
{
    static const struct tithe_disk disk = {
        .name = "sim",
        .model = "simulated disk",
        .table = "GPT",
        .sectors = 1 << 21,
        .dma_limit_pages = 1 << 20,
        .partition_count = 2,
        .partition = {{.first_sector = 2048,
                       .sectors = 1 << 20,
                       .type = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8,
                                0x47, 0x7d, 0xe4},
                       .name = "data",
                       .number = 1},
                      {.first_sector = 1 << 20 | 2048,
                       .sectors = 1 << 19,
                       .type = {0x6f, 0x0d, 0xb0, 0x0e, 0x6a, 0x6f, 0x5f, 0x45, 0xa7, 0xc8, 0x23, 0xfb, 0x48,
                                0x81, 0x47, 0xa7},
                       .name = "swap",
                       .number = 2,
                       .swap = 1}}};
    if (d->index > 0) return -TITHE_ENOENT;
    *d = disk;
    return 0;
}

/* ---- Images ------------------------------------------------------------- */

static struct sim_image *find_image(struct sim *sim, const char *name)
{
    for (uint32_t i = 0; i < sim->image_count; i++) {
        if (strcmp(sim->images[i].about.name, name) == 0) return &sim->images[i];
    }
    return NULL;
}

static int64_t image_create(struct sim *sim, struct tithe_mgmt *m)
{
    if (find_image(sim, m->u.image.name) != NULL) {
        sim_why(m, "there is an image of that name already");
        return -TITHE_EEXIST;
    }
    if (sim->image_count == SIM_IMAGES_MAX || m->u.image.bytes > sim->snap.free_pages * TITHE_PAGE_BYTES) {
        sim_why(m, "there is no room for it");
        return -TITHE_ENOSPC;
    }
    struct sim_image *image = &sim->images[sim->image_count++];
    memset(image, 0, sizeof *image);
    text_copy(image->about.name, sizeof image->about.name, m->u.image.name);
    image->about.bytes = m->u.image.bytes;
    image->about.upload = 1;
    return 0;
}

static int64_t image_op(struct sim *sim, struct tithe_mgmt *m)
{
    struct sim_image *image = find_image(sim, m->op == TITHE_OP_IMAGE_WRITE ? m->u.io.name : m->u.image.name);
    if (image == NULL) {
        sim_why(m, "there is no image of that name");
        return -TITHE_ENOENT;
    }
    if (!image->about.upload) {
        sim_why(m, "it came with the machine and cannot be changed");
        return -TITHE_EPERM;
    }
    uint64_t end = m->u.io.offset + m->u.io.length;
    switch (m->op) {
    case TITHE_OP_IMAGE_SEAL:
        if (image->written != image->about.bytes) {
            sim_why(m, "%llu of its %llu bytes are missing",
                    (unsigned long long)(image->about.bytes - image->written),
                    (unsigned long long)image->about.bytes);
            return -TITHE_EINVAL;
        }
        image->about.sealed = 1;
        return 0;
    case TITHE_OP_IMAGE_WRITE:
        if (image->about.sealed || end > image->about.bytes) {
            sim_why(m, image->about.sealed ? "it is sealed" : "it goes beyond the image's end");
            return -TITHE_EINVAL;
        }
        if (end > image->written) image->written = end;
        return 0;
    default: *image = sim->images[--sim->image_count]; return 0;
    }
}

/* ---- The archive -------------------------------------------------------- */

static int64_t file_read(struct sim *sim, struct tithe_io *io)
{
    static const char folder[] = "policy/";
    char path[512];
    if (strncmp(io->name, folder, sizeof folder - 1) != 0 || strstr(io->name, "..") != NULL)
        return -TITHE_ENOENT;
    snprintf(path, sizeof path, "%s/%s", sim->options.policies, io->name + sizeof folder - 1);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return -TITHE_ENOENT;
    fseek(f, 0, SEEK_END);
    io->total = (uint64_t)ftell(f);
    fseek(f, (long)io->offset, SEEK_SET);
    io->length = fread(io->data, 1, io->length < TITHE_IO_MAX ? io->length : TITHE_IO_MAX, f);
    fclose(f);
    return 0;
}

static int is_policy(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".lua") == 0;
}

static int64_t file_next(struct sim *sim, struct tithe_image *image)
{
    struct dirent **list;
    struct tithe_io io = {.length = 0};
    int count = scandir(sim->options.policies, &list, is_policy, alphasort);
    uint32_t index = image->index;
    int64_t error = -TITHE_ENOENT;
    for (int i = 0; i < count; i++) {
        if ((uint32_t)i == index) {
            snprintf(io.name, sizeof io.name, "policy/%.24s", list[i]->d_name);
            error = file_read(sim, &io);
        }
        free(list[i]);
    }
    if (count >= 0) free(list);
    if (error < 0) return error;
    *image = (struct tithe_image){.index = index, .bytes = io.total, .sealed = 1};
    text_copy(image->name, sizeof image->name, io.name);
    return 0;
}

static int64_t event_read(const struct sim *sim, struct tithe_mgmt *m)
{
    uint64_t end = sim->snap.event_seq, oldest = end > SIM_EVENTS_MAX ? end - SIM_EVENTS_MAX : 0;
    uint64_t seq = m->u.event.seq > oldest ? m->u.event.seq : oldest;
    if (seq >= end) return -TITHE_ENOENT;
    m->u.event = sim->events[seq % SIM_EVENTS_MAX];
    return 0;
}

int64_t sim_store_op(struct sim *sim, struct tithe_mgmt *m)
{
    struct tithe_io *io = &m->u.io;
    uint32_t i = sim_find(sim, m->vm);
    switch (m->op) {
    case TITHE_OP_LOG_READ: sim_text_get(&sim->log, io); return 0;
    case TITHE_OP_EVENT_READ: return event_read(sim, m);
    case TITHE_OP_FILE_READ: return file_read(sim, io);
    case TITHE_OP_FILE_NEXT: return file_next(sim, &m->u.image);
    case TITHE_OP_CONSOLE_READ:
    case TITHE_OP_CONSOLE_WRITE:
        if (i == sim->snap.vm_count) {
            sim_why(m, "there is no such VM");
            return -TITHE_ENOENT;
        }
        if (m->op == TITHE_OP_CONSOLE_READ) {
            sim_text_get(&sim->guests[i].console, io);
        } else { /* the guest echoes what it is told */
            sim_text_put(&sim->guests[i].console, io->data, io->length);
            sim->snap.vm[i].console_offset = sim->guests[i].console.end;
        }
        return 0;
    case TITHE_OP_IMAGE_NEXT:
        if (m->u.image.index >= sim->image_count) return -TITHE_ENOENT;
        m->u.image = sim->images[m->u.image.index].about;
        return 0;
    case TITHE_OP_DISK_NEXT: return disk_next(&m->u.disk);
    case TITHE_OP_IMAGE_CREATE: return image_create(sim, m);
    case TITHE_OP_IMAGE_WRITE:
    case TITHE_OP_IMAGE_SEAL:
    case TITHE_OP_IMAGE_DELETE: return image_op(sim, m);
    default: sim_why(m, "there is no operation %u", m->op); return -TITHE_ENOSYS;
    }
}

/* ---- Policies ----------------------------------------------------------- */

static int64_t stage(struct sim *sim, struct tithe_mgmt *m)
{
    const struct tithe_io *io = &m->u.io;
    struct sim_source *staged = &sim->staged;
    if (io->offset == 0) staged->bytes = staged->saved_bytes = 0;
    if (io->length > TITHE_IO_MAX || io->offset > staged->bytes ||
        io->offset + io->length > TITHE_POLICY_MAX_BYTES) {
        sim_why(m, "a source has at most %u bytes, and arrives in order", TITHE_POLICY_MAX_BYTES);
        return -TITHE_ERANGE;
    }
    text_copy(staged->name, sizeof staged->name, io->name);
    memcpy(staged->text + io->offset, io->data, io->length);
    if (io->offset + io->length > staged->bytes) staged->bytes = io->offset + io->length;
    return 0;
}

static int64_t activate(struct sim *sim, struct tithe_mgmt *m)
{
    if (sim->staged.bytes == 0) {
        sim_why(m, "there is no staged source");
        return -TITHE_ENOENT;
    }
    if (sim->active.bytes != 0) sim->previous = sim->active;
    sim->active = sim->staged;
    sim->staged.bytes = 0;
    sim->policy.activations++;
    sim->policy.activated_ns = sim->snap.now_ns;
    sim->policy.trial = 1;
    sim->policy.failed = 0;
    sim_event(sim, TITHE_EVENT_POLICY_ACTIVE, 0, 0, 0, sim->active.name);
    return 0;
}

static int64_t roll_back(struct sim *sim, const char *why)
{
    if (sim->previous.bytes == 0) return -TITHE_ENOENT;
    sim->active = sim->previous;
    sim->previous.bytes = 0;
    sim->previous.saved_bytes = 0;
    sim->previous.name[0] = 0;
    sim->policy.rollbacks++;
    sim->policy.trial = 0;
    sim->policy.failed = 0;
    text_copy(sim->policy.reason, sizeof sim->policy.reason, why);
    sim_event(sim, TITHE_EVENT_POLICY_ROLLBACK, 0, 0, 0, why);
    return 0;
}

static int64_t read_slot(struct sim *sim, struct tithe_io *io)
{
    const struct sim_source *from = strcmp(io->name, "active") == 0     ? &sim->active
                                    : strcmp(io->name, "previous") == 0 ? &sim->previous
                                    : strcmp(io->name, "staged") == 0   ? &sim->staged
                                                                        : NULL;
    if (from == NULL || from->bytes == 0) return -TITHE_ENOENT;
    uint64_t offset = io->offset < from->bytes ? io->offset : from->bytes;
    io->length = from->bytes - offset < io->length ? from->bytes - offset : io->length;
    if (io->length > TITHE_IO_MAX) io->length = TITHE_IO_MAX;
    memcpy(io->data, from->text + offset, io->length);
    io->total = from->bytes;
    return 0;
}

int64_t sim_policy_op(struct sim *sim, struct tithe_mgmt *m)
{
    switch (m->op) {
    case TITHE_OP_POLICY_STAGE: return stage(sim, m);
    case TITHE_OP_POLICY_ACTIVATE: return activate(sim, m);
    case TITHE_OP_POLICY_ROLLBACK: return roll_back(sim, m->u.policy.reason);
    case TITHE_OP_POLICY_READ: return read_slot(sim, &m->u.io);
    case TITHE_OP_POLICY_CONFIRM:
        if (sim->policy.trial) sim_event(sim, TITHE_EVENT_POLICY_GOOD, 0, 0, 0, sim->active.name);
        sim->policy.trial = 0;
        return 0;
    case TITHE_OP_POLICY_INFO:
        memcpy(sim->policy.name, sim->active.name, sizeof sim->policy.name);
        memcpy(sim->policy.previous, sim->previous.name, sizeof sim->policy.previous);
        sim->policy.active_bytes = sim->active.bytes;
        sim->policy.previous_bytes = sim->previous.bytes;
        m->u.policy = sim->policy;
        return 0;
    case TITHE_OP_POLICY_SAVE:
        if (m->u.io.length > TITHE_IO_MAX) return -TITHE_ERANGE;
        sim->active.saved_bytes = m->u.io.length;
        memcpy(sim->active.saved, m->u.io.data, sim->active.saved_bytes);
        return 0;
    default: /* TITHE_OP_POLICY_SAVED */
        m->u.io.length = m->u.io.total = sim->active.saved_bytes;
        memcpy(m->u.io.data, sim->active.saved, sim->active.saved_bytes);
        return 0;
    }
}

void sim_steward_died(struct sim *sim, const char *how)
{
    char text[TITHE_REASON_MAX];
    sim->note.where[sizeof sim->note.where - 1] = 0;
    snprintf(text, sizeof text, "the steward died: %.56s%s%.76s", how, sim->note.where[0] ? ", in " : "",
             sim->note.where);
    sim->snap.steward_restarts++;
    sim_event(sim, TITHE_EVENT_STEWARD_DIED, 0, 0, 0, text);
    sim_log(sim, text);
    fprintf(stderr, "%s\n", text);
    if (!sim->killed && strstr(sim->note.where, "candidate ") == NULL) {
        sim->policy.failed++;
        if (sim->policy.trial || sim->policy.failed >= DEATHS_MAX) {
            if (roll_back(sim, text) != 0) sim->active.bytes = 0; /* the steward then takes the first one */
        }
    }
    sim->note.where[0] = 0;
    sim->killed = false;
}
