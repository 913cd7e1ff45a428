-- SPDX-License-Identifier: MIT
--
-- For unit tests of policies under a plain lua5.4: the module `tithe` as the steward has it, random hosts and VMs,
-- and TAP.

local host = { colours = 16 }

_G.tithe = {
    KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, page_bytes = 4096,
    clamp = function(x, low, high) return x < low and low or x > high and high or x end,
    pages = function(bytes) return -(-bytes // 4096) end,
    text = function(pages) return ("%.1f MiB"):format(pages / 256) end,
    log = function() end,
}
for _, name in ipairs { "share", "active" } do _G.tithe[name] = dofile("policy-lua/lib/" .. name .. ".lua") end

function host.load(name)
    return dofile("policy-lua/" .. name .. ".lua")
end

-- The balloon at its target, in a guest that has a use for so many pages, and what the guest tells then.
function host.inflate(vm, used_pages)
    vm.balloon_actual_pages = vm.size_pages - vm.target_pages
    if vm.guest then
        local available = math.max(0, vm.target_pages - used_pages)
        vm.guest.total_pages, vm.guest.available_pages, vm.guest.free_pages = vm.target_pages, available, available
    end
end

-- A host of `pages`, with VMs of random sizes, bounds and targets, larger in sum than the host.
function host.random(seed, count)
    math.randomseed(seed)
    local total = math.random(20000, 2000000)
    local vms, overhead, consumed, mins = {}, 0, 0, 0
    for i = 1, count do
        local size = math.random(total // count // 2 + 64, total * 3 // count + 64)
        local max = math.random(size * 3 // 4, size)
        local min = math.random(0, math.min(max, total // count // 3))
        local target = math.random(min, max)
        local used = math.random(0, target)
        vms[i] = {
            id = i * 3, name = "vm" .. i, state = "running", size_pages = size, max_pages = max, min_pages = min,
            shares = math.random(1, 5000), target_pages = target, held = math.random() < 0.1,
            consumed_pages = used, overhead_pages = 16, cpu_ns = 0, balloon_driver = math.random() < 0.9,
            colours = 0, stray_pages = 0, recolour_left = 0,
            swap_out_wanted = 0, store_limit_pages = 0, compress_tried = 0, compress_poor = 0,
        }
        vms[i].guest = math.random() < 0.8 and { updated_ns = 1 } or nil
        host.inflate(vms[i], used)
        overhead, consumed, mins = overhead + 16, consumed + used, mins + min
    end
    local core = total // 64
    return {
        total_pages = total, core_pages = core, overhead_pages = overhead, reserve_pages = total // 100,
        guest_pages = consumed, free_pages = math.max(0, total - core - overhead - consumed), now_ns = 1, tick_ns = 1,
        colours = host.colours,
        swap_pages = total * (seed % 2),
    }, vms
end

-- Carries a plan out at once, checking each action as the core does. Returns nil, or what is wrong.
function host.apply(vms, plan)
    local seen = {}
    for i, action in ipairs(plan) do
        local vm
        for _, candidate in ipairs(vms) do if candidate.id == action.vm then vm = candidate end end
        if not vm then return "action " .. i .. ": no such VM" end
        local key = action.verb .. action.vm
        if action.verb == "sample" then
            local ways, pages = { abit = true, unmap = true }, action.pages
            if seen[key] then return "action " .. i .. ": twice" end
            if math.type(pages) ~= "integer" or pages < 0 or pages > 1024 then return "action " .. i .. ": pages" end
            if not ways[action.method or "abit"] then return "action " .. i .. ": method" end
            seen[key] = true
            goto next
        end
        if action.verb == "colour" then
            if seen[key] then return "action " .. i .. ": twice" end
            if math.type(action.colours) ~= "integer" or action.colours >> host.colours ~= 0 then return "action " .. i .. ": colours" end
            if math.type(action.pages) ~= "integer" or action.pages < 0 or action.pages > vm.size_pages then
                return "action " .. i .. ": pages"
            end
            vm.colours = action.colours + 1 == 1 << host.colours and 0 or action.colours
            vm.stray_pages, seen[key] = vm.colours ~= 0 and action.pages == 0 and vm.consumed_pages or 0, true
            goto next
        end
        if action.verb == "compress" then
            local pages, percent = action.pages, action.percent
            if seen[key] then return "action " .. i .. ": twice" end
            if math.type(pages) ~= "integer" or pages < 0 or pages > vm.size_pages then
                return "action " .. i .. ": pages"
            end
            if math.type(percent) ~= "integer" or percent < 0 or percent > 75 then return "action " .. i .. ": percent" end
            seen[key], vm.store_limit_pages, vm.store_percent = true, pages, percent
            goto next
        end
        if action.verb == "swap_out" then
            local ways, pages = { random = true, cold = true }, action.pages
            if seen[key] then return "action " .. i .. ": twice" end
            if math.type(pages) ~= "integer" or pages < 0 then return "action " .. i .. ": pages" end
            if not ways[action.pick or "random"] then return "action " .. i .. ": pick" end
            seen[key], vm.swap_out_wanted = true, pages
            goto next
        end
        if action.verb ~= "balloon" then return "action " .. i .. ": verb" end
        if seen[key] then return "action " .. i .. ": twice" end
        if vm.held then return "action " .. i .. ": held" end
        if math.type(action.size_pages) ~= "integer" then return "action " .. i .. ": not a whole number" end
        if action.size_pages < vm.min_pages then return "action " .. i .. ": below min" end
        if action.size_pages > vm.max_pages then return "action " .. i .. ": above max" end
        seen[key] = true
        vm.target_pages = action.size_pages
        ::next::
    end
    for _, vm in ipairs(vms) do host.inflate(vm, vm.consumed_pages) end
end

-- ---- TAP --------------------------------------------------------------------

local number, failures = 0, 0

function host.test(name, body)
    number = number + 1
    local ok, why = pcall(body)
    print((ok and "ok " or "not ok ") .. number .. " " .. name)
    if not ok then
        failures = failures + 1
        print("# " .. tostring(why):gsub("\n", "\n# "))
    end
end

function host.done()
    print("1.." .. number)
    os.exit(failures == 0)
end

return host
