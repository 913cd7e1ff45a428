/* SPDX-License-Identifier: MIT */
#include "vm/image.h"

#include "lib/log.h"
#include "lib/string.h"
#include "vm/upload.h"

static const void *archive;
static size_t archive_bytes;

#define PREFIX        "images/"
#define PREFIX_LENGTH (sizeof PREFIX - 1)

const char *image_init(const void *at, size_t bytes)
{
    size_t position = 0;
    struct cpio_file file;
    archive = at;
    archive_bytes = bytes;
    if (bytes == 0) {
        return "the boot loader gave no module: boot the whole image, or give modules.cpio as the module "
               "(-initrd)";
    }
    if (!cpio_next(archive, archive_bytes, &position, &file)) {
        return "the module is not a cpio archive (newc): boot the whole image, or build it again (make iso)";
    }
    return NULL;
}

bool image_archive_find(const char *name, struct cpio_file *file)
{
    return cpio_find(archive, archive_bytes, name, file);
}

/* `ctx` is the file's first byte; the rest of the archive follows without a gap. */
static const void *archive_at(void *ctx, size_t offset, size_t *run_bytes)
{
    const uint8_t *at = (const uint8_t *)ctx + offset;
    *run_bytes = (size_t)((const uint8_t *)archive + archive_bytes - at);
    return at;
}

bool image_source(const char *name, struct load_source *source)
{
    char path[PREFIX_LENGTH + TITHE_NAME_MAX];
    struct cpio_file file;
    if (upload_source(name, source)) {
        return true;
    }
    fmt_string(path, sizeof path, PREFIX "%s", name);
    if (!image_archive_find(path, &file)) {
        return false;
    }
    *source =
        (struct load_source){.bytes = file.bytes, .ctx = (void *)(uintptr_t)file.data, .at = archive_at};
    return true;
}

int image_next(struct tithe_image *image)
{
    size_t position = 0;
    uint32_t index = 0;
    struct cpio_file file;
    while (cpio_next(archive, archive_bytes, &position, &file)) {
        if (strncmp(file.name, PREFIX, PREFIX_LENGTH) == 0 && index++ == image->index) {
            text_copy(image->name, sizeof image->name, file.name + PREFIX_LENGTH);
            image->bytes = file.bytes;
            image->sealed = 1;
            image->upload = 0;
            return 0;
        }
    }
    return upload_describe(image->index - index, image) ? 0 : TITHE_ENOENT;
}

int image_file_next(struct tithe_image *image)
{
    size_t position = 0;
    struct cpio_file file;
    for (uint32_t index = 0; cpio_next(archive, archive_bytes, &position, &file); index++) {
        if (index == image->index) {
            text_copy(image->name, sizeof image->name, file.name);
            image->bytes = file.bytes;
            image->sealed = 1;
            image->upload = 0;
            return 0;
        }
    }
    return TITHE_ENOENT;
}

int image_file_read(struct tithe_io *io, char *reason)
{
    struct cpio_file file;
    if (!image_archive_find(io->name, &file)) {
        fmt_string(reason, TITHE_REASON_MAX, "no file %s in the module archive", io->name);
        return TITHE_ENOENT;
    }
    const uint64_t left = io->offset < file.bytes ? file.bytes - io->offset : 0;
    io->total = file.bytes;
    io->length = io->length < TITHE_IO_MAX ? io->length : TITHE_IO_MAX;
    io->length = io->length < left ? io->length : left;
    if (io->length > 0) {
        memcpy(io->data, (const uint8_t *)file.data + io->offset, io->length);
    }
    return 0;
}

int image_create(const struct tithe_image *image, char *reason)
{
    struct load_source taken;
    if (image->name[0] == '\0' || image->bytes == 0) {
        fmt_string(reason, TITHE_REASON_MAX, "an upload needs a name and at least one byte");
        return TITHE_EINVAL;
    }
    if (image_source(image->name, &taken)) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "an image named %s exists: choose another name, or delete the upload first", image->name);
        return TITHE_EEXIST;
    }
    return upload_create(image->name, image->bytes, reason);
}

int image_write(const struct tithe_io *io, char *reason)
{
    return upload_write(io, reason);
}

int image_seal(const struct tithe_image *image, char *reason)
{
    return upload_seal(image->name, reason);
}

int image_delete(const struct tithe_image *image, char *reason)
{
    return upload_delete(image->name, reason);
}
