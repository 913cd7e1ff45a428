-- SPDX-License-Identifier: MIT
--
-- tithe.park: VMs that are suspended while memory is far too short, and resumed when it is back: one at a time, those
-- first that have not been active for longest.
--
-- The last of the paper's states (OSDI 2002, 6.3), in which VMs are stopped, and what Unix did by swapping processes
-- out. So that nobody waits for ever, room is made for who has waited long: by less for the others, which the policy
-- sees to (park.room), and if that is not enough, by parking another one.

local park = {}

local NS = 1000000000

-- Since when the VM is there, or back, and when it was last seen to be active: that it used more than so much of a
-- CPU between two looks.
local function look(s, host, vm, options)
    local now_ns = host.now_ns
    if not s then return { cpu_ns = vm.cpu_ns, ns = now_ns, active_ns = now_ns, since_ns = now_ns } end
    if (vm.cpu_ns - s.cpu_ns) * 100 > (now_ns - s.ns) * options.active_percent then s.active_ns = now_ns end
    s.cpu_ns, s.ns = vm.cpu_ns, now_ns
    return s
end

-- Whether swap has room for all that it has, as the core will ask.
local function fits(host, vm)
    local all = vm.consumed_pages - vm.store_pages + vm.compressed_pages + vm.swapped_pages
    local more = all - vm.swap_reserved_pages
    return host.swap_pages > 0 and host.swap_reserved_pages + math.max(more, 0) <= host.swap_pages
end

-- Least recently active; else of fewest shares; else who has not been parked for longest; else of most memory.
local function before(a, b, of)
    local s, t = of[a.id], of[b.id]
    if s.active_ns ~= t.active_ns then return s.active_ns < t.active_ns end
    if a.shares ~= b.shares then return a.shares < b.shares end
    if s.since_ns ~= t.since_ns then return s.since_ns < t.since_ns end
    return a.consumed_pages > b.consumed_pages
end

-- The one to be suspended: none that the operator holds, that has no more than it is guaranteed, or that has begun or
-- come back a short while ago; and never the last one that runs.
local function victim(state, host, vms, options)
    local best, running = nil, 0
    for i = 1, #vms do
        local vm = vms[i]
        if vm.state ~= "suspended" then
            running = running + 1
            if not vm.held and vm.consumed_pages > vm.min_pages and fits(host, vm)
                and host.now_ns - state.of[vm.id].since_ns >= options.park_rest * NS
                and (not best or before(vm, best, state.of)) then
                best = vm
            end
        end
    end
    return running > 1 and best or nil
end

-- Who has been parked for longest.
local function waiting(state, vms)
    local first
    for i = 1, #vms do
        local since_ns = state.parked[vms[i].id]
        if since_ns and (not first or since_ns < state.parked[first.id]) then first = vms[i] end
    end
    return first
end

local function above(host, percent)
    return host.free_pages - host.reserve_pages - (host.total_pages * percent // 100 | 0)
end

-- Brings the books up to date. Returns whether one is still on its way to swap.
local function keep(state, host, vms, options)
    local old, were, of, parked, going = state.of or {}, state.parked or {}, {}, {}, false
    state.of, state.parked = of, parked
    for i = 1, #vms do
        local vm = vms[i]
        if vm.state ~= "suspended" then
            of[vm.id] = look(old[vm.id], host, vm, options)
        elseif were[vm.id] then -- and not by the operator
            parked[vm.id] = were[vm.id]
            going = going or vm.swap_out_wanted > 0
        end
    end
    return going
end

-- Appends a VM's suspension or return, if it is time for one. To be the last that is put into a plan: a swap_out or
-- prefetch of the same VM that came after it would take the place of what it asks for.
--
--   state    a table of the caller's, {} to begin with
--   options  park_percent: of the machine's memory: while less is free above the reserve, memory is too short
--            park_patience: seconds for which it must have been, so that balloons and swap have had their time
--            resume_percent: of the machine's memory: so much stays free above the reserve with one that comes back
--            park_rest: seconds between two such actions, and that a VM has to itself at least
--            park_seconds: a VM is parked for so long, then room is made for it; after as long again at others' cost
--            active_percent: of a CPU: a VM that uses less is not active
--            prefetch_percent: of its pages, brought back ahead of its asking
function park.step(state, host, vms, options, plan)
    local now_ns, going = host.now_ns, keep(state, host, vms, options)
    if above(host, options.park_percent) >= 0 then
        state.short_ns = nil
    else
        state.short_ns = state.short_ns or now_ns
    end
    if now_ns < (state.next_ns or 0) then return plan end
    local first, act = waiting(state, vms), nil
    local enough = math.max(options.resume_percent, options.park_percent)
    local late = first and now_ns - state.parked[first.id] >= 2 * options.park_seconds * NS
    if first and above(host, enough) >= first.swapped_pages then
        local pages = first.swapped_pages * options.prefetch_percent // 100 | 0
        act = { verb = "resume", vm = first.id, pages = pages }
        state.parked[first.id] = nil
    elseif not going and (late or state.short_ns and now_ns - state.short_ns >= options.park_patience * NS) then
        local vm = victim(state, host, vms, options)
        if vm then
            act = { verb = "suspend", vm = vm.id }
            state.parked[vm.id] = now_ns
        end
    end
    if act then
        state.next_ns = now_ns + (options.park_rest * NS // 1 | 0)
        plan[#plan + 1] = act
    end
    return plan
end

-- The pages to keep free, by smaller targets, for the VM that has waited long enough; 0 when there is none.
function park.room(state, host, vms, options)
    local first = state.parked and waiting(state, vms)
    if not first or host.now_ns - state.parked[first.id] < options.park_seconds * NS then return 0 end
    return first.swapped_pages + (host.total_pages * options.resume_percent // 100 | 0)
end

-- For save() and restore(): who is parked, for else nobody would resume them.
function park.save(state)
    return state.parked or {}
end

function park.restore(state, saved)
    state.parked = {}
    for id, since_ns in pairs(type(saved) == "table" and saved or {}) do
        if math.type(id) == "integer" and math.type(since_ns) == "integer" then state.parked[id] = since_ns end
    end
end

return park
