-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Everything at once for a while, in an order that a seed decides: guests with more vCPUs in all than there are CPUs that
-- verify their data all the time, created, destroyed, paused, rebooted, crashed; targets by hand and by policies, one of which
-- swaps, that replace each other; shares, ledgers. Every guest's script ends by itself. When the time is over the last ones are
-- waited for, and then nothing may be left of any of them. What comes next depends on what has ended meanwhile: the same seed
-- makes a run alike, not the same. Arguments: seconds of the host's, seed (a number), then "slow" for a machine that is, and
-- "linux" for Linux guests among the others.

local m = require "machine"

local SECONDS, SEED = tonumber(tithe.args[1]), math.tointeger(tonumber(tithe.args[2]))
local WORDS = { [tithe.args[3] or ""] = true, [tithe.args[4] or ""] = true }
local SLOW, LINUX = WORDS.slow, WORDS.linux
local SILENCE_S = 120  -- how long a guest that is not paused may say nothing, by the slower of the two clocks
local PAUSE_STEPS = 12 -- the longest pause
local VMS = 9
local MIB = 256        -- pages
local TOLD_S = 30      -- a line about the progress so often

m.expect(SECONDS and SEED, "the arguments are: seconds, seed")
local LONG = SECONDS >= 300 -- everything has had its turn
math.randomseed(SEED)

local cpus = tithe.info().cpus
local vms, made, step, began = {}, 0, 0, tithe.host_now()
local counts, history = {}, {}

-- The machine's time, or the host's, whichever has gone on less: a busy host is no fault of a guest's.
local function clock() return math.min(tithe.now(), tithe.host_now() - began) end

local function count(what) counts[what] = (counts[what] or 0) + 1 end

