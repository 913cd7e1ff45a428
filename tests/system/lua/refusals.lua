-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- What a policy, or an operator, must be told no to, and that nothing happens then.

local m = require "machine"

tithe.create { name = "a", size = "16M", mite = "touch:2M,verify,idle" }
tithe.create { name = "b", size = "16M", mite = "touch:2M,verify,idle" }

-- ---- Sources that are none --------------------------------------------------------------------------------------

local before = tithe.policy_info()
local GOOD_REST = "\nreturn { name = 'x', api = 1, tick = function() end }"
for _, case in ipairs {
    { "syntax", "local x = = 1" .. GOOD_REST, "^syntax%.lua:1: unexpected symbol near '='" },
    { "syntax-end", "return { name = 'x', api = 1, tick = function() }\n", "^syntax%-end%.lua:1: " },
    { "runtime", "local x\nx.y = 1" .. GOOD_REST, "^runtime%.lua:2: attempt to index a nil value" },
    { "nothing", "local x = 1", "^nothing%.lua.*nil where the policy's table was due" },
    { "empty", "", "" },
    { "api-2", "return { name = 'x', api = 2, tick = function() end }", "^api%-2%.lua.*api is 2; this machine speaks api = 1" },
    { "api-none", "return { name = 'x', tick = function() end }", "no 'api'" },
    { "no-name", "return { api = 1, tick = function() end }", "no 'name'" },
    { "no-tick", "return { name = 'x', api = 1 }", "no function 'tick'" },
    { "tick-text", "return { name = 'x', api = 1, tick = 'now' }", "'tick' is a string where a function was due" },
    { "event-number", "return { name = 'x', api = 1, tick = print, event = 1 }", "'event' is a number" },
    { "params-text", "return { name = 'x', api = 1, tick = print, params = 'a' }", "'params' is not a table" },
    { "params-table", "return { name = 'x', api = 1, tick = print, params = { a = {} } }", "params%.a is a table" },
    { "plan-type", "\n\nreturn { name = 'x', api = 1, tick = function() return { { verb = 'balloon', vm = '1', size_pages = 1 } } end }",
        "^plan%-type%.lua:3: tick: action 1 of the plan has 'vm' of type string" },
    { "bytecode", string.dump(load("return { name = 'x', api = 1, tick = print }")), "binary" },
    { "sandbox-io", "io.open('/etc/passwd')" .. GOOD_REST, "global 'io'" },
    { "sandbox-os", "os.exit(1)" .. GOOD_REST, "global 'os'" },
    { "sandbox-debug", "debug.sethook()" .. GOOD_REST, "global 'debug'" },
    { "sandbox-load", "load('return 1')()" .. GOOD_REST, "global 'load'" },
    { "sandbox-require", "require 'os'" .. GOOD_REST, "global 'require'" },
    { "sandbox-string", "getmetatable('').__index = nil" .. GOOD_REST, ":1: " },
} do
    local path = m.policy(case[1], case[2])
    for _, verb in ipairs { tithe.policy_check, tithe.policy_load } do m.refused(case[3], verb, path) end
end
m.refused("262144", tithe.policy_load, m.policy("large", "--" .. ("x"):rep(300000) .. GOOD_REST))
m.refused("no policy 'nosuch'", tithe.call, "policy-load", { file = "nosuch" })
local after = tithe.policy_info()
m.equal(after.name, before.name, "the policy in charge")
m.equal(after.activations, before.activations, "activations")
m.equal(after.rollbacks, before.rollbacks, "rollbacks")

-- ---- A plan for a VM that has just ended -----------------------------------------------------------------------

