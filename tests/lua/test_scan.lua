-- SPDX-License-Identifier: MIT
--
-- tithe.scan: rates hold, and go where pages are found; groups by name, which nobody leaves for another's.

local host = require("policy_host")
local scan = tithe.scan
local test = host.test

local function vm(id, name, size)
    return host.quiet { id = id, name = name, state = "running", size_pages = size or 10000, target_pages = 100,
        consumed_pages = size or 10000 }
end

local function options(changes)
    local o = { scan_rate = 1000, scan_vm_rate = 600, scan_order = "sequential", scan_good_percent = 10, scan_least_percent = 25 }
    for k, v in pairs(changes or {}) do o[k] = v end
    return o
end

-- Scans for so many seconds in ticks of a quarter; of what is looked at in each VM, found[i] percent are found.
local function run(state, vms, seconds, o, found)
    local looked = {}
    for _ = 1, seconds * 4 do
        local plan = scan.pace(state, vms, 0.25, o, {})
        assert(not host.apply(vms, plan))
        local asked = host.of_verb(plan, "scan")
        for i, v in ipairs(vms) do
            local pages = asked[v.id] and asked[v.id].pages or 0
            v.scanned_pages, v.scan_hits = v.scanned_pages + pages, v.scan_hits + pages * (found and found[i] or 50) // 100
            looked[i] = (looked[i] or 0) + pages
        end
    end
    return looked
end

local function near(got, want, by)
    assert(math.abs(got - want) <= (by or 40), ("got %s, want %s"):format(got, want))
end

test("the rate is divided by what VMs have, and bounded for each", function()
    local looked = run({}, { vm(1, "a", 30000), vm(2, "b", 10000) }, 100, options { scan_vm_rate = 10000 })
    near(looked[1], 75000)
    near(looked[2], 25000)
    looked = run({}, { vm(1, "a", 30000), vm(2, "b", 10000) }, 100, options())
    near(looked[1], 60000)
    near(looked[2], 25000)
    assert(#scan.pace({}, { vm(1, "a", 0) }, 1, options(), {}) == 0, "nothing to scan, nothing to divide by")
end)

test("small rates are not lost, and no scan is of fewer pages than a step", function()
    local vms, state, sum = {}, {}, 0
    for i = 1, 40 do vms[i] = vm(i, "vm" .. i) end
    for _ = 1, 400 do
        for _, a in ipairs(scan.pace(state, vms, 0.25, options { scan_rate = 100 }, {})) do
            assert(a.pages >= 32 and a.order == "sequential")
            sum = sum + a.pages
        end
    end
    assert(sum > 8000 and sum <= 10000, sum)
end)

test("where less is found, less is looked at, down to a part; and where something is found again, at once", function()
    local vms, state, o = { vm(1, "a"), vm(2, "b") }, {}, options()
    run(state, vms, 60, o, { 50, 0 })
    local looked = run(state, vms, 100, o, { 50, 0 })
    near(looked[2], 20000, 300)
    near(looked[1], 60000, 300)
    run(state, vms, 10, o, { 50, 50 })
    near(run(state, vms, 100, o, { 50, 50 })[2], 50000, 300)
    run(state, vms, 60, o, { 50, 0 })
    vms[2].reboots = 1
    near(run(state, vms, 1, o, { 50, 50 })[2], 500, 60)
end)

test("one that is suspended is left alone; no rate ends what is under way; who is gone is forgotten", function()
    local vms, state = { vm(1, "a"), vm(2, "b") }, {}
    vms[1].state = "suspended"
    assert(run(state, vms, 10, options())[1] == 0)
    vms[1].state, vms[2].scan_left = "running", 50
    local plan = scan.pace(state, vms, 1, options { scan_rate = 0 }, {})
    assert(#plan == 1 and plan[1].vm == 2 and plan[1].pages == 0)
    scan.pace(state, { vms[1] }, 1, options(), {})
    assert(state.of[1] and not state.of[2])
end)

test("a long tick asks for no more than a VM has", function()
    local plan = scan.pace({}, { vm(1, "a", 500) }, 1e9, options(), {})
    assert(plan[1].pages == 500, plan[1].pages)
end)

test("names without their number", function()
    for name, stem in pairs { web1 = "web", ["web-12"] = "web", web = "web", ["7"] = "7", ["a1b2"] = "a1b", ["db_3.1"] = "db" } do
        assert(scan.stem(name) == stem, name)
    end
end)

local function grouped(vms, how)
    assert(not host.apply(vms, scan.groups(vms, { groups = how }, {})))
    local list = {}
    for i, v in ipairs(vms) do list[i] = v.share_group end
    return table.concat(list, " ")
end

test("groups: all, none, as they are, by name", function()
    local vms = { vm(1, "web1"), vm(2, "db1"), vm(3, "web2"), vm(4, "db2") }
    assert(grouped(vms, "all") == "1 1 1 1")
    assert(grouped(vms, "none") == "0 0 0 0")
    vms[2].share_group = 9
    assert(grouped(vms, "keep") == "0 9 0 0")
    assert(grouped(vms, "name") == "1 9 1 9")
    assert(#scan.groups(vms, { groups = "name" }, {}) == 0, "settled")
    assert(grouped({ vm(5, "x"), table.unpack(vms) }, "name") == "2 1 9 1 9")
end)

test("100 random crowds by name: one group for each name, none for two, and nobody moves without need", function()
    for seed = 1, 100 do
        math.randomseed(seed)
        local vms = {}
        for i = 1, math.random(1, 128) do
            vms[i] = vm(i, string.char(97 + math.random(0, 25), 97 + math.random(0, seed % 26)) .. i)
            vms[i].share_group = math.random(0, 4)
        end
        grouped(vms, "name")
        local group_of, name_of = {}, {}
        for _, v in ipairs(vms) do
            local stem, group = scan.stem(v.name), v.share_group
            if group ~= 0 then
                assert(not group_of[stem] or group_of[stem] == group, seed)
                assert(not name_of[group] or name_of[group] == stem, seed)
                group_of[stem], name_of[group] = group, stem
            end
        end
        assert(#scan.groups(vms, { groups = "name" }, {}) == 0, seed)
    end
end)

test("more names than groups: the last ones are alone", function()
    local vms = {}
    for i = 1, 128 do vms[i] = vm(i, ("n"):rep(i)) end
    grouped(vms, "name")
    assert(vms[127].share_group == 127 and vms[128].share_group == 0)
end)

host.done()
