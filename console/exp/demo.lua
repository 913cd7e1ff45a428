-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- The demonstration: Linux guests whose sizes add up to more than the machine's memory, demand that moves between
-- them, and a policy that is replaced half way. Run by `tithe demo`. All times are the machine's own.

local o = tithe.options
local quiet = tithe.json
local memory = o.memory or "512M"
local vm_count = math.tointeger(tonumber(o.vms or 4)) or 0
local rounds = math.tointeger(tonumber(o.rounds or 1)) or 0

local MIB = 256              -- pages
local BUSY_S = 8             -- how long a guest holds its load
local TURN_S = 300           -- for filling or freeing
local SETTLE_S = 60          -- the longest a policy may take to bring memory where it wants it
local BASE = 60 * MIB        -- what a guest that does nothing needs, kernel and all
local LEAST = 72 * MIB       -- the min of every guest
local SHOW_S = 5             -- a snapshot on the screen every so many seconds of the host's
local BOOT_S = 600           -- for all guests to boot

local function check_range(option, value, least, most)
    if value >= least and value <= most then return end
    tithe.fail(2, option, ("is not a number from %d to %d"):format(least, most), "give one of these")
end
check_range("--vms", vm_count, 2, 64)
check_range("--rounds", rounds, 1, 20)

local function say(format, ...)
    if quiet then
        io.stderr:write("demo: ", format:format(...), "\n")
    else
        print("== " .. format:format(...))
        io.stdout:flush()
    end
end

local checks, failed = {}, false

