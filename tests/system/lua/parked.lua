-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- The policy `parked`: guests that have more than the machine, and whose drivers ignore their balloons, so that only swap helps. One is
-- suspended; when another one leaves, it goes on with the data that it had.

local m = require "machine"

local NAMES = { "a", "b", "c" }

-- All have plenty; memory becomes short when they fill what they have.
local seq = m.event_seq()
tithe.policy_load("parked")
for key, value in pairs { park_rest = 2, park_patience = 2, out_percent = 0, prefetch_percent = 100 } do tithe.policy_set(key, value) end
local mib = (tithe.info().free_pages - tithe.info().reserve_pages) // 256 * 2 // 5
for i, name in ipairs(NAMES) do
    tithe.create { name = name, size = mib + 8 .. "M", append = "poll=0s seed=" .. i,
        mite = ("touch:%dM,say:full,loop:forever:{rewrite:random:0.01,verify}"):format(mib) }
end
local function suspended()
    for _, vm in ipairs(tithe.list()) do if vm.state == "suspended" then return vm.name end end
end
local who = m.expect(tithe.wait(240, suspended, 0.1), "nobody is suspended, with %d pages free", tithe.info().free_pages)
m.expect(tithe.wait(120, function() return tithe.info(who).swap_out_wanted == 0 end, 0.1), "%s does not go to swap", who)
local host, vm = tithe.info(), tithe.info(who)
m.say("3 guests of %d MiB: %s is suspended, %d of its pages in swap, %d free", mib, who, vm.swapped_pages, host.free_pages)
m.expect(vm.swapped_pages > mib * 256 // 2 and vm.consumed_pages < vm.swapped_pages // 8, "%s has %d pages, %d in swap", who,
    vm.consumed_pages, vm.swapped_pages)
m.balanced()

-- The others go on, and nobody else is stopped while they have room.
local other = who == "a" and "b" or "a"
local said = tithe.info(other).console_offset
m.expect(tithe.wait(120, function() return tithe.info(other).console_offset > said + 100 end, 0.1), "%s does not go on", other)
m.equal(suspended(), who, "who is suspended")

local before = tithe.info(who).console_offset
tithe.destroy(other)
m.expect(tithe.wait(120, function() return tithe.info(who).state == "running" end, 0.1), "%s has not been resumed", who)
m.expect(tithe.wait(240, function() return tithe.console(who, before):find("verify ok") end, 0.2), "%s does not go on", who)
m.say("resumed, and its data verified; %d pages read from swap", tithe.info(who).swapped_in)
m.expect(m.await_event(seq, "vm-suspended") and m.await_event(seq, "vm-resumed"), "no events")
m.equal(tithe.info().plans_refused, 0, "refused plans")
m.equal(tithe.policy_info().name, "parked", "policy in charge")
m.balanced()
for _, name in ipairs(NAMES) do
    if name ~= other then
        m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name)
        tithe.destroy(name)
    end
end
m.equal(m.balanced().guest_pages, 0, "guests' pages when all are gone")
