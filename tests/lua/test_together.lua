-- SPDX-License-Identifier: MIT
--
-- All modules of the library in one policy, as a policy for everything would have them: plans that are allowed, not too long for the
-- largest machine, and of bounded cost.

local host = require("policy_host")
local share, scan, paging = tithe.share, tithe.scan, tithe.paging
local test = host.test

-- The parameters of all policies that come with Tithe.
local params, ranges = {}, {}
for _, name in ipairs { "sampled", "tiered", "sharing", "remapped", "parked", "ahead" } do
    local policy = host.load(name)
    for key, value in pairs(policy.params) do params[key], ranges[key] = value, policy.ranges[key] end
end

local function all()
    local policy = { params = {}, ranges = ranges }
    for key, value in pairs(params) do policy.params[key] = value end
    local o, state = policy.params, {}
    for _, name in ipairs { "active", "scan", "paging", "remap", "populate", "park" } do state[name] = {} end
    function policy.tick(h, vms, dt)
        local plan = share.by_shares(h, vms, o, -tithe.park.room(state.park, h, vms, o))
        local short = share.short(h, o.free_percent)
        for _, vm in ipairs(vms) do tithe.active.estimate(state.active, vm) end
        tithe.active.sample(h, vms, o, plan)
        scan.pace(state.scan, vms, dt, o, scan.groups(vms, o, plan))
        paging.out(h, vms, short, o, paging.stores(state.paging, vms, o, plan))
        paging.back(h, vms, -short, o, plan)
        tithe.remap.moves(state.remap, h, vms, o, plan)
        tithe.populate.start(state.populate, vms, -short, o, plan)
        return tithe.park.step(state.park, h, vms, o, plan)
    end
    return policy
end

test("100 machines in which anything may be", function()
    for seed = 1, 100 do
        local h, vms = host.random(seed, seed % 40 + 1)
        local policy = all()
        for tick = 1, 8 do
            host.anything(h, vms)
            if tick > 2 then host.set_any(policy) end
            policy.params.populate = "all"
            local wrong = host.apply(vms, policy.tick(h, vms, math.random() * 10), h)
            assert(not wrong, ("seed %d, tick %d: %s"):format(seed, tick, wrong))
        end
    end
end)

test("128 VMs: within half of the budget, and no plan is too long", function()
    local h, vms = host.random(3, 128)
    local policy, most, longest = all(), 0, 0
    for _ = 1, 20 do
        host.anything(h, vms)
        local spent = 0
        debug.sethook(function() spent = spent + 100 end, "", 100)
        local plan = policy.tick(h, vms, 1)
        debug.sethook()
        local wrong = host.apply(vms, plan, h)
        assert(not wrong, wrong)
        most, longest = math.max(most, spent), math.max(longest, #plan)
    end
    print(("# %d instructions, %d actions"):format(most, longest))
    assert(most < 150000, most)
end)

host.done()
