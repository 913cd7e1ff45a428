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
for _, name in ipairs { "share", "active", "scan", "remap", "paging", "park", "populate" } do
    _G.tithe[name] = dofile("policy-lua/lib/" .. name .. ".lua")
end

function host.load(name)
    return dofile("policy-lua/" .. name .. ".lua")
end

-- Sets some parameters to what their ranges allow, ends included.
function host.set_any(policy)
    for key, value in pairs(policy.params) do
        local range, at = policy.ranges[key], math.random(4)
        if range and type(value) == "string" then
            policy.params[key] = range[math.random(#range)]
        elseif range and at < 3 then
            policy.params[key] = range[at]
        elseif range and math.type(value) == "integer" and at == 3 then
            policy.params[key] = math.random(range[1], range[2])
        end
    end
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
        }
        host.quiet(vms[i])
        vms[i].guest = math.random() < 0.8 and { updated_ns = 1 } or nil
        host.inflate(vms[i], used)
        overhead, consumed, mins = overhead + 16, consumed + used, mins + min
    end
    local core = total // 64
    return {
        total_pages = total, core_pages = core, overhead_pages = overhead, reserve_pages = total // 100,
        guest_pages = consumed, free_pages = math.max(0, total - core - overhead - consumed), now_ns = 1, tick_ns = 1,
        colours = host.colours,
        swap_pages = total * (seed % 2), swap_reserved_pages = 0, shared_entries = 0, shared_frames = 0,
    }, vms
end

-- What is there of the mechanisms that nobody has used yet.
function host.quiet(vm)
    for _, field in ipairs { "colours", "stray_pages", "recolour_left", "swap_out_wanted", "prefetch_wanted", "swapped_pages",
        "swap_reserved_pages", "store_limit_pages", "store_pages", "compressed_pages", "compress_tried", "compress_poor",
        "share_group", "shared_pages", "scan_left", "scanned_pages", "scan_hits", "scan_zeros", "cow_breaks", "reboots",
        "remapped_pages", "vacated_pages", "moves_busy", "moves_no_frame", "remap_left", "vacate_left", "populated_pages" } do
        vm[field] = 0
    end
    return vm
end

-- The same with the mechanisms at work: counters and settings anywhere, also where no machine would have them.
function host.anything(h, vms)
    local states = { "running", "running", "running", "paused", "suspended" }
    h.free_pages, h.dma_limit_pages = math.random(0, h.total_pages), math.random(0, h.total_pages)
    h.swap_pages = math.random() < 0.7 and math.random(0, 2 * h.total_pages) or 0
    h.swap_reserved_pages = math.random(0, h.swap_pages)
    h.shared_frames = math.random(0, h.total_pages // 4)
    h.shared_entries = h.shared_frames + math.random(0, h.total_pages // 4)
    h.now_ns = h.now_ns + math.random(0, 100000000000)
    for _, vm in ipairs(vms) do
        local function some(field) vm[field] = math.random() < 0.5 and vm[field] or math.random(0, vm.size_pages) end
        local function more(field) vm[field] = vm[field] + (math.random() < 0.5 and 0 or math.random(0, 10000)) end
        vm.state = states[math.random(#states)]
        vm.cpu_ns, vm.reboots = vm.cpu_ns + math.random(0, 5000000000), vm.reboots + math.random(0, 10) // 10
        for _, field in ipairs { "consumed_pages", "store_limit_pages", "scan_left", "swap_out_wanted", "prefetch_wanted", "remap_left",
            "vacate_left" } do some(field) end
        vm.swapped_pages = h.swap_pages > 0 and math.random(0, vm.size_pages) or 0
        vm.swap_reserved_pages = math.max(vm.swapped_pages, vm.max_pages - vm.min_pages)
        for _, field in ipairs { "scanned_pages", "scan_hits", "moves_no_frame", "vacated_pages", "compress_tried", "compress_poor" } do
            more(field)
        end
        vm.store_pages = math.random(0, vm.consumed_pages // 4)
        vm.compressed_pages = vm.store_pages * math.random(1, 3)
        vm.share_group = math.random(0, 3) == 0 and math.random(0, 127) or vm.share_group
        vm.disk = math.random() < 0.5 and { sectors = 2048, hot_1 = math.random(0, 500) } or nil
        if vm.disk then
            for k, step in ipairs { 4, 16, 64, 256, 1024 } do
                vm.disk["hot_" .. step] = math.random(0, vm.disk["hot_" .. (step // 4)]) // k
            end
        end
    end
end

-- ---- Plans, judged as the core does (hv/vm/plan.c) ----------------------------------------------------------------

local function whole(least, most)
    return function(value)
        return math.type(value) == "integer" and value >= least and value <= most
    end
end

local function one_of(...)
    local words = { n = true }
    for _, word in ipairs { ... } do words[word] = true end
    return function(value) return value == nil or words[value] ~= nil end
end

local any = whole(0, math.maxinteger)
local function of_size(value, vm) return any(value) and value <= vm.size_pages end

-- Fields besides verb and vm: what each may be. `also`: what else is wrong, or nil. `done`: what becomes of the VM.
local VERBS = {
    balloon = { size_pages = any,
        also = function(a, vm)
            return vm.held and "held" or a.size_pages < vm.min_pages and "below min" or a.size_pages > vm.max_pages and "above max"
        end,
        done = function(a, vm) vm.target_pages = a.size_pages end },
    sample = { pages = whole(0, 1024), method = one_of("abit", "unmap") },
    populate = { pages = of_size },
    scan = { pages = of_size, order = one_of("random", "sequential", "unshared_last", "hinted") },
    ["share-group"] = { group = whole(0, 127), done = function(a, vm) vm.share_group = a.group end },
    colour = { pages = of_size, colours = whole(0, (1 << host.colours) - 1),
        done = function(a, vm)
            vm.colours = a.colours + 1 == 1 << host.colours and 0 or a.colours
            vm.stray_pages = vm.colours ~= 0 and a.pages == 0 and vm.consumed_pages or 0
        end },
    swap_out = { pages = any, pick = one_of("random", "cold"),
        also = function(_, vm, h) return h and h.swap_pages == 0 and vm.store_limit_pages == 0 and "no swap" end,
        done = function(a, vm) vm.swap_out_wanted = a.pages end },
    prefetch = { pages = any,
        also = function(_, _, h) return h and h.swap_pages == 0 and "no swap" end,
        done = function(a, vm) vm.prefetch_wanted = a.pages end },
    remap = { pages = any, copies = any, done = function(a, vm) vm.remap_left = a.pages end },
    vacate = { pages = any, which = one_of("any", "cold"), done = function(a, vm) vm.vacate_left = a.pages end },
    compress = { pages = of_size, percent = whole(0, 75),
        done = function(a, vm) vm.store_limit_pages, vm.store_percent = a.pages, a.percent end },
    ["double-paging"] = { avoid = whole(0, 1) },
    suspend = {
        also = function(_, vm, h)
            local all = vm.consumed_pages - vm.store_pages + vm.compressed_pages + vm.swapped_pages
            local more = math.max(0, all - vm.swap_reserved_pages)
            return h and (h.swap_pages == 0 or h.swap_reserved_pages + more > h.swap_pages) and "no swap"
        end,
        done = function(_, vm) vm.state = "suspended" end },
    resume = { pages = any, done = function(_, vm) if vm.state == "suspended" then vm.state = "running" end end },
}

local function judge(action, vm, h, seen)
    local verb = VERBS[action.verb]
    if not verb then return "no such verb" end
    if not vm then return "no such VM" end
    if seen[action.verb .. action.vm] then return "twice" end
    seen[action.verb .. action.vm] = true
    for field in pairs(action) do
        if field ~= "verb" and field ~= "vm" and (not verb[field] or field == "also" or field == "done") then
            return "has the field " .. field
        end
    end
    for field, ok in pairs(verb) do
        if field ~= "also" and field ~= "done" and not ok(action[field], vm) then return field end
    end
    return verb.also and verb.also(action, vm, h) or nil
end

-- Carries a plan out at once, when each of its actions is one that the core accepts. Returns nil, or what is wrong. Without the
-- host `h` there is swap for everything.
function host.apply(vms, plan, h)
    local seen, by_id = {}, {}
    for _, vm in ipairs(vms) do by_id[vm.id] = vm end
    if #plan > 1024 then return "too many actions" end
    for i, action in ipairs(plan) do
        local wrong = judge(action, by_id[action.vm], h, seen)
        if wrong then return ("action %d, %s: %s"):format(i, tostring(action.verb), wrong) end
    end
    for _, action in ipairs(plan) do
        local done = VERBS[action.verb].done
        if done then done(action, by_id[action.vm]) end
    end
    for _, vm in ipairs(vms) do host.inflate(vm, vm.consumed_pages) end
end

-- The actions of one verb, by VM.
function host.of_verb(plan, verb)
    local list = {}
    for _, action in ipairs(plan) do if action.verb == verb then list[action.vm] = action end end
    return list
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
