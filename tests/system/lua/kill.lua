-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Kills the steward as often as the first argument says while guests work. They must not notice, and nothing that the
-- steward knew may be lost. The second is the longest gap there may be between a guest's timer ticks, in microseconds; it
-- makes sense where time is the instruction count.

local m = require "machine"

local times = math.tointeger(tonumber(tithe.args[1] or "1000"))

-- Counts its ticks and keeps the count; a steward that began anew would begin at 0.
local COUNTING = [[
local n = 0
return { name = "counting", api = 1, params = { level = 1, text = "" }, trial_ticks = 1,
    tick = function() n = n + 1 return {} end,
    event = function() tithe.log("count " .. n) return {} end,
    save = function() return { count = n } end,
    restore = function(s) n = s.count or 0 end }
]]

local function count()
    local at = tithe.info().log_offset
    tithe.shares("alpha", 1000) -- an event for the policy to talk about
    return tithe.wait(10, function() return tonumber((m.log(at):match("count (%d+)"))) end, 0.05)
end

m.guards()
local seq = m.event_seq()
tithe.policy_load(m.policy("counting", COUNTING))
tithe.policy_set("level", 42)
tithe.policy_set("text", "still here")
m.expect(m.await_event(seq, "policy-good", 20, "counting"), "the policy did not become good")

-- One of each first: what the first death leaves behind for good, if anything, is there from now on.
tithe.call("steward-kill")
m.unharmed()
local before, info, counted = tithe.info(), tithe.policy_info(), count()
local _, _, calm = m.look()
local worst, gap, verified, began = 0, 0, 0, tithe.host_now()
for i = 1, times do
    local asked = tithe.host_now()
    tithe.call("steward-kill")
    worst = math.max(worst, tithe.host_now() - asked)
    if i % 50 == 0 then
        local _, v, g = m.look()
        verified, gap = verified + v, math.max(gap, g)
    end
end
local took, after = tithe.host_now() - began, tithe.info()
local v, g = m.unharmed()
verified, gap = verified + v, math.max(gap, g)

m.equal(after.steward_restarts - before.steward_restarts, times, "restarts")
m.equal(tithe.stats()["steward.restarts"], after.steward_restarts, "steward.restarts")
m.equal(after.core_pages, before.core_pages, "the core's pages")
m.equal(after.free_pages, before.free_pages, "free pages")
m.equal(after.guest_pages, before.guest_pages, "the guests' pages")
m.equal(after.policy, "counting", "the policy")
local now = tithe.policy_info()
m.equal(now.params.level, 42, "a parameter")
m.equal(now.params.text, "still here", "another parameter")
m.equal(now.deaths, 0, "deaths held against the policy")
m.equal(now.rollbacks, info.rollbacks, "rollbacks")
m.expect(not now.trial, "the policy is on trial again")
local count_after = count()
-- Every start ticks once at once.
m.expect(count_after >= counted + times, "the policy counted from %d to %s only", counted, tostring(count_after))
for name, vm in pairs { alpha = tithe.info("alpha"), beta = tithe.info("beta"), ticker = tithe.info("ticker") } do
    m.equal(vm.reboots, 0, name .. ": reboots")
end
m.balanced()
local limit = tonumber(tithe.args[2])
m.expect(not limit or gap <= limit, "a gap of %d us between timer ticks", gap)
m.say("%d kills, each restart and answer %.1f ms on average and %.0f ms at worst of the host's; %.2f ms of the machine's",
    times, took / times * 1e3, worst * 1e3, (after.now_ns - before.now_ns) / times / 1e6)
m.say("guests: %d verifications; longest gap between 1 kHz timer ticks %d us, %d us before", verified, gap, calm)
