-- SPDX-License-Identifier: MIT
--
-- tithe.park: who is suspended, when, and that everybody comes back.

local host = require("policy_host")
local park = tithe.park
local test = host.test

local o = { park_percent = 2, park_patience = 5, resume_percent = 5, park_rest = 10, park_seconds = 100, active_percent = 5,
    prefetch_percent = 50 }

-- A machine of 10,000 pages, 100 in reserve, with VMs of which each wants `wants` pages and has what there is.
local function machine(...)
    local m = { vms = {}, host = { total_pages = 10000, reserve_pages = 100, now_ns = 0, swap_pages = 100000, swap_reserved_pages = 0 },
        state = {}, wants = { ... } }
    for i, pages in ipairs(m.wants) do
        m.vms[i] = host.quiet { id = i, state = "running", held = false, min_pages = 10, max_pages = 10000, size_pages = 10000,
            target_pages = 10000, consumed_pages = pages, shares = 1000, cpu_ns = 0, swap_reserved_pages = 0 }
        m.vms[i].busy = true
    end
    return m
end

local function free(m)
    m.host.free_pages = m.host.total_pages
    for _, vm in ipairs(m.vms) do m.host.free_pages = m.host.free_pages - vm.consumed_pages end
end

-- So many seconds; returns what was done, as text.
local function run(m, seconds, options)
    local did = {}
    for _ = 1, seconds do
        m.host.now_ns = m.host.now_ns + 1000000000
        for _, vm in ipairs(m.vms) do
            if vm.state == "running" and vm.busy then vm.cpu_ns = vm.cpu_ns + 500000000 end
        end
        free(m)
        local plan = park.step(m.state, m.host, m.vms, options or o, {})
        assert(not host.apply(m.vms, plan, m.host))
        assert(#plan <= 1)
        for _, a in ipairs(plan) do
            local vm = m.vms[a.vm]
            did[#did + 1] = a.verb .. a.vm
            if a.verb == "suspend" then
                vm.swapped_pages, vm.consumed_pages = vm.consumed_pages, 0
            else
                vm.consumed_pages, vm.swapped_pages = vm.swapped_pages, 0
                m.prefetched = a.pages
            end
        end
    end
    return table.concat(did, " ")
end

test("enough memory: nothing happens", function()
    assert(run(machine(4000, 4000), 300) == "")
end)

test("memory too short for a while: the least recently active goes, one at a time", function()
    local m = machine(3000, 3400, 3400)
    m.vms[2].busy = false
    assert(run(m, 10) == "", "those that have just begun have time to themselves")
    assert(run(m, 2) == "suspend2")
    assert(run(m, 80) == "", "one is enough")
end)

test("all active: fewest shares, then most memory; never those held, guaranteed, or without room in swap", function()
    local m = machine(3000, 3400, 3400)
    m.vms[1].shares = 500
    assert(run(m, 20) == "suspend1")
    m = machine(3300, 3400, 3100)
    assert(run(m, 20) == "suspend2")
    m = machine(3300, 3400, 3100)
    m.vms[2].held, m.vms[1].min_pages = true, 3300
    assert(run(m, 20) == "suspend3")
    m = machine(3300, 3400, 3100)
    m.host.swap_pages = 3350
    assert(run(m, 20) == "suspend1")
    m.host.swap_pages = 0
    m.vms[1].state, m.vms[1].consumed_pages = "running", 3300
    assert(run(m, 40) == "")
end)

test("short for a moment only: nothing", function()
    local m = machine(3000, 3400, 3400)
    for _ = 1, 20 do
        m.vms[1].consumed_pages = 3000
        assert(run(m, 4) == "")
        m.vms[1].consumed_pages = 100
        assert(run(m, 2) == "")
    end
end)

test("the last one that runs is never suspended, and the next waits for the pages of the one before", function()
    local m = machine(9900)
    assert(run(m, 100) == "")
    m = machine(200, 4800, 4900)
    assert(run(m, 15) == "suspend3")
    m.vms[2].consumed_pages, m.vms[3].swap_out_wanted = 9700, 1
    assert(run(m, 50) == "")
    m.vms[3].swap_out_wanted = 0
    assert(run(m, 10) == "suspend2")
end)

test("comes back when there is room for it and more, half of its pages ahead; not when there is just room", function()
    local m = machine(3000, 3400, 3400)
    assert(run(m, 15) == "suspend2")
    m.vms[1].consumed_pages = 2800 -- 3,800 free; 3,400 + 100 + 500 are wanted
    assert(run(m, 50) == "")
    m.vms[1].consumed_pages = 2500
    assert(run(m, 5) == "resume2")
    assert(m.prefetched == 1700)
end)

test("who has waited long has room made for it, first by targets, then in another's place; in turn, for ever", function()
    local m = machine(3000, 3400, 3400)
    assert(run(m, 15) == "suspend2")
    assert(park.room(m.state, m.host, m.vms, o) == 0)
    assert(run(m, 100) == "")
    assert(park.room(m.state, m.host, m.vms, o) == 3400 + 500)
    assert(run(m, 150) == "suspend3 resume2")
    local turns = run(m, 2000)
    for i = 1, 3 do assert(turns:find("resume" .. i), turns) end
end)

test("an operator's suspensions are the operator's; what is forgotten is who is gone", function()
    local m = machine(3000, 3400, 3400)
    m.vms[1].state, m.vms[1].consumed_pages, m.vms[2].consumed_pages = "suspended", 0, 100
    assert(run(m, 100) == "" and not next(m.state.parked))
    m = machine(3000, 3400, 3400)
    assert(run(m, 15) == "suspend2")
    m.vms[2].state = "running" -- by hand
    m.vms[1].consumed_pages = 100
    assert(run(m, 3) == "" and not next(m.state.parked))
    m = machine(3000, 3400, 3400)
    assert(run(m, 15) == "suspend2")
    m.vms[2] = nil
    m.vms[2], m.vms[3] = m.vms[3], nil
    assert(run(m, 3) == "" and not next(m.state.parked) and m.state.of[3] and not m.state.of[2])
end)

test("a new policy knows who is parked, and believes nothing else", function()
    local m = machine(3000, 3400, 3400)
    assert(run(m, 15) == "suspend2")
    local saved = park.save(m.state)
    m.state = {}
    park.restore(m.state, saved)
    m.vms[1].consumed_pages = 100
    assert(run(m, 10) == "resume2")
    for _, nonsense in ipairs { "x", 5, { [2] = "x", y = 3, [2.5] = 1 } } do
        park.restore(m.state, nonsense)
        assert(not next(m.state.parked))
    end
    park.restore(m.state, nil)
end)

test("60 random crowds: everybody who is parked comes back in the end, whatever the others do", function()
    for seed = 1, 60 do
        math.randomseed(seed)
        local wants, n = {}, math.random(2, 6)
        for i = 1, n do wants[i] = math.random(500, 5000) end
        local m, least = machine(table.unpack(wants)), math.random(0, 3)
        m.host.total_pages = math.max(10000, 2 * math.max(table.unpack(wants)) + 1000)
        for _, vm in ipairs(m.vms) do vm.shares = math.random(1, 3) end
        local parked, back = {}, {}
        for verb, id in run(m, 4000 + least):gmatch("(%a+)(%d+)") do
            local in_round = verb == "suspend" and parked or back
            in_round[id] = (in_round[id] or 0) + 1
        end
        for id, times in pairs(parked) do
            assert(times <= (back[id] or 0) + 1 and (times > 1 or back[id]), ("seed %d: VM %s has not come back"):format(seed, id))
        end
    end
end)

host.done()
