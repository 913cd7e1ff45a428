-- SPDX-License-Identifier: MIT
--
-- tithe.scan: who shares pages with whom, and how fast equal pages are looked for.
--
-- As in Waldspurger's paper (OSDI 2002, 4.3), rates are bounded for each VM and for the machine, and VMs in which
-- little is found are looked at less.

local scan = {}

-- Fewer pages than these are put off: it is what the core looks at in a step, with the same flushes for one or all.
local BATCH = 32
-- Of fewer pages looked at nothing can be said about what is found.
local ENOUGH = 256

-- A name without the number at its end: "web" of web1 and web-2.
function scan.stem(name)
    local stem = name:match("^(.-)[%d._-]*$")
    return stem ~= "" and stem or name
end

scan.ORDERS = { "random", "sequential", "unshared_last", "hinted" }
scan.GROUPS = { "keep", "none", "all", "name" }

local GROUPS_MAX = 127

-- The groups of VMs by their names. Those that have one keep it, so nobody ever meets another name's pages.
local function by_name(vms)
    local stems, group_of, taken, free = {}, {}, {}, 1
    for i = 1, #vms do
        local stem, group = scan.stem(vms[i].name), vms[i].share_group
        stems[i] = stem
        if group ~= 0 and not group_of[stem] and not taken[group] then
            group_of[stem], taken[group] = group, true
        end
    end
    for i = 1, #vms do
        local stem = stems[i]
        if not group_of[stem] then
            while taken[free] do free = free + 1 end
            if free <= GROUPS_MAX then
                group_of[stem], taken[free] = free, true
            else
                group_of[stem] = 0 -- no more groups: alone
            end
        end
        stems[i] = group_of[stem]
    end
    return stems
end

-- Appends what puts VMs into groups.
--
--   options  groups: "keep": they stay where an operator or another policy has put them; "none": each is alone; "all":
--            all share with all; "name": those do whose names are the same but for a number at the end
function scan.groups(vms, options, plan)
    local how = options.groups
    if how == "keep" then return plan end
    local names = how == "name" and by_name(vms)
    for i = 1, #vms do
        local vm, group = vms[i], names and names[i] or how == "all" and 1 or 0
        if vm.share_group ~= group then
            plan[#plan + 1] = { verb = "share-group", vm = vm.id, group = group }
        end
    end
    return plan
end

-- Pages that sharing saves now.
function scan.saved(host)
    return host.shared_entries - host.shared_frames
end

-- What is known of a VM: counters at the last look, its level (1: scanned as others of its size are; less where less is
-- found) and the pages it may be scanned for and was not yet.
local function look(s, vm, options)
    if not s or s.reboots ~= vm.reboots then
        return { scanned = vm.scanned_pages, hits = vm.scan_hits, reboots = vm.reboots, level = 1, credit = 0 }
    end
    local looked = vm.scanned_pages - s.scanned
    if looked >= ENOUGH then
        if (vm.scan_hits - s.hits) * 100 >= looked * options.scan_good_percent then
            s.level = 1
        else
            s.level = s.level / 2
        end
        s.scanned, s.hits = vm.scanned_pages, vm.scan_hits
    end
    local least = options.scan_least_percent / 100
    if s.level < least then s.level = least end
    return s
end

-- Appends the scans of this tick. VMs get parts of the rate by what they have, and by what was found in them lately. A
-- VM begins, and begins again when it reboots, as one in which much is found: a guest that boots leaves many pages of
-- zeros.
--
--   state    a table of the caller's, {} to begin with
--   dt       seconds since the last tick
--   options  scan_rate: pages per second in all; 0: none
--            scan_vm_rate: of one VM, at most
--            scan_good_percent: of the pages looked at. While less are found, the VM's part of the rate is halved again
--                               and again,
--            scan_least_percent: down to this part of what it was
--            scan_order: as in the plan
function scan.pace(state, vms, dt, options, plan)
    local old, of, weight = state.of or {}, {}, 0
    state.of = of -- those of VMs that are gone are left behind
    for i = 1, #vms do
        local vm = vms[i]
        if vm.state ~= "suspended" then
            local s = look(old[vm.id], vm, options)
            of[vm.id], weight = s, weight + s.level * vm.consumed_pages
        end
    end
    local rate, most = options.scan_rate, options.scan_vm_rate
    for i = 1, #vms do
        local vm = vms[i]
        local s, pages = of[vm.id], 0
        if s and rate > 0 and weight > 0 then
            local part = rate * s.level * vm.consumed_pages / weight
            s.credit = math.min(s.credit + math.min(part, most) * dt, vm.size_pages)
            pages = s.credit // 1 | 0
        end
        if pages >= BATCH then
            s.credit = s.credit - pages
            plan[#plan + 1] = { verb = "scan", vm = vm.id, pages = pages, order = options.scan_order }
        elseif rate == 0 and vm.scan_left > 0 then
            plan[#plan + 1] = { verb = "scan", vm = vm.id, pages = 0 }
        end
    end
    return plan
end

return scan
