-- SPDX-License-Identifier: MIT
--
-- equal: the same for every VM, within its min and max, whatever it does with it.

local share = tithe.share

local policy = {
    name = "equal",
    api = 1,
    params = {
        free_percent = 4,   -- of the machine's memory, kept free above the reserve
        step_percent = 10,  -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1, -- of a VM's size: changes smaller than this are left alone
    },
    ranges = { free_percent = { 0, 50 }, step_percent = { 1, 100 }, ignore_percent = { 0, 50 } },
}

local params = policy.params

function policy.tick(host, vms)
    local movable, budget = share.movable(vms, share.budget(host, params.free_percent))
    local ones, mins, maxs = {}, share.floors(movable), share.column(movable, "max_pages")
    for i = 1, #movable do ones[i] = 1 end
    return share.approach(host, movable, share.divide(budget, ones, mins, maxs), budget, params)
end

policy.event = policy.tick

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
