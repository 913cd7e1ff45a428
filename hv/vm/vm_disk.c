/* SPDX-License-Identifier: MIT */
#include "vm/vm_disk.h"

#include "drv/disk.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/origin.h"
#include "mem/swap.h"
#include "vm/run.h"
#include "vm/vm_table.h"
#include "x86/time.h"

/* Each VM has its own, so that none has to wait for another's: enough for any one request. */
#define BOUNCE_FRAMES BLK_PIECES_MAX

/* The pages copied most. A page has a place in one of the sets only. Where it finds none free, all there lose a copy, and it is not
 * remembered: so those stay that come more often than the others together (Misra and Gries), and no count is too high. */
#define HOT_SETS 64u
#define HOT_WAYS 8u
struct hot {
    uint32_t gfn;
    uint32_t copies; /* 0: free */
    bool given;      /* by vm_disk_hot_pages */
};

/* A request on its way. */
struct transfer {
    struct disk_request disk;
    struct vm_disk *owner;
    uint32_t count; /* pieces that have a segment */
    struct disk_segment segment[BLK_PIECES_MAX];
    mfn_t pinned[BLK_PIECES_MAX]; /* the guest's frame; MFN_NONE: it is not needed any more */
    struct origin_io origin;
    uint64_t watched; /* a bit for each piece: see origin_watch */
};
_Static_assert(BLK_PIECES_MAX <= 64 && BLK_PIECES_MAX <= DISK_SEGMENTS_MAX &&
                   BLK_SECTORS_MAX <= DISK_REQUEST_SECTORS && BLK_SECTOR_BYTES == DISK_SECTOR_BYTES,
               "a guest's request is one of the disk's");

struct vm_disk {
    struct vm_disk *next;
    struct vm *vm; /* NULL: gone, and this goes with the last transfer */
    uint32_t disk, partition;
    uint64_t first_sector;
    uint32_t busy; /* transfers on their way; under the device's lock, as long as there is a VM */
    uint32_t bounce_count;
    mfn_t bounce[BOUNCE_FRAMES]; /* bounce_count free ones */
    struct hot hot[HOT_SETS][HOT_WAYS];
    struct virtio_blk blk;
    struct transfer transfer[BLK_REQUESTS]; /* for blk.request of the same index */
};
#define VM_DISK_FRAMES ((sizeof(struct vm_disk) + PAGE_BYTES - 1) / PAGE_BYTES)

static struct vm_disk *disks; /* boot CPU */

/* ---- copies, by page; under the device's lock ---- */

static struct hot *hot_set(struct vm_disk *d, gfn_t gfn)
{
    return d->hot[(gfn * 0x9e3779b97f4a7c15ull) >> 58];
}
_Static_assert(HOT_SETS == 1u << (64 - 58), "the hash of a gfn has as many values");

static void count_copy(struct vm_disk *d, gfn_t gfn)
{
    struct hot *set = hot_set(d, gfn), *place = NULL;
    for (uint32_t i = 0; i < HOT_WAYS; i++) {
        if (set[i].copies != 0 && set[i].gfn == gfn) {
            set[i].copies += set[i].copies != UINT32_MAX;
            return;
        }
        if (set[i].copies == 0) {
            place = &set[i];
        }
    }
    if (place != NULL) {
        *place = (struct hot){.gfn = (uint32_t)gfn, .copies = 1};
        return;
    }
    for (uint32_t i = 0; i < HOT_WAYS; i++) {
        set[i].copies--;
    }
}

void vm_disk_forget_hot(struct vm *vm, gfn_t gfn)
{
    lock_acquire(&vm->platform.lock);
    struct hot *set = vm->disk != NULL ? hot_set(vm->disk, gfn) : NULL;
    for (uint32_t i = 0; set != NULL && i < HOT_WAYS; i++) {
        if (set[i].gfn == gfn) {
            set[i].copies = 0;
        }
    }
    lock_release(&vm->platform.lock);
}

void vm_disk_hot(struct vm *vm, uint64_t counts[VM_DISK_HOT_LEVELS])
{
    lock_acquire(&vm->platform.lock);
    for (uint32_t level = 0; level < VM_DISK_HOT_LEVELS; level++) {
        counts[level] = 0;
        for (uint32_t i = 0; vm->disk != NULL && i < HOT_SETS * HOT_WAYS; i++) {
            counts[level] += vm->disk->hot[i / HOT_WAYS][i % HOT_WAYS].copies >= 1u << 2 * level;
        }
    }
    lock_release(&vm->platform.lock);
}

