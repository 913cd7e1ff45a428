/* SPDX-License-Identifier: MIT */
#include "vm/gva.h"

#include "virt/vendor.h"
#include "vm/vm.h"
#include "x86/msr.h"

#define PF_PRESENT (1u << 0)
#define PF_USER    (1u << 2)

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_LARGE    (1ull << 7)
#define PTE_NX       (1ull << 63)
#define PTE_ADDRESS  0x000FFFFFFFFFF000ull

#define LEVELS_MAX 5u

/* Walks of tables that change meanwhile. After that the last one stands without its accessed and dirty bits: only a guest
 * that never stops changing an entry gets there, and only it loses a bit. */
#define WALKS_MAX 8u

/* What the guest's control registers say about paging. */
struct paging {
    unsigned levels; /* 0: off */
    unsigned entry_bytes, index_bits;
    bool wp, nx, smep, smap, large; /* SMAP: and EFLAGS.AC does not lift it */
    uint64_t cr3;
};

static struct paging paging_of(struct vcpu *v)
{
    uint64_t cr0 = vendor->get_sys(v, SYS_CR0);
    struct paging p = {0};
    if (!(cr0 & CR0_PG)) return p;

    uint64_t cr4 = vendor->get_sys(v, SYS_CR4), efer = vendor->get_sys(v, SYS_EFER);
    bool pae = cr4 & CR4_PAE;
    p.levels = efer & EFER_LMA ? (cr4 & CR4_LA57 ? 5 : 4) : pae ? 3 : 2;
    p.entry_bytes = pae ? 8 : 4;
    p.index_bits = pae ? 9 : 10;
    p.wp = cr0 & CR0_WP;
    p.nx = pae && (efer & EFER_NXE);
    p.smep = cr4 & CR4_SMEP;
    p.smap = (cr4 & CR4_SMAP) && !(v->regs.rflags & RFLAGS_AC);
    p.large = pae || (cr4 & CR4_PSE);
    p.cr3 = vendor->get_sys(v, SYS_CR3);
    return p;
}

static bool user_mode(struct vcpu *v)
{
    struct segment ss;
    vendor->get_seg(v, SEG_SS, &ss);
    return ((ss.attr >> 5) & 3) == 3;
}

static enum gva_status page_fault(const struct paging *p, gva_t gva, unsigned error, struct gva_fault *fault)
{
    if (!p->nx && !p->smep) error &= ~GVA_FETCH;
    *fault = (struct gva_fault){.vector = VECTOR_PF, .error = error, .address = gva};
    return GVA_FAULT;
}

/* May `access` be made through a leaf with these accumulated rights (SDM 3A 4.6.1)? */
static bool allowed(const struct paging *p, unsigned access, bool write, bool user, bool exec)
{
    bool by_user = access & PF_USER;
    if (by_user && !user) return false;
    if ((access & GVA_WRITE) && !write && (by_user || p->wp)) return false;
    if (access & GVA_FETCH) return exec && (by_user || !user || !p->smep);
    return by_user || !user || !p->smap;
}

enum gva_status gva_why(struct vcpu *v, gpa_t gpa)
{
    return p2m_is_ram(&v->vm->p2m, gpa >> PAGE_SHIFT) ? GVA_NO_MEMORY : GVA_DEVICE;
}

struct walk {
    struct {
        gpa_t at;
        uint64_t entry;
    } step[LEVELS_MAX + 1]; /* by level */
    unsigned leaf;
};

/* Page number in a large page of the 32-bit format: bits 32-39 are kept in bits 13-20 (SDM 3A 4.3). */
static uint64_t leaf_address(const struct paging *p, uint64_t entry, unsigned level)
{
    if (p->entry_bytes == 4 && level == 2) return (entry & 0xFFC00000u) | ((entry >> 13) & 0xFF) << 32;
    return entry & PTE_ADDRESS & ~((1ull << (PAGE_SHIFT + (level - 1) * p->index_bits)) - 1);
}

static enum gva_status walk(struct vcpu *v, const struct paging *p, gva_t gva, unsigned access,
                            struct walk *w, struct gva_fault *fault)
{
    bool write = true, user = true, exec = true;
    uint64_t table = p->levels == 3 ? p->cr3 & 0xFFFFFFE0u : p->cr3 & PTE_ADDRESS;

