-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- The policy `ahead`: a VM that is named is populated, another is not; pages come back from swap before their guest asks.

local m = require "machine"

tithe.policy_load("ahead")
tithe.policy_set("populate", "db")
local seq = m.event_seq()
tithe.create { name = "db1", size = "24M", mite = "idle:2s,touch:16M,verify,say:done,loop:forever:{verify,idle:500ms}" }
tithe.create { name = "web1", size = "24M", mite = "touch:8M,verify,say:done,idle:3600s,verify" }
m.expect(m.await_event(seq, "vm-populated", 60), "db1 was not populated")
local db1, web1 = tithe.info("db1"), tithe.info("web1")
m.say("db1 has %d pages of %d, of which it has touched %d; web1 %d", db1.consumed_pages, db1.size_pages, db1.first_touches,
    web1.consumed_pages)
m.expect(db1.consumed_pages >= db1.target_pages - 16 and db1.populated_pages > db1.size_pages // 2, "db1 has %d pages, %d populated",
    db1.consumed_pages, db1.populated_pages)
m.equal(web1.populated_pages, 0, "pages of web1 populated")
for _, name in ipairs { "db1", "web1" } do
    m.expect(tithe.wait(60, function() return tithe.console(name):find("done") end, 0.1), "%s is not done", name)
end
m.expect(tithe.info("db1").first_touches < 200, "db1 has touched %d pages for the first time", tithe.info("db1").first_touches)

tithe.suspend("web1")
m.expect(tithe.wait(60, function()
    local vm = tithe.info("web1")
    return vm.swap_out_wanted == 0 and vm.swapped_pages > 2000
end, 0.1), "web1 has %d pages in swap", tithe.info("web1").swapped_pages)
tithe.resume("web1")
m.expect(tithe.wait(60, function() return tithe.info("web1").swapped_pages == 0 end, 0.1), "%d pages have not come back",
    tithe.info("web1").swapped_pages)
m.balanced()
m.equal(tithe.info().plans_refused, 0, "refused plans")
m.equal(tithe.policy_info().name, "ahead", "policy in charge")
for _, name in ipairs { "db1", "web1" } do
    m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name)
    tithe.destroy(name)
end
