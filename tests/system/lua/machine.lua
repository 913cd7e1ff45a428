-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- For the experiments in this folder: policies written on the spot, guests that verify, and what must always hold.

local m = {}

local directory = os.getenv("TMPDIR") or "/tmp"

function m.say(format, ...) print("# " .. format:format(...)) end

-- fail() with a text that says what was found.
function m.expect(ok, format, ...)
    if not ok then tithe.fail(1, "experiment", format:format(...)) end
    return ok
end

function m.equal(got, wanted, what)
    m.expect(got == wanted, "%s: %s, and %s was due", what, tostring(got), tostring(wanted))
end

function m.file(name, text)
    local path = directory .. "/" .. name
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
end

function m.policy(name, text) return m.file(name .. ".lua", text) end

-- The error table of something that must be refused, its reason matching `pattern`.
function m.refused(pattern, f, ...)
    local ok, e = pcall(f, ...)
    m.expect(not ok, "was not refused, and should have been: %s", pattern)
    m.expect(type(e) == "table", "a script's error: %s", tostring(e))
    m.expect(e.reason:find(pattern), "refused with '%s', and '%s' was due", e.reason, pattern)
    return e
end

-- ---- Events and log ---------------------------------------------------------------------------------------------

function m.event_seq() return tithe.info().event_seq end

-- The first event from `seq` on of this kind (and matching text); nil after `seconds` of the machine's.
function m.await_event(seq, kind, seconds, pattern)
    return tithe.wait(seconds or 10, function()
        local list
        list, seq = tithe.events(seq)
        for _, e in ipairs(list) do
            if e.kind == kind and (not pattern or (e.text or ""):find(pattern)) then return e end
        end
    end, 0.02)
end

function m.count_events(seq, kind)
    local n = 0
    for _, e in ipairs((tithe.events(seq))) do if e.kind == kind then n = n + 1 end end
    return n
end

function m.log(offset)
    local pieces, total = {}, nil
    repeat
        local chunk = tithe.call("log", { offset = offset })
        pieces[#pieces + 1] = chunk.data
        offset, total = chunk.offset + #chunk.data, chunk.total
    until #chunk.data == 0 or offset >= total
    return table.concat(pieces), offset
end

-- ---- Guests -----------------------------------------------------------------------------------------------------

local guards = {}

-- Two that rewrite and verify for ever, and one that counts the ticks of its timer.
function m.guards(memory)
    for _, name in ipairs { "alpha", "beta" } do
        guards[#guards + 1] = { name = name, offset = 0 }
        tithe.create { name = name, size = "16M", min = "16M",
            mite = ("touch:%s,loop:forever:{rewrite:random:0.2,verify,random:200,idle:20ms}"):format(memory or "4M"),
            append = "seed=" .. #guards }
    end
    guards[#guards + 1] = { name = "ticker", offset = 0, ticks = true }
    tithe.create { name = "ticker", size = "16M", min = "16M", mite = "loop:forever:{ticks:1s}" }
    m.find_guards()
    tithe.wait(20, function() return m.look() end)
end

-- Those that an earlier experiment has made.
function m.find_guards()
    guards = {}
    for _, vm in ipairs(tithe.list()) do
        if vm.name == "alpha" or vm.name == "beta" or vm.name == "ticker" then
            guards[#guards + 1] = { name = vm.name, offset = tithe.info(vm.id).console_offset, ticks = vm.name == "ticker" }
        end
    end
    m.equal(#guards, 3, "guards")
end

-- What the guards said since the last look: every one must have said something good and nothing bad. Returns whether
-- all have, verifications and the longest gap between two timer interrupts in microseconds.
function m.look()
    local verified, gap, all, lost = 0, 0, true, 0
    for _, guard in ipairs(guards) do
        local text
        text, guard.offset = tithe.console(guard.name, guard.offset)
        m.expect(not text:find("FAIL") and not text:find("exception"), "%s said: %s", guard.name,
            text:match("[^\n]*FAIL[^\n]*") or text:match("[^\n]*exception[^\n]*"))
        m.equal(tithe.info(guard.name).state, "running", guard.name)
        local good = 0
        for _ in text:gmatch("verify ok") do good = good + 1 end
        verified = verified + good
        for count, expected, longest in text:gmatch("ticks count=(%d+) expected=(%d+) longest_gap_us=(%d+)") do
            good = good + 1
            gap = math.max(gap, tonumber(longest))
            lost = math.max(lost, tonumber(expected) - tonumber(count))
        end
        if good == 0 then all = false end
    end
    return all, verified, gap, lost
end

-- After something: all guards go on, and nobody has noticed.
function m.unharmed(seconds)
    local verified, gap = 0, 0
    local seen = tithe.wait(seconds or 20, function()
        local all, v, g = m.look()
        verified, gap = verified + v, math.max(gap, g)
        return all
    end)
    m.expect(seen, "a guard has not been heard of for %d s", seconds or 20)
    return verified, gap
end

function m.balanced()
    local ledger = tithe.ledger()
    m.equal(ledger.differences, 0, "differences in the ledger, first " .. ledger.first)
    return ledger
end

return m
