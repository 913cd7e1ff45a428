-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- The policy `ahead`: a VM that is named is populated, another is not; pages come back from swap before their guest asks.

local m = require "machine"

tithe.policy_load("ahead")
tithe.policy_set("populate", "cache")
local seq = m.event_seq()
tithe.create { name = "cache1", size = "24M", mite = "idle:2s,touch:16M,verify,say:done,loop:forever:{verify,idle:500ms}" }
tithe.create { name = "mail1", size = "24M", mite = "touch:8M,verify,say:done,idle:3600s,verify" }
m.expect(m.await_event(seq, "vm-populated", 60), "cache1 was not populated")
local cache1, mail1 = tithe.info("cache1"), tithe.info("mail1")
m.say("cache1 has %d pages of %d, of which it has touched %d; mail1 %d", cache1.consumed_pages, cache1.size_pages,
    cache1.first_touches, mail1.consumed_pages)
m.expect(cache1.consumed_pages >= cache1.target_pages - 16 and cache1.populated_pages > cache1.size_pages // 2,
    "cache1 has %d pages, %d populated", cache1.consumed_pages, cache1.populated_pages)
m.equal(mail1.populated_pages, 0, "pages of mail1 populated")
for _, name in ipairs { "cache1", "mail1" } do
    m.expect(tithe.wait(60, function() return tithe.console(name):find("done") end, 0.1), "%s is not done", name)
end
m.expect(tithe.info("cache1").first_touches < 200, "cache1 has touched %d pages for the first time", tithe.info("cache1").first_touches)

tithe.suspend("mail1")
m.expect(tithe.wait(60, function()
    local vm = tithe.info("mail1")
    return vm.swap_out_wanted == 0 and vm.swapped_pages > 2000
end, 0.1), "mail1 has %d pages in swap", tithe.info("mail1").swapped_pages)
tithe.resume("mail1")
m.expect(tithe.wait(60, function() return tithe.info("mail1").swapped_pages == 0 end, 0.1), "%d pages have not come back",
    tithe.info("mail1").swapped_pages)
m.balanced()
m.equal(tithe.info().plans_refused, 0, "refused plans")
m.equal(tithe.policy_info().name, "ahead", "policy in charge")
for _, name in ipairs { "cache1", "mail1" } do
    m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name)
    tithe.destroy(name)
end
