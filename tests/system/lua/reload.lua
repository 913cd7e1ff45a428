-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Reloads of the policy beside a guest that counts the ticks of its timer: it must not be paused. Best on a machine whose
-- time is the instruction count, where the numbers are exact.

local m = require "machine"

local RELOADS, LIMIT_US = 10, 5000

local function ticks(seconds, during)
    local began, worst, lost = tithe.now(), 0, 0
    m.look()
    while tithe.now() - began < seconds do
        during()
        local _, _, gap, missed = m.look()
        worst, lost = math.max(worst, gap), math.max(lost, missed)
    end
    m.unharmed()
    return worst, lost
end

m.guards()
local calm, calm_lost = ticks(3, function() tithe.sleep_host(0.05) end)

local STATEFUL = [[
local loads = 0
return { name = "stateful", api = 1, params = { knob = 1 }, tick = function() return {} end,
    save = function() return { loads = loads } end,
    restore = function(saved) loads = (saved.loads or 0) + 1 tithe.log("load " .. loads) end }
]]
local path = m.policy("stateful", STATEFUL)
tithe.policy_load(path)
tithe.policy_set("knob", 5)
local reloads, worst, lost = 0, ticks(3, function() end)
local cost
while reloads < RELOADS do
    local gap, missed = ticks(0.1, function()
        tithe.policy_load(path)
        reloads = reloads + 1
    end)
    worst, lost = math.max(worst, gap), math.max(lost, missed)
    cost = tithe.info().reload_core_instructions
end

m.equal(tithe.policy_info().params.knob, 5, "the parameter after the reloads")
m.equal(tithe.info().steward_restarts, 0, "restarts")
-- Its state went on from load to load: one more is being tried, and says what it inherits.
tithe.wait(3, function() return tithe.policy_info().ticks > 2 end)
local last = tithe.policy_check(path).prints[1]
m.equal(last, "load " .. reloads + 2, "what the next one inherits")
m.expect(reloads >= RELOADS, "only %d reloads", reloads)
m.balanced()
m.say("%d reloads: longest gap between 1 kHz timer ticks %d us (%d ticks lost); without: %d us (%d)", reloads, worst, lost,
    calm, calm_lost)
m.say("the core's part of the last reload: %d TSC ticks", cost)
if tithe.args[1] == "exact" then
    m.expect(worst <= LIMIT_US, "a gap of %d us", worst)
end