uint32_t vm_disk_hot_pages(struct vm *vm, uint64_t least, bool begin, gfn_t *gfns, uint32_t most)
{
    struct hot *best[P2M_MOVE_MAX];
    uint32_t found = 0;
    lock_acquire(&vm->platform.lock);
    struct vm_disk *d = vm->disk;
    for (uint32_t i = 0; d != NULL && i < HOT_SETS * HOT_WAYS; i++) {
        struct hot *h = &d->hot[i / HOT_WAYS][i % HOT_WAYS];
        h->given = h->given && !begin;
        if (h->copies == 0 || h->copies < least || h->given ||
            (found == most && h->copies <= best[found - 1]->copies)) {
            continue;
        }
        uint32_t at = found < most ? found++ : found - 1;
        for (; at > 0 && best[at - 1]->copies < h->copies; at--) {
            best[at] = best[at - 1];
        }
        best[at] = h;
    }
    for (uint32_t i = 0; i < found; i++) {
        best[i]->given = true;
        gfns[i] = best[i]->gfn;
    }
    lock_release(&vm->platform.lock);
    return found;
}

/* ---- data; under the device's lock, or the VM is gone ---- */

static bool is_bounced(const struct transfer *t, uint32_t i)
{
    return t->segment[i].mfn != t->pinned[i];
}

/* The device and we are done with the guest's frames. */
static void release(struct vm_disk *d, struct transfer *t, const struct blk_request *r)
{
    struct p2m *p2m = d->vm != NULL ? &d->vm->p2m : NULL;
    for (uint32_t i = 0; i < t->count; i++) {
        if (is_bounced(t, i)) {
            d->bounce[d->bounce_count++] = t->segment[i].mfn;
        }
        if (t->pinned[i] != MFN_NONE) {
            p2m_unpin(p2m, r->piece[i].gpa >> PAGE_SHIFT, t->pinned[i]);
        }
    }
    t->count = 0;
}

/* Pages that were moved whole equal their blocks now, unless somebody has come between. */
static void note_origins(struct vm *vm, const struct transfer *t, const struct blk_request *r)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < t->count; at += r->piece[i++].bytes) {
        if (t->watched >> i & 1) {
            origin_moved(&vm->p2m, &t->origin, r->piece[i].gpa >> PAGE_SHIFT, t->pinned[i],
                         r->sector + at / BLK_SECTOR_BYTES);
        }
    }
}

/* What came through buffers goes where it belongs. */
static void deliver(const struct transfer *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct disk_segment *s = &t->segment[i];
        if (is_bounced(t, i)) {
            memcpy((uint8_t *)mfn_to_virt(t->pinned[i]) + s->offset,
                   (const uint8_t *)mfn_to_virt(s->mfn) + s->offset, s->bytes);
        }
    }
}

/* What is out of the device's reach, or shared, goes out as it is now. */
static enum p2m_touch copy_out(struct vm *vm, struct transfer *t, uint32_t i, gpa_t gpa)
{
    const struct disk_segment *s = &t->segment[i];
    const enum p2m_touch touch =
        p2m_read(&vm->p2m, gpa, (uint8_t *)mfn_to_virt(s->mfn) + s->offset, s->bytes);
    if (t->pinned[i] != MFN_NONE) {
        p2m_unpin(&vm->p2m, gpa >> PAGE_SHIFT, t->pinned[i]);
        t->pinned[i] = MFN_NONE;
    }
    return touch;
}

