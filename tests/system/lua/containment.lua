-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- A policy that goes wrong in every way there is, once checked and once loaded. Each time: contained, told with file and
-- line on log and events, the last good policy back within a tick, guests unharmed.

local m = require "machine"

local GOOD = [[
local n = 0
local function plan(host) n = n + 1 tithe.log(("ran at %.0f"):format(host.now_ns)) return {} end
return { name = "good", api = 1, params = { level = 7 }, trial_ticks = 2, tick = plan,
    save = function() return { n = n } end, restore = function(s) n = s.n or 0 end }
]]

-- %s is line 3, reached from the second tick on: a check passes, and being in charge does not.
local BAD = [[
local n = 0
local function bad(host, vms)
%s
end
return { name = "bad", api = 1, tick = function(host, vms) n = n + 1 if n > 1 then return bad(host, vms) end end }
]]

-- name, line 3, what is said of it. Where `dies`, the steward cannot catch it, and is itself what is lost.
local cases = {
    -- Time, memory, stack.
    { "loop", "while true do end", "bad%-loop%.lua:3: more than %d+ instructions" },
    { "loop-pcall", "while true do pcall(function() while true do end end) end", "bad%-loop%-pcall%.lua:3: more than" },
    { "loop-tostring", "error(setmetatable({}, { __tostring = function() while true do end end }))", ":3: raised a table" },
    { "memory", "local t = {} while true do t[#t + 1] = ('x'):rep(100):rep(500) .. #t end", ":3: not enough memory" },
    { "one-string", "return ('x'):rep(1 << 40)", ":3: " },
    { "recursion", "local function f() return 1 + f() end return f()", ":3: not enough memory" },
    { "c-recursion", "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k .. 'x'] end return t.x",
        ":3: " },
    { "c-recursion-gsub", "local function f(s) return (s:gsub('.', f)) end return f('x')", ":3: .*C stack overflow" },
    { "pattern", "return (('a'):rep(30)):find(('a?'):rep(30) .. 'b')", "bad%-pattern%.lua:3 in tick", dies = true },
    -- Errors of every type.
    { "error-text", "error('plain words')", "bad%-error%-text%.lua:3: plain words" },
    { "error-table", "error({})", ":3: raised a table" },
    { "error-nil", "error(nil)", ":3: raised a nil" },
    { "error-tostring", "error(setmetatable({}, { __tostring = function() error('again') end }))", ":3: raised a table" },
    { "error-tostring-nil", "error(setmetatable({}, { __tostring = function() return 1 end, __name = 7 }))", ":3: raised a table" },
    { "error-long", "error(('long '):rep(10000))", ":3: long long" },
    { "error-bytes", "error('\\0\\1\\255\\27[2Jhidden\\nevent 9: forged')", ":3: " },
    { "index-nil", "return vms[1].no.such", ":3: attempt to index a nil value" },
    -- Plans.
    { "plan-text", "return 'balloon'", ": tick returned a string, not a plan" },
    { "plan-number", "return 7", ": tick returned a number, not a plan" },
    { "plan-function", "return print", ": tick returned a function, not a plan" },
    { "plan-action", "return { 1 }", "action 1 of the plan is a number" },
    { "plan-unwrapped", "return { verb = 'balloon', vm = 1, size_pages = 1 }", "not a list of actions" },
    { "plan-cycle", "local t = {} t[1] = t return t", "action 1 of the plan has no 'verb'" },
    { "plan-verb", "return { { verb = 'swap', vm = 1, size_pages = 1 } }", "has the verb 'swap'" },
    { "plan-no-vm", "return { { verb = 'balloon', size_pages = 1 } }", "has no 'vm'" },
    { "plan-nan", "return { { verb = 'balloon', vm = vms[1].id, size_pages = 0 / 0 } }", "not a whole number" },
    { "plan-infinite", "return { { verb = 'balloon', vm = vms[1].id, size_pages = math.huge } }", "not a whole number" },
    { "plan-fraction", "return { { verb = 'balloon', vm = vms[1].id, size_pages = 4096.5 } }", "4096%.5, not a whole number" },
    { "plan-negative", "return { { verb = 'balloon', vm = vms[1].id, size_pages = -1 } }", "below zero" },
    { "plan-huge", "return { { verb = 'balloon', vm = vms[1].id, size_pages = math.maxinteger } }", "above%-max" },
    { "plan-small", "return { { verb = 'balloon', vm = vms[1].id, size_pages = 0 } }", "below%-min" },
    { "plan-vm", "return { { verb = 'balloon', vm = 4000000000, size_pages = 4096 } }", "no%-such%-vm" },
    { "plan-vm-huge", "return { { verb = 'balloon', vm = 1 << 40, size_pages = 4096 } }", "no VM's id" },
    { "plan-vm-text", "return { { verb = 'balloon', vm = vms[1].name, size_pages = 4096 } }", "'vm' of type string" },
    { "plan-twice", "local a = { verb = 'balloon', vm = vms[1].id, size_pages = 4096 } return { a, a }", "twice" },
    { "plan-field", "return { { verb = 'balloon', vm = vms[1].id, size_pages = 4096, mib = 1 } }", "the field 'mib'" },
    { "plan-long", "local p = {} for i = 1, 10000 do p[i] = { verb = 'balloon', vm = i, size_pages = 1 } end return p",
        "more than 1024 actions" },
    { "plan-metatable", "return setmetatable({}, { __index = function() error('no') end, __len = function() return 5 end, "
        .. "__pairs = error })", nil }, -- raw accesses see an empty plan, which is a good one
    { "plan-metatable-action", "return { setmetatable({}, { __index = function() while true do end end }) }", "has no 'verb'" },
    -- The interpreter itself.
    { "crash", "tithe.test.crash()", "touched address 10, .*bad%-crash%.lua:3 in tick", dies = true },
    { "corrupt-heap", "tithe.test.corrupt_heap()", "bad%-corrupt%-heap%.lua:", dies = true },
    { "spin", "tithe.test.spin()", "spent its budget, .*bad%-spin%.lua:3 in tick", dies = true },
    { "abort", "tithe.test.abort()", "aborted itself, .*bad%-abort%.lua:3 in tick", dies = true },
    { "eat-stack", "tithe.test.eat_stack()", "touched address 6ff%x+, .*bad%-eat%-stack%.lua:3 in tick", dies = true },
}

