-- SPDX-License-Identifier: MIT
--
-- tithe.paging and tithe.populate: pages back from swap, and ahead of their first touch. (What tiered does is in
-- test_policies.lua.)

local host = require("policy_host")
local paging, populate = tithe.paging, tithe.populate
local test = host.test

local SWAP = { swap_pages = 100000 }

local function vm(id, consumed, swapped, name)
    local v = host.quiet { id = id, name = name or "vm" .. id, state = "running", size_pages = 1000, target_pages = 800,
        consumed_pages = consumed }
    v.swapped_pages = swapped
    return v
end

local function pages(plan, verb)
    local list = {}
    for id, a in pairs(host.of_verb(plan, verb)) do list[id] = a.pages end
    return list
end

test("what is on its way out of one that is suspended is not called back", function()
    local v = vm(1, 900, 0)
    v.state, v.swap_out_wanted = "suspended", 900
    for _, short in ipairs { -100, 100 } do
        assert(#paging.out(SWAP, { v }, short, { out_percent = 10 }, {}) == 0)
    end
    v.state = "running"
    assert(pages(paging.out(SWAP, { v }, 100, { out_percent = 5 }, {}), "swap_out")[1] == 50)
    assert(pages(paging.out(SWAP, { v }, 0, { out_percent = 5 }, {}), "swap_out")[1] == 0)
end)

test("pages come back as far as targets, their part and what is free allow", function()
    local vms = { vm(1, 500, 200), vm(2, 790, 200), vm(3, 500, 0), vm(4, 0, 1000) }
    local back = pages(paging.back(SWAP, vms, 10000, { back_percent = 50 }, {}), "prefetch")
    assert(back[1] == 200 and back[2] == 10 and not back[3] and back[4] == 500)
    back = pages(paging.back(SWAP, vms, 71, { back_percent = 50 }, {}), "prefetch")
    assert(back[1] == 20 and back[2] == 1 and back[4] == 50)
    vms[4].state, vms[1].prefetch_wanted = "suspended", 100
    back = pages(paging.back(SWAP, vms, -5, { back_percent = 50 }, {}), "prefetch")
    assert(back[1] == 0 and not back[2] and not back[4])
    assert(#paging.back({ swap_pages = 0 }, vms, 500, { back_percent = 50 }, {}) == 0)
end)

test("names: with the number, without, all of them, none", function()
    local v = vm(1, 0, 0, "db12")
    for names, yes in pairs { [""] = false, db = true, db12 = true, db1 = false, all = true, ["web, db"] = true, d = false } do
        assert(populate.named(v, names) == yes, names)
    end
end)

test("populated once, and again after a reboot; who finds none free is tried again", function()
    local state, vms, o = {}, { vm(1, 100, 0, "db1"), vm(2, 100, 0, "web1") }, { populate = "db" }
    local function asked(spare)
        local plan = populate.start(state, vms, spare, o, {})
        assert(not host.apply(vms, plan))
        return pages(plan, "populate")
    end
    assert(next(asked(0)) == nil)
    assert(asked(300)[1] == 300)
    vms[1].consumed_pages = 400
    local got = asked(5000)
    assert(got[1] == 400 and not got[2])
    assert(next(asked(5000)) == nil)
    vms[1].reboots, vms[1].consumed_pages = 1, 0
    assert(asked(5000)[1] == 800)
    o.populate = "all"
    vms[2].consumed_pages = 900
    assert(next(asked(5000)) == nil, "it has more already")
end)

host.done()
