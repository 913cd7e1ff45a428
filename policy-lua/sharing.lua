-- SPDX-License-Identifier: MIT
--
-- sharing: memory by shares, and pages of equal contents in one frame.
--
-- VMs are scanned for equal pages at a rate that is divided among them, by what they have and by what was found in them
-- lately. A part of what that saves is given to the VMs; the rest stays free for copies, should they write to what
-- they share. Who shares with whom is for an operator to choose: that a page is shared can be felt by timing writes to
-- it, so VMs that do not trust each other should not.

local share, scan = tithe.share, tithe.scan

local policy = {
    name = "sharing",
    api = 1,
    params = {
        free_percent = 4,         -- of the machine's memory, kept free above the reserve
        step_percent = 10,        -- of a VM's size: the furthest its target moves in one tick
        ignore_percent = 1,       -- of a VM's size: changes smaller than this are left alone
        groups = "name",          -- who shares: "name": web1 with web2; "all"; "none"; "keep": as it is ('share-group')
        scan_rate = 4000,         -- pages looked at per second; the paper's products had 200
        scan_vm_rate = 1000,      -- of one VM, at most; 50
        scan_order = "random",    -- or "sequential", "unshared_last", "hinted"
        scan_good_percent = 2,    -- of pages looked at: where less are found, less are looked at,
        scan_least_percent = 10,  -- down to this part
        reuse_percent = 50,       -- of the memory that sharing saves, given to VMs
    },
    ranges = {
        free_percent = { 0, 50 },
        step_percent = { 1, 100 },
        ignore_percent = { 0, 50 },
        groups = scan.GROUPS,
        scan_rate = { 0, 10000000 },
        scan_vm_rate = { 0, 10000000 },
        scan_order = scan.ORDERS,
        scan_good_percent = { 0, 100 },
        scan_least_percent = { 0, 100 },
        reuse_percent = { 0, 100 },
    },
}

local params, scans = policy.params, {}

local function settle(host, vms)
    local more = scan.saved(host) * params.reuse_percent // 100 | 0
    return scan.groups(vms, params, share.by_shares(host, vms, params, more))
end

function policy.tick(host, vms, dt)
    return scan.pace(scans, vms, dt, params, settle(host, vms))
end

policy.event = settle

function policy.admit(host, vm, vms)
    return share.admit(vm, vms, share.budget(host, params.free_percent))
end

return policy
