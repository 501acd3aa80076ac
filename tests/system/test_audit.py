# SPDX-License-Identifier: LGPL-2.1-or-later
"""At its start tenantd looks at what lies in the kernel and belongs to nobody."""

import subprocess
import uuid

from product import wait_for


def stray(tenant, name):
    leaf = tenant.cgroup / name
    leaf.mkdir()
    return leaf


def test_a_leaf_that_no_execution_has_goes_at_the_next_start(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    assert running.leaf.exists()
    empty, full = (stray(tenant, str(uuid.uuid4())) for _ in range(2))
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        (full / "cgroup.procs").write_text(str(sleeper.pid), encoding="ascii")
        host.kill_supervisor()
        assert sleeper.wait(30) == -9
    wait_for(lambda: tenant.leaves() == [running.id], "the strays to be gone")
    log = subprocess.run(["journalctl", "-u", "tenantd", "-o", "json"], check=True,
                         capture_output=True).stdout
    for leaf in (empty, full):
        assert leaf.name.encode() in log
    # What belongs to somebody is as it was.
    assert running.poll() is None
    host.ctl("kill", running.id)
    assert running.wait().record["reason"] == "killed"
    assert tenant.run(["true"]).status == 0
