-- SPDX-License-Identifier: MIT
--
-- remapped: memory by shares, and frames within the disks' reach for pages that disks read and write.
--
-- Frames beyond the reach of a disk cost a copy for each transfer. Pages that have been copied a few times are moved
-- within reach, for which they are copied once more; where no frame is free there, cold pages of VMs without a disk
-- move out.

local share, remap = tithe.share, tithe.remap

local policy = {
    name = "remapped",
    api = 1,
    params = {
        free_percent = 4,   -- of the machine's memory, kept free above the reserve
        step_percent = 10,  -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1, -- of a VM's size: changes smaller than this are left alone
        remap_copies = 2,   -- a page that was copied so often is moved
        remap_pages = 512,  -- of a VM in a tick, at most; the core remembers about as many
        vacate_pages = 512, -- moved out at a time, at most
        vacate_rest = 60,   -- seconds for which a VM that had few cold pages is not asked for more
    },
    ranges = {
        free_percent = { 0, 50 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        remap_copies = { 1, 1000000 },
        remap_pages = { 0, 1000000 },
        vacate_pages = { 0, 1000000 },
        vacate_rest = { 0, 86400 },
    },
}

local params, moves = policy.params, {}

function policy.tick(host, vms)
    return remap.moves(moves, host, vms, params, share.by_shares(host, vms, params))
end

function policy.event(host, vms)
    return share.by_shares(host, vms, params)
end

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
