-- SPDX-License-Identifier: MIT
--
-- tiered: memory by shares, and pages taken where balloons are too slow or missing: compressed first, then to swap.
--
-- Targets are divided by shares. While free memory is short of what is to be kept free, VMs that have more than their
-- target (their guest has no balloon driver, or it lags) lose what they have beyond it, the least used pages first.
-- Each VM may keep a part of its size compressed; what does not become small enough, or finds no room there, goes to
-- swap. With VMs whose pages do not compress no time is lost by trying, for a while.

local share, paging = tithe.share, tithe.paging

local policy = {
    name = "tiered",
    api = 1,
    params = {
        free_percent = 4,      -- of the machine's memory, kept free above the reserve
        step_percent = 10,     -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1,    -- of a VM's size: changes smaller than this are left alone
        store_percent = 10,    -- of a VM's size: its compressed pages may take so much
        ratio_percent = 50,    -- of a page: what is longer when compressed is not kept so
        poor_percent = 75,     -- of pages tried: if more than these were too long, none is tried for a while
        pause_ticks = 30,      -- for so long
        out_percent = 5,       -- of a VM's size: taken in one tick at most
    },
    ranges = {
        free_percent = { 0, 50 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        store_percent = { 0, 100 },
        ratio_percent = { 1, 75 },
        poor_percent = { 0, 100 },
        pause_ticks = { 1, 10000 },
        out_percent = { 0, 100 },
    },
}

local params, stores = policy.params, {}

function policy.tick(host, vms)
    local plan = share.by_shares(host, vms, params)
    paging.stores(stores, vms, params, plan)
    return paging.out(host, vms, share.short(host, params.free_percent), params, plan)
end

function policy.event(host, vms)
    return share.by_shares(host, vms, params)
end

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
