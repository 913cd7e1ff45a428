-- SPDX-License-Identifier: MIT
--
-- tithe.remap: pages that are copied for a disk again and again move into its reach, and cold ones make room there.
--
-- The paper (OSDI 2002, 7) moves a page when its copies exceed a threshold, and leaves open which threshold, and what
-- is to move out when memory within reach is scarce.

local remap = {}

local STEPS = { 1024, 256, 64, 16, 4, 1 }
local FIELDS = {}
for i, step in ipairs(STEPS) do FIELDS[i] = "hot_" .. step end

-- How many of the VM's pages may have been copied `copies` times or more: the snapshot's count at the next lower step.
function remap.hot(vm, copies)
    local disk = vm.disk
    if not disk then return 0 end
    for i = 1, #STEPS do
        if copies >= STEPS[i] then return disk[FIELDS[i]] end
    end
    return disk.hot_1
end

-- Pages that the VM may not need soon, as far as that can be known. Of one with a disk it is hard to know: what its
-- disk reads and writes by itself leaves no accessed bits. So it comes last.
local function cold_pages(vm)
    local sample, pages = vm.sample, vm.consumed_pages
    if sample and sample.finished_pages > 0 then
        pages = pages - pages * sample.finished_touched // sample.finished_pages
    end
    return vm.disk and pages // 64 or pages
end

-- The VM to vacate pages of: the one with most cold ones, of those that have not been tried in vain lately.
local function victim(of, host, vms)
    local best, most = nil, 0
    for i = 1, #vms do
        local vm = vms[i]
        local cold = cold_pages(vm)
        if cold > most and vm.state ~= "suspended" and of[vm.id].rest_ns <= host.now_ns then best, most = vm, cold end
    end
    return best
end

-- Appends moves into the disks' reach and, where they have found no frame, out of it.
--
--   state    a table of the caller's, {} to begin with
--   options  remap_copies: a page that was copied so often or more is moved
--            remap_pages: of one VM in one tick, at most
--            vacate_pages: of one VM at a time, at most; one VM after the other. 0: none
--            vacate_rest: seconds for which a VM of which less than half of them could be moved is left alone
function remap.moves(state, host, vms, options, plan)
    local old, of, short, busy = state.of or {}, {}, 0, false
    state.of = of
    for i = 1, #vms do
        local vm = vms[i]
        local s, hot = old[vm.id] or { asked = 0, rest_ns = 0 }, remap.hot(vm, options.remap_copies)
        of[vm.id] = s
        if hot > 0 then
            if s.no_frame then short = short + vm.moves_no_frame - s.no_frame end
            s.no_frame = vm.moves_no_frame
            if vm.remap_left == 0 and options.remap_pages > 0 then
                plan[#plan + 1] = { verb = "remap", vm = vm.id, pages = options.remap_pages,
                    copies = options.remap_copies }
            end
        else
            s.no_frame = nil -- what it could not move from now on was none of these
        end
        if vm.vacate_left > 0 then
            busy = true
        elseif s.asked > 0 then
            if (vm.vacated_pages - s.vacated) * 2 < s.asked then
                s.rest_ns = host.now_ns + (options.vacate_rest * 1000000000 // 1 | 0)
            end
            s.asked = 0
        end
    end
    if short <= 0 or busy or options.vacate_pages == 0 then return plan end
    local vm = victim(of, host, vms)
    if vm then
        local s, pages = of[vm.id], math.min(short, options.vacate_pages)
        s.asked, s.vacated = pages, vm.vacated_pages
        plan[#plan + 1] = { verb = "vacate", vm = vm.id, pages = pages, which = "cold" }
    end
    return plan
end

return remap