-- What was done last, for the failure's report.
local function note(format, ...)
    history[#history + 1] = ("%d (%.0f s): "):format(step, tithe.host_now() - began) .. format:format(...)
    if #history > 40 then table.remove(history, 1) end
end

local function pick(list) return list[math.random(#list)] end

local function total(field)
    local sum = 0
    for _, vm in ipairs(vms) do sum = sum + vm[field] end
    return sum
end

-- ---- Guests ---------------------------------------------------------------------------------------------------------

-- What each kind does, and how it must end. `hold` is what it has data in, in MiB; it always has that twice.
local ENDS = {
    { text = "exit:%d", reason = "exit" },
    { text = "exit:%d", reason = "exit" },
    { text = "poweroff", reason = "poweroff" },
    { text = "crash", reason = "crash" },
}

local DISKS = { "guest-1", "guest-2", "guest-3" }

-- One that nobody has, for some; nil.
local function free_disk()
    local disk = pick(DISKS)
    for _, vm in ipairs(vms) do if vm.disk == disk then return end end
    return tithe.info().swap_pages > 0 and disk or nil
end

local function mite_script(hold, last, disk)
    local like = ({ ":unique", ":quarter", ":half", ":alike" })[made % 4 + 1]
    local ms = pick { 100, 250, 400 } // (SLOW and 4 or 1)
    local round = ("together:%dM:%dms:%s,verify,free:%dM"):format(hold, ms, pick { "100us", "1ms", "5ms" }, hold)
    local other = pick {
        ("touch:%dM%s,rewrite:random:0.3,verify,idle:5ms,random:100,verify,free:%dM"):format(hold, like, hold),
        "fpu:20ms,idle:20ms", "burn:20ms", "ticks:50ms", "spin:20ms",
    }
    if disk then
        other = ("disk:16p:3,verify,blocks:32p:60,verify,touch:%dM%s,disk:%dM,verify,free:%dM,"):format(hold, like, hold, hold) .. other
    end
    return ("touch:1M%s,loop:%d:{%s,%s},verify,%s"):format(like, math.random(3, SLOW and 12 or 25), round, other, last)
end

local function create_mite()
    local how, code, vcpus = pick(ENDS), math.random(2, 120), math.random(1, 4)
    local hold = math.random(1, SLOW and 2 or 3)
    local vm = { vcpus = vcpus, size = (hold * 3 + math.random(5, 8)) * MIB, reason = how.reason,
        code = how.reason == "exit" and code or nil, good = "verify ok" }
    local last = how.text:format(code)
    if math.random(6) == 1 then -- again and again, until it is destroyed
        vm.reboots, last = true, "reboot"
    end
    vm.disk = free_disk()
    vm.mite = mite_script(hold, last, vm.disk)
    vm.append = ("seed=%d vcpus=all wait=60s timer=%s%s"):format(made, pick { "deadline", "one-shot", "periodic" },
        pick { "", " x2apic" })
    return vm
end

local function create_linux()
    return { vcpus = math.random(1, 3), size = 96 * MIB, min = 76 * MIB, reason = "poweroff", good = "memload: PASS", linux = true,
        append = ("tithe.seed=%d tithe.run=loop:%d:(touch:8M,verify,rewrite,verify,free) tithe.then=poweroff"):format(made,
            math.random(5, 20)) }
end

local function any_linux()
    for _, vm in ipairs(vms) do if vm.linux then return true end end
    return false
end

local function create()
    if #vms >= VMS then return end
    made = made + 1
    local vm = LINUX and not any_linux() and create_linux() or create_mite()
    vm.name, vm.offset, vm.heard, vm.max = "vm" .. made, 0, clock(), vm.size
    local ok, answer = pcall(tithe.create, vm)
    if not ok then -- a policy may say that the minimums do not fit
        -- Or the last requests of the partition's former VM are under way yet, or frames within the disk's reach are few.
        if vm.disk and type(answer) == "table" and (answer.code == "not-found" or answer.code == "no-memory") then
            count("disks " .. answer.code)
            return
        end
        if type(answer) ~= "table" or answer.code ~= "refused" then error(answer, 0) end
        count "creations refused"
        return
    end
    vm.id = answer.id
    vms[#vms + 1] = vm
    count "created"
    note("create %s: %d vCPUs, %s, %s", vm.name, vm.vcpus, tithe.size(vm.size), vm.mite or vm.append)
end

local function forget(vm)
    for i, other in ipairs(vms) do if other == vm then table.remove(vms, i) end end
end

-- What its console has said up to now, since the last time: nothing bad.
local function listen(vm)
    local text, upto = "", nil
    repeat -- it may go on all the time
        local chunk = tithe.call("console-read", { vm = vm.id, offset = vm.offset })
        if #chunk.data > 0 then vm.heard = clock() end
        text, vm.offset, upto = text .. chunk.data, chunk.offset + #chunk.data, upto or chunk.total
    until vm.offset >= upto
    for _, bad in ipairs { "FAIL", "exception", "stuck", "bad script", "Kernel panic", "BUG:", "rcu:.*stall" } do
        m.expect(not text:find(bad), "%s said: %s", vm.name, text:match("[^\n]*" .. bad .. "[^\r\n]*"))
    end
    for _ in text:gmatch(vm.linux and "verify ok" or "[ry] ok") do -- "together ok", "verify ok"
        count "verified"
    end
    vm.passed = vm.passed or text:find(vm.good) ~= nil
end

local function destroy(vm)
    listen(vm)
    tithe.destroy(vm.id)
    forget(vm)
end

-- Everybody says nothing wrong, goes on, and ends as its script does.
local function look()
    local infos = {}
    for _, info in ipairs(tithe.list()) do infos[info.id] = info end -- a snapshot is long for a serial line
    for _, vm in ipairs(table.move(vms, 1, #vms, 1, {})) do
        local info = m.expect(infos[vm.id], "%s is not there", vm.name)
        listen(vm)
        if info.state == "stopped" then
            info = tithe.info(vm.id)
            m.expect(not vm.reboots, "%s has stopped by %s", vm.name, info.stop_reason)
            m.equal(info.stop_reason, vm.reason, vm.name .. "'s end")
            if vm.code then m.equal(info.exit_code, vm.code, vm.name .. "'s exit code") end
            m.equal(info.consumed_pages, 0, vm.name .. "'s pages after its end")
            m.expect(vm.passed, "%s has ended and never verified its data", vm.name)
            note("%s has ended by %s", vm.name, info.stop_reason)
            count("ended by " .. info.stop_reason)
            destroy(vm)
        elseif not vm.paused then
            m.expect(clock() - vm.heard < SILENCE_S, "%s has said nothing for %d s", vm.name, SILENCE_S)
        end
    end
end

-- ---- What is done to them -------------------------------------------------------------------------------------------

-- A VM may have ended since it was last looked at: then it says so, and nothing was done.
local function if_alive(f, ...)
    local ok, answer = pcall(f, ...)
    if not ok and (type(answer) ~= "table" or not tostring(answer):find("has ended")) then error(answer, 0) end
    return ok
end

local function unpause(vm)
    if vm.suspended then
        if_alive(tithe.resume, vm.id, math.random(2) == 1 and vm.size // 4096 or 0)
    else
        if_alive(tithe.unpause, vm.id)
    end
    vm.paused, vm.suspended, vm.heard = nil, nil, clock()
end

-- Of the machine's policies, and one that now and then does to every guest what else a plan can.
local function everything()
    local file = assert(io.open("policy-lua/equal.lua"))
    local source = file:read("a"):gsub("return policy%s*$", "") .. [[
local random, balance = math.random, policy.tick

local function pick(...) return (select(random(select("#", ...)), ...)) end

-- Each with its odds in a tick: 1 to so many.
local deeds = {
    [function(vm) return { verb = "sample", pages = random(0, 300), method = pick("abit", "unmap") } end] = 6,
    [function(vm) return { verb = "populate", pages = pick(0, vm.size_pages // 8) } end] = 12,
    [function(vm)
        return { verb = "scan", pages = pick(100, vm.size_pages), order = pick("random", "sequential", "unshared_last", "hinted") }
    end] = 4,
    [function(vm) return { verb = "share-group", group = pick(0, 1, 1, 2) } end] = 15,
    [function(vm) return { verb = "colour", colours = pick(0, random(0, 0xff)), pages = pick(0, 500) } end] = 20,
    [function(vm)
        return { verb = "compress", pages = pick(0, 20, vm.size_pages // 10, vm.size_pages // 3), percent = pick(0, 30, 60, 75) }
    end] = 10,
    [function() return { verb = "double-paging", avoid = pick(0, 1, 1) } end] = 10,
    [function(vm, host)
        if host.swap_pages == 0 and vm.store_limit_pages == 0 then return end
        return { verb = "swap_out", pages = vm.consumed_pages // OUT, pick = pick("random", "cold") }
    end] = 2,
    [function(vm) if vm.swapped_pages > 0 then return { verb = "prefetch", pages = vm.swapped_pages } end end] = 7,
    [function(vm) if vm.disk then return { verb = "remap", pages = 20, copies = 2 } end end] = 2,
    [function(vm) return { verb = "vacate", pages = 40, which = pick("any", "cold") } end] = 2,
}

function policy.tick(host, vms)
    local plan = balance(host, vms) or {}
    for _, vm in ipairs(vms) do
        for deed, odds in pairs(deeds) do
            local action = random(odds) == 1 and deed(vm, host)
            if action then
                action.vm = vm.id
                plan[#plan + 1] = action
            end
        end
    end
    return plan
end

policy.event = policy.tick
return policy
]]
    file:close()
    -- Where reading a page takes as long as a tick, guests would do nothing but wait for theirs.
    return m.policy("everything", ("local OUT = %d\n"):format(SLOW and 40 or 4) .. source)
end
local EVERYTHING, policies = everything(), { "sharing", "proportional", "remapped", "equal", "coloured", "tiered", "sampled" }
local back = 0 -- the step at which it is in charge again

local function next_policy()
    tithe.policy_load(policies[1])
    table.insert(policies, table.remove(policies, 1))
    back = step + math.random(PAUSE_STEPS)
    return true
end

local function policy_back()
    if step == back then tithe.policy_load(EVERYTHING) end
end

local ACTIONS = {
    { 6, "created", create },
    { 2, "destroyed", function(vm)
        destroy(vm)
        return true
    end },
    { 3, "paused", function(vm)
        if vm.paused or not if_alive(tithe.pause, vm.id) then return end
        vm.paused = step + math.random(PAUSE_STEPS)
        return true
    end },
    { 3, "suspended", function(vm)
        if vm.paused or tithe.info().swap_pages == 0 then return end
        local ok, why = pcall(tithe.suspend, vm.id)
        if not ok then
            m.expect(tostring(why):find("has ended") or tostring(why):find("no room"), "not suspended: %s", tostring(why))
            return
        end
        vm.paused, vm.suspended = step + math.random(PAUSE_STEPS), true
        return true
    end },
    { 6, "target", function(vm)
        local least = vm.linux and 80 * MIB or vm.size // 2
        return if_alive(tithe.mem_set, vm.id, math.random(3) == 1 and "auto" or math.random(least, vm.max))
    end },
    { 2, "max", function(vm)
        vm.max = math.random(vm.size * 7 // 8, vm.size)
        return if_alive(tithe.mem_max, vm.id, vm.max)
    end },
    { 2, "shares", function(vm) return if_alive(tithe.shares, vm.id, pick { 100, 1000, 5000 }) end },
    { 2, "CPU shares", function(vm)
        return if_alive(tithe.cpu_shares, vm.id, pick(SLOW and { 250, 1000, 4000 } or { 50, 1000, 8000 }))
    end },
    { 1, "policy", next_policy },
    { 1, "ledger", function()
        m.balanced()
        return true
    end },
}

local weights = 0
for _, action in ipairs(ACTIONS) do weights = weights + action[1] end

local function act()
    local at = math.random(weights)
    for _, action in ipairs(ACTIONS) do
        at = at - action[1]
        if at <= 0 then
            if action[3] == create then return create() end
            local vm = #vms > 0 and pick(vms)
            if vm and action[3](vm) then
                count(action[2])
                note("%s of %s", action[2], vm.name)
            end
            return
        end
    end
end

local function unpause_due(all)
    for _, vm in ipairs(vms) do if vm.paused and (all or vm.paused <= step) then unpause(vm) end end
end

-- ---- The time in between, and the end -------------------------------------------------------------------------------

local function summary()
    local names, text = {}, {}
    for name in pairs(counts) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do text[i] = ("%s %d"):format(name, counts[name]) end
    return table.concat(text, ", ")
end

local function soak()
    local told, most, sum = 0, 0, 0
    policy_back()
    while tithe.host_now() - began < SECONDS do
        step = step + 1
        if #vms < 5 or total("vcpus") <= 2 * cpus then create() end
        act()
        policy_back()
        unpause_due()
        look()
        most, sum = math.max(most, total("vcpus")), sum + total("vcpus")
        local gone = tithe.host_now() - began
        if gone - told >= TOLD_S then
            told = gone
            m.say("%.0f s, %.0f s of the machine's: %d VMs with %d vCPUs on %d CPUs; %s", gone, tithe.now(), #vms, total("vcpus"), cpus,
                summary())
        end
        if not SLOW then tithe.sleep_host(math.random() * 0.2) end
    end
    m.say("at most %d vCPUs, %.1f in the mean, on %d CPUs", most, sum / step, cpus)

    -- The last ones end by themselves, but for those that would go on for ever; and sooner when nothing is swapped.
    tithe.policy_load("equal")
    step = step + 1
    unpause_due(true)
    for _, vm in ipairs(table.move(vms, 1, #vms, 1, {})) do
        if_alive(tithe.mem_max, vm.id, vm.size)
        if_alive(tithe.mem_set, vm.id, "auto")
        if vm.reboots then
            counts.rebooted = (counts.rebooted or 0) + tithe.info(vm.id).reboots
            destroy(vm)
        end
    end
    local ending = tithe.host_now()
    while #vms > 0 do
        look()
        tithe.sleep_host(0.2)
    end
    m.say("the last guests ended after %.0f s more", tithe.host_now() - ending)

    local stats = tithe.stats()
    m.say("swap: %d pages out, %d in, %d not written, %d for their disks have them, %d not read", stats["swap.pages_out"],
        stats["swap.pages_in"], stats["swap.pages_unwritten"], stats["swap.writes_avoided"], stats["swap.reads_avoided"])
    m.say("compression: %d pages tried, %d too long, %d expanded, %d evicted", stats["compress.pages_tried"],
        stats["compress.pages_poor"], stats["compress.pages_expanded"], stats["compress.pages_evicted"])
    m.expect(not LONG or stats["share.pages_copied"] > 0, "no shared page was written to")
    m.expect(not LONG or stats["compress.pages_expanded"] > 0, "no compressed page was wanted")
    m.expect(tithe.info().swap_pages == 0 or stats["swap.pages_in"] > 0, "no page has come back from swap")
    m.equal(stats["swap.errors"] + stats["swap.corrupt_pages"], 0, "requests to swap that failed")
    m.say("sharing: %d pages looked at, %d shared, %d copied when written to", stats["share.pages_scanned"],
        stats["share.pages_hit"] + stats["share.hints_hit"], stats["share.pages_copied"])
    m.say("disks: %d pieces copied, %d direct; %d pages remapped, %d moved out", stats["disk.copied_pieces"],
        stats["disk.direct_pieces"], stats["disk.remapped_pages"], stats["disk.vacated_pages"])
    m.equal(tithe.info().steward_restarts, 0, "restarts of the steward")
    m.expect((counts.verified or 0) > 0, "no guest has verified its data")
    local ledger = m.balanced()
    m.equal(ledger.guest_pages, 0, "guests' pages when all are gone")
    m.equal(#tithe.list(), 0, "VMs that are left")
end

m.say("seed %d, %d s", SEED, SECONDS)
local ok, e = pcall(soak)
m.say("%s", summary())
if not ok then
    m.say("FAILED: %s", tostring(e))
    for _, line in ipairs(history) do m.say("%s", line) end
    pcall(function()
        for _, v in ipairs(tithe.snapshot().vms) do
            m.say("%s: %s, target %s, consumed %s, balloon %s of %s", v.name, v.state, tithe.size(v.target_pages),
                tithe.size(v.consumed_pages), tithe.size(v.balloon_actual_pages), tithe.size(v.balloon_target_pages))
            for i, c in ipairs(v.vcpu or {}) do m.say("    vCPU %d: %s on CPU %d, %.3f s", i - 1, c.state, c.cpu, c.cpu_ns / 1e9) end
            local said = tithe.call("console-read", { vm = v.id, offset = math.max(v.console_offset - 300, 0) }).data
            m.say("    %s", (said:gsub("%s*\r?\n", " | ")))
        end
    end)
    error(e, 0)
end
