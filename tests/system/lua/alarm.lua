-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- A policy that has proved itself runs without its instructions being counted. When it then loops, the core raises the
-- alarm in the middle of it, counting begins, and it ends with its line, without a death of the steward.

local m = require "machine"

local LATE = [[
local n = 0
local function tick()
    n = n + 1
    if n > 4 then %s end
    return {}
end
return { name = "late", api = 1, trial_ticks = 2, error_limit = 1, tick = tick }
]]

-- What runs when the alarm comes: Lua alone; the allocator; floating point; C that calls Lua; a pcall that holds errors back.
local loops = {
    plain = "while true do end",
    allocating = "while true do local t = { {}, n .. 'x' } end",
    floats = "local x = 1.5 while true do x = x * 1.25 / 1.25 if x ~= 1.5 then error('wrong: ' .. x) end end",
    sorting = "while true do table.sort({ 3, 1, 2 }, function(a, b) return a < b end) end",
    pcalls = "while true do pcall(function() while true do end end) end",
    recursing = "local function f(k) return k > 0 and f(k - 1) + 1 or 0 end while true do f(50) end",
}

for name, body in pairs(loops) do
    local path = m.policy("late-" .. name, LATE:format(body))
    local seq, restarts = m.event_seq(), tithe.info().steward_restarts
    tithe.policy_load(path)
    m.expect(m.await_event(seq, "policy-good", 10, "late"), "%s: is not in charge", name)
    local back = m.await_event(seq, "policy-rollback", 10)
    m.expect(back, "%s: was not rolled back", name)
    m.expect(back.text:find("late%-" .. name .. "%.lua:4: more than its CPU time used in tick"), "%s: %s", name, back.text)
    m.equal(tithe.info().steward_restarts, restarts, name .. ": deaths of the steward")
end
m.balanced()
