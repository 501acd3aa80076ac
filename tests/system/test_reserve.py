# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all tenants together leave to the host."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from product import TREE, wait_for
from test_retention import said_of_the_node

UNIT = "tenantd-tenants.service"
CPUS = os.cpu_count()


def memory_total():
    return 1024 * int(re.search(r"^MemTotal: *(\d+)", Path("/proc/meminfo").read_text("ascii"),
                                re.M).group(1))


def memory_left():
    text = (TREE / "memory.max").read_text("ascii").strip()
    return None if text == "max" else int(text)


def cpu_left():
    quota, period = (TREE / "cpu.max").read_text("ascii").split()
    return None if quota == "max" else int(quota) / int(period)


def expect_left(memory, cpu):
    """These are left to the host."""
    def held():
        total = memory_total()
        return (memory_left() == total - min(memory, total // 2) // 4096 * 4096 and
                abs(cpu_left() - (CPUS - cpu)) < 0.001)

    wait_for(held, lambda: f"{memory} and {cpu} to be left of {memory_total()} and {CPUS}; tenants "
             f"have {memory_left()} and {cpu_left()}", 30)


def test_it_is_held_above_all_tenants_and_over_a_daemon_reload(host):
    expect_left(512 << 20, 0.1)
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=120)
    expect_left(512 << 20, 0.1)
    assert host.ctl("status").returncode == 0
    with said_of_the_node("host_reserve: {memory: 256M, cpu: 25%}\n"):
        expect_left(256 << 20, 0.25)
        host.restart()
        expect_left(256 << 20, 0.25)
    with said_of_the_node("host_reserve: {memory: 0, cpu: 0%}\n"):
        wait_for(lambda: memory_left() is None and cpu_left() is None, "nothing to be held", 30)
        shown = subprocess.run(["systemctl", "show", "-P", "MemoryMax", UNIT],
                               capture_output=True, text=True, check=True).stdout
        assert shown == "infinity\n"
    expect_left(512 << 20, 0.1)


def status_seconds():
    begin = time.monotonic()
    done = subprocess.run(["systemctl", "status", "--no-pager", "tenantd.service"],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begin


@pytest.mark.alone
def test_the_host_answers_when_every_tenant_is_at_its_limits(host):
    idle = max(status_seconds() for _ in range(3))
    expect_left(512 << 20, 0.1)
    share = memory_left() // 3
    tier = host.tier(memory_max=share, execution_memory_max=share, cpu_quota=f"{100 * CPUS}%",
                     tasks_max=64)
    tenants = [host.tenant(tier) for _ in range(5)]
    eaters = [tenant.start([host.probe("eat"), str((share >> 20) - 24), "hold"])
              for tenant in tenants]
    # Five thirds of what there is: what does not fit is ended, within the tree.
    wait_for(lambda: any(eater.poll() is not None for eater in eaters), "too much to be wanted", 120)
    hogs = [tenant.start([host.probe("hog"), str(CPUS)]) for tenant in tenants]
    for hog in hogs:
        assert hog.id
    assert max(status_seconds() for _ in range(5)) < max(2.0, 4 * idle)
    available = 1024 * int(re.search(r"^MemAvailable: *(\d+)",
                                     Path("/proc/meminfo").read_text("ascii"), re.M).group(1))
    assert available > 128 << 20
    for tenant in tenants:
        host.ctl("kill", "--all", tenant.name)
    reasons = {running.wait().record["reason"] for running in eaters + hogs}
    assert "oom" in reasons and reasons <= {"oom", "killed"}
