-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Where the CPUs' time goes: what each CPU, each VM and each vCPU says adds up, also while a guest runs that never exits and
-- while a CPU has nothing to do. Arguments: how many CPUs there are, and "house" if the boot CPU runs no guests. All but one of
-- them are kept busy.

local m = require "machine"

local CPUS = math.tointeger(tonumber(tithe.args[1]))
local HOUSE = tithe.args[2] == "house"
local WATCH_S = 4

local function sum(list, field)
    local all = 0
    for _, each in ipairs(list) do all = all + each[field] end
    return all
end

-- Without guests all but the boot CPU halt, and nothing wakes them: that is told while it lasts.
local start = tithe.info()
m.equal(start.cpus, CPUS, "CPUs")
tithe.sleep(1)
local rested = tithe.info()
for i = 2, CPUS do
    local part = (rested.cpu[i].idle_ns - start.cpu[i].idle_ns) / (rested.now_ns - start.now_ns)
    m.expect(part > 0.85 and part < 1.15, "CPU %d has nothing to do, and idles for %.3f of its time", i - 1, part)
end

-- Guests that run for ever without a single exit of their own. The first one has a CPU for itself, where nothing ends its turns.
local function spinner(i)
    tithe.create { name = "spin" .. i, size = "4M", mite = "loop:forever:{spin:3600s}", append = "poll=0s" }
end
spinner(1)
tithe.sleep(1)
local early = tithe.snapshot()
tithe.sleep(1)
local late = tithe.snapshot()
local alone = (late.vms[1].cpu_ns - early.vms[1].cpu_ns) / (late.host.now_ns - early.host.now_ns)
m.expect(alone > 0.5 and alone < 1.5, "a guest that runs all the time has had %.3f of a CPU", alone)
for i = 2, CPUS - 1 do spinner(i) end
tithe.create { name = "wide", size = "4M", mite = "loop:forever:{idle:1s}", vcpus = 8, cpu_shares = 2000 }
tithe.sleep(1)

local before = tithe.snapshot()
tithe.sleep(WATCH_S)
local now = tithe.snapshot()
local all_ns = now.host.now_ns - before.host.now_ns

-- Each CPU's parts make up its time, but for the core's, which does little here, and for a turn or two of 100 ms that began before or go
-- on; on a busy build host they may be longer.
for i = 1, CPUS do
    local is, was = now.host.cpu[i], before.host.cpu[i]
    local guest, steward = is.guest_ns - was.guest_ns, is.steward_ns - was.steward_ns
    local part = (guest + steward + is.idle_ns - was.idle_ns) / all_ns
    m.say("CPU %d: guests %.1f%%, steward %.1f%%, all %.1f%%", i - 1, 100 * guest / all_ns, 100 * steward / all_ns, 100 * part)
    m.expect(part > 0.75 and part < 1.2, "CPU %d: guests, steward and idle are %.3f of its time", i - 1, part)
    m.expect(is.guest_ns + is.steward_ns + is.idle_ns <= now.host.now_ns * 1.01, "CPU %d: more than the time since boot", i - 1)
    m.expect(steward == 0 or i == 1, "the steward runs on CPU %d", i - 1)
end
m.equal(now.host.cpu[1].guest_ns == 0, HOUSE, "the boot CPU runs no guests")
m.equal(now.host.idle_ns, sum(now.host.cpu, "idle_ns"), "the machine's idle time")

-- What VMs have had is what CPUs have given.
local given = (sum(now.host.cpu, "guest_ns") - sum(before.host.cpu, "guest_ns")) / all_ns
local had = (sum(now.vms, "cpu_ns") - sum(before.vms, "cpu_ns")) / all_ns
m.say("CPUs have given guests %.2f of a CPU, VMs have had %.2f", given, had)
m.expect(math.abs(given - had) < 0.05 * CPUS, "CPUs have given guests %.3f, VMs have had %.3f", given, had)
for i, vm in ipairs(now.vms) do
    local part = (vm.cpu_ns - before.vms[i].cpu_ns) / all_ns
    m.equal(#vm.vcpu, vm.vcpus, vm.name .. "'s vCPUs")
    m.equal(sum(vm.vcpu, "cpu_ns"), vm.cpu_ns, vm.name .. "'s time, over its vCPUs")
    for _, v in ipairs(vm.vcpu) do m.expect(v.cpu < CPUS, "%s has a vCPU on CPU %d", vm.name, v.cpu) end
    if vm.name ~= "wide" then
        m.expect(part > 0.7 and part < 1.2, "%s has had %.3f of a CPU, which it could have for itself", vm.name, part)
        m.equal(vm.vcpu[1].state, "runnable", vm.name .. "'s vCPU")
    else
        m.expect(part < 0.2, "%s sleeps, and has had %.3f of a CPU", vm.name, part)
        m.equal(vm.vcpu[8].state, "stopped", "a vCPU that its guest has not started")
        m.equal(vm.cpu_shares, 2000, "its CPU shares")
    end
end

-- What the core says to CPU shares and vCPUs that cannot be.
tithe.cpu_shares("wide", 1000000)
m.equal(tithe.info("wide").cpu_shares, 1000000, "CPU shares")
for _, shares in ipairs { 0, 1000001 } do m.refused("1 to 1000000", tithe.cpu_shares, "wide", shares) end
for _, vcpus in ipairs { 0, 9, 1 << 32 } do
    m.refused("1 to 8", tithe.create, { name = "no", size = "4M", mite = "idle", vcpus = vcpus })
end
m.refused("shares", tithe.create, { name = "no", size = "4M", mite = "idle", cpu_shares = 1000001 })
m.refused("no .*nobody", tithe.cpu_shares, "nobody", 5)

-- The same by name, and a counter for each lock.
local stats = tithe.stats()
for i = 0, CPUS - 1 do
    m.expect(stats[("cpu%d.idle_ns"):format(i)] >= now.host.cpu[i + 1].idle_ns, "cpu%d.idle_ns", i)
    for _, lock in ipairs { "sched", "timers", "frames" } do
        m.expect(stats[("lock.cpu%d.%s"):format(i, lock)], "lock.cpu%d.%s", i, lock)
    end
end
for _, lock in ipairs { "frames", "events", "log", "vm1.devices", "vm1.p2m" } do
    m.expect(stats["lock." .. lock], "no lock.%s", lock)
end

-- Nothing that was counted is forgotten with its VM.
for _, vm in ipairs(now.vms) do tithe.destroy(vm.id) end
local after = tithe.stats()
for _, name in ipairs { "exits.hlt", "exits.interrupt", "first_touches" } do
    m.expect(after[name] >= stats[name] and stats[name] > 0, "%s: %d, and then %d", name, stats[name], after[name])
end
m.expect(not after["lock.vm1.p2m"], "a lock of a VM that is gone")
m.balanced()
