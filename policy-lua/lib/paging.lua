-- SPDX-License-Identifier: MIT
--
-- tithe.paging: pages that leave memory without the guest's help, compressed or to swap, and come back ahead of their
-- use.

local paging = {}

-- Fewer tries than these say nothing about how well a VM's pages compress.
local ENOUGH = 64

-- Appends what sets the stores of compressed pages as they should be.
--
--   state    a table of the caller's, {} to begin with
--   options  store_percent: of a VM's size, which its compressed pages may take
--            ratio_percent: of a page: what is longer when compressed is not kept so
--            poor_percent: of pages tried: if more than these were too long, none is tried
--            pause_ticks: for so long
function paging.stores(state, vms, options, plan)
    local old, of = state.of or {}, {}
    state.of = of
    for i = 1, #vms do
        local vm = vms[i]
        local s = old[vm.id] or { tried = 0, poor = 0, pause = 0 }
        of[vm.id] = s
        local tried, poor = vm.compress_tried - s.tried, vm.compress_poor - s.poor
        if s.pause > 0 then
            s.pause = s.pause - 1
        elseif tried >= ENOUGH then
            if poor * 100 > tried * options.poor_percent then s.pause = options.pause_ticks end
            s.tried, s.poor = vm.compress_tried, vm.compress_poor
        end
        local pages = vm.size_pages * options.store_percent // 100 | 0
        local percent = s.pause > 0 and 0 or options.ratio_percent
        if pages ~= vm.store_limit_pages or percent ~= s.percent then
            plan[#plan + 1] = { verb = "compress", vm = vm.id, pages = pages, percent = percent }
            s.percent = percent
        end
    end
    return plan
end

-- Appends what takes pages of VMs that have more than their targets, the least used first, or ends that.
--
--   short    pages that ought to be free and are not; 0 or less: there is enough
--   options  out_percent: of a VM's size, taken in one tick at most
function paging.out(host, vms, short, options, plan)
    for i = 1, #vms do
        local vm = vms[i]
        if (host.swap_pages > 0 or vm.store_limit_pages > 0) and vm.state ~= "suspended" then
            local over = math.min(vm.consumed_pages - vm.target_pages, vm.size_pages * options.out_percent // 100 | 0)
            if short > 0 and over > 0 then
                plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = over, pick = "cold" }
            elseif vm.swap_out_wanted > 0 then
                plan[#plan + 1] = { verb = "swap_out", vm = vm.id, pages = 0 } -- enough
            end
        end
    end
    return plan
end

-- Appends what brings swapped pages back, to VMs that have less than their targets, before they are asked for; by the
-- part that each has of all that could come.
--
--   spare    pages that are free for that
--   options  back_percent: of a VM's size, brought back in one tick at most
function paging.back(host, vms, spare, options, plan)
    if host.swap_pages == 0 then return plan end
    local wants, wanted = {}, 0
    for i = 1, #vms do
        local vm, want = vms[i], 0
        if vm.swapped_pages > 0 and vm.state ~= "suspended" then
            want = math.min(vm.swapped_pages, vm.target_pages - vm.consumed_pages,
                vm.size_pages * options.back_percent // 100 | 0)
            if want < 0 then want = 0 end
        end
        wants[i], wanted = want, wanted + want
    end
    local part = wanted > 0 and math.min(1, spare / wanted) or 0
    for i = 1, #vms do
        local pages = wants[i] * part // 1 | 0
        if pages > 0 then
            plan[#plan + 1] = { verb = "prefetch", vm = vms[i].id, pages = pages }
        elseif vms[i].prefetch_wanted > 0 and vms[i].state ~= "suspended" then
            plan[#plan + 1] = { verb = "prefetch", vm = vms[i].id, pages = 0 }
        end
    end
    return plan
end

return paging
