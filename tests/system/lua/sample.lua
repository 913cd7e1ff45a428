-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Guests whose working set is known to the page, sampled both ways by a policy: the estimates keep within what chance allows.
-- One argument: how many periods are counted.

local m = require "machine"

local PAGES, PERIODS = 200, tonumber(tithe.args[1])
local source = [[
local policy = { name = "sampler", api = 1, trial_ticks = 1, params = { method = "abit" } }
function policy.tick(host, vms)
    local plan = {}
    for i, vm in ipairs(vms) do
        -- A look at every other tick, for there is nothing that it may break.
        local pages = host.generation %% 2 == 0 and vm.sample and 0 or %d
        plan[i] = { verb = "sample", vm = vm.id, pages = pages, method = policy.params.method }
    end
    return plan
end
return policy]]

local size = tithe.pages("64M")
local guests = {
    { name = "busy", mite = "touch:32M:sparse,say:ready,loop:forever:{rewrite:16M,idle:5ms}", active = tithe.pages("16M") },
    { name = "wide", mite = "touch:48M:sparse,say:ready,loop:forever:{rewrite,idle:5ms}", active = tithe.pages("48M") },
    { name = "idle", mite = "touch:16M:sparse,say:ready,loop:forever:{idle:20ms}", active = 0 },
}
for _, g in ipairs(guests) do tithe.create { name = g.name, size = "64M", mite = g.mite } end
for _, g in ipairs(guests) do
    m.expect(tithe.wait(60, function() return tithe.console(g.name):find("ready") end, 0.2), "%s has not come so far", g.name)
end
tithe.policy_load(m.policy("sampler", source:format(PAGES)))

-- Touched pages of so many periods, of each of them.
local function follow()
    local at, touched, periods, done = {}, {}, {}, 0
    for i, g in ipairs(guests) do at[i], touched[i], periods[i] = tithe.info(g.name).sample.period, 0, 0 end
    m.expect(tithe.wait(240, function()
        for i, g in ipairs(guests) do
            local s = tithe.info(g.name).sample
            if s.period ~= at[i] and periods[i] < PERIODS then
                m.equal(s.finished_pages, PAGES, g.name .. ": pages of a period")
                at[i], touched[i], periods[i] = s.period, touched[i] + s.finished_touched, periods[i] + 1
                if periods[i] == PERIODS then done = done + 1 end
            end
        end
        return done == #guests
    end, 0.02), "periods do not end")
    return touched
end

for _, method in ipairs { "abit", "unmap" } do
    tithe.policy_set("method", method)
    for _, g in ipairs(guests) do
        local first
        m.expect(tithe.wait(60, function()
            local s = tithe.info(g.name).sample
            if s and s.method == method then first = first or s.period end
            return first and s.period > first
        end, 0.02), "%s is not sampled by %s", g.name, method)
    end
    local all, counts = PAGES * PERIODS, follow()
    for i, g in ipairs(guests) do
        local p, touched = g.active / size, counts[i]
        -- 4.5 standard deviations, and half a percent for the guest's own pages.
        local slack = 4.5 * math.sqrt(all * math.max(p, 0.005) * (1 - p)) + all * 0.005
        m.say("%s, %s: %.1f %% found active, %.1f %% are", g.name, method, 100 * touched / all, 100 * p)
        m.expect(math.abs(touched - p * all) <= slack, "%s by %s: %d of %d pages were touched, %.0f were due", g.name, method,
            touched, all, p * all)
    end
    m.balanced()
end

local info, stats = tithe.info(), tithe.stats()
local worker = 0
for i, cpu in ipairs(info.cpu) do
    worker = worker + cpu.worker_ns
    m.expect(stats[("cpu%d.worker_ns"):format(i - 1)] >= cpu.worker_ns, "stats of CPU %d", i - 1)
end
m.expect(worker > 0, "the worker has used no time")
m.equal(info.plans_refused, 0, "refused plans")

-- A reboot or an end in the middle of a period.
tithe.create { name = "restless", size = "32M", mite = "touch:8M,verify,idle:300ms,reboot" }
m.expect(tithe.wait(60, function() return tithe.info("restless").reboots >= 4 end, 0.1), "no reboots")
tithe.destroy("restless")
tithe.destroy("wide")
m.balanced()
