-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Guests that touch more than there is, under a policy that lets them: they wait for memory, nothing dies, the machine
-- answers, and whoever gives memory back lets the others go on.

local m = require "machine"

tithe.policy_load(m.policy("idle", "return { name = 'idle', api = 1, trial_ticks = 1, tick = function() end }"))
local total = tithe.info().total_pages

local function waits_since(seq)
    local vms, n = {}, 0
    for _, e in ipairs((tithe.events(seq))) do
        if e.kind == "vm-memory-wait" then
            vms[e.vm] = (vms[e.vm] or 0) + 1
            n = n + 1
        end
    end
    return vms, n
end

-- The reserve is the core's, whatever guests do.
local function reserve_holds(what)
    local host = tithe.info()
    m.expect(host.free_pages >= host.reserve_pages - 1, "%s: %d pages are free, %d should be kept", what, host.free_pages,
        host.reserve_pages)
    return host
end

local function says(vm, pattern, seconds)
    return tithe.wait(seconds or 20, function() return tithe.console(vm):find(pattern) end, 0.1)
end

-- A small one that works all the while and needs nothing new.
tithe.create { name = "small", size = "8M", mite = "touch:2M,loop:forever:{rewrite,verify,idle:20ms}" }
m.expect(says("small", "verify ok"), "small does not verify")

-- Three that want 64 MiB each, of some 88 that there are.
local seq = m.event_seq()
local hogs = { "h1", "h2", "h3" }
for i, name in ipairs(hogs) do
    tithe.create { name = name, size = "96M", mite = "touch:64M@64M/s,verify,idle:1s,free:60M,loop:forever:{verify,idle:50ms}",
        append = "seed=" .. i }
end
m.expect(m.await_event(seq, "vm-memory-wait", 20), "nobody had to wait for memory")
tithe.sleep(2)
local host = reserve_holds("all hogs wait")
local vms, events = waits_since(seq)
local waiting = 0
for _ in pairs(vms) do waiting = waiting + 1 end
m.say("out of memory at %s of %s free (reserve %s): %d of 4 VMs have waited, %d events", tithe.size(host.free_pages),
    tithe.size(total), tithe.size(host.reserve_pages), waiting, events)
m.expect(events < 100, "%d events of waiting: they flood everything else", events)

-- Nothing dies, the machine answers, and who needs no memory works on.
for _, vm in ipairs(tithe.list()) do m.equal(vm.state, "running", vm.name) end
local at = tithe.info("small").console_offset
m.expect(tithe.wait(10, function() return tithe.console("small", at):find("verify ok") end), "small stands still")
m.balanced()
tithe.policy_check("equal")
local before = tithe.info().steward_restarts
tithe.call("steward-kill")
m.equal(tithe.info().steward_restarts, before + 1, "a restart of the steward, from the reserve")
m.refused("memory", tithe.create, { name = "late", size = "64M", kernel = "mite" })

-- No memory, no progress: whoever waits has not finished.
local done = {}
local function finished(name) return tithe.console(name):find("verify ok") ~= nil end
for _, name in ipairs(hogs) do done[name] = finished(name) end
m.expect(not (done.h1 and done.h2 and done.h3), "all of them have got what is not there")

-- A guest that waits cannot help itself: its one CPU stands still, and so does its balloon driver.
local stuck
for _, name in ipairs(hogs) do if not done[name] then stuck = name end end
tithe.mem_set(stuck, "16M")
tithe.sleep(1)
local vm = tithe.info(stuck)
m.say("%s waits, is told to give up all but 16M, and has inflated %s after a second", stuck, tithe.size(vm.balloon_actual_pages))
tithe.mem_set(stuck, "96M")

-- Destroying one lets the others go on; so does the balloon of one that does not wait.
tithe.destroy("h1")
local function progress() for _, name in ipairs { "h2", "h3" } do if finished(name) then return name end end end
local first = m.expect(tithe.wait(20, progress), "destroying a VM let nobody go on")
m.expect(says(first, "free pages=%d+"), "%s did not free", first)
tithe.mem_set(first, "12M")
for _, name in ipairs { "h2", "h3" } do m.expect(says(name, "verify ok pages=16384", 30), "%s did not get its memory", name) end
reserve_holds("at the end")
for _, vm in ipairs(tithe.list()) do
    m.equal(vm.state, "running", vm.name)
    m.expect(not tithe.console(vm.id):find("FAIL"), "%s found its data changed", vm.name)
end
m.balanced()