-- How long nobody good was in charge: until the good policy has run again, and how long the bad one was at it.
local worst_back, worst_until, worst_name = 0, 0, ""
local tick_s = tithe.info().tick_ns / 1e9

local function good_again(name)
    local ticks = tithe.wait(10, function()
        local info = tithe.policy_info()
        return info.name == "good" and info.ticks > 0 and info
    end, 0.01)
    m.expect(ticks, "%s: the good policy is not back", name)
    return ticks
end

local function one(case)
    local name, body, told, dies = "bad-" .. case[1], case[2], case[3], case.dies
    local path = m.policy(name, BAD:format(body))
    local seq, log_at = m.event_seq(), tithe.info().log_offset
    local restarts, rollbacks = tithe.info().steward_restarts, tithe.policy_info().rollbacks

    tithe.policy_check(path) -- its first tick is harmless
    tithe.policy_load(path)
    if not told then -- there is nothing wrong with it
        m.expect(m.await_event(seq, "policy-good", 10, "plan.metatable"), "%s: is not in charge", name)
        tithe.policy_rollback("the test goes on")
        good_again(name)
        return
    end
    local taken = m.await_event(seq, "policy-active", 5)
    local back = m.await_event(seq, "policy-rollback", 10)
    m.expect(taken and back, "%s: was not rolled back", name)
    local ran = good_again(name)
    m.expect(back.text:find(told), "%s: rolled back with '%s', and '%s' was due", name, back.text, told)
    m.expect(back.text:find("^from " .. name:gsub("%-", "%%-") .. " to good"), "%s: %s", name, back.text)
    m.equal(ran.params.level, 7, name .. ": the good policy's parameter")
    m.equal(ran.rollbacks, rollbacks + 1, name .. ": rollbacks")
    m.equal(tithe.info().steward_restarts - restarts, dies and 1 or 0, name .. ": deaths of the steward")
    local fault, log, without = dies and m.await_event(seq, "steward-died", 1) or back, nil, nil
    tithe.wait(3, function() -- the machine's clock in the good policy's own words
        log = m.log(log_at)
        for ns in log:gmatch("policy good: ran at (%d+)") do
            if tonumber(ns) >= fault.ns then
                without = (tonumber(ns) - fault.ns) / 1e9
                return true
            end
        end
    end, 0.05)
    m.expect(without, "%s: the good policy does not run", name)
    local line = log:match("[^\n]*rolled back[^\n]*") or log:match("[^\n]*steward%-died[^\n]*")
    m.expect(line and line:find(name, 1, true) and (line:find("%.lua:3") or line:find("%.lua:%d")),
        "%s: the log says '%s'", name, tostring(line))
    m.expect(not log:find("[^\n\r\t\x20-\x7e]"), "%s: the log has bytes that are not text", name)
    m.expect(without <= tick_s * 1.1, "%s: the good policy ran again after %.2f s", name, without)
    if without > worst_back then worst_back, worst_name = without, name end
    worst_until = math.max(worst_until, (back.ns - taken.ns) / 1e9)