    for (unsigned level = p->levels;; level--) {
        unsigned shift = PAGE_SHIFT + (level - 1) * p->index_bits;
        uint64_t index = (gva >> shift) & ((1u << (p->levels == 3 && level == 3 ? 2 : p->index_bits)) - 1);
        gpa_t at = table + index * p->entry_bytes;
        uint64_t entry = 0;

        if (!vm_read(v->vm, at, &entry, p->entry_bytes)) return gva_why(v, at);
        if (!(entry & PTE_PRESENT)) return page_fault(p, gva, access, fault);
        w->step[level].at = at;
        w->step[level].entry = entry;
        table = entry & PTE_ADDRESS;
        if (p->levels == 3 && level == 3) continue; /* PDPTEs carry no rights */
        write = write && (entry & PTE_WRITE);
        user = user && (entry & PTE_USER);
        exec = exec && !(p->nx && (entry & PTE_NX));
        if (level > 1 && !(level <= 3 && p->large && (entry & PTE_LARGE))) continue;
        w->leaf = level;
        return allowed(p, access, write, user, exec) ? GVA_OK
                                                     : page_fault(p, gva, access | PF_PRESENT, fault);
    }
}

/* Accessed everywhere on the way, dirty in the leaf of a write (SDM 3A 4.8). *changed: an entry is no longer what the walk
 * found, by another vCPU's doing; it has not been written to. */
static enum gva_status mark(struct vcpu *v, const struct paging *p, const struct walk *w, unsigned access,
                            bool *changed)
{
    *changed = false;
    for (unsigned level = p->levels; level >= w->leaf && !*changed; level--) {
        if (p->levels == 3 && level == 3) continue;
        const gpa_t at = w->step[level].at;
        const uint64_t entry = w->step[level].entry;
        const uint64_t marked =
            entry | PTE_ACCESSED | (level == w->leaf && (access & GVA_WRITE) ? PTE_DIRTY : 0);
        uint64_t was;
        if (marked == entry) continue;
        if (p2m_cmpxchg(&v->vm->p2m, at, p->entry_bytes, entry, marked, &was) != P2M_TOUCH_OK) {
            return gva_why(v, at);
        }
        *changed = was != entry;
    }
    return GVA_OK;
}

static bool canonical(gva_t gva, unsigned levels)
{
    unsigned unused = 64 - (PAGE_SHIFT + 9 * levels);
    return (gva_t)((int64_t)(gva << unused) >> unused) == gva;
}

enum gva_status gva_translate(struct vcpu *v, gva_t gva, unsigned access, gpa_t *gpa, struct gva_fault *fault)
{
    struct paging p = paging_of(v);
    struct walk w;

    if (p.levels == 0) {
        *gpa = (uint32_t)gva;
        return GVA_OK;
    }
    if (p.levels >= 4 && !canonical(gva, p.levels)) {
        *fault = (struct gva_fault){.vector = VECTOR_GP};
        return GVA_FAULT;
    }
    if (user_mode(v)) access |= PF_USER;
    bool changed = true;
    for (unsigned walks = 0; changed && walks < WALKS_MAX; walks++) {
        enum gva_status status = walk(v, &p, gva, access, &w, fault);
        if (status == GVA_OK) status = mark(v, &p, &w, access, &changed);
        if (status != GVA_OK) return status;
    }
    uint64_t offset = gva & ((1ull << (PAGE_SHIFT + (w.leaf - 1) * p.index_bits)) - 1);
    *gpa = leaf_address(&p, w.step[w.leaf].entry, w.leaf) | offset;
    return GVA_OK;
}

/* Bytes from gva to the end of its page, at most `bytes`. */
static size_t in_page(gva_t gva, size_t bytes)
{
    size_t room = PAGE_BYTES - (gva & (PAGE_BYTES - 1));
    return bytes < room ? bytes : room;
}

enum gva_status gva_read(struct vcpu *v, gva_t gva, void *out, size_t bytes, unsigned access,
                         struct gva_fault *fault)
{
    uint8_t *to = out;
    while (bytes > 0) {
        size_t part = in_page(gva, bytes);
        gpa_t gpa;
        enum gva_status status = gva_translate(v, gva, access, &gpa, fault);
        if (status == GVA_OK && !vm_read(v->vm, gpa, to, part)) status = gva_why(v, gpa);
        if (status != GVA_OK) return status;
        to += part;
        gva += part;
        bytes -= part;
    }
    return GVA_OK;
}

enum gva_status gva_write(struct vcpu *v, gva_t gva, const void *in, size_t bytes, struct gva_fault *fault)
{
    const uint8_t *from = in;
    while (bytes > 0) {
        size_t part = in_page(gva, bytes);
        gpa_t gpa;
        enum gva_status status = gva_translate(v, gva, GVA_WRITE, &gpa, fault);
        if (status == GVA_OK && !vm_write(v->vm, gpa, from, part)) status = gva_why(v, gpa);
        if (status != GVA_OK) return status;
        from += part;
        gva += part;
        bytes -= part;
    }
    return GVA_OK;
}

void gva_inject(struct vcpu *v, const struct gva_fault *fault)
{
    if (fault->vector == VECTOR_PF) vendor->set_sys(v, SYS_CR2, fault->address);
    vendor->inject_exception(v, fault->vector, true, fault->error);
}
