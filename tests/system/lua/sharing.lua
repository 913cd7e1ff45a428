-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- The policy `sharing`: what it saves grows, who is in which group, and that guests who write find their own data.

local m = require "machine"

local ALIKE, NAMES = tithe.pages("8M"), { "web1", "web2", "db1" }

tithe.policy_load("sharing")
for key, value in pairs { scan_rate = 20000, scan_vm_rate = 20000, free_percent = 1 } do tithe.policy_set(key, value) end
for i, name in ipairs(NAMES) do
    tithe.create { name = name, size = "24M", append = "seed=" .. i,
        mite = "touch:8M:alike,touch:2M:unique,say:full,idle:6s,loop:forever:{verify,rewrite:random:0.02,verify,idle:1s}" }
end
local function saved()
    local host = tithe.info()
    return host.shared_entries - host.shared_frames
end
m.expect(tithe.wait(120, function() return saved() >= ALIKE end, 0.1), "%d pages saved", saved())
local web1, web2, db1 = tithe.info("web1"), tithe.info("web2"), tithe.info("db1")
m.say("%d pages saved; groups %d %d %d, of 24 MiB each %d %d %d scanned", saved(), web1.share_group, web2.share_group,
    db1.share_group, web1.scanned_pages, web2.scanned_pages, db1.scanned_pages)
m.expect(web1.share_group == web2.share_group and web1.share_group > 0 and db1.share_group ~= web1.share_group,
    "groups %d, %d, %d", web1.share_group, web2.share_group, db1.share_group)
m.expect(web1.shared_pages >= ALIKE and web2.shared_pages >= ALIKE, "shared: %d, %d", web1.shared_pages, web2.shared_pages)
m.expect(db1.shared_pages < ALIKE, "db1 shares %d pages", db1.shared_pages)
m.balanced()

-- Copies are made, and shared no more; the scans go on.
m.expect(tithe.wait(120, function()
    return tithe.info("web1").cow_breaks > 50 and tithe.info("web2").cow_breaks > 50
end, 0.1), "no copies")
m.expect(tithe.wait(120, function()
    for _, name in ipairs(NAMES) do
        local _, verified = tithe.console(name):gsub("verify ok", "")
        if verified < 4 then return false end
    end
    return true
end, 0.2), "a guest does not go on")

-- By hand: db1 with web1's, which the policy is told to leave alone.
tithe.policy_set("groups", "keep")
tithe.share_group("db1", web1.share_group)
m.expect(tithe.wait(120, function() return tithe.info("db1").shared_pages >= ALIKE // 2 end, 0.1), "db1 shares %d pages",
    tithe.info("db1").shared_pages)
m.equal(tithe.info("db1").share_group, web1.share_group, "db1's group")

local host = tithe.info()
m.equal(host.plans_refused, 0, "refused plans")
m.equal(tithe.policy_info().name, "sharing", "policy in charge")
m.balanced()
for _, name in ipairs(NAMES) do
    m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name)
    tithe.destroy(name)
end
m.equal(m.balanced().guest_pages, 0, "guests' pages when all are gone")
