-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Memory given before it is touched: all of it, or what there is above the reserve; the guest finds zeros and its own data.

local m = require "machine"

local source = [[
local asked = {}
return { name = "populate", api = 1, trial_ticks = 1, params = { pages = 0 }, tick = function(_, vms)
    local plan = {}
    for _, vm in ipairs(vms) do
        if not asked[vm.id] then plan[#plan + 1] = { verb = "populate", vm = vm.id, pages = vm.size_pages } end
        asked[vm.id] = true
    end
    return plan
end }]]

local seq = m.event_seq()
tithe.policy_load(m.policy("populate", source))
tithe.create { name = "a", size = "32M", mite = "idle:1s,touch:24M,verify,say:done,loop:forever:{rewrite,verify,idle:50ms}" }
local e = m.expect(m.await_event(seq, "vm-populated", 20), "no event")
local a = tithe.info("a")
m.expect(a.populated_pages == e.value, "%d pages populated, the event says %d", a.populated_pages, e.value)
m.equal(a.consumed_pages, a.size_pages, "pages of a VM that was populated whole")
m.balanced()
local before = a.first_touches
m.expect(tithe.wait(30, function() return tithe.console("a"):find("done") end, 0.1), "a is not done")
m.expect(tithe.info("a").first_touches - before < 16, "pages of a populated VM were touched for the first time")

-- More than there is.
local host = tithe.info()
seq = m.event_seq()
tithe.create { name = "b", size = ("%dp"):format(host.free_pages + 4096), mite = "touch:4M,loop:forever:{rewrite,verify,idle:50ms}" }
e = m.expect(m.await_event(seq, "vm-populated", 60), "no event")
host = tithe.info()
m.say("%d pages given, %d not; %d are free, %d in reserve", e.value, e.value2, host.free_pages, host.reserve_pages)
m.expect(e.value2 > 0, "nothing was missing")
m.expect(host.free_pages >= host.reserve_pages - 1, "the reserve was given away")
m.balanced()
tithe.destroy("b")
tithe.sleep(0.5)
m.expect(not tithe.console("a"):find("FAIL"), "a found its data changed")
m.balanced()
