-- SPDX-License-Identifier: MIT
--
-- tithe.active: how much of its memory a VM uses, from samples of its pages.
--
-- Waldspurger's estimate (OSDI 2002, 5.3): the maximum of a slow average of the periods, a fast one, and the fast one
-- with the period that is still under way. So it rises as soon as pages are touched, and falls slowly.

local active = {}

-- The paper gives no gains; these fit its Figure 6.
active.SLOW, active.FAST = 0.25, 0.75

-- The part of its memory that the VM uses, 0 to 1; nil as long as it has not been sampled.
--
--   state     a table of the caller's, {} to begin with, of numbers by text: it may be saved and restored
--   vm        as in the snapshot
--   slow, fast  gains of the averages, 0 to 1; may be left out
function active.estimate(state, vm, slow, fast)
    local sample, key = vm.sample, tostring(vm.id)
    if not sample then return nil end
    slow, fast = slow or active.SLOW, fast or active.FAST
    local of = state[key]
    if sample.finished_pages > 0 then
        local part = sample.finished_touched / sample.finished_pages
        if not of then
            of = { period = sample.period, slow = part, fast = part }
            state[key] = of
        elseif of.period ~= sample.period then
            of.period = sample.period
            of.slow = of.slow + slow * (part - of.slow)
            of.fast = of.fast + fast * (part - of.fast)
        end
    end
    local now = sample.pages > 0 and sample.touched / sample.pages or 0
    if not of then return sample.pages > 0 and now or nil end
    return math.max(of.slow, of.fast, of.fast + fast * (now - of.fast))
end

-- Appends to `plan` what keeps VMs sampled: a new period for those whose last one is over, and a look at the others.
--
--   options  sample_pages: in a sample
--            sample_period: seconds of a period, of the VM's own CPU time or, when that passes more slowly, four times
--                           as many of the machine's
--            method: "abit" or "unmap"
function active.sample(host, vms, options, plan)
    local period_ns = options.sample_period * 1000000000
    for i = 1, #vms do
        local vm = vms[i]
        local sample, pages = vm.sample, 0
        if not sample or vm.cpu_ns - sample.started_cpu_ns >= period_ns
            or host.now_ns - sample.started_ns >= 4 * period_ns then
            pages = options.sample_pages
        end
        plan[#plan + 1] = { verb = "sample", vm = vm.id, pages = pages, method = options.method }
    end
    return plan
end

-- Lets go of VMs that are gone.
function active.forget(state, vms)
    local here = {}
    for i = 1, #vms do here[tostring(vms[i].id)] = true end
    for key in pairs(state) do
        if not here[key] then state[key] = nil end
    end
end

return active
