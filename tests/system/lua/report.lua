-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- Free page reporting: Linux gives memory back that it does not use, without being asked, and gets it again.

local m = require "machine"

tithe.policy_load(m.policy("idle", "return { name = 'idle', api = 1, trial_ticks = 1, tick = function() end }"))
tithe.create { name = "linux", size = "192M", kernel = "vmlinuz", module = "initrd",
    cmdline = tithe.args[1] .. " tithe.run=touch:96M,verify,free,wait:6s,touch:64M,verify,wait:20s tithe.then=poweroff" }

local function consumed() return tithe.info("linux").consumed_pages end
local function says(text, times)
    m.expect(tithe.wait(120, function()
        return select(2, tithe.console("linux"):gsub(text, "")) >= times
    end, 0.1), "the guest has not said %s", text)
end

says("verify ok", 1)
local full = consumed()
m.expect(full >= tithe.pages("96M"), "it has touched 96M and has %d pages", full)
m.expect(tithe.wait(30, function() return consumed() < full - tithe.pages("80M") end, 0.1),
    "96M were freed in the guest, and it still has %d of %d pages", consumed(), full)
local info = tithe.info("linux")
m.say("from %s to %s by %d reported pages", tithe.size(full), tithe.size(info.consumed_pages), info.reported_pages)
m.expect(info.reported_pages >= full - info.consumed_pages, "only %d pages were reported", info.reported_pages)
m.equal(info.ballooned_pages, 0, "ballooned pages")
m.equal(tithe.stats()["balloon.reported_pages"], info.reported_pages, "balloon.reported_pages")
m.balanced()
says("verify ok", 2) -- the same pages, again
m.expect(not tithe.console("linux"):find("FAIL"), "it found its data changed")
m.expect(consumed() > info.consumed_pages + tithe.pages("40M"), "it touched 64M, and has %d pages", consumed())
m.balanced()
