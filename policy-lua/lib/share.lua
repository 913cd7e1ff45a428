-- SPDX-License-Identifier: MIT
--
-- tithe.share: dividing memory. All sizes are whole pages.

local share = {}

-- Divides `total` among claims in proportion to their weights, but gives none less than its min or more than its
-- max. What a claim cannot take, or has to be given beyond its due, is shared out among the others, again by weight:
-- water finding its level.
--
--   claims   list of { weight = number above 0, min = pages, max = pages }
--   returns  list of pages in the same order. They add up to `total` exactly, unless all minimums add up to more
--            (then everyone gets the minimum) or all maximums to less (then everyone gets the maximum).
--
-- This is how CSS resolves flexible lengths (CSS Flexible Box Layout 9.7): freeze those that violate a bound, on the
-- side where the violations are larger in sum, and divide again among the rest. At least one is frozen in each
-- round, and two or three rounds are usual.
function share.divide(total, claims)
    local n = #claims
    local result, weights, mins, maxs, free = {}, {}, {}, {}, {}
    for i = 1, n do
        local c = claims[i]
        weights[i], mins[i], maxs[i], free[i] = c.weight, c.min, c.max, i
    end
    while #free > 0 do
        local weight, left = 0, total
        for i = 1, n do left = left - (result[i] or 0) end
        for k = 1, #free do weight = weight + weights[free[k]] end
        local level, violation = left / weight, 0
        for k = 1, #free do
            local i = free[k]
            local due = level * weights[i]
            if due < mins[i] then
                violation = violation + mins[i] - due
            elseif due > maxs[i] then
                violation = violation + maxs[i] - due
            end
        end
        local still = {}
        for k = 1, #free do
            local i = free[k]
            local due = level * weights[i]
            if violation > 0 and due < mins[i] then
                result[i] = mins[i]
            elseif violation < 0 and due > maxs[i] then
                result[i] = maxs[i]
            else
                still[#still + 1] = i
            end
        end
        if #still == #free then -- nobody is out of bounds, or what some lack is what others have too much
            for k = 1, #free do
                local i = free[k]
                local due = level * weights[i]
                if due < mins[i] then due = mins[i] elseif due > maxs[i] then due = maxs[i] end
                result[i] = due // 1 | 0
            end
            break
        end
        free = still
    end
    -- Whole pages: what rounding left over goes out page by page, first come first served.
    local left = total
    for i = 1, n do left = left - result[i] end
    local i, idle = 1, 0
    while left > 0 and idle < n do
        if result[i] < maxs[i] then
            result[i], left, idle = result[i] + 1, left - 1, 0
        else
            idle = idle + 1
        end
        i = i % n + 1
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
    for _, vm in ipairs(vms) do
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
--   vms     the movable VMs; goals: pages for each, in the same order, all within min and max
--   budget  pages for all of them together
--   options step_percent: how much of its size a VM's target moves in one tick at most
--           ignore_percent: changes smaller than this part of its size are left alone
--
-- Who gives, gives first; who gets, gets no more than there is, in proportion to what each lacks. While targets add
-- up to more than the budget, giving is not slowed down: the machine would run out of memory meanwhile.
function share.approach(host, vms, goals, budget, options)
    local promised = 0
    for i = 1, #vms do promised = promised + vms[i].target_pages end
    local over, plan, takers = promised > budget, {}, {}
    for i = 1, #vms do
        local vm = vms[i]
        local now, goal = vm.target_pages, goals[i]
        local step = vm.size_pages * options.step_percent // 100 | 0
        local ignore = vm.size_pages * options.ignore_percent // 100 | 0
        if now - goal > ignore or (over and now > goal) then
            if not over and now - goal > step then goal = now - step end
            promised = promised - (now - goal)
            plan[#plan + 1] = { verb = "balloon", vm = vm.id, size_pages = goal }
        elseif goal - now > ignore then
            local more = goal - now < step and goal - now or step
            takers[#takers + 1] = { vm = vm, weight = more, min = 0, max = more }
        end
    end
    local spare = math.min(budget - promised, host.free_pages - host.reserve_pages)
    if spare > 0 and #takers > 0 then
        local given = share.divide(spare, takers)
        for i = 1, #takers do
            local vm = takers[i].vm
            if given[i] > 0 then
                plan[#plan + 1] = { verb = "balloon", vm = vm.id, size_pages = vm.target_pages + given[i] }
            end
        end
    end
    return plan
end

-- For admit(): whether the guaranteed memory of all VMs still fits with this one, or why not.
function share.admit(vm, vms, budget)
    local promised = vm.min_pages
    for _, other in ipairs(vms) do promised = promised + other.min_pages end
    if promised <= budget then return true end
    return false, ("the minimums of all VMs would be %s, and there are %s for guests: lower its minimum by %s"):format(
        tithe.text(promised), tithe.text(budget), tithe.text(promised - budget))
end

return share
