-- SPDX-License-Identifier: MIT
-- luacheck: globals tithe
-- The verbs of tithe as functions, for experiments. Every error is a table with status, code, thing, reason and mend
-- (tostring() of it is readable); let it through and `tithe exp run` prints it and ends with its status.

local call = tithe.call

-- The whole of a list that comes in several answers.
local function whole(verb, key)
    local all, after
    repeat
        local page = call(verb, { after = after })
        if not all then
            all = page
        else
            table.move(page[key], 1, #page[key], #all[key] + 1, all[key])
        end
        after = page.more
    until not after
    all.more = nil
    return all
end

function tithe.fail(status, thing, reason, mend)
    error(setmetatable({ status = status, code = "experiment", thing = thing, reason = reason, mend = mend or "" },
        { __tostring = function(e) return e.thing .. ": " .. e.reason end }), 0)
end

-- ok, answer or error table: for what is expected to be refused.
function tithe.try(verb, args)
    return pcall(call, verb, args)
end

function tithe.hello() return call("hello") end
function tithe.snapshot() return whole("snapshot", "vms") end
function tithe.list() return whole("list", "vms").vms end
function tithe.disks() return whole("disks", "disks").disks end
function tithe.images() return whole("images", "images").images end
function tithe.ledger() return call("ledger") end
function tithe.info(vm) return vm and call("info", { vm = vm }).vm or call("info").host end

function tithe.stats()
    local stats = {}
    for _, pair in ipairs(whole("stats", "stats").stats) do stats[pair[1]] = pair[2] end
    return stats
end

-- name = and size = are needed; also min, max, shares, vcpus, cpu_shares, kernel, module, cmdline, append, disk, mite, paused.
function tithe.create(vm)
    local kernel, module, cmdline = vm.kernel, vm.module, vm.cmdline
    if vm.mite then
        kernel, cmdline = "mite", "run=" .. vm.mite
    elseif not kernel then
        kernel, module, cmdline = "vmlinuz", module or "initrd", cmdline or tithe.linux_cmdline()
    end
    if vm.append then cmdline = (cmdline and cmdline .. " " or "") .. vm.append end
    local size = tithe.pages(vm.size, "size")
    return call("create", {
        name = vm.name,
        kernel = tithe.image(kernel),
        module = module and tithe.image(module),
        cmdline = cmdline,
        disk = vm.disk,
        size_pages = size,
        min_pages = vm.min and tithe.pages(vm.min, "min") or 0,
        max_pages = vm.max and tithe.pages(vm.max, "max") or size,
        shares = vm.shares,
        vcpus = vm.vcpus,
        cpu_shares = vm.cpu_shares,
        paused = vm.paused,
    })
end

function tithe.destroy(vm) return call("destroy", { vm = vm }) end
function tithe.pause(vm) return call("pause", { vm = vm }) end
function tithe.unpause(vm) return call("unpause", { vm = vm }) end
function tithe.suspend(vm) return call("suspend", { vm = vm }) end
function tithe.resume(vm, pages) return call("resume", { vm = vm, pages = pages }) end
function tithe.mem_set(vm, size)
    return call("mem-set", { vm = vm, pages = size == "auto" and size or tithe.pages(size) })
end
function tithe.mem_max(vm, size) return call("mem-max", { vm = vm, pages = tithe.pages(size) }) end
function tithe.mem_min(vm, size) return call("mem-min", { vm = vm, pages = tithe.pages(size) }) end
function tithe.shares(vm, shares) return call("shares", { vm = vm, shares = shares }) end

function tithe.share_group(vm, group) return call("share-group", { vm = vm, group = group }) end
function tithe.cpu_shares(vm, shares) return call("cpu-shares", { vm = vm, shares = shares }) end

function tithe.policy_check(source) return tithe.policy("policy-check", source) end
function tithe.policy_load(source) return tithe.policy("policy-load", source) end
function tithe.policy_rollback(reason) return call("policy-rollback", { reason = reason }) end
function tithe.policy_set(name, value) return call("policy-set", { name = name, value = value }) end
function tithe.policy_list() return call("policy-list").policies end
function tithe.policy_info() return call("policy-info") end

-- Events from a sequence number on, and the number to go on with.
function tithe.events(since)
    local all, seq = {}, since or 0
    while true do
        local page = call("events", { seq = seq })
        if #page.events == 0 then return all, page.next end
        table.move(page.events, 1, #page.events, #all + 1, all)
        seq = page.next
    end
end

-- What a console has shown from an offset on, and the offset to go on with.
function tithe.console(vm, offset)
    local pieces = {}
    offset = offset or 0
    while true do
        local chunk = call("console-read", { vm = vm, offset = offset })
        if #chunk.data == 0 then return table.concat(pieces), offset end
        pieces[#pieces + 1] = chunk.data
        offset = chunk.offset + #chunk.data
    end
end

function tithe.send(vm, text)
    while #text > 0 do
        local written = call("console-write", { vm = vm, data = { bytes = text:sub(1, 1024) } }).written
        text = text:sub(written + 1)
        if written == 0 then tithe.sleep_host(0.05) end
    end
end

-- Machine time, in seconds since its boot: emulated machines are slower than the clock on the wall, or faster.
function tithe.now() return tithe.info().now_ns / 1e9 end

-- Calls step() until it returns something true, which is returned, or until so many seconds of the machine's have gone
-- by: then nil. Looks again after `every` seconds of the host's.
function tithe.wait(seconds, step, every)
    local began = tithe.now()
    while true do
        local result = step()
        if result then return result end
        if tithe.now() - began > seconds then return nil end
        tithe.sleep_host(every or 0.2)
    end
end

function tithe.sleep(seconds) tithe.wait(seconds, function() end) end

function tithe.shutdown(code) return call("shutdown", { code = code }) end