-- From the moment that b ends this plans for both; it was never told not to.
tithe.policy_load(m.policy("stale", [[
local b
return { name = "stale", api = 1, trial_ticks = 1, error_limit = 1000, tick = function(host, vms)
    for _, vm in ipairs(vms) do if vm.name == "b" then b = vm.id return {} end end
    if not b then return {} end
    return { { verb = "balloon", vm = vms[1].id, size_pages = 1024 }, { verb = "balloon", vm = b, size_pages = 2048 } }
end }
]]))
m.expect(m.await_event(0, "policy-good", 10, "stale"), "stale is not good")
local seq, target = m.event_seq(), tithe.info("a").target_pages
local plans = tithe.info().plans_refused
local b = tithe.info("b").id
tithe.destroy("b")
local refused = m.expect(m.await_event(seq, "plan-refused", 10), "the plan was not refused")
m.expect(refused.text:find("action 2 of 2: no such VM, or it has ended"), "refused with '%s'", refused.text)
m.expect(tithe.info().plans_refused > plans, "plan.refused does not count")
m.equal(tithe.info("a").target_pages, target, "the target of a, whose action alone was allowed")
m.expect(tithe.wait(5, function() return tithe.policy_info().last_error:find("stale%.lua:2: .*no%-such%-vm") end),
    "the reason: %s", tithe.policy_info().last_error)

-- A check says what would become of each action.
local check = tithe.policy_check(m.policy("verdicts", ([[
return { name = "verdicts", api = 1, tick = function(host, vms)
    local a = vms[1].id
    return { { verb = "balloon", vm = a, size_pages = 2048 }, { verb = "balloon", vm = a, size_pages = 2048 },
        { verb = "balloon", vm = %d, size_pages = 1 }, { verb = "balloon", vm = a, size_pages = 1 << 40 },
        { verb = "swap_out", vm = a, pages = 1 }, { verb = "prefetch", vm = a, pages = 1 } }
end }
]]):format(b)))
local verdicts = {}
for i, action in ipairs(check.plan) do verdicts[i] = action.verdict end
m.equal(table.concat(verdicts, " "), "ok twice no-such-vm twice no-swap no-swap", "verdicts")
m.equal(check.refused, 5, "refused")
m.equal(tithe.info("a").target_pages, target, "the target of a after a check")

-- ---- After the trial: three failures in a row, or three deaths, and it goes -------------------------------------------

for _, how in ipairs { "error('late')", "tithe.test.crash()" } do
    tithe.policy_load("equal")
    seq = m.event_seq()
    tithe.policy_load(m.policy("late", ([[
local ticks = 0
return { name = "late", api = 1, trial_ticks = 2, tick = function() ticks = ticks + 1 if ticks > 4 then %s end end,
    save = function() return ticks end, restore = function(t, from) ticks = from == "late" and t or 0 end }
]]):format(how)))
    m.expect(m.await_event(seq, "policy-good", 10, "late"), "late is not good")
    local back = m.expect(m.await_event(seq, "policy-rollback", 20), "late was not rolled back after: " .. how)
    m.expect(back.text:find("^from late to equal: .*late%.lua:2"), "rolled back: %s", back.text)
    m.equal(m.count_events(seq, "steward-died"), how:find("crash") and 3 or 0, "deaths after: " .. how)
end

-- ---- Admission ----------------------------------------------------------------------------------------------------

m.refused("the minimums of all VMs would be .*lower its minimum by", tithe.create,
    { name = "greedy", size = "1G", min = "1G", kernel = "mite" })
tithe.policy_load(m.policy("closed", [[
return { name = "closed", api = 1, trial_ticks = 1, tick = function() end,
    admit = function(host, vm) if vm.name == "odd" then error("admit fails") end
        return vm.name == "friend", "only friends, not " .. vm.name end }
]]))
local e = m.refused("only friends, not foe", tithe.create, { name = "foe", size = "8M", kernel = "mite" })
m.equal(e.code, "refused", "the code")
m.refused("closed%.lua:2: admit fails", tithe.create, { name = "odd", size = "8M", kernel = "mite" })
tithe.create { name = "friend", size = "8M", kernel = "mite", paused = true }
m.refused("only friends", tithe.create, { name = "foe", size = "8M", kernel = "mite" })
m.equal(#tithe.list(), 2, "VMs")
tithe.policy_rollback("done")
m.equal(tithe.info().policy, "equal", "after a rollback by hand")
m.refused("no previous policy", tithe.policy_rollback)
m.balanced()
