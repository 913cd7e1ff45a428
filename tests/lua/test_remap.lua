-- SPDX-License-Identifier: MIT
--
-- tithe.remap: pages that are copied move in, and cold ones of the right VM move out when there is no room.

local host = require("policy_host")
local remap = tithe.remap
local test = host.test

local o = { remap_copies = 4, remap_pages = 64, vacate_pages = 100, vacate_rest = 60 }

local function vm(id, hot)
    local disk = hot and { sectors = 1, hot_1 = hot, hot_4 = hot, hot_16 = hot // 2, hot_64 = 0, hot_256 = 0, hot_1024 = 0 }
    return host.quiet { id = id, state = "running", consumed_pages = 1000 * id, size_pages = 10000, target_pages = 10000,
        disk = disk or nil }
end

local function plan(state, vms, now_s, options)
    local p = remap.moves(state, { now_ns = now_s * 1000000000 }, vms, options or o, {})
    assert(not host.apply(vms, p))
    return host.of_verb(p, "remap"), host.of_verb(p, "vacate")
end

test("how hot: the count at the next lower step", function()
    local v = vm(1, 50)
    assert(remap.hot(v, 4) == 50 and remap.hot(v, 15) == 50 and remap.hot(v, 16) == 25 and remap.hot(v, 5000) == 0)
    assert(remap.hot(v, 2) == 50 and remap.hot(v, 0) == 50 and remap.hot(vm(1), 4) == 0)
end)

test("asks for those that are hot, once at a time", function()
    local state, vms = {}, { vm(1, 50), vm(2, 0), vm(3) }
    local moves = plan(state, vms, 0)
    assert(moves[1].pages == 64 and moves[1].copies == 4 and not moves[2] and not moves[3])
    assert(not plan(state, vms, 1)[1], "it is under way")
    vms[1].remap_left = 0
    assert(plan(state, vms, 2)[1])
    vms[1].remap_left, vms[1].disk.hot_4 = 0, 0
    assert(not plan(state, vms, 3)[1], "none is hot")
end)

test("no frame: cold pages of the VM that has most of them, and no disk, make room", function()
    local state, vms = {}, { vm(1, 50), vm(2), vm(9, 0) }
    local _, out = plan(state, vms, 0)
    assert(not next(out))
    vms[1].moves_no_frame, vms[1].remap_left = 30, 0
    _, out = plan(state, vms, 1)
    assert(out[2].pages == 30 and out[2].which == "cold" and not out[9])
    vms[1].moves_no_frame = 60
    _, out = plan(state, vms, 2)
    assert(not next(out), "one at a time")
    vms[2].vacate_left, vms[2].vacated_pages, vms[1].moves_no_frame = 0, 30, 1000
    _, out = plan(state, vms, 3)
    assert(out[2].pages == 100, "at most so many")
end)

test("a VM without cold pages rests, and others are tried; samples tell which", function()
    local state, vms = {}, { vm(1, 50), vm(2), vm(3) }
    vms[3].sample = { finished_pages = 100, finished_touched = 90 }
    plan(state, vms, 0)
    local function next_out(now_s)
        vms[1].moves_no_frame, vms[1].remap_left = vms[1].moves_no_frame + 10, 0
        for _, v in ipairs(vms) do v.vacate_left = 0 end
        local _, out = plan(state, vms, now_s)
        return next(out)
    end
    assert(next_out(1) == 2)
    assert(next_out(2) == 3, "2 gave none")
    assert(next_out(3) == 1, "nor did 3: what has a disk comes last")
    assert(next_out(4) == nil, "all rest")
    assert(next_out(62) == 2)
    vms[2].state = "suspended"
    vms[2].vacated_pages = 10
    assert(next_out(63) == 3)
end)

test("what finds no frame while nothing is hot is not ours; nor is anything when nothing may move out", function()
    local state, vms = {}, { vm(1, 0), vm(2) }
    plan(state, vms, 0)
    vms[1].moves_no_frame, vms[1].disk.hot_4 = 50, 10
    local _, out = plan(state, vms, 1)
    assert(not next(out))
    vms[1].moves_no_frame = 60
    _, out = plan(state, vms, 2, { remap_copies = 4, remap_pages = 0, vacate_pages = 0, vacate_rest = 0 })
    assert(not next(out))
end)

host.done()
