-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- A guest whose disk I/O is copied, for its frames are out of the disk's reach: the policy `remapped` moves the pages that are copied
-- most, and makes room among those of another guest.

local m = require "machine"

-- The lowest frames are handed out first: the filler has them, but for the buffers of a VM that was made before.
tithe.create { name = "hot", size = "16M", disk = "hot", mite = "touch:2M,loop:forever:{disk:48p:4,verify}", paused = true }
tithe.create { name = "filler", size = "40M", mite = "touch:32M,say:full,loop:forever:{rewrite:1M,verify,idle:50ms}" }
local function says(name, text)
    m.expect(tithe.wait(240, function() return tithe.console(name):find(text) end, 0.1), "%s does not say %s", name, text)
end
says("filler", "full")
tithe.unpause("hot")
says("hot", "verify ok")
local before = tithe.info("hot").disk
m.say("before: %d pieces copied, %d direct, %d pages hot", before.copied, before.direct, before.hot_4)
m.expect(before.copied > 300 and before.direct == 0, "%d pieces copied, %d direct", before.copied, before.direct)
m.expect(before.hot_1 == 48 and before.hot_4 == 48 and before.hot_1024 == 0, "%d pages copied, %d hot", before.hot_1, before.hot_4)

tithe.policy_load("remapped")
tithe.policy_set("remap_copies", 4)
m.expect(tithe.wait(120, function()
    local vm = tithe.info("hot")
    return vm.remapped_pages >= 48 and vm.disk.hot_1 == 0
end, 0.1), "remapped %d pages", tithe.info("hot").remapped_pages)
local from = tithe.info("hot").disk
m.expect(tithe.wait(120, function() return tithe.info("hot").disk.direct > from.direct + 500 end, 0.1), "no more requests")
local hot, filler = tithe.info("hot"), tithe.info("filler")
m.say("after: %d pieces copied, %d direct; %d pages remapped, %d times no frame, %d of the filler's moved out",
    hot.disk.copied, hot.disk.direct, hot.remapped_pages, hot.moves_no_frame, filler.vacated_pages)
m.equal(hot.disk.copied, from.copied, "pieces copied since")
m.expect(filler.vacated_pages > 0, "nothing has been vacated")
m.equal(hot.disk.errors, 0, "errors")
m.balanced()
m.equal(tithe.info().plans_refused, 0, "refused plans")
for _, name in ipairs { "hot", "filler" } do
    m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name)
end
