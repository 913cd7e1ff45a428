-- SPDX-License-Identifier: MIT
--
-- parked: memory by shares; VMs that have more than their shares are swapped, and while memory is far too short for all
-- of them some are suspended, in turn.
--
-- It is for machines on which more is promised than can be had at a time: few VMs that run well rather than all of
-- them waiting for the disk. The least recently active go first, and come back once there is room, with pages ahead.

local share, paging, park = tithe.share, tithe.paging, tithe.park

local policy = {
    name = "parked",
    api = 1,
    params = {
        free_percent = 4,      -- of the machine's memory, kept free above the reserve
        step_percent = 10,     -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1,    -- of a VM's size: changes smaller than this are left alone
        out_percent = 5,       -- of a VM's size: swapped in one tick at most
        park_percent = 1,      -- of the machine's memory: while less is free above the reserve, memory is too short
        park_patience = 5,     -- seconds for which it must have been
        resume_percent = 3,    -- of the machine's memory: stays free above the reserve with a VM that comes back
        park_rest = 10,        -- seconds between two such actions, and that a VM has to itself at least
        park_seconds = 120,    -- a VM is parked for so long, then others have to make room
        active_percent = 5,    -- of a CPU: a VM that uses less is not active
        prefetch_percent = 50, -- of a VM's pages come back ahead of their use
    },
    ranges = {
        free_percent = { 0, 50 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        out_percent = { 0, 100 },
        park_percent = { 0, 50 },
        park_patience = { 0, 3600 },
        resume_percent = { 0, 50 },
        park_rest = { 0, 3600 },
        park_seconds = { 0, 86400 },
        active_percent = { 0, 100 },
        prefetch_percent = { 0, 100 },
    },
}

local params, parking = policy.params, {}

local function balloons(host, vms)
    return share.by_shares(host, vms, params, -park.room(parking, host, vms, params))
end

function policy.tick(host, vms)
    local plan = balloons(host, vms)
    paging.out(host, vms, share.short(host, params.free_percent), params, plan)
    return park.step(parking, host, vms, params, plan)
end

policy.event = balloons

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

function policy.save()
    return { parked = park.save(parking) }
end

function policy.restore(saved)
    if type(saved) == "table" then park.restore(parking, saved.parked) end
end

return policy
