/* SPDX-License-Identifier: MIT */
#include "vm/upload.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"

/* Frames are few and large memory is rarely contiguous: an upload is a list of frames, and the list itself a
 * run of frames. */
struct upload {
    char name[TITHE_NAME_MAX]; /* "": free */
    uint64_t bytes;
    uint64_t pages;
    mfn_t *frames;
    uint64_t list_pages;
    bool sealed;
};

static struct upload uploads[UPLOADS_MAX];

/* Larger than any kernel or initrd that a line of this speed could carry. */
#define UPLOAD_MAX_BYTES (256 * MIB)

static struct upload *find(const char *name)
{
    for (size_t i = 0; i < UPLOADS_MAX; i++) {
        if (name[0] != '\0' && strncmp(uploads[i].name, name, TITHE_NAME_MAX) == 0) {
            return &uploads[i];
        }
    }
    return NULL;
}

static struct upload *find_or_explain(const char *name, char *reason)
{
    struct upload *u = find(name);
    if (u == NULL) {
        fmt_string(reason, TITHE_REASON_MAX, "no upload named %.*s", (int)TITHE_NAME_MAX, name);
    }
    return u;
}

static void release(struct upload *u)
{
    for (uint64_t i = 0; i < u->pages; i++) {
        frame_free(u->frames[i]);
    }
    frame_free_run(virt_to_hpa(u->frames) >> PAGE_SHIFT, u->list_pages);
    *u = (struct upload){0};
}

/* Frames for an upload must not come out of what keeps the guests alive. */
static bool room_for(uint64_t pages)
{
    struct frame_counts f;
    frames_counts(&f);
    return f.free > f.promised + f.reserve && pages < f.free - f.promised - f.reserve;
}

int upload_create(const char *name, uint64_t bytes, char *reason)
{
    struct upload *u = NULL;
    if (find(name) != NULL) {
        fmt_string(reason, TITHE_REASON_MAX, "an upload named %s has been begun: delete it first", name);
        return TITHE_EEXIST;
    }
    for (size_t i = 0; i < UPLOADS_MAX && u == NULL; i++) {
        u = uploads[i].name[0] == '\0' ? &uploads[i] : NULL;
    }
    if (u == NULL) {
        fmt_string(reason, TITHE_REASON_MAX, "%u uploads are held already: delete one first", UPLOADS_MAX);
        return TITHE_ENOSPC;
    }
    const uint64_t pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
    const uint64_t list_pages = (pages * sizeof(mfn_t) + PAGE_BYTES - 1) / PAGE_BYTES;
    if (bytes > UPLOAD_MAX_BYTES || !room_for(pages + list_pages)) {
        fmt_string(reason, TITHE_REASON_MAX, "%llu bytes do not fit into free memory (or 256 MiB)",
                   (unsigned long long)bytes);
        return TITHE_ENOMEM;
    }
    const mfn_t list = frame_alloc_run(list_pages, 1);
    if (list == MFN_NONE) {
        fmt_string(reason, TITHE_REASON_MAX, "no memory free for the list of its frames");
        return TITHE_ENOMEM;
    }
    *u = (struct upload){.bytes = bytes, .frames = mfn_to_virt(list), .list_pages = list_pages};
    while (u->pages < pages) {
        const mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
        if (mfn == MFN_NONE) {
            release(u);
            fmt_string(reason, TITHE_REASON_MAX, "memory ran out");
            return TITHE_ENOMEM;
        }
        u->frames[u->pages++] = mfn;
    }
    text_copy(u->name, sizeof u->name, name);
    return 0;
}

int upload_write(const struct tithe_io *io, char *reason)
{
    struct upload *u = find_or_explain(io->name, reason);
    if (u == NULL) {
        return TITHE_ENOENT;
    }
    if (u->sealed) {
        fmt_string(reason, TITHE_REASON_MAX, "%s is sealed: it can no longer be written", u->name);
        return TITHE_EPERM;
    }
    if (io->length > TITHE_IO_MAX || io->offset > u->bytes || io->length > u->bytes - io->offset) {
        fmt_string(reason, TITHE_REASON_MAX, "%s has %llu bytes: the chunk does not lie inside", u->name,
                   (unsigned long long)u->bytes);
        return TITHE_ERANGE;
    }
    for (uint64_t done = 0; done < io->length;) {
        const uint64_t at = io->offset + done;
        const uint64_t room = PAGE_BYTES - at % PAGE_BYTES;
        const uint64_t part = io->length - done < room ? io->length - done : room;
        memcpy((uint8_t *)mfn_to_virt(u->frames[at / PAGE_BYTES]) + at % PAGE_BYTES, io->data + done, part);
        done += part;
    }
    return 0;
}

int upload_seal(const char *name, char *reason)
{
    struct upload *u = find_or_explain(name, reason);
    if (u == NULL) {
        return TITHE_ENOENT;
    }
    u->sealed = true;
    return 0;
}

int upload_delete(const char *name, char *reason)
{
    struct upload *u = find_or_explain(name, reason);
    if (u == NULL) {
        return TITHE_ENOENT;
    }
    release(u);
    return 0;
}

static const void *upload_at(void *ctx, size_t offset, size_t *run_bytes)
{
    const struct upload *u = ctx;
    const size_t in_page = offset % PAGE_BYTES;
    *run_bytes = PAGE_BYTES - in_page;
    return (const uint8_t *)mfn_to_virt(u->frames[offset / PAGE_BYTES]) + in_page;
}

bool upload_source(const char *name, struct load_source *source)
{
    struct upload *u = find(name);
    if (u == NULL || !u->sealed) {
        return false;
    }
    *source = (struct load_source){.bytes = u->bytes, .ctx = u, .at = upload_at};
    return true;
}

bool upload_describe(uint32_t index, struct tithe_image *image)
{
    for (size_t i = 0; i < UPLOADS_MAX; i++) {
        const struct upload *u = &uploads[i];
        if (u->name[0] != '\0' && index-- == 0) {
            text_copy(image->name, sizeof image->name, u->name);
            image->bytes = u->bytes;
            image->sealed = u->sealed ? 1 : 0;
            image->upload = 1;
            return true;
        }
    }
    return false;
}
