-- SPDX-License-Identifier: MIT
--
-- coloured: memory and the cache by shares.
--
-- A frame's colour says which sets of the last cache it lies in. So VMs whose frames have different colours do not
-- push each other's lines out. Colours are handed out as memory is, side by side in the order of ids; with more VMs
-- than colours, nobody has any.

local share = tithe.share

local policy = {
    name = "coloured",
    api = 1,
    params = {
        free_percent = 4,    -- of the machine's memory, kept free above the reserve
        step_percent = 10,   -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1,  -- of a VM's size: changes smaller than this are left alone
        move = true,         -- pages that a VM has in other colours are moved
        stray_percent = 2,   -- of a VM's memory may be in other colours before that is done again
    },
    ranges = {
        free_percent = { 0, 50 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        stray_percent = { 0, 100 },
    },
}

local params = policy.params

-- The colours of each VM, a bit each; 0: any.
local function masks(host, vms)
    local n, first, list, ones, most = host.colours, 0, {}, {}, {}
    for i = 1, #vms do list[i], ones[i], most[i] = 0, 1, n end
    if #vms < 2 or #vms > n then return list end
    local counts = share.divide(n, share.column(vms, "shares"), ones, most)
    for i = 1, #vms do
        list[i] = (1 << counts[i]) - 1 << first
        first = first + counts[i]
    end
    return list
end

local function strays(vm)
    return params.move and vm.recolour_left == 0 and vm.stray_pages * 100 > vm.consumed_pages * params.stray_percent
end

local function colour(host, vms, plan)
    local wanted = masks(host, vms)
    for i = 1, #vms do
        local vm, mask = vms[i], wanted[i]
        if mask ~= vm.colours or mask ~= 0 and strays(vm) then
            local pages = params.move and vm.size_pages or 0
            plan[#plan + 1] = { verb = "colour", vm = vm.id, colours = mask, pages = pages }
        end
    end
    return plan
end

function policy.tick(host, vms)
    return colour(host, vms, share.by_shares(host, vms, params))
end

policy.event = policy.tick

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