end

-- As a candidate: the answer says what happened and the policy in charge is not touched.
local function as_candidate(case)
    local name, body, told = "bad-" .. case[1], case[2], case[3]
    local path = m.policy(name, BAD:format(body):gsub("n > 1", "n > 0"))
    local rollbacks = tithe.policy_info().rollbacks
    if told and told:find("%-m[ai][xn]") or told == "no%-such%-vm" or told == "twice" then
        local check = tithe.policy_check(path)
        m.equal(check.refused, name == "bad-plan-twice" and 1 or #check.plan, name .. ": actions refused")
        m.refused(told, tithe.policy_load, path)
    elseif told then
        m.refused(told:gsub("^bad", "bad"), tithe.policy_check, path)
        m.refused(told, tithe.policy_load, path)
    else
        tithe.policy_check(path)
    end
    m.equal(tithe.info().policy, "good", name .. ": in charge")
    m.equal(tithe.policy_info().rollbacks, rollbacks, name .. ": rollbacks")
end

m.guards()
local good, failures = m.policy("good", GOOD), 0
tithe.policy_load(good)
tithe.policy_set("level", 7)
m.await_event(0, "policy-good", 10, "good")
local only = tithe.args[1]
local began = tithe.now()
for _, case in ipairs(cases) do
    if not only or only == "all" or (" " .. only .. " "):find(" " .. case[1] .. " ", 1, true) then
        for _, try in ipairs { as_candidate, one, m.look } do
            local ok, e = pcall(try, case)
            if not ok then
                failures = failures + 1
                m.say("FAILED %s: %s", case[1], tostring(e))
                if tithe.info().policy ~= "good" then pcall(tithe.policy_load, good) end
            end
        end
    end
end
local verified, gap = m.unharmed()
m.balanced()
m.say("worst time from a fault to the good policy's next tick: %.3f s (%s) of a tick of %.1f s", worst_back, worst_name, tick_s)
m.say("worst time from a bad policy's taking charge to its rollback: %.3f s", worst_until)
m.say("guests: %d verifications, longest gap between timer ticks %d us; %.0f s of the machine's", verified, gap,
    tithe.now() - began)
m.equal(failures, 0, "cases that failed")