/* The next piece, `at` bytes from the request's beginning, gets its segment. */
static enum p2m_touch add(struct vm *vm, struct transfer *t, const struct blk_request *r, uint64_t at,
                          struct flush_batch *batch)
{
    struct vm_disk *d = vm->disk;
    const struct blk_piece *piece = &r->piece[t->count];
    const gfn_t gfn = piece->gpa >> PAGE_SHIFT;
    const bool fills = r->op == BLK_READ;
    mfn_t mfn;
    if (fills && piece->bytes == PAGE_BYTES) {
        origin_overwrite(&vm->p2m, gfn);
    }
    const enum p2m_touch touch = p2m_pin(&vm->p2m, gfn, fills, &mfn);
    if (touch != P2M_TOUCH_OK) {
        return touch;
    }
    const uint32_t i = t->count++;
    /* What is copied out is so before the flush: it is not watched. */
    if (fills || (mfn != MFN_NONE && mfn < disk_dma_limit())) {
        const bool whole =
            piece->bytes == PAGE_BYTES && (r->sector * BLK_SECTOR_BYTES + at) % PAGE_BYTES == 0;
        t->watched |= (uint64_t)origin_watch(&vm->p2m, gfn, fills, whole, batch) << i;
    }
    t->pinned[i] = mfn;
    t->segment[i] =
        (struct disk_segment){.mfn = mfn, .offset = piece->gpa & (PAGE_BYTES - 1), .bytes = piece->bytes};
    if (mfn < disk_dma_limit()) {
        vm->io.direct_pieces++;
        return P2M_TOUCH_OK;
    }
    if (d->bounce_count == 0) {
        return P2M_TOUCH_NO_MEMORY; /* transfers under way have them */
    }
    t->segment[i].mfn = d->bounce[--d->bounce_count];
    vm->io.copied_pieces++;
    if (mfn != MFN_NONE) {
        count_copy(d, piece->gpa >> PAGE_SHIFT);
    }
    return r->op == BLK_WRITE ? copy_out(vm, t, i, piece->gpa) : P2M_TOUCH_OK;
}

/* All pieces get theirs. */
static enum p2m_touch add_all(struct vm *vm, struct transfer *t, const struct blk_request *r)
{
    enum p2m_touch touch = P2M_TOUCH_OK;
    uint64_t at = 0;
    FLUSH_BATCH(batch, &vm->p2m);
    t->watched = 0;
    while (t->count < r->count && touch == P2M_TOUCH_OK) {
        const uint32_t bytes = r->piece[t->count].bytes;
        touch = add(vm, t, r, at, &batch);
        at += bytes;
    }
    flush_discharge(&batch);
    return touch;
}

/* Not now. */
static enum blk_start later(const struct vm *vm, enum p2m_touch why)
{
    if (why == P2M_TOUCH_NO_MEMORY) {
        vm_set_add(&vms_without_memory, vm); /* perhaps no vCPU waits for any: vm/paging.c */
        run_poke(0);
    }
    return why == P2M_TOUCH_HOLE ? BLK_FAILED : BLK_LATER;
}

enum blk_start vm_disk_start(void *ctx, struct blk_request *r)
{
    static const enum disk_op ops[] = {
        [BLK_READ] = DISK_READ, [BLK_WRITE] = DISK_WRITE, [BLK_FLUSH] = DISK_FLUSH};
    struct vm *vm = ctx;
    struct vm_disk *d = vm->disk;
    struct transfer *t = &d->transfer[r - d->blk.request];
    enum p2m_touch touch =
        origin_start(&vm->p2m, &t->origin, r->op == BLK_WRITE, r->sector, r->bytes / BLK_SECTOR_BYTES);
    if (touch != P2M_TOUCH_OK) {
        return later(vm, touch);
    }
    touch = add_all(vm, t, r);
    if (touch != P2M_TOUCH_OK) {
        origin_end(&vm->p2m, &t->origin);
        release(d, t, r);
        return later(vm, touch);
    }
    t->disk.disk = d->disk;
    t->disk.op = ops[r->op];
    t->disk.sector = r->op == BLK_FLUSH ? 0 : d->first_sector + r->sector;
    t->disk.segment_count = t->count;
    if (disk_submit(&t->disk) != DISK_OK) {
        origin_end(&vm->p2m, &t->origin);
        release(d, t, r);
        return BLK_FAILED;
    }
    d->busy++;
    return BLK_STARTED;
}

static void free_disk(struct vm_disk *d)
{
    struct vm_disk **at = &disks;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    while (d->bounce_count > 0) {
        frame_free(d->bounce[--d->bounce_count]);
    }
    frame_free_run(virt_to_hpa(d) >> PAGE_SHIFT, VM_DISK_FRAMES);
}

static void ended(struct disk_request *request)
{
    struct transfer *t = CONTAINER_OF(request, struct transfer, disk);
    struct vm_disk *d = t->owner;
    struct blk_request *r = &d->blk.request[t - d->transfer];
    struct vm *vm = d->vm;
    const bool ok = request->status == DISK_OK;
    const uint64_t now_ns = time_now_ns();
    if (vm == NULL) {
        release(d, t, r);
        if (--d->busy == 0) {
            free_disk(d);
        }
        return;
    }
    struct platform *p = &vm->platform;
    lock_acquire(&p->lock);
    d->busy--;
    if (ok && r->op == BLK_READ) {
        deliver(t);
    }
    if (ok) {
        note_origins(vm, t, r);
    }
    origin_end(&vm->p2m, &t->origin);
    release(d, t, r);
    virtio_blk_done(&p->blk_transport, r, ok, now_ns);
    if (vm->state == TITHE_VM_RUNNING && platform_has_work(p) &&
        now_ns + run_slice_ns() < vm->poll_timer.deadline_ns) {
        timer_set(&vm->poll_timer, now_ns + run_slice_ns());
    }
    lock_release(&p->lock);
    vm_charge(vm, now_ns);
}

