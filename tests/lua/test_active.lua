-- SPDX-License-Identifier: MIT
--
-- tithe.active: the estimate by hand, under sampling noise, and when a period is ended.

local host = require("policy_host")
local active = tithe.active
local test = host.test

local function near(got, want)
    assert(math.abs(got - want) < 1e-9, ("got %s, want %s"):format(got, want))
end

local function vm(period, touched, finished)
    return { id = 3, cpu_ns = 0, sample = { period = period, pages = 100, touched = touched, started_ns = 0, started_cpu_ns = 0,
        finished_pages = finished and 100 or 0, finished_touched = finished or 0 } }
end

test("nothing is known without a sample", function()
    assert(active.estimate({}, { id = 1 }) == nil)
end)

test("the first period counts while it is under way", function()
    near(active.estimate({}, vm(1, 40)), 0.4)
end)

test("slow, fast, and the one under way: the largest", function()
    local state = {}
    near(active.estimate(state, vm(2, 0, 40)), 0.4)
    near(active.estimate(state, vm(2, 90, 40)), 0.4 + 0.75 * 0.5) -- rises at once
    near(active.estimate(state, vm(3, 0, 80)), 0.7)               -- fast: 0.4 + 0.75 * 0.4
    near(active.estimate(state, vm(3, 0, 80)), 0.7)               -- the same period twice is one
    near(active.estimate(state, vm(4, 0, 0)), 0.375)              -- slow: 0.5 * 0.75
    near(active.estimate(state, vm(5, 0, 0)), 0.28125)
    near(active.estimate({}, vm(2, 0, 40), 1, 0), 0.4)
end)

test("a steady working set is found, whatever its size", function()
    math.randomseed(5)
    for _, part in ipairs { 0, 0.1, 0.5, 0.9, 1 } do
        local state, sum, n = {}, 0, 400
        for period = 2, n + 1 do
            local touched = 0
            for _ = 1, 100 do if math.random() < part then touched = touched + 1 end end
            sum = sum + active.estimate(state, vm(period, 0, touched))
        end
        local mean = sum / n -- a maximum of averages errs to the high side
        assert(mean >= part - 0.01 and mean <= part + 0.05, ("%.3f for %.1f"):format(mean, part))
    end
end)

test("periods are of the VM's time, and end at last", function()
    local options = { sample_pages = 50, sample_period = 30, method = "unmap" }
    local function pages(v, now_s)
        local plan = active.sample({ now_ns = now_s * 1000000000 }, { v }, options, {})
        assert(#plan == 1 and plan[1].verb == "sample" and plan[1].vm == 3 and plan[1].method == "unmap")
        return plan[1].pages
    end
    local v = vm(1, 0)
    assert(pages({ id = 3, cpu_ns = 0 }, 0) == 50)
    assert(pages(v, 100) == 0)
    v.cpu_ns = 29999999999
    assert(pages(v, 100) == 0)
    v.cpu_ns = 30000000000
    assert(pages(v, 100) == 50)
    v.cpu_ns = 0
    assert(pages(v, 120) == 50)
end)

test("who is gone is forgotten", function()
    local state = {}
    active.estimate(state, vm(2, 0, 40))
    active.forget(state, { { id = 3 } })
    assert(next(state))
    active.forget(state, {})
    assert(not next(state))
end)

host.done()
