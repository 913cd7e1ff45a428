-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Two unmodified Linux guests that verify their data, and one policy that does with their memory what a step asks for: one
-- mechanism after the other, each until its counters say that it has happened, and then all of them at once. The guests go from phase
-- to phase when a line is sent. Arguments: a guest's vCPUs, MiB that it touches, and "short" for a machine that is slow: then only
-- sharing, and all at once.

local m = require "machine"

local VCPUS, TOUCHED_MIB, SHORT = tonumber(tithe.args[1]), tonumber(tithe.args[2]), tithe.args[3] == "short"
-- Linux reports free pages as long as it has 64 MiB more.
local SIZE, LESS = SHORT and "96M" or "192M", SHORT and "88M" or "144M"
local PART = TOUCHED_MIB // 8 -- alike, zero; four are compressible
local PATIENCE_S = 120 -- of the machine's
local SAMPLE = 1024
local NAMES = { "a", "b" }

local source = [[
local params = { populate = "", group = 0, scan = 0, sample = 0, method = "abit", store = 0, out = 0, pick = "cold", back = 0,
    a = 0, b = 0, move = 0 }
local policy = { name = "all", api = 1, trial_ticks = 1, params = params }
local populated = {}
function policy.tick(host, vms)
    local plan = {}
    local function add(action) plan[#plan + 1] = action end
    for _, vm in ipairs(vms) do
        if vm.name == params.populate and not populated[vm.id] then
            add { verb = "populate", vm = vm.id, pages = vm.size_pages }
            populated[vm.id] = true
        end
        if vm.share_group ~= params.group then add { verb = "share-group", vm = vm.id, group = params.group } end
        add { verb = "scan", vm = vm.id, pages = params.scan, order = host.generation % 2 == 0 and "random" or "hinted" }
        if params.sample > 0 then
            -- A period is long enough for the guest to use all that it uses.
            local over = not vm.sample or vm.sample.method ~= params.method or vm.cpu_ns - vm.sample.started_cpu_ns > 400000000
            add { verb = "sample", vm = vm.id, pages = over and params.sample or 0, method = params.method }
        end
        add { verb = "compress", vm = vm.id, pages = params.store, percent = 60 }
        add { verb = "swap_out", vm = vm.id, pages = params.out, pick = params.pick }
        add { verb = "prefetch", vm = vm.id, pages = params.back }
        local colours = params[vm.name]
        if vm.colours ~= colours or colours > 0 and vm.stray_pages > 0 and vm.recolour_left == 0 then
            add { verb = "colour", vm = vm.id, colours = colours, pages = vm.size_pages }
        end
        if vm.disk then
            add { verb = "remap", vm = vm.id, pages = params.move, copies = 4 }
        else
            add { verb = "vacate", vm = vm.id, pages = params.move, which = "any" }
        end
    end
    return plan
end
return policy]]

local function set(values) for name, value in pairs(values) do tithe.policy_set(name, value) end end

-- Until what(name) is true of all these guests.
local function eventually(names, what, format, ...)
    local last
    local ok = tithe.wait(PATIENCE_S, function()
        for _, name in ipairs(names) do
            last = name
            if not what(name) then return false end
        end
        return true
    end, 0.05)
    if not ok then m.say("%s said last: %s", last, tithe.console(last):sub(-300)) end
    m.expect(ok, "%s: " .. format, last, ...)
end

-- Until these counters of both guests have grown by so much.
local function grow(counters)
    local from = {}
    for _, name in ipairs(NAMES) do from[name] = tithe.info(name) end
    for counter, by in pairs(counters) do
        eventually(NAMES, function(name) return tithe.info(name)[counter] >= from[name][counter] + by end, "%s does not grow by %d",
            counter, by)
    end
end

-- Ends the phase of these guests' that waits for a line; then they come to this one.
local function go_on(names, phase)
    local offsets = {}
    for _, name in ipairs(names) do
        offsets[name] = tithe.info(name).console_offset
        tithe.send(name, "\n")
    end
    eventually(names, function(name) return tithe.console(name, offsets[name]):find("phase=" .. phase, 1, true) end,
        "does not come to %s", phase)
end

local began = tithe.host_now()
local function step(format, ...)
    m.balanced()
    for _, name in ipairs(NAMES) do
        local said = tithe.console(name)
        local bad = said:match("[^\n]*FAIL[^\n]*") or said:match("[^\n]*BUG:[^\n]*")
        m.expect(not bad, "%s said: %s", name, bad)
    end
    m.say("%.0f s: " .. format, tithe.host_now() - began, ...)
end

local function create(seed, name, phases, disk)
    tithe.create { name = name, size = SIZE, min = "16M", vcpus = VCPUS, disk = disk, append = ("tithe.seed=%d tithe.then=poweroff "
        .. "tithe.run=touch:%dM:alike,touch:%dM:zero,touch:%dM:quarter,touch:%dM,verify,await,work:%d,verify,await,%s"):format(seed,
        PART, PART, 4 * PART, TOUCHED_MIB - 6 * PART, VCPUS, phases) }
end

-- ---- What is done with their memory -----------------------------------------------------------------------------------

-- b, which has not gone far yet, gets all of its memory; and its kernel gives back what it has no use for.
local function populated(seq)
    local e = m.expect(m.await_event(seq, "vm-populated", PATIENCE_S), "b is not populated")
    local b = tithe.info("b")
    m.equal(b.populated_pages, e.value, "populated pages")
    m.expect(b.first_touches + e.value >= b.size_pages - 64, "%d pages were populated, and %d touched", e.value, b.first_touches)
    eventually({ "b" }, function() return tithe.info("b").reported_pages > e.value // 4 end, "its kernel gives nothing back")
    step("b: %d pages populated, %d of them given back unasked", e.value, tithe.info("b").reported_pages)
end

-- All that is alike or zero, and more than 12 MiB of what Linux is.
local function shared()
    set { group = 1, scan = tithe.pages(SIZE) }
    local host
    local ok = tithe.wait(PATIENCE_S, function()
        host = tithe.info()
        return host.zero_entries >= 2 * PART * 256 and host.shared_entries - host.zero_entries - host.shared_frames >= PART * 256 + 3000
    end, 0.1)
    m.expect(ok, "%d pages are shared in %d frames, %d of them zero", host.shared_entries, host.shared_frames, host.zero_entries)
    step("%d pages are shared in %d frames, %d of them zero", host.shared_entries, host.shared_frames, host.zero_entries)
end

local function broken()
    go_on(NAMES, "work")
    grow { cow_breaks = 500 }
    step("a: %d shared pages were written to", tithe.info("a").cow_breaks)
end

local function coloured()
    set { a = 0x0f }
    eventually({ "a" }, function()
        local a = tithe.info("a")
        return a.colours == 0x0f and a.stray_pages == 0
    end, "pages stray")
    local a = tithe.info("a")
    m.expect(a.recoloured_pages > 1000 and a.off_colour_pages == 0, "%d pages moved, %d of other colours", a.recoloured_pages,
        a.off_colour_pages)
    step("a: %d pages moved to frames of its colours, %d came in such", a.recoloured_pages, a.coloured_pages)
    set { a = 0 }
end

local function compressed()
    set { scan = 0, store = 2000, out = 200 }
    grow { expanded_pages = 200 }
    local a = tithe.info("a")
    step("a: %d pages compressed, %d expanded", a.compress_tried - a.compress_poor, a.expanded_pages)
    set { store = 0 }
end

local function swapped()
    grow { swapped_out = 500, swapped_in = 200 }
    set { out = 0 }
    go_on(NAMES, "await") -- nobody needs them now
    set { pick = "cold", out = 1000 }
    eventually(NAMES, function(name) return tithe.info(name).swapped_pages >= 1500 end, "pages do not go to swap")
    set { out = 0, back = tithe.pages(SIZE) }
    eventually(NAMES, function(name) return tithe.info(name).swapped_pages < 100 end, "pages do not come back")
    step("a: %d pages swapped out, %d in", tithe.info("a").swapped_out, tithe.info("a").swapped_in)
    set { back = 0 }
end

-- The guest uses `TOUCHED_MIB`; the kernel and the program have some pages, too.
local function sampled(name, method)
    -- A CPU of an emulator on a busy host may have got nothing for a period, by that clock: the most of three.
    local last, periods, most = nil, 0, 0
    eventually({ name }, function()
        local s = tithe.info(name).sample
        if not s or s.method ~= method or s.period == last then return end
        -- The first is what was under way when the method was changed.
        if last then periods, most = periods + 1, math.max(most, s.finished_touched) end
        last = s.period
        return periods == 3
    end, "is not sampled by %s", method)
    local p = tithe.pages(TOUCHED_MIB .. "M") / tithe.pages(SIZE)
    local error = 4.5 * math.sqrt(SAMPLE * p * (1 - p))
    m.expect(most >= SAMPLE * p - error and most <= SAMPLE * (p + 0.03) + error, "%s by %s: %d of %d pages are active", name, method,
        most, SAMPLE)
    step("%s by %s: %.1f %% found active, %.1f %% are", name, method, 100 * most / SAMPLE, 100 * p)
end

local function remapped()
    go_on({ "b" }, "disk")
    eventually({ "b" }, function() return tithe.info("b").disk.copied > 500 end, "nothing is copied")
    set { move = 256 }
    eventually({ "b" }, function()
        local b = tithe.info("b")
        return b.remapped_pages > 0 and b.disk.hot_4 == 0
    end, "pages are not remapped")
    local from = tithe.info("b").disk
    eventually({ "b" }, function() return tithe.info("b").disk.direct > from.direct + 1000 end, "no more requests")
    local b = tithe.info("b")
    m.equal(b.disk.copied, from.copied, "pieces copied since")
    m.equal(b.disk.errors, 0, "errors of the disk")
    step("b: %d pieces copied; %d pages moved, and %d of a's out of the way; then none of %d", from.copied, b.remapped_pages,
        tithe.info("a").vacated_pages, b.disk.direct - from.direct)
end

local function all_at_once(rounds)
    set { scan = tithe.pages(SIZE), store = 1000, out = 300, pick = "random", sample = 100, back = 50 }
    for round = 1, rounds do
        local odd = round % 2 == 1
        set { a = odd and 0x0f or 0xf0, b = odd and 0xf0 or 0x0f }
        tithe.mem_set("a", odd and LESS or SIZE)
        if not SHORT then
            tithe.suspend("b")
            tithe.resume("b", 1000)
        end
        grow { cow_breaks = 30, expanded_pages = 30, swapped_in = 30, recoloured_pages = 30 }
        eventually({ "a" }, function() return (tithe.info("a").ballooned_pages > 0) == odd end, "its balloon does not move")
        step("all at once: a: %d broken, %d expanded, %d swapped in, %d recoloured", tithe.info("a").cow_breaks,
            tithe.info("a").expanded_pages, tithe.info("a").swapped_in, tithe.info("a").recoloured_pages)
    end
    set { scan = 0, store = 0, out = 0, sample = 0, back = 0, a = 0, b = 0, move = 0 }
    tithe.mem_set("a", SIZE)
end

-- ---- One after the other ----------------------------------------------------------------------------------------------

tithe.policy_load(m.policy("all", source))
local more = (",work:%d,verify,free,await"):format(VCPUS)
create(1, "a", SHORT and "verify" or "use:" .. TOUCHED_MIB .. "M,await" .. more)
if not SHORT then set { populate = "b" } end
local seq = m.event_seq()
create(2, "b", SHORT and "verify" or "use:" .. TOUCHED_MIB .. "M,disk:512K" .. more, not SHORT and "data" or nil)
if not SHORT then populated(seq) end
eventually(NAMES, function(name) return tithe.console(name):find("phase=await", 1, true) end, "has not touched its memory")
shared()
broken()
if SHORT then
    all_at_once(1)
else
    coloured()
    compressed()
    swapped()
    go_on(NAMES, "use")
    for _, method in ipairs { "abit", "unmap" } do
        set { sample = SAMPLE, method = method }
        for _, name in ipairs(NAMES) do sampled(name, method) end
    end
    set { sample = 0 }
    go_on({ "a" }, "await")
    remapped()
    go_on(NAMES, "work")
    all_at_once(2)
end
go_on(NAMES, "await")
for _, name in ipairs(NAMES) do tithe.send(name, "\n") end
eventually(NAMES, function(name) return tithe.info(name).state == "stopped" end, "does not end")
step("both have ended")
for _, name in ipairs(NAMES) do
    m.equal(tithe.info(name).stop_reason, "poweroff", name .. "'s end")
    m.expect(tithe.console(name):find("memload: PASS", 1, true), "%s has not passed", name)
    tithe.destroy(name)
end
m.equal(tithe.info().plans_refused, 0, "refused plans")
m.equal(m.balanced().guest_pages, 0, "guests' pages when all are gone")
