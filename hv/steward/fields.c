/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include "tithe/abi.h"

#define HOST(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(struct tithe_snapshot, f)                                                               \
    }
#define VM(f)                                                                                                \
    {                                                                                                        \
#f, offsetof(struct tithe_vm_snapshot, f)                                                            \
    }
#define GUEST(f)                                                                                             \
    {                                                                                                        \
#f, offsetof(struct tithe_guest_stats, f)                                                            \
    }
#define SAMPLE(f)                                                                                            \
    {                                                                                                        \
#f, offsetof(struct tithe_sample, f)                                                                 \
    }
#define DISK(f)                                                                                              \
    {                                                                                                        \
#f, offsetof(struct tithe_disk_use, f)                                                               \
    }
#define COUNT(a) (sizeof(a) / sizeof *(a))

const struct field host_fields[] = {
    HOST(generation),
    HOST(now_ns),
    HOST(wall_ns),
    HOST(total_pages),
    HOST(free_pages),
    HOST(reserve_pages),
    HOST(core_pages),
    HOST(overhead_pages),
    HOST(guest_pages),
    HOST(shared_frames),
    HOST(shared_entries),
    HOST(zero_entries),
    HOST(event_seq),
    HOST(colours),
    HOST(cpus),
    HOST(idle_ns),
    HOST(steward_restarts),
    HOST(plans_applied),
    HOST(plans_refused),
    HOST(tick_ns),
    HOST(swap_pages),
    HOST(swap_free_pages),
    HOST(swap_reserved_pages),
    HOST(swap_errors),
    HOST(dma_limit_pages),
};
const struct field host_more_fields[] = {HOST(boot_id), HOST(tsc_hz), HOST(log_offset),
                                         HOST(reload_core_instructions)};
const struct field vm_fields[] = {
    VM(size_pages),
    VM(max_pages),
    VM(min_pages),
    VM(shares),
    VM(vcpus),
    VM(cpu_shares),
    VM(target_pages),
    VM(consumed_pages),
    VM(overhead_pages),
    VM(balloon_target_pages),
    VM(ballooned_pages),
    VM(balloon_actual_pages),
    VM(first_touches),
    VM(balloon_pops),
    VM(share_group),
    VM(shared_pages),
    VM(cow_breaks),
    VM(scanned_pages),
    VM(scan_hits),
    VM(scan_zeros),
    VM(scan_left),
    VM(populated_pages),
    VM(reported_pages),
    VM(exits),
    VM(cpu_ns),
    VM(created_ns),
    VM(reboots),
    VM(console_offset),
    VM(swapped_pages),
    VM(swap_reserved_pages),
    VM(swapped_out),
    VM(swapped_in),
    VM(swap_unwritten),
    VM(swap_out_wanted),
    VM(prefetch_wanted),
    VM(swap_writes_avoided),
    VM(swap_reads_avoided),
    VM(expands_avoided),
    VM(avoids_double_paging),
    VM(colours),
    VM(coloured_pages),
    VM(off_colour_pages),
    VM(recoloured_pages),
    VM(recolour_left),
    VM(stray_pages),
    VM(remapped_pages),
    VM(vacated_pages),
    VM(moves_busy),
    VM(moves_no_frame),
    VM(remap_left),
    VM(vacate_left),
    VM(compressed_pages),
    VM(compressed_bytes),
    VM(store_pages),
    VM(store_limit_pages),
    VM(compress_tried),
    VM(compress_poor),
    VM(compress_full),
    VM(expanded_pages),
    VM(evicted_pages),
    VM(compress_ns),
    VM(expand_ns),
};
const struct field guest_fields[] = {
    GUEST(updated_ns),      GUEST(free_pages),       GUEST(total_pages),
    GUEST(available_pages), GUEST(disk_cache_pages), GUEST(swap_in_bytes),
    GUEST(swap_out_bytes),  GUEST(major_faults),     GUEST(minor_faults),
};
const struct field sample_fields[] = {
    SAMPLE(period),         SAMPLE(pages),          SAMPLE(touched),          SAMPLE(started_ns),
    SAMPLE(started_cpu_ns), SAMPLE(finished_pages), SAMPLE(finished_touched),
};
const struct field disk_fields[] = {
    DISK(sectors), DISK(requests), DISK(errors), DISK(direct),  DISK(copied),   DISK(hot_1),
    DISK(hot_4),   DISK(hot_16),   DISK(hot_64), DISK(hot_256), DISK(hot_1024),
};
const size_t host_field_count = COUNT(host_fields);
const size_t host_more_field_count = COUNT(host_more_fields);
const size_t vm_field_count = COUNT(vm_fields);
const size_t vm_list_field_count = 8; /* up to consumed_pages */
const size_t guest_field_count = COUNT(guest_fields);
const size_t sample_field_count = COUNT(sample_fields);
const size_t disk_field_count = COUNT(disk_fields);
