# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many tenants, of whom few are in use: what tests/bench/tenants measures, done right."""

import chance
from product import stat_value


def memory(pid):
    """KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_all_are_found_and_those_in_use_run(host, full):
    rng = chance.source("many tenants")
    count = full(1000, 120)
    tier = host.tier(executions_max=2)
    tenants = [host.tenant(tier) for _ in range(count)]
    for number, tenant in enumerate(tenants[:7]):
        host.ctl("update", tenant.name, "--meta", f"n={number}")
    active = rng.sample(tenants, 10)
    host.restart()
    at_start = memory(host.controller_pid())
    for tenant in active:
        done = tenant.run(["sh", "-c", "echo $TENANT"])
        assert (done.status, done.out.decode().strip()) == (0, tenant.name)
        assert stat_value(tenant.cgroup / "cgroup.max.descendants", None) == 2
    # Who is not asked for is not kept in memory.
    assert memory(host.controller_pid()) - at_start < 8 << 10
    listed = {one["name"]: one for one in host.ctl_json("list", "--tier", tier)}
    assert set(listed) == {tenant.name for tenant in tenants}
    for tenant in rng.sample(tenants, 20):
        assert tenant.show() == listed[tenant.name]
        assert host.ctl_json("show", tenant.id) == listed[tenant.name]
    for number, tenant in enumerate(tenants[:7]):
        found = host.ctl_json("list", "--tier", tier, "--meta", f"n={number}")
        assert [one["name"] for one in found] == [tenant.name]
    for tenant in active:
        used = tenant.usage()
        assert used["meters"]["executions"] == 1 == len(used["executions"])
    spare = next(tenant for tenant in tenants if tenant not in active)
    assert spare.usage()["meters"]["executions"] == 0
