-- SPDX-License-Identifier: MIT
--
-- ahead: memory by shares, and given before it is asked for.
--
-- VMs that are named have their memory from the start, and so do not wait for it page by page as they first touch it.
-- While there is memory to spare, pages come back from swap before they are missed.

local share, paging, populate = tithe.share, tithe.paging, tithe.populate

local policy = {
    name = "ahead",
    api = 1,
    params = {
        free_percent = 4,   -- of the machine's memory, kept free above the reserve
        step_percent = 10,  -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1, -- of a VM's size: changes smaller than this are left alone
        populate = "",      -- names of VMs, with their number or without: "db web3"; "all"
        back_percent = 5,   -- of a VM's size: brought back from swap in one tick at most
    },
    ranges = {
        free_percent = { 0, 50 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        back_percent = { 0, 100 },
    },
}

local params, populated = policy.params, {}

local function start(host, vms)
    local plan = share.by_shares(host, vms, params)
    return populate.start(populated, vms, -share.short(host, params.free_percent), params, plan)
end

function policy.tick(host, vms)
    return paging.back(host, vms, -share.short(host, params.free_percent), params, start(host, vms))
end

policy.event = start

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
