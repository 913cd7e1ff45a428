-- SPDX-License-Identifier: MIT
--
-- tithe.share: dividing memory, by example and by properties over random claims.

local host = require("policy_host")
local share = tithe.share
local test = host.test

local function same(got, want)
    assert(table.concat(got, " ") == table.concat(want, " "),
        "got " .. table.concat(got, " ") .. ", want " .. table.concat(want, " "))
end

test("by weight", function()
    same(share.divide(600, { 1, 2, 3 }, { 0, 0, 0 }, { 999, 999, 999 }), { 100, 200, 300 })
end)
test("a max passes its rest on", function()
    same(share.divide(600, { 1, 2, 3 }, { 0, 0, 0 }, { 999, 999, 150 }), { 150, 300, 150 })
end)
test("a min is taken from the others", function()
    same(share.divide(600, { 1, 2, 3 }, { 300, 0, 0 }, { 999, 999, 999 }), { 300, 120, 180 })
end)
test("too little for the mins: the mins", function()
    same(share.divide(100, { 1, 1 }, { 80, 90 }, { 200, 200 }), { 80, 90 })
end)
test("too much for the maxs: the maxs", function()
    same(share.divide(1000, { 1, 1 }, { 0, 0 }, { 200, 300 }), { 200, 300 })
end)
test("pages do not break", function() same(share.divide(10, { 1, 1, 1 }, { 0, 0, 0 }, { 9, 9, 9 }), { 4, 3, 3 }) end)
test("nobody", function() same(share.divide(10, {}, {}, {}), {}) end)

local function random_claims()
    local n, weights, mins, maxs, low, high = math.random(1, 128), {}, {}, {}, 0, 0
    for i = 1, n do
        weights[i] = math.random(1, 1000000)
        maxs[i] = math.random(0, 1 << math.random(0, 24))
        mins[i] = math.random(0, maxs[i])
        low, high = low + mins[i], high + maxs[i]
    end
    return weights, mins, maxs, low, high
end

test("1,000 random divisions: within bounds, exact in sum, the same again", function()
    for seed = 1, 1000 do
        math.randomseed(seed)
        local weights, mins, maxs, low, high = random_claims()
        local total = math.random(0, high + high // 4)
        local got, sum = share.divide(total, weights, mins, maxs), 0
        for i = 1, #weights do
            assert(math.type(got[i]) == "integer", seed)
            assert(got[i] >= mins[i] and got[i] <= maxs[i], ("seed %d: claim %d out of bounds"):format(seed, i))
            sum = sum + got[i]
        end
        assert(sum == math.max(low, math.min(total, high)), ("seed %d: sum %d of %d"):format(seed, sum, total))
        same(share.divide(total, weights, mins, maxs), got)
    end
end)

test("1,000 random divisions: one level for all who are not at a bound, to within a page", function()
    for seed = 1, 1000 do
        math.randomseed(seed)
        local weights, mins, maxs, low, high = random_claims()
        local total = math.random(low, math.max(low, high))
        local got = share.divide(total, weights, mins, maxs)
        -- pages per weight of the free ones: got is level * weight, rounded down, and at most one page more
        local least, most = 0, math.huge
        for i = 1, #weights do
            if got[i] > mins[i] and got[i] < maxs[i] then
                least = math.max(least, (got[i] - 1) / weights[i])
                most = math.min(most, (got[i] + 1) / weights[i])
            end
        end
        assert(least <= most, ("seed %d: levels from %f to %f"):format(seed, least, most))
        for i = 1, #weights do -- who is at a bound is there for a reason
            if got[i] == maxs[i] and maxs[i] > mins[i] then
                assert((got[i] - 1) / weights[i] <= most, ("seed %d: claim %d has more than its due"):format(seed, i))
            elseif got[i] == mins[i] and maxs[i] > mins[i] then
                assert((got[i] + 1) / weights[i] >= least, ("seed %d: claim %d has less than its due"):format(seed, i))
            end
        end
    end
end)

test("admit says how much too much", function()
    local ok, why = share.admit({ min_pages = 300 }, { { min_pages = 256 } }, 512)
    assert(not ok and why:find("lower its minimum by"), why)
    assert(share.admit({ min_pages = 256 }, { { min_pages = 256 } }, 512))
end)

host.done()
