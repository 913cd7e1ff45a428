-- SPDX-License-Identifier: MIT
--
-- tithe.share: dividing memory. All sizes are whole pages.

local share = {}

-- Divides `total` among claims in proportion to their weights, but gives none less than its min or more than its
-- max. What a claim cannot take, or has to be given beyond its due, is shared out among the others, again by weight:
-- water finding its level.
--
--   weights, mins, maxs   lists, one entry for each claim; weights are above 0
--   returns               the list of shares. They add up to `total` exactly, unless all mins add up to more (then
--                         everyone gets the min) or all maxs to less (then everyone gets the max).
--
-- This is how CSS resolves flexible lengths (CSS Flexible Box Layout 9.7): settle those that violate a bound, on the
-- side where the violations are larger in sum, and divide again among the rest. Every round settles one at least;
-- two or three rounds are usual.
function share.divide(total, weights, mins, maxs)
    local result, n, left, weight = {}, #weights, total, 0
    for i = 1, n do
        result[i] = false
        weight = weight + weights[i]
    end
    while weight > 0 do
        local level, lack, excess = left / weight, 0, 0
        for i = 1, n do
            if not result[i] then
                local due, min, max = level * weights[i], mins[i], maxs[i]
                if due < min then
                    lack = lack + min - due
                elseif due > max then
                    excess = excess + due - max
                end
            end
        end
        if lack == excess then break end
        for i = 1, n do
            if not result[i] then
                local due, min, max = level * weights[i], mins[i], maxs[i]
                local settled = lack > excess and due < min and min or excess > lack and due > max and max
                if settled then
                    result[i], left, weight = settled, left - settled, weight - weights[i]
                end
            end
        end
    end
    -- The rest are within their bounds, or what some lack is just what others have too much.
    local level, rest = left / weight, {}
    for i = 1, n do
        if not result[i] then
            local due, min, max = level * weights[i], mins[i], maxs[i]
            result[i] = (due < min and min or due > max and max or due) // 1 | 0
            left = left - result[i]
            rest[#rest + 1] = i
        end
    end
    -- Rounding down has left less than a page for each of them: first come, first served.
    for k = 1, #rest do
        local i = rest[k]
        if left > 0 and result[i] < maxs[i] then
            result[i], left = result[i] + 1, left - 1
        end
    end
    return result
end

-- The pages that guests may have in all: what is not the core's, not set aside for VMs' tables, and not kept free.
-- `free_percent` of all memory stays free above the reserve, below which the core would act by itself.
function share.budget(host, free_percent)
    local margin = host.total_pages * free_percent // 100 | 0
    return host.total_pages - host.core_pages - host.overhead_pages - host.reserve_pages - margin
end

-- The least a VM's target may be right now: without a balloon driver (it is still booting, or has none) a guest
-- cannot give back what it has.
function share.floor(vm)
    if vm.balloon_driver then return vm.min_pages end
    return tithe.clamp(vm.consumed_pages, vm.min_pages, vm.max_pages)
end

-- The VMs that a plan may move, and the pages that remain for them once the held ones have theirs.
function share.movable(vms, budget)
    local free, left = {}, budget
    for i = 1, #vms do
        local vm = vms[i]
        if vm.held then
            left = left - vm.target_pages
        else
            free[#free + 1] = vm
        end
    end
    return free, left
end

-- From goals to a plan that goes some of the way.
--
--   vms      the movable VMs
--   goals    pages for each of them, in the same order, within min and max
--   budget   pages for all of them together
--   options  step_percent: how much of its size a VM's target moves in one tick at most
--            ignore_percent: changes smaller than this part of its size are left alone
--
-- Who gives, gives first; who gets, gets no more than there is, in proportion to what each lacks. While targets add
-- up to more than the budget, giving is not slowed down: the machine would run out of memory meanwhile.
function share.approach(host, vms, goals, budget, options)
    local n, spare = #vms, budget
    for i = 1, n do spare = spare - vms[i].target_pages end
    local over, plan = spare < 0, {}
    local takers, wants, zeros = {}, {}, {}
    local step_percent, ignore_percent = options.step_percent, options.ignore_percent
    for i = 1, n do
        local vm, goal = vms[i], goals[i]
        local more, size = goal - vm.target_pages, vm.size_pages
        local step, ignore = size * step_percent // 100 | 0, size * ignore_percent // 100
        if more < 0 and (over or -more > ignore) then
            if not over and -more > step then more = -step end
            spare = spare - more
            plan[#plan + 1] = { verb = "balloon", vm = vm.id, size_pages = vm.target_pages + more }
        elseif more > ignore then
            local k = #takers + 1
            takers[k], wants[k], zeros[k] = vm, more < step and more or step, 0
        end
    end
    spare = math.min(spare, host.free_pages - host.reserve_pages) -- and no more than is there already
    if spare > 0 and #takers > 0 then
        local given = share.divide(spare, wants, zeros, wants)
        for k = 1, #takers do
            local vm = takers[k]
            if given[k] > 0 then
                plan[#plan + 1] = { verb = "balloon", vm = vm.id, size_pages = vm.target_pages + given[k] }
            end
        end
    end
    return plan
end

-- For admit(): whether the guaranteed memory of all VMs still fits with this one, or why not.
function share.admit(vm, vms, budget)
    local promised = vm.min_pages
    for i = 1, #vms do promised = promised + vms[i].min_pages end
    if promised <= budget then return true end
    return false, ("the minimums of all VMs would be %s, and there are %s for guests: lower its minimum by %s"):format(
        tithe.text(promised), tithe.text(budget), tithe.text(promised - budget))
end

return share
