-- SPDX-License-Identifier: MIT
--
-- tiered: memory by shares, and pages taken where balloons are too slow or missing: compressed first, then to swap.
--
-- Targets are divided by shares. While free memory is short of what is to be kept free, VMs that have more than their
-- target (their guest has no balloon driver, or it lags) lose what they have beyond it, the least used pages first.
-- Each VM may keep a part of its size compressed; what does not become small enough, or finds no room there, goes to
-- swap. With VMs whose pages do not compress no time is lost by trying, for a while.

local share = tithe.share

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

local params = policy.params
local seen = {} -- VM id -> pages tried and too long at the last look, ticks of pause, percentage last asked for

-- Fewer tries than these say nothing.
local ENOUGH = 64

-- Appends what sets the VM's store as it should be.
local function set_store(vm, plan)
    local s = seen[vm.id]
    if not s then
        s = { tried = 0, poor = 0, pause = 0 }
        seen[vm.id] = s
    end
    local tried, poor = vm.compress_tried - s.tried, vm.compress_poor - s.poor
    if s.pause > 0 then
        s.pause = s.pause - 1
    elseif tried >= ENOUGH then
        if poor * 100 > tried * params.poor_percent then s.pause = params.pause_ticks end
        s.tried, s.poor = vm.compress_tried, vm.compress_poor
    end
    local pages = vm.size_pages * params.store_percent // 100 | 0
    local percent = s.pause > 0 and 0 or params.ratio_percent
    if pages ~= vm.store_limit_pages or percent ~= s.percent then
        plan[#plan + 1] = { verb = "compress", vm = vm.id, pages = pages, percent = percent }
        s.percent = percent
    end
end

local function balloons(host, vms)
    local movable, budget = share.movable(vms, share.budget(host, params.free_percent))
    local weights, mins = share.column(movable, "shares"), share.floors(movable)
    local maxs = share.column(movable, "max_pages")
    return share.approach(host, movable, share.divide(budget, weights, mins, maxs), budget, params)
end

function policy.tick(host, vms)
    local plan = balloons(host, vms)
    local short = host.reserve_pages + host.total_pages * params.free_percent // 100 - host.free_pages
    for i = 1, #vms do
        local vm = vms[i]
        set_store(vm, plan)
        local over = math.min(vm.consumed_pages - vm.target_pages, vm.size_pages * params.out_percent // 100 | 0)
        if short > 0 and over > 0 and (host.swap_pages > 0 or vm.store_limit_pages > 0) then
            plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = over, pick = "cold" }
        elseif vm.swap_out_wanted > 0 and (host.swap_pages > 0 or vm.store_limit_pages > 0) then
            plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = 0 } -- enough
        end
    end
    return plan
end

function policy.event(host, vms, event)
    if event.kind == "vm-destroyed" then seen[event.vm] = nil end
    return balloons(host, vms)
end

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
