-- SPDX-License-Identifier: MIT
--
-- The policies that come with Tithe: every plan is one that the core accepts, and they come to rest where they should.

local host = require("policy_host")
local test = host.test
local names = { "proportional", "equal", "sampled", "coloured", "tiered", "sharing", "remapped", "parked", "ahead" }

local function promised(vms)
    local sum = 0
    for _, vm in ipairs(vms) do sum = sum + vm.target_pages end
    return sum
end

-- What can be had at best: held VMs and floors may already be more than the budget.
local function least(vms)
    local sum = 0
    for _, vm in ipairs(vms) do sum = sum + (vm.held and vm.target_pages or tithe.share.floor(vm)) end
    return sum
end

-- Those of a plan's actions that move a target.
local function balloons(plan)
    local list = {}
    for _, a in ipairs(plan) do if a.verb == "balloon" then list[#list + 1] = a end end
    return list
end

test("sampled: memory goes where it is used, and only balloons answer events", function()
    local h, vms = host.random(3, 2)
    local policy = host.load("sampled")
    local size = h.total_pages * 2 // 3
    for i, vm in ipairs(vms) do
        vm.size_pages, vm.max_pages, vm.min_pages, vm.shares, vm.held, vm.balloon_driver = size, size, 0, 1000, false, true
        vm.target_pages, vm.consumed_pages = size // 2, 0
        vm.sample = { period = 2, pages = 100, touched = 0, started_ns = 0, started_cpu_ns = 0, finished_pages = 100,
            finished_touched = i == 1 and 70 or 10 }
    end
    h.free_pages = h.total_pages
    for _ = 1, 60 do assert(not host.apply(vms, policy.tick(h, vms, 1))) end
    assert(vms[1].target_pages >= size * 0.85, vms[1].target_pages / size)
    assert(vms[2].target_pages >= size * 0.1 and vms[2].target_pages < size * 0.65, vms[2].target_pages / size)
    for _, a in ipairs(policy.event(h, vms, { kind = "vm-changed" })) do assert(a.verb == "balloon") end
end)

test("tiered: compresses, then takes pages of those above their targets while memory is short; does not try in vain", function()
    local h, vms = host.random(3, 2)
    local policy = host.load("tiered")
    for _, vm in ipairs(vms) do
        vm.held, vm.min_pages, vm.target_pages, vm.balloon_driver = true, 0, vm.size_pages // 4, true
        vm.consumed_pages = vm.size_pages // 2
    end
    h.swap_pages, h.free_pages = 0, h.total_pages
    assert(not host.apply(vms, policy.tick(h, vms, 1)))
    for _, vm in ipairs(vms) do assert(vm.store_limit_pages == vm.size_pages // 10 and vm.swap_out_wanted == 0) end
    assert(#policy.tick(h, vms, 1) == 0, "there is enough, and the stores are as they should be")
    h.free_pages = 0
    assert(not host.apply(vms, policy.tick(h, vms, 1)))
    for _, vm in ipairs(vms) do assert(vm.swap_out_wanted == vm.size_pages * 5 // 100, vm.swap_out_wanted) end
    h.free_pages, vms[2].consumed_pages = h.total_pages, 0
    vms[1].compress_tried, vms[1].compress_poor = 1000, 990
    assert(not host.apply(vms, policy.tick(h, vms, 1)))
    assert(vms[1].store_percent == 0 and vms[2].store_percent == 50)
    assert(vms[1].swap_out_wanted == 0, "enough is free")
    for _ = 1, policy.params.pause_ticks do assert(not host.apply(vms, policy.tick(h, vms, 1))) end
    assert(vms[1].store_percent == 50, "and tries again later")
end)

for _, name in ipairs(names) do
    test(name .. ": 250 random hosts: allowed plans, never more promised than there is", function()
        for seed = 1, 250 do
            local h, vms = host.random(seed, seed % 40 + 1)
            local policy = host.load(name)
            local budget = tithe.share.budget(h, policy.params.free_percent)
            for tick = 1, 12 do
                local before = promised(vms)
                local wrong = host.apply(vms, policy.tick(h, vms, 1))
                assert(not wrong, ("seed %d, tick %d: %s"):format(seed, tick, wrong))
                local after = promised(vms)
                assert(after <= math.max(budget, least(vms)) or after <= before,
                    ("seed %d, tick %d: %d promised of %d"):format(seed, tick, after, budget))
            end
        end
    end)

    test(name .. ": comes to rest", function()
        for seed = 1, 100 do
            local h, vms = host.random(seed, 8)
            local policy = host.load(name)
            h.free_pages = h.total_pages
            for _ = 1, 60 do assert(not host.apply(vms, policy.tick(h, vms, 1))) end
            assert(#balloons(policy.tick(h, vms, 1)) == 0, ("seed %d: still moving after 60 ticks"):format(seed))
        end
    end)

    test(name .. ": 100 machines in which anything may be: allowed plans, whatever parameters are set to", function()
        for seed = 1, 100 do
            local h, vms = host.random(seed, seed % 40 + 1)
            local policy = host.load(name)
            for tick = 1, 8 do
                host.anything(h, vms)
                if tick > 2 then host.set_any(policy) end
                local plan = policy.tick(h, vms, math.random() * 10)
                local wrong = host.apply(vms, plan, h)
                assert(not wrong, ("seed %d, tick %d: %s"):format(seed, tick, wrong))
                wrong = policy.event and host.apply(vms, policy.event(h, vms, { kind = "vm-changed", vm = vms[1].id }), h)
                assert(not wrong, ("seed %d, event %d: %s"):format(seed, tick, wrong))
                if #vms > 1 and math.random(3) == 1 then table.remove(vms, math.random(#vms)) end
            end
        end
    end)

    test(name .. ": a tick for 128 VMs costs less than half of the budget", function()
        local h, vms = host.random(3, 128)
        local policy, most = host.load(name), 0
        for _ = 1, 10 do
            host.anything(h, vms)
            local spent = 0
            debug.sethook(function() spent = spent + 100 end, "", 100)
            local plan = policy.tick(h, vms, 1)
            debug.sethook()
            assert(not host.apply(vms, plan, h))
            most = math.max(most, spent)
        end
        assert(most < 150000, most)
        print(("# %s: %d instructions"):format(name, most))
    end)

    test(name .. ": every number that is a parameter has a range, and is in it", function()
        local policy = host.load(name)
        for key, value in pairs(policy.params) do
            local range = policy.ranges[key]
            if type(value) == "number" then
                assert(value >= range[1] and value <= range[2], key)
            elseif range then
                local found = false
                for _, word in ipairs(range) do found = found or word == value end
                assert(found, key)
            end
        end
        for key in pairs(policy.ranges) do assert(policy.params[key] ~= nil, key) end
    end)

    test(name .. ": no VMs, no plan", function()
        local h = host.random(1, 1)
        assert(#host.load(name).tick(h, {}, 1) == 0)
    end)

    test(name .. ": the same twice", function()
        local function run()
            local h, vms = host.random(7, 20)
            local policy, text = host.load(name), {}
            for _ = 1, 10 do
                local plan = policy.tick(h, vms, 1)
                for _, a in ipairs(plan) do text[#text + 1] = a.vm .. "=" .. (a.size_pages or a.pages or a.group or 0) end
                host.apply(vms, plan)
            end
            return table.concat(text, " ")
        end
        assert(run() == run())
    end)
end

-- Two VMs of 100,000 pages on a host with 100,000 pages for guests.
local function pair()
    local h = { colours = host.colours, total_pages = 100000, core_pages = 0, overhead_pages = 0, reserve_pages = 0, guest_pages = 0,
        free_pages = 100000, now_ns = 1, tick_ns = 1, shared_entries = 0, shared_frames = 0, swap_pages = 0, swap_reserved_pages = 0 }
    local vms = {}
    for i = 1, 2 do
        vms[i] = { id = i, name = "vm" .. i, size_pages = 100000, max_pages = 100000, min_pages = 1000, shares = 1000,
            target_pages = 50000, held = false, consumed_pages = 50000, balloon_driver = true, state = "running", cpu_ns = 0 }
        host.quiet(vms[i])
    end
    return h, vms
end

local function settle(policy, h, vms, used)
    for _ = 1, 60 do
        for i, vm in ipairs(vms) do
            vm.guest = { updated_ns = 1 }
            host.inflate(vm, used[i])
        end
        assert(not host.apply(vms, policy.tick(h, vms, 1)))
    end
end

test("proportional: shares decide when both need all", function()
    local h, vms = pair()
    local policy = host.load("proportional")
    policy.params.free_percent, policy.params.ignore_percent = 0, 0
    vms[1].shares = 3000
    settle(policy, h, vms, { 1e9, 1e9 })
    assert(vms[1].target_pages == 75000 and vms[2].target_pages == 25000, vms[1].target_pages)
end)

test("proportional: memory goes to where it is used", function()
    local h, vms = pair()
    local policy = host.load("proportional")
    policy.params.free_percent, policy.params.ignore_percent = 0, 0
    settle(policy, h, vms, { 70000, 10000 })
    assert(vms[1].target_pages >= 70000 and vms[2].target_pages >= 10000, vms[1].target_pages)
    settle(policy, h, vms, { 10000, 70000 })
    assert(vms[2].target_pages >= 70000, "and back again: " .. vms[2].target_pages)
end)

test("proportional: state survives save and restore", function()
    local h, vms = pair()
    local policy = host.load("proportional")
    settle(policy, h, vms, { 70000, 10000 })
    local other = host.load("proportional")
    other.restore(policy.save())
    assert(other.save().needs[1] == policy.save().needs[1])
    other.restore("nonsense")
    other.restore({ needs = { [1] = {}, x = 5 } })
end)

test("equal: the same for both, used or not", function()
    local h, vms = pair()
    local policy = host.load("equal")
    policy.params.free_percent, policy.params.ignore_percent = 0, 0
    vms[1].shares, vms[1].target_pages, vms[2].target_pages = 9000, 90000, 10000
    settle(policy, h, vms, { 70000, 10000 })
    assert(vms[1].target_pages == 50000 and vms[2].target_pages == 50000, vms[1].target_pages)
end)

test("coloured: colours and memory by shares, none twice, and again when shares change", function()
    local h, vms = pair()
    local policy = host.load("coloured")
    policy.params.free_percent, policy.params.ignore_percent = 0, 0
    vms[1].shares = 3000
    settle(policy, h, vms, { 0, 0 })
    assert(vms[1].target_pages == 75000 and vms[1].colours == 0x0fff and vms[2].colours == 0xf000, vms[1].colours)
    for _, a in ipairs(policy.tick(h, vms, 1)) do assert(a.verb ~= "colour") end
    vms[1].shares = 1000
    settle(policy, h, vms, { 0, 0 })
    assert(vms[1].colours == 0x00ff and vms[2].colours == 0xff00 and vms[1].stray_pages == 0)
    local _, many = host.random(5, host.colours + 1)
    assert(not host.apply(many, policy.tick(h, many, 1)))
    for _, vm in ipairs(many) do assert(vm.colours == 0) end
    many[#many] = nil
    assert(not host.apply(many, policy.tick(h, many, 1)))
    for i, vm in ipairs(many) do assert(vm.colours == 1 << i - 1) end
end)

test("coloured: pages that stray are moved, once for a while, or not at all", function()
    local h, vms = pair()
    local policy = host.load("coloured")
    local function moved()
        local pages = 0
        for _, a in ipairs(policy.tick(h, vms, 1)) do
            if a.verb == "colour" then pages = pages + a.pages end
            if a.verb == "colour" then assert(not host.apply(vms, { a })) end
        end
        return pages
    end
    assert(moved() == 200000 and moved() == 0)
    vms[1].stray_pages = 50000
    assert(moved() == 100000)
    vms[1].stray_pages, vms[1].recolour_left = 50000, 10
    assert(moved() == 0)
    vms[1].recolour_left, policy.params.move = 0, false
    assert(moved() == 0)
end)

host.done()
