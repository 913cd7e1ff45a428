-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Scans that a plan asks for: guests of one group share what is alike, others do not, and everybody keeps their data.

local m = require "machine"

local source = [[
local groups = { a = 1, b = 1, alone = 0, c = 2 }
local orders = { "random", "sequential", "unshared_last", "hinted" }
local policy = { name = "sharer", api = 1, trial_ticks = 1, params = { pages = 8192 } }
function policy.tick(host, vms)
    local plan = {}
    for _, vm in ipairs(vms) do
        local group = groups[vm.name] or 1
        if vm.share_group ~= group then plan[#plan + 1] = { verb = "share-group", vm = vm.id, group = group } end
        plan[#plan + 1] = { verb = "scan", vm = vm.id, pages = math.min(policy.params.pages, vm.size_pages),
            order = orders[host.generation % #orders + 1] }
    end
    return plan
end
return policy]]

tithe.policy_load(m.policy("sharer", source))
local alike, zero = tithe.pages("8M"), tithe.pages("4M")
local script = "touch:8M:alike,touch:4M:zero,touch:4M:unique,say:full,idle:%s,verify,rewrite:random:0.5,verify,say:again,"
    .. "loop:forever:{verify,idle:200ms}"
for i, name in ipairs { "a", "b", "alone" } do
    tithe.create { name = name, size = "24M", mite = script:format(tithe.args[1]), append = "seed=" .. i }
end
local function says(name, text)
    m.expect(tithe.wait(240, function() return tithe.console(name):find(text) end, 0.1), "%s does not say %s", name, text)
end
for _, name in ipairs { "a", "b", "alone" } do says(name, "full") end

-- A page that nobody else has is not shared; of zeros there is one in each group.
m.expect(tithe.wait(120, function()
    local a, b, alone = tithe.info("a"), tithe.info("b"), tithe.info("alone")
    return a.shared_pages >= alike + zero and b.shared_pages >= alike + zero and alone.shared_pages >= zero
end, 0.05), "nothing like that is shared: a %d, b %d, alone %d", tithe.info("a").shared_pages, tithe.info("b").shared_pages,
    tithe.info("alone").shared_pages)
local host, a, alone = tithe.info(), tithe.info("a"), tithe.info("alone")
m.say("%d pages in %d frames; a: %d scanned, %d hits", host.shared_entries, host.shared_frames, a.scanned_pages, a.scan_hits)
m.expect(alone.shared_pages < zero + alike // 2, "who is alone shares %d pages", alone.shared_pages)
m.equal(a.share_group, 1, "group of a")
m.expect(host.shared_entries - host.shared_frames >= 2 * zero + alike, "%d pages are saved", host.shared_entries - host.shared_frames)
m.balanced()

-- Written to again.
for _, name in ipairs { "a", "b", "alone" } do says(name, "again") end
m.expect(tithe.info("a").cow_breaks > 0, "no copy was made")
tithe.create { name = "c", size = "24M", mite = "touch:16M:alike,idle:300ms,verify,reboot" }
m.expect(tithe.wait(240, function() return tithe.info("c").reboots >= 2 end, 0.1), "no reboots")
m.balanced()
tithe.destroy("c")
tithe.destroy("b")
m.balanced()
m.equal(tithe.info().plans_refused, 0, "refused plans")
for _, name in ipairs { "a", "alone" } do m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name) end