/* ---- which one ---- */

static bool in_use(uint32_t disk, uint32_t partition)
{
    for (const struct vm_disk *d = disks; d != NULL; d = d->next) {
        if (d->disk == disk && d->partition == partition) {
            return true;
        }
    }
    return false;
}

/* NULL with a reason, or the partition, which is described in *disk. */
static const struct tithe_partition *find(const char *name, struct tithe_disk *disk, char *reason)
{
    static struct tithe_disk at;
    const struct tithe_partition *found = NULL;
    unsigned count = 0;
    for (at.index = 0; at.index < DISKS_MAX && disk_describe(&at); at.index++) {
        for (uint32_t i = 0; i < at.partition_count; i++) {
            if (strncmp(at.partition[i].name, name, sizeof at.partition[i].name) == 0) {
                count++;
                *disk = at;
                found = &disk->partition[i];
            }
        }
    }
    if (count != 1) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "%s partition is named '%s': 'tithe disks' lists them, and one name must be one partition",
                   count == 0 ? "no" : "more than one", name);
        return NULL;
    }
    if (found->swap != 0 || in_use(disk->index, found->number)) {
        fmt_string(reason, TITHE_REASON_MAX, "partition '%s' is %s", name,
                   found->swap != 0 ? "for Tithe's swap" : "in use by another VM, or its last requests are");
        return NULL;
    }
    return found;
}

int vm_disk_open(struct vm *vm, const char *name, char *reason)
{
    static struct tithe_disk disk;
    const struct tithe_partition *partition = find(name, &disk, reason);
    if (partition == NULL) {
        return TITHE_ENOENT;
    }
    const mfn_t mfn = frame_alloc_run(VM_DISK_FRAMES, 1);
    if (mfn == MFN_NONE) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "no memory free for the VM's disk: destroy a VM or lower targets");
        return TITHE_ENOMEM;
    }
    struct vm_disk *d = mfn_to_virt(mfn);
    d->next = disks;
    disks = d;
    d->disk = disk.index;
    d->partition = partition->number;
    d->first_sector = partition->first_sector;
    virtio_blk_init(&d->blk, partition->sectors);
    for (uint32_t i = 0; i < BLK_REQUESTS; i++) {
        struct transfer *t = &d->transfer[i];
        t->owner = d;
        t->disk.segments = t->segment;
        t->disk.done = ended;
    }
    while (d->bounce_count < BOUNCE_FRAMES) {
        const mfn_t frame = frame_alloc_within(FRAME_CORE, FRAME_OWNER_CORE, 0, 0, disk_dma_limit());
        if (frame == MFN_NONE) {
            free_disk(d);
            fmt_string(reason, TITHE_REASON_MAX,
                       "no memory that the disk can reach is free: destroy a VM, or have a plan vacate some");
            return TITHE_ENOMEM;
        }
        d->bounce[d->bounce_count++] = frame;
    }
    struct swap_counts swap;
    swap_counts(&swap);
    const bool dirty_bits = vm->sample.accessed; /* EPT has both or neither (SDM 3C 28.3.5) */
    if (swap.slots != 0 && (!dirty_bits || !origin_create(&vm->p2m, disk.index, partition->first_sector))) {
        log_line("vm %s: all of it that goes to swap is written, though its disk may have it: %s", vm->name,
                 dirty_bits ? "no memory to note what its disk has" : "this CPU's EPT has no dirty bits");
    }
    d->vm = vm;
    vm->disk = d;
    platform_add_disk(&vm->platform, &d->blk);
    return 0;
}

void vm_disk_close(struct vm *vm)
{
    struct vm_disk *d = vm->disk;
    if (d == NULL) {
        return;
    }
    lock_acquire(&vm->platform.lock);
    vm->disk = NULL;
    vm->platform.blk = NULL;
    d->vm = NULL;
    lock_release(&vm->platform.lock);
    if (d->busy == 0) {
        free_disk(d);
    }
}
