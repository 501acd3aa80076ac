# SPDX-License-Identifier: LGPL-2.1-or-later
"""executions_max, which the kernel counts."""

import json
import subprocess
import time


def test_the_kernel_refuses_one_execution_too_many(host):
    tier = host.tier(executions_max=2)
    tenant = host.tenant(tier)
    both = [tenant.start(["sleep", "60"]) for _ in range(2)]
    assert sorted(running.id for running in both) == tenant.leaves()
    refused = tenant.run(["true"], "--json")
    assert refused.status == 125
    error = json.loads(refused.err)
    assert error["error"].endswith("QuotaExceeded")
    assert "executions_max" in error["message"]
    assert refused.record["reason"] == "runtime"
    assert b"executions_max" in tenant.run(["true"]).err
    assert len(tenant.leaves()) == 2
    # It is a limit of this tenant, and of those at the same time.
    assert host.tenant(tier).run(["true"]).status == 0
    host.ctl("kill", both[0].id)
    assert both[0].wait().record["reason"] == "killed"
    assert tenant.run(["true"]).status == 0


def test_of_forty_racing_launches_never_more_than_five_are_there(host):
    tenant = host.tenant(host.tier(executions_max=5))
    assert tenant.run(["true"]).status == 0
    racing = [tenant.start(["sleep", "1"]) for _ in range(40)]
    descendants, leaves = [], []
    while any(running.poll() is None for running in racing):
        descendants.append(tenant.stat("cgroup.stat", "nr_descendants"))
        leaves.append(len(tenant.leaves()))
        time.sleep(0.002)
    results = [running.wait() for running in racing]
    succeeded = [r for r in results if r.status == 0]
    refused = [r for r in results if r.status == 125 and b"executions_max" in r.err]
    assert len(succeeded) + len(refused) == 40, [r for r in results if r.status not in (0, 125)]
    assert max(descendants) == 5
    assert max(leaves) == 5
    assert len(succeeded) >= 5
    assert len(refused) >= 1
    ids = {r.record["id"] for r in succeeded}
    assert len(ids) == len(succeeded)
    assert len(tenant.ps()) == len(succeeded) + 1
    assert tenant.usage()["meters"]["executions"] == len(succeeded) + 1


def test_without_the_limit_all_forty_are_there(host):
    tenant = host.tenant(host.tier(executions_max=40))
    racing = [tenant.start(["sleep", "5"]) for _ in range(40)]
    assert len({running.id for running in racing}) == 40
    assert [running.wait().status for running in racing] == [0] * 40


def test_back_to_back_runs_are_never_refused_for_the_one_before(host):
    tenant = host.tenant(host.tier(executions_max=1))
    count = 200
    loop = f"for i in $(seq {count}); do tenant-run {tenant.name} true || exit 1; done"
    done = subprocess.run(["sh", "-c", loop], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert tenant.usage()["meters"]["executions"] == count
