-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Where `proportional` and `equal` bring targets, against the closed form, computed here in another way than there; and
-- what shares, min, max and mem-set do to it. The guests want all they can get.

local m = require "machine"

local NAMES = { "a", "b", "c", "d" }

-- The level at which everybody's share, level * weight within min and max, adds up to the budget: by bisection.
local function closed_form(budget, claims)
    local low, high = 0, budget
    for _ = 1, 200 do
        local level, sum = (low + high) / 2, 0
        for _, c in ipairs(claims) do sum = sum + math.max(c.min, math.min(c.max, level * c.weight)) end
        if sum > budget then high = level else low = level end
    end
    for _, c in ipairs(claims) do c.due = math.max(c.min, math.min(c.max, low * c.weight)) end
end

local worst = 0

-- What guests may have: all but the core's, tables', the reserve and 4 % of margin; less what is held.
local function expect_targets(what, weight_of)
    local claims, sample
    local settled = tithe.wait(60, function()
        sample = tithe.snapshot()
        local host = sample.host
        local budget = host.total_pages - host.core_pages - host.overhead_pages - host.reserve_pages
            - host.total_pages * 4 // 100
        claims = {}
        for _, vm in ipairs(sample.vms) do
            if vm.held then
                budget = budget - vm.target_pages
            else
                claims[#claims + 1] = { vm = vm, weight = weight_of(vm), min = vm.min_pages, max = vm.max_pages }
            end
        end
        closed_form(budget, claims)
        for _, c in ipairs(claims) do if math.abs(c.vm.target_pages - c.due) > #claims then return false end end
        -- Targets are one thing, what the guests have another.
        for _, vm in ipairs(sample.vms) do
            if vm.balloon_actual_pages ~= vm.size_pages - vm.target_pages then return false end
            if vm.consumed_pages > vm.target_pages then return false end
        end
        return true
    end, 0.1)
    if not settled then
        for _, c in ipairs(claims) do
            m.say("%s: %s has target %d, balloon %d of %d, consumed %d; %.1f were due", what, c.vm.name, c.vm.target_pages,
                c.vm.balloon_actual_pages, c.vm.balloon_target_pages, c.vm.consumed_pages, c.due)
        end
        tithe.fail(1, what, "targets did not become what they should")
    end
    for _, c in ipairs(claims) do worst = math.max(worst, math.abs(c.vm.target_pages - c.due)) end
end

local function by_shares(vm) return vm.shares end
local function alike() return 1 end

for i, name in ipairs(NAMES) do
    tithe.create { name = name, size = "96M", min = "8M", shares = 1000 * i,
        mite = "touch:64M,give:3G,loop:forever:{touch:all,idle:50ms}", append = "wait=10ms" }
end
for _, parameter in ipairs { "step_percent=100", "ignore_percent=0" } do
    local key, value = parameter:match("(.*)=(.*)")
    tithe.policy_set(key, math.tointeger(tonumber(value)))
end
expect_targets("proportional, shares 1:2:3:4", by_shares)
tithe.shares("a", 4000)
expect_targets("proportional, shares 4:2:3:4", by_shares)
tithe.mem_max("d", "24M")
expect_targets("proportional, d at most 24M", by_shares)
tithe.mem_min("b", "40M")
expect_targets("proportional, b at least 40M", by_shares)
tithe.mem_set("c", "32M")
expect_targets("proportional, c held at 32M", by_shares)
m.equal(tithe.info("c").target_pages, tithe.pages("32M"), "c's target")
m.expect(tithe.info("c").held, "c is not held")
tithe.mem_set("c", "auto")
tithe.mem_max("d", "96M")
expect_targets("proportional, c let go and d at most all", by_shares)
tithe.policy_load("equal")
m.equal(tithe.policy_info().params.step_percent, 100, "a parameter that both policies have")
expect_targets("equal, b at least 40M", alike)
tithe.mem_min("b", "8M")
tithe.mem_max("a", "16M")
expect_targets("equal, a at most 16M", alike)
tithe.destroy("b")
expect_targets("equal, without b", alike)
tithe.policy_load("proportional")
expect_targets("proportional, without b", by_shares)

-- What an operator may not ask for.
m.refused("max", tithe.mem_set, "a", "17M")
m.refused("min", tithe.mem_set, "a", "4M")
m.refused("min", tithe.mem_max, "a", "4M")
m.refused("max", tithe.mem_min, "a", "17M")
m.refused("shares", tithe.shares, "a", 0)
m.refused("shares", tithe.shares, "a", 1000001)
m.refused("no .*nobody", tithe.shares, "nobody", 5)
m.balanced()
m.say("targets at most %.1f pages from the closed form", worst)
