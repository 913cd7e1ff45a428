-- SPDX-License-Identifier: MIT
--
-- tithe.share: dividing memory. All sizes are whole pages.

local share = {}
local unpack = table.unpack

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
    local n, left, weight = #weights, total, 0
    local result, open = { unpack(weights) }, { unpack(weights) } -- of their length; growing lists is dear
    for i = 1, n do
        open[i], weight = i, weight + weights[i] -- the first n of `open` are the claims still to be settled
    end
    while n > 0 do
        local level, lack, excess = left / weight, 0, 0
        for k = 1, n do
            local i = open[k]
            local due, min, max = level * weights[i], mins[i], maxs[i]
            if due < min then
                lack, due = lack + min - due, min
            elseif due > max then
                excess, due = excess + due - max, max
            end
            result[i] = due
        end
        if lack == excess then break end -- nobody is at a bound, or what some lack is just what others have too much
        local bounds, still = lack > excess and mins or maxs, 0
        for k = 1, n do
            local i = open[k]
            if result[i] == bounds[i] then
                left, weight = left - result[i], weight - weights[i]
            else
                still = still + 1
                open[still] = i
            end
        end
        n = still
    end
    for k = 1, n do
        local i = open[k]
        local pages = result[i] // 1 | 0
        result[i], left = pages, left - pages
    end
    -- Rounding down has left less than a page for each of them: first come, first served.
    for k = 1, n do
        local i = open[k]
        if left <= 0 then break end
        if result[i] < maxs[i] then
            result[i], left = result[i] + 1, left - 1
        end
    end
    return result
end

-- The list of one field of all VMs.
function share.column(vms, field)
    local list = { unpack(vms) }
    for i = 1, #list do list[i] = list[i][field] end
    return list
end

-- The pages that guests may have in all: what is not the core's, not set aside for VMs' tables, and not kept free.
-- `free_percent` of all memory stays free above the reserve, below which the core would act by itself.
function share.budget(host, free_percent)
    local margin = host.total_pages * free_percent // 100 | 0
    return host.total_pages - host.core_pages - host.overhead_pages - host.reserve_pages - margin
end

-- Pages that ought to be free by that measure and are not; below 0: so many are to spare.
function share.short(host, free_percent)
    return host.reserve_pages + (host.total_pages * free_percent // 100 | 0) - host.free_pages
end

-- The least a VM's target may be right now: without a balloon driver (it is still booting, or has none) a guest
-- cannot give back what it has.
function share.floor(vm)
    if vm.balloon_driver then return vm.min_pages end
    return tithe.clamp(vm.consumed_pages, vm.min_pages, vm.max_pages)
end

-- The same for all of them, as a list.
function share.floors(vms)
    local list = share.column(vms, "min_pages")
    for i = 1, #list do
        if not vms[i].balloon_driver then list[i] = share.floor(vms[i]) end
    end
    return list
end

-- The VMs that a plan may move, and the pages that remain for them once the held ones have theirs. Suspended ones are
-- left alone, and have what they still have.
function share.movable(vms, budget)
    local free, left
    for i = 1, #vms do
        local vm = vms[i]
        if vm.held or vm.state == "suspended" then
            left = (left or budget) - (vm.state == "suspended" and vm.consumed_pages or vm.target_pages)
            free = free or table.move(vms, 1, i - 1, 1, {})
        elseif free then
            free[#free + 1] = vm
        end
    end
    return free or vms, left or budget
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
    local targets, spare = share.column(vms, "target_pages"), budget
    for i = 1, #targets do spare = spare - targets[i] end
    local over, plan = spare < 0, {}
    local takers, wants, wanted = {}, {}, 0
    local step_percent, ignore_percent = options.step_percent, options.ignore_percent
    for i = 1, #targets do
        local more, size = goals[i] - targets[i], vms[i].size_pages
        local ignore = size * ignore_percent // 100
        if more < 0 and (over or -more > ignore) then
            local step = size * step_percent // 100 | 0
            if not over and -more > step then more = -step end
            spare = spare - more
            plan[#plan + 1] = { verb = "balloon", vm = vms[i].id, size_pages = targets[i] + more }
        elseif more > ignore then
            local k, step = #takers + 1, size * step_percent // 100 | 0
            if more > step then more = step end
            takers[k], wants[k], wanted = i, more, wanted + more
        end
    end
    spare = math.min(spare, host.free_pages - host.reserve_pages) -- and no more than is there already
    if spare > 0 and wanted > spare then
        local zeros = {}
        for k = 1, #wants do zeros[k] = 0 end
        wants = share.divide(spare, wants, zeros, wants)
    end
    for k = 1, spare > 0 and #takers or 0 do
        local i = takers[k]
        if wants[k] > 0 then
            plan[#plan + 1] = { verb = "balloon", vm = vms[i].id, size_pages = targets[i] + wants[k] }
        end
    end
    return plan
end

-- The plan that divides memory by shares, and nothing else.
--
--   options  free_percent of the machine's memory is kept free above the reserve; and as for share.approach
--   more     pages beyond the budget that this leaves, or less than it, if below 0; may be left out
function share.by_shares(host, vms, options, more)
    local movable, budget = share.movable(vms, share.budget(host, options.free_percent) + (more or 0))
    local weights, mins = share.column(movable, "shares"), share.floors(movable)
    local goals = share.divide(budget, weights, mins, share.column(movable, "max_pages"))
    return share.approach(host, movable, goals, budget, options)
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
