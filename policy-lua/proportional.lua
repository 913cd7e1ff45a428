-- SPDX-License-Identifier: MIT
--
-- proportional: memory by shares, and to where it is used.
--
-- Every VM is first given what it seems to need, as its guest's own statistics tell, plus some headroom. If that is
-- more than there is, it is divided by shares; if it is less, the rest is divided by shares too, so that nothing
-- lies idle. Nobody gets less than its min or more than its max. Targets move step by step.

local share = tithe.share

local policy = {
    name = "proportional",
    api = 1,
    params = {
        free_percent = 4,      -- of the machine's memory, kept free above the reserve
        headroom_percent = 25, -- a VM needs what it uses and this much more
        fall = 0.3,            -- how fast a need that has become smaller is believed, 0 to 1; a larger one is at once
        step_percent = 10,     -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1,    -- of a VM's size: changes smaller than this are left alone
    },
    ranges = {
        free_percent = { 0, 50 },
        headroom_percent = { 0, 400 },
        fall = { 0, 1 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
    },
}

local params = policy.params
local needs = {} -- VM id -> pages, smoothed

-- The pages a VM seems to need. A guest that tells nothing (yet) may need all of it.
local function need(vm, floor)
    local guest, max = vm.guest, vm.max_pages
    if not (guest and guest.available_pages) then return max end
    -- Not from the guest's total: whether that counts the balloon depends on what driver and device agreed on.
    local used = vm.size_pages - vm.balloon_actual_pages - guest.available_pages
    if used < 0 then used = 0 end
    local now, before = used * (100 + params.headroom_percent) // 100 | 0, needs[vm.id]
    if before and now < before then now = before + (now - before) * params.fall // 1 | 0 end
    needs[vm.id] = now
    return now < floor and floor or now > max and max or now
end

function policy.tick(host, vms)
    local movable, budget = share.movable(vms, share.budget(host, params.free_percent))
    local weights, mins = share.column(movable, "shares"), share.floors(movable)
    local maxs, wants = share.column(movable, "max_pages"), {}
    local wanted, goals = 0
    for i = 1, #movable do
        wants[i] = need(movable[i], mins[i])
        wanted = wanted + wants[i]
    end
    if wanted > budget then
        goals = share.divide(budget, weights, mins, wants)
    else -- enough for all: a second helping, up to max
        goals = share.divide(budget, weights, wants, maxs)
    end
    return share.approach(host, movable, goals, budget, params)
end

-- A VM came, went, or was changed: do not wait for the next tick.
function policy.event(host, vms, event)
    if event.kind == "vm-destroyed" then needs[event.vm] = nil end
    return policy.tick(host, vms)
end

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

function policy.save()
    return { needs = needs }
end

function policy.restore(saved)
    if type(saved) ~= "table" or type(saved.needs) ~= "table" then return end
    for id, pages in pairs(saved.needs) do
        if math.type(id) == "integer" and type(pages) == "number" then needs[id] = pages end
    end
end

return policy
