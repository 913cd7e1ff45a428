-- SPDX-License-Identifier: MIT
-- luacheck: read globals tithe
-- VMs whose frames have colours: each has its own only, as the ledger finds too; they are moved under running guests when colours
-- change; and nobody waits for a colour.

local m = require "machine"

local source = [[
local policy = { name = "painter", api = 1, trial_ticks = 1, params = { a = 0x0f, b = 0xf0, c = 0, narrow = 0x02 } }
function policy.tick(host, vms)
    local plan = {}
    for _, vm in ipairs(vms) do
        local colours = policy.params[vm.name]
        if colours and (vm.colours ~= colours or vm.stray_pages > 0 and vm.recolour_left == 0) then
            plan[#plan + 1] = { verb = "colour", vm = vm.id, colours = colours, pages = vm.size_pages }
        end
    end
    return plan
end
return policy]]

tithe.policy_load(m.policy("painter", source))
m.equal(tithe.info().colours, 8, "colours")
local pages = tithe.pages("8M")
local script = "idle:1s,touch:8M,say:full,loop:forever:{verify,rewrite:random:0.3,random:50,idle:20ms}"
for i, name in ipairs { "a", "b", "c" } do
    tithe.create { name = name, size = "16M", mite = script, append = "seed=" .. i }
end
local function says(name, text)
    m.expect(tithe.wait(240, function() return tithe.console(name):find(text) end, 0.1), "%s does not say %s", name, text)
end
local function sorted(name, colours)
    m.expect(tithe.wait(120, function()
        local vm = tithe.info(name)
        return vm.colours == colours and vm.stray_pages == 0
    end, 0.05), "%s: %d pages may be of other colours than 0x%x", name, tithe.info(name).stray_pages, colours)
end

for _, name in ipairs { "a", "b", "c" } do says(name, "full") end
sorted("a", 0x0f)
sorted("b", 0xf0)
local a, c = tithe.info("a"), tithe.info("c")
m.expect(a.coloured_pages >= pages, "%d pages of a are coloured", a.coloured_pages)
m.equal(a.off_colour_pages, 0, "pages of a that found none of its colours")
m.equal(c.colours + c.coloured_pages + c.off_colour_pages + c.recoloured_pages, 0, "c, which has no colours")
m.balanced()

-- They swap their colours, several times, while they use their pages.
for round = 1, 4 do
    local before = tithe.info("a").recoloured_pages
    tithe.policy_set("a", round % 2 == 1 and 0xf0 or 0x0f)
    tithe.policy_set("b", round % 2 == 1 and 0x0f or 0xf0)
    sorted("a", round % 2 == 1 and 0xf0 or 0x0f)
    sorted("b", round % 2 == 1 and 0x0f or 0xf0)
    local moved = tithe.info("a").recoloured_pages - before
    m.expect(moved >= pages, "%d pages of a were moved", moved)
    m.balanced()
end

-- One colour of eight is less than it needs: it gets others, and goes on.
tithe.create { name = "narrow", size = "64M", mite = "idle:1s,touch:40M,verify,say:done,idle:1s,reboot" }
says("narrow", "done")
local narrow = tithe.info("narrow")
m.say("narrow: %d pages of its colour, %d of others", narrow.coloured_pages, narrow.off_colour_pages)
m.expect(narrow.coloured_pages > pages / 4 and narrow.off_colour_pages > pages, "%d and %d", narrow.coloured_pages,
    narrow.off_colour_pages)
m.expect(narrow.stray_pages >= narrow.off_colour_pages // 2, "%d stray", narrow.stray_pages)
m.balanced()
m.expect(tithe.wait(240, function() return tithe.info("narrow").reboots >= 2 end, 0.1), "no reboots")
m.equal(tithe.info("narrow").colours, 2, "colours after a reboot")
m.balanced()
tithe.destroy("narrow")
tithe.destroy("b")

-- The policy that comes with Tithe.
tithe.policy_load("coloured")
sorted("a", 0x0f)
sorted("c", 0xf0)
m.balanced()
tithe.destroy("c")
m.expect(tithe.wait(60, function() return tithe.info("a").colours == 0 end, 0.05), "who is alone has colours")
m.balanced()
m.equal(tithe.info().plans_refused, 0, "refused plans")
for _, name in ipairs { "a" } do m.expect(not tithe.console(name):find("FAIL"), "%s found its data changed", name) end
