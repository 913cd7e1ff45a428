-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Guests that touch more than there is, under a policy that lets them: they wait for memory, nothing dies, the machine
-- answers, and whoever gives memory back lets the others go on.

local m = require "machine"

tithe.policy_load(m.policy("idle", "return { name = 'idle', api = 1, trial_ticks = 1, tick = function() end }"))
local total, host = tithe.info().total_pages, nil

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

-- A small one that works all the while and needs nothing new, and one that has memory to give.
tithe.create { name = "small", size = "8M", mite = "touch:2M,loop:forever:{rewrite,verify,idle:20ms}" }
tithe.create { name = "giver", size = "32M", mite = "touch:28M,free:28M,say:freed,loop:forever:{idle:50ms}" }
m.expect(says("small", "verify ok"), "small does not verify")
m.expect(says("giver", "freed"), "giver has not freed")

-- Three that want what is left and half of what giver has, and later more than that.
local hogs, seq = { "h1", "h2", "h3" }, m.event_seq()
host = tithe.info()
local first = (host.free_pages - host.reserve_pages + tithe.pages("8M")) // 3
local more = tithe.pages("12M")
for i, name in ipairs(hogs) do
    tithe.create { name = name, size = "64M", append = "seed=" .. i,
        -- The pause is for the others to get through phase 1 first: what is free goes to whoever asks.
        mite = ("touch:%dp,verify,say:phase-1,idle:10s,touch:%dp,verify,say:phase-2,"
            .. "loop:forever:{rewrite,verify,idle:100ms}"):format(first, more) }
end
local function all_say(names, text, seconds)
    return tithe.wait(seconds, function()
        for _, name in ipairs(names) do if not tithe.console(name):find(text) then return false end end
        return true
    end, 0.1)
end

m.expect(m.await_event(seq, "vm-memory-wait", 20), "nobody had to wait for memory")
tithe.sleep(2)
host = reserve_holds("hogs wait")
local vms, events = waits_since(seq)
local waiting = 0
for _ in pairs(vms) do waiting = waiting + 1 end
m.say("out of memory at %s of %s free (reserve %s): %d of 5 VMs have waited, %d events", tithe.size(host.free_pages),
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

-- Memory that another's balloon gives back reaches them.
m.expect(not all_say(hogs, "phase%-1", 0), "they have got what is not there")
seq = m.event_seq()
tithe.mem_set("giver", "1M")
m.expect(all_say(hogs, "phase%-1", 30), "what giver gave has not reached the others")
events = select(2, waits_since(seq))
m.say("giver's %s let them go on; %d events of waiting meanwhile", tithe.size(tithe.info("giver").balloon_actual_pages), events)
m.expect(events < 500, "%d events of waiting: they flood everything else", events)

-- A guest that waits cannot help itself: its one CPU stands still, and its balloon driver with it.
m.expect(m.await_event(m.event_seq(), "vm-memory-wait", 60), "nobody had to wait in phase 2")
m.expect(not all_say(hogs, "phase%-2", 0), "they have got what is not there")
tithe.mem_set("h3", "16M")
tithe.sleep(1)
m.say("h3 waits, is told to give up all but 16M, and has inflated %s after a second",
    tithe.size(tithe.info("h3").balloon_actual_pages))
tithe.mem_set("h3", "64M")

-- The end of one lets the others go on.
tithe.destroy("h1")
m.expect(all_say({ "h2", "h3" }, "phase%-2", 30), "destroying a VM did not let the others go on")
reserve_holds("at the end")
for _, vm in ipairs(tithe.list()) do
    m.equal(vm.state, "running", vm.name)
    m.expect(not tithe.console(vm.id):find("FAIL"), "%s found its data changed", vm.name)
end
m.balanced()
