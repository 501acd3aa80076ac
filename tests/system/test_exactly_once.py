# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exactly once: whatever happens to the daemons and to the tenants, what is booked is what the kernel
has counted, to the microsecond and to the byte."""

import os
import signal
import threading
import time

import pytest

import chance
from product import Host, stat_value, wait_for

pytestmark = pytest.mark.alone

TENANTS = 6
JOB = "i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; " \
      "dd if=/dev/zero of=/data/f bs=64k count=8 conv=fsync 2>/dev/null; rm -f /data/f"


class Worker(threading.Thread):
    """Runs one job after the other for a tenant."""

    def __init__(self, tenant):
        super().__init__(daemon=True)
        self.tenant = tenant
        self.over = threading.Event()
        self.runs = 0

    def run(self):
        while not self.over.wait(0.05):
            self.tenant.run(["sh", "-c", JOB], timeout=180)
            self.runs += 1

    def end(self):
        self.over.set()
        self.join(240)
        assert not self.is_alive()


def io_bytes(tenant, key):
    """Of all devices."""
    words = (tenant.cgroup / "io.stat").read_text(encoding="ascii").split()
    return sum(int(word.partition("=")[2]) for word in words if word.startswith(f"{key}="))


def kernel(tenant):
    return {"cpu_time": stat_value(tenant.cgroup / "cpu.stat", "usage_usec"),
            "io_read_bytes": io_bytes(tenant, "rbytes"),
            "io_write_bytes": io_bytes(tenant, "wbytes")}


def booked(who):
    meters = Host.ctl_json("usage", "--totals", who)["meters"]
    return {name: meters[name] for name in ("cpu_time", "io_read_bytes", "io_write_bytes")}


def settled(tenant):
    """What the kernel has counted once nothing runs and nothing is to be written back."""
    wait_for(lambda: tenant.leaves() == [], "the last jobs", 60)
    os.sync()
    last = [None]

    def still():
        last[0], before = kernel(tenant), last[0]
        return last[0] if last[0] == before else None

    return wait_for(still, "the counters to stand still", every=0.3)


def kill(host, pids, rng):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: host.supervisor_pid() not in (0, *pids) and
             host.controller_pid() not in (0, *pids) and
             Host.ctl("status", check=False).returncode == 0, "the daemons to serve", 60)
    time.sleep(rng.uniform(0, 0.3))


class Life:
    """What becomes of the tenants, one thing at a time."""

    def __init__(self, host, rng):
        self.host, self.rng = host, rng
        self.tiers = [host.tier(cpu_quota="max"), host.tier(cpu_quota="70%", memory_max="300M")]
        self.workers = [self._worker() for _ in range(TENANTS)]
        self.deleted = 0
        self.what = (self.kill_controller, self.kill_supervisor, self.kill_both, self.restart,
                     self.suspend, self.tier, self.delete)

    def _worker(self):
        worker = Worker(self.host.tenant(self.tiers[0]))
        worker.start()
        return worker

    def tenant(self):
        return self.rng.choice(self.workers).tenant

    def kill_controller(self):
        kill(self.host, [self.host.controller_pid()], self.rng)

    def kill_supervisor(self):
        kill(self.host, [self.host.supervisor_pid()], self.rng)

    def kill_both(self):
        kill(self.host, [self.host.controller_pid(), self.host.supervisor_pid()], self.rng)

    def restart(self):
        self.host.restart()

    def suspend(self):
        name = self.tenant().name
        self.host.ctl("suspend", name)
        time.sleep(self.rng.uniform(0, 0.5))
        self.host.ctl("resume", name)

    def tier(self):
        self.tenant().update("--tier", self.rng.choice(self.tiers))

    def delete(self):
        """One that has nothing under way: what it used is what its cgroup had at last."""
        place = self.rng.randrange(len(self.workers))
        worker = self.workers[place]
        worker.end()
        counted = settled(worker.tenant)
        self.host.ctl("delete", "--force", worker.tenant.name)
        assert booked(worker.tenant.id) == counted
        self.deleted += 1
        self.workers[place] = self._worker()


def test_what_is_booked_is_what_the_kernel_has_counted(host, full):
    rng = chance.source("exactly once")
    life = Life(host, rng)
    counts = {}
    for number in range(full(200, 14)):
        # Each of them in turn, and then by chance.
        what = life.what[number] if number < len(life.what) else rng.choice(life.what)
        what()
        counts[what.__name__] = counts.get(what.__name__, 0) + 1
    for worker in life.workers:
        worker.end()
    for worker in life.workers:
        counted = settled(worker.tenant)
        assert booked(worker.tenant.name) == counted
        usage = worker.tenant.usage()
        assert usage["meters"]["cpu_time"] == (sum(row["cpu_usec"] or 0
                                                   for row in usage["executions"]) +
                                               usage["unattributed_usec"])
        hours = worker.tenant.usage("--by", "hour")["periods"]
        for name, amount in counted.items():
            assert sum(period["meters"][name] for period in hours) == amount
    print(f"{counts}; {life.deleted} tenants deleted; runs of those that are left "
          f"{[worker.runs for worker in life.workers]}")
