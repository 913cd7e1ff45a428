-- SPDX-License-Identifier: MIT
--
-- sampled: memory by shares, and to where it is used, as the core's samples of working sets tell.
--
-- As proportional, but it asks no guest: a hostile one cannot lie, and one without statistics is seen as well.

local share, active = tithe.share, tithe.active

local policy = {
    name = "sampled",
    api = 1,
    params = {
        free_percent = 4,      -- of the machine's memory, kept free above the reserve
        headroom_percent = 25, -- a VM needs what it uses and this much more
        step_percent = 10,     -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 2,    -- of a VM's size: changes smaller than this are left alone; samples are not exact
        sample_pages = 100,    -- in a sample; error of the estimate: 5 % with 100, 1.6 % with 1,000
        sample_period = 30,    -- seconds of a VM's CPU time
        method = "abit",       -- or "unmap"
        slow = 0.25,           -- gains of the averages
        fast = 0.75,
    },
    ranges = {
        free_percent = { 0, 50 },
        headroom_percent = { 0, 400 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        sample_pages = { 1, 1024 },
        sample_period = { 1, 3600 },
        method = { "abit", "unmap" },
        slow = { 0, 1 },
        fast = { 0, 1 },
    },
}

local params = policy.params
local estimates = {}

-- The pages a VM seems to need; all of them as long as nothing is known.
local function need(vm, floor)
    local part = active.estimate(estimates, vm, params.slow, params.fast)
    if not part then return vm.max_pages end
    return tithe.clamp(part * vm.size_pages * (100 + params.headroom_percent) // 100 | 0, floor, vm.max_pages)
end

local function balloons(host, vms)
    local movable, budget = share.movable(vms, share.budget(host, params.free_percent))
    local weights, mins = share.column(movable, "shares"), share.floors(movable)
    local maxs, wants, wanted = share.column(movable, "max_pages"), {}, 0
    for i = 1, #movable do
        wants[i] = need(movable[i], mins[i])
        wanted = wanted + wants[i]
    end
    local goals = wanted > budget and share.divide(budget, weights, mins, wants)
        or share.divide(budget, weights, wants, maxs)
    return share.approach(host, movable, goals, budget, params)
end

function policy.tick(host, vms)
    return active.sample(host, vms, params, balloons(host, vms))
end

function policy.event(host, vms, event)
    if event.kind == "vm-destroyed" then active.forget(estimates, vms) end
    return balloons(host, vms)
end

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