local function check(name, ok, detail)
    checks[#checks + 1] = { name = name, ok = ok and true or false, detail = detail or "" }
    if not ok then failed = true end
    say("%s: %s%s", ok and "ok" or "FAILED", name, detail and (" (" .. detail .. ")") or "")
end

-- ---- The machine ---------------------------------------------------------------------------------------------------

local words = { "--memory", memory, "--cpus", o.cpus or "auto", "--name", o.name or "demo", "--timeout", o.timeout or "3600" }
for _, name in ipairs { "hw", "firmware", "sim-command" } do
    if o[name] then
        words[#words + 1] = "--" .. name
        words[#words + 1] = o[name]
    end
end
local machine_pages = tithe.pages(memory, "memory")
local size = o["vm-size"] and tithe.pages(o["vm-size"], "vm-size")
    or (machine_pages * 3 // 2 // vm_count + MIB - 1) // MIB * MIB
local overcommit = size * vm_count / machine_pages

say("starting a machine with %s", tithe.size(machine_pages))
local began_host = tithe.host_now()
local name, hw, firmware, why = tithe.start(table.unpack(words))
if why ~= "" then say("%s", why) end
local host = tithe.info()
local is_sim = host.vendor == "sim"
say("machine '%s' is up after %.0f s: %s (--hw %s --firmware %s), %d CPU%s, %s free of %s", name,
    tithe.host_now() - began_host, host.machine, hw, firmware, host.cpus, host.cpus == 1 and "" or "s",
    tithe.size(host.free_pages), tithe.size(host.total_pages))

-- ---- The load: what fits ------------------------------------------------------------------------------------------

-- First half: as much as fits when half of the guests are busy and memory goes where it is needed. Second half: what
-- everybody can have at once.
local budget = host.total_pages * 94 // 100 - host.core_pages - host.overhead_pages - vm_count * 2 * MIB
local busy = vm_count // 2
local function load_of(pages) return math.max((pages - BASE) // (4 * MIB) * 4 * MIB, 0) end
local share_of_busy = math.min((budget - (vm_count - busy) * LEAST) // (vm_count - busy), size)
local big = o.load and tithe.pages(o.load, "load") or load_of(share_of_busy * 78 // 100)
local small = math.min(load_of(budget // vm_count * 9 // 10), big)
if not is_sim and (small < 4 * MIB or budget < vm_count * LEAST) then
    tithe.fail(2, "demo", ("%s is too little for %d Linux guests"):format(memory, vm_count),
        "give the machine more --memory, or take fewer --vms")
end

-- Every guest waits for its turn, fills, verifies, and holds until it is told to let go. Turns are lines typed at its
-- console, so that the demonstration goes the same way on a fast machine and on a slow one.
local function script()
    local function turn(load) return ("await,touch:%dM,verify,keep,verify,free"):format(load // MIB) end
    return ("loop:%d:(%s),%s"):format(rounds, turn(big), turn(small))
end

-- ---- The guests ---------------------------------------------------------------------------------------------------

local vms, by_id = {}, {}
local wide = host.cpus > 1 -- the first guest has two virtual CPUs then
for i = 1, vm_count do
    local made = tithe.create {
        name = "linux" .. i, size = size, min = math.min(LEAST, size), shares = 1000, vcpus = wide and i == 1 and 2 or 1,
        append = not is_sim and ("tithe.seed=%d tithe.run=%s"):format(i, script()) or nil,
    }
    local vm = { id = made.id, name = made.name, index = i, offset = 0, text = "", frees = 0 }
    vms[i], by_id[vm.id] = vm, vm
end
say("%d Linux guests of %s%s: %.2f times the machine's memory", vm_count, tithe.size(size),
    wide and ", the first with two virtual CPUs" or "", overcommit)
check("sizes add up to at least 1.5 times the machine's memory", overcommit >= 1.5, ("%.2f"):format(overcommit))
if not is_sim then
    say("each fills and verifies %s under the first policy, %s under the second", tithe.size(big), tithe.size(small))
end

-- What a guest's console says about its workload.
local function listen(vm)
    local text
    text, vm.offset = tithe.console(vm.id, vm.offset)
    vm.text = vm.text .. text
    for line in vm.text:gmatch("([^\n]*)\n") do
        if line:find("tithe%-guest: ready") then vm.ready = true end
        if line:find("phase=await") then vm.waits = true end
        if line:find("phase=touch") then vm.holding = true end
        if line:find("phase=keep") then vm.kept = true end
        if line:find("phase=free") then vm.holding, vm.frees = false, vm.frees + 1 end
        if line:find("memload: PASS") then vm.pass = true end
        if line:find("FAIL") or line:find("BUG:") or line:find("Kernel panic") or line:find("Out of memory") then
            vm.fail = vm.fail or line:gsub("\r", "")
        end
    end
    vm.text = vm.text:match("[^\n]*$")
end

-- ---- Watching -----------------------------------------------------------------------------------------------------

local samples, shown_at = {}, 0

local function look()
    if not is_sim then for _, vm in ipairs(vms) do listen(vm) end end
    local s = tithe.snapshot()
    local sample = { s = s.host.now_ns / 1e9, policy = s.host.policy, free = s.host.free_pages, vms = {} }
    for _, v in ipairs(s.vms) do
        local vm = by_id[v.id]
        if vm then
            sample.vms[#sample.vms + 1] = {
                name = v.name, target = v.target_pages, consumed = v.consumed_pages, busy = vm.holding or false,
            }
            if v.state == "stopped" then vm.fail = vm.fail or "stopped: " .. (v.stop_reason or "?") end
        end
    end
    samples[#samples + 1] = sample
    if not quiet and tithe.host_now() - shown_at > SHOW_S then
        tithe.show()
        shown_at = tithe.host_now()
    end
    for _, vm in ipairs(vms) do
        if vm.fail then tithe.fail(5, vm.name, vm.fail, "its console says more") end
    end
    return sample
end

local function every(group, test)
    for _, vm in ipairs(group) do if not test(vm) then return false end end
    return true
end

local function all(test) return every(vms, test) end

local function wait_until(seconds, what, test)
    local done = tithe.wait(seconds, function() return test(look()) end, 0.3)
    if done then return end
    tithe.fail(5, "demo", ("%s did not happen within %d s"):format(what, seconds), "see the guests' consoles")
end

-- Mean target of the guests that hold data, and of the others; nil when there are only one kind.
local function targets(sample)
    local sum, n = { [true] = 0, [false] = 0 }, { [true] = 0, [false] = 0 }
    for _, v in ipairs(sample.vms) do sum[v.busy], n[v.busy] = sum[v.busy] + v.target, n[v.busy] + 1 end
    if n[true] == 0 or n[false] == 0 then return nil end
    return sum[true] / n[true], sum[false] / n[false]
end

-- How far the targets lie apart, in parts of their mean.
local function spread(sample)
    local least, most, sum = math.huge, 0, 0
    for _, v in ipairs(sample.vms) do
        least, most, sum = math.min(least, v.target), math.max(most, v.target), sum + v.target
    end
    return (most - least) / (sum / #sample.vms)
end

-- The guests of a group fill, verify and hold; BUSY_S later they verify again and let go. `watch` sees every sample.
local function turn(group, watch)
    local function step(what, seconds, test)
        wait_until(seconds, what, function(sample)
            watch(sample)
            return test(sample)
        end)
    end
    step("the guests' readiness", BOOT_S, function() return every(group, function(vm) return vm.waits end) end)
    for _, vm in ipairs(group) do
        vm.waits, vm.kept = false, false
        tithe.send(vm.id, "\n")
    end
    step("the filling of memory", TURN_S, function() return every(group, function(vm) return vm.kept end) end)
    local since = tithe.now()
    step("holding", TURN_S, function(sample) return sample.s - since > BUSY_S end)
    local freed = {}
    for _, vm in ipairs(group) do
        freed[vm] = vm.frees
        tithe.send(vm.id, "\n")
    end
    step("the freeing of memory", TURN_S, function()
        return every(group, function(vm) return vm.frees > freed[vm] end)
    end)
end

local function percent(part) return ("%.0f%%"):format(part * 100) end

-- ---- First half ---------------------------------------------------------------------------------------------------

local first, second = "proportional", "equal"
if tithe.info().policy ~= first then tithe.policy_load(first) end

local moved, moved_at = 0, nil
if is_sim then
    wait_until(600, "movement of memory", function(s) return spread(s) > 0.2 end)
    moved = spread(samples[#samples])
    check("the policy moves memory", true, "targets lie " .. percent(moved) .. " apart")
else
    wait_until(BOOT_S, "the boot of all guests", function() return all(function(vm) return vm.ready end) end)
    say("all guests are up after %.0f s of the machine's time", tithe.now())
    local halves = { {}, {} }
    for i, vm in ipairs(vms) do table.insert(halves[i % 2 + 1], vm) end
    for _ = 1, rounds do
        for _, group in ipairs(halves) do
            turn(group, function(sample)
                local busy_target, idle_target = targets(sample)
                if busy_target and (busy_target - idle_target) / idle_target > moved then
                    moved, moved_at = (busy_target - idle_target) / idle_target, sample.s
                end
            end)
        end
    end
    local at = moved_at and (", at %.0f s"):format(moved_at) or ""
    check("under " .. first .. " memory goes to the busy guests", moved > 0.15,
        "at best " .. percent(moved) .. " more than the others" .. at)
end

-- ---- Another policy -----------------------------------------------------------------------------------------------

local apart = spread(samples[#samples])
local changed_at = tithe.now()
tithe.policy_load(second)
say("at %.1f s the policy was replaced: %s, where it was %s", changed_at, second, first)
local even = tithe.wait(SETTLE_S, function() return spread(look()) < 0.05 end, 0.3)
check("under " .. second .. " all guests get the same", even,
    ("targets were %s apart, now %s"):format(percent(apart), percent(spread(samples[#samples]))))

-- ---- Second half, and the end -------------------------------------------------------------------------------------

if is_sim then
    tithe.wait(10, function() look() end, 0.3)
else
    local uneven = 0
    turn(vms, function(sample) uneven = math.max(uneven, spread(sample)) end)
    wait_until(SETTLE_S, "the end of the workloads", function() return all(function(vm) return vm.pass end) end)
    check("whoever is busy", uneven < 0.10, "targets at most " .. percent(uneven) .. " apart")
    check("every guest found its data as it wrote it", all(function(vm) return vm.pass end),
        "memload: PASS on every console")
end
if wide then
    local first_vm = tithe.info(vms[1].id)
    check("the first guest has used both of its CPUs", first_vm.vcpu[1].cpu_ns > 0 and first_vm.vcpu[2].cpu_ns > 0,
        ("%.1f s and %.1f s"):format(first_vm.vcpu[1].cpu_ns / 1e9, first_vm.vcpu[2].cpu_ns / 1e9))
end
local last = tithe.info()
check("the steward never died", last.steward_restarts == 0, last.steward_restarts .. " restarts")
local ledger = tithe.ledger()
local balances = ledger.differences == 0
check("the ledger balances", balances, balances and tithe.size(ledger.total_pages) or ledger.first)

-- ---- Who had how much when ------------------------------------------------------------------------------------------

local function rows()
    local list, step = {}, math.max((samples[#samples].s - samples[1].s) / 14, 1)
    local due, policy = samples[1].s, nil
    for _, sample in ipairs(samples) do
        if sample.s >= due or sample.policy ~= policy then
            list[#list + 1] = sample
            due, policy = sample.s + step, sample.policy
        end
    end
    return list
end

local function print_table()
    print()
    print("Who had how much when: target (used), * holds data")
    local line = ("%8s  %-13s"):format("time", "policy")
    for _, vm in ipairs(vms) do line = line .. ("  %-16s"):format(vm.name) end
    print(line .. "  free")
    for _, sample in ipairs(rows()) do
        line = ("%6.0f s  %-13s"):format(sample.s, sample.policy)
        for _, v in ipairs(sample.vms) do
            local cell = ("%s (%s)%s"):format(tithe.size(v.target), tithe.size(v.consumed), v.busy and " *" or "")
            line = line .. ("  %-16s"):format(cell)
        end
        print(line .. "  " .. tithe.size(sample.free))
    end
    print()
end

local function plot(file)
    local kind = file:match("%.svg$") and "svg size 900,500" or file:match("%.png$") and "pngcairo size 900,500"
    if not kind then tithe.fail(2, "--plot", "is neither .svg nor .png", "name such a file") end
    if not os.execute("command -v gnuplot >/dev/null 2>&1") then
        return say("no plot: there is no gnuplot (package gnuplot-nox)")
    end
    local data = { "$d << EOD" }
    for _, sample in ipairs(samples) do
        local line = { ("%.2f"):format(sample.s) }
        for _, v in ipairs(sample.vms) do
            line[#line + 1] = ("%.2f %.2f"):format(v.target / MIB, v.consumed / MIB)
        end
        data[#data + 1] = table.concat(line, " ")
    end
    data[#data + 1] = "EOD"
    local curves = {}
    for i, vm in ipairs(vms) do
        curves[#curves + 1] = ("$d using 1:%d with steps lw 2 lc %d title '%s target'"):format(2 * i, i, vm.name)
        curves[#curves + 1] = ("$d using 1:%d with lines dt 3 lc %d notitle"):format(2 * i + 1, i)
    end
    local gnuplot = io.popen("gnuplot", "w")
    gnuplot:write(table.concat(data, "\n"), "\nset terminal ", kind, "\nset output '", file, "'\n",
        "set title 'Memory of the guests: target (solid), used (dotted)'\nset xlabel 'seconds of the machine'\n",
        "set ylabel 'MiB'\nset key outside\nset yrange [0:*]\n",
        ("set arrow from %.2f, graph 0 to %.2f, graph 1 nohead dt 2\n"):format(changed_at, changed_at),
        ("set label '%s' at %.2f, graph 0.97 offset 1\n"):format(second, changed_at),
        "plot ", table.concat(curves, ", "), "\n")
    if gnuplot:close() then say("the allocations over time are drawn in %s", file) end
end

if not quiet then print_table() end
if o.plot then plot(o.plot) end

-- On a terminal the machine is the user's now.
if tithe.is_terminal() and not o.batch and not quiet then
    say("the demonstration %s. The machine goes on: q leaves the screen for a prompt", failed and "FAILED" or "passed")
    tithe.sleep_host(2)
    local next = "top"
    while next == "top" and tithe.screen() == "left" do next = tithe.prompt() end
end

local ending
if o.keep then
    tithe.keep()
    say("machine '%s' goes on; 'tithe --machine %s stop' ends it", name, name)
else
    local ok, how = pcall(tithe.stop)
    ending = ok and how or tostring(how)
    check("the machine ended well", ok, ending)
end

if quiet then
    tithe.print_json { ok = not failed, hw = hw, firmware = firmware, memory_pages = machine_pages, vm_pages = size,
        overcommit = overcommit, checks = checks, policy_changed_s = changed_at, samples = rows() }
end
say("%s after %.0f s", failed and "FAILED" or "passed", tithe.host_now() - began_host)
return failed and 5 or 0
