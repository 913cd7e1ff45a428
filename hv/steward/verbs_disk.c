/* SPDX-License-Identifier: MIT
 *
 * The verb about the host's disks.
 */
#include <stdio.h>
#include "serve.h"

/* UEFI 2.10, appendix A: the first three fields are little-endian. */
static void put_guid(struct cborx_writer *w, const char *key, const uint8_t g[16])
{
    static const uint8_t order[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    char text[40];
    size_t n = 0;
    for (unsigned i = 0; i < 16; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%02X", i >= 4 && i <= 10 && i % 2 == 0 ? "-" : "",
                              g[order[i]]);
    cborx_put_text(w, key, text);
}

static void put_partition(struct cborx_writer *w, const struct tithe_partition *p)
{
    cborx_put_map(w, NULL);
    cborx_put_uint(w, "number", p->number);
    put_text_bytes(w, "name", p->name, sizeof p->name);
    put_guid(w, "type", p->type);
    cborx_put_bool(w, "swap", p->swap != 0);
    cborx_put_uint(w, "first_sector", p->first_sector);
    cborx_put_uint(w, "sectors", p->sectors);
    cborx_end(w);
}

static void put_disk(struct cborx_writer *w, const struct tithe_disk *d)
{
    cborx_put_map(w, NULL);
    cborx_put_uint(w, "index", d->index);
    put_text_bytes(w, "name", d->name, sizeof d->name);
    put_text_bytes(w, "model", d->model, sizeof d->model);
    put_text_bytes(w, "table", d->table, sizeof d->table);
    cborx_put_uint(w, "sectors", d->sectors);
    cborx_put_uint(w, "dma_limit_pages", d->dma_limit_pages);
    cborx_put_uint(w, "reads", d->reads);
    cborx_put_uint(w, "writes", d->writes);
    cborx_put_uint(w, "flushes", d->flushes);
    cborx_put_uint(w, "read_sectors", d->read_sectors);
    cborx_put_uint(w, "written_sectors", d->written_sectors);
    cborx_put_uint(w, "retries", d->retries);
    cborx_put_uint(w, "errors", d->errors);
    cborx_put_array(w, "partitions");
    for (uint32_t i = 0; i < d->partition_count && i < TITHE_DISK_PARTITIONS_MAX; i++)
        put_partition(w, &d->partition[i]);
    cborx_end(w);
    cborx_end(w);
}

void verb_disks(struct steward *s, const struct request *r, struct answer *a)
{
    enum { PER_ANSWER = 2 }; /* fewer than 3,500 bytes each */
    uint64_t after, index;
    if (!arg_uint_or(r, a, "after", 0, &after)) return;
    cborx_put_array(&a->w, "disks");
    for (index = after; index < after + PER_ANSWER; index++) {
        struct tithe_mgmt *m = mgmt_begin(TITHE_OP_DISK_NEXT, r, false);
        m->u.disk.index = (uint32_t)index;
        if (index > UINT32_MAX || s->machine->mgmt(m) < 0) break;
        put_disk(&a->w, &m->u.disk);
    }
    cborx_end(&a->w);
    if (index == after + PER_ANSWER) cborx_put_uint(&a->w, "more", index);
}
