-- SPDX-License-Identifier: MIT
--
-- tithe.populate: memory that VMs get before they touch it, so that none is missing, or has to be waited for, when they
-- do.

local populate = {}

-- Whether one of the words in `names` is the VM's name, or its name without the number at its end; "all": any.
function populate.named(vm, names)
    if names == "" then return false end
    local stem = tithe.scan.stem(vm.name)
    for word in names:gmatch("[^%s,]+") do
        if word == vm.name or word == stem or word == "all" then return true end
    end
    return false
end

-- Appends what gives VMs the memory up to their targets, once when they begin and once after each reboot.
--
--   state    a table of the caller's, {} to begin with
--   spare    pages that are free for that. Who finds none is tried again
--   options  populate: names, as above
function populate.start(state, vms, spare, options, plan)
    local old, of = state.of or {}, {}
    state.of = of
    for i = 1, #vms do
        local vm = vms[i]
        local done = old[vm.id]
        if done ~= vm.reboots and vm.state ~= "suspended" and populate.named(vm, options.populate) then
            local lacks = vm.target_pages - vm.consumed_pages
            local pages = math.min(lacks, spare)
            if pages > 0 then
                plan[#plan + 1] = { verb = "populate", vm = vm.id, pages = pages }
                spare = spare - pages
            end
            if pages == lacks or lacks <= 0 then done = vm.reboots end
        end
        of[vm.id] = done
    end
    return plan
end

return populate
