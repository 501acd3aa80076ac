# SPDX-License-Identifier: LGPL-2.1-or-later
"""What runs is booked while it runs, and memory over time is that of the tenant's cgroup: compared
with a trace of its memory.current that looks every 5 ms."""

import os
import threading
import time

import pytest

from product import wait_for

pytestmark = pytest.mark.alone

TRACE_SEC = 0.005
MIB_MSEC = float(1 << 20) * 1e6  # bytes by nanoseconds


class Trace:
    """The integral of a tenant's memory.current, while in its block."""

    def __init__(self, tenant):
        self._fd = os.open(tenant.cgroup / "memory.current", os.O_RDONLY | os.O_CLOEXEC)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._area = 0
        self.gap = 0  # the longest between two looks

    def _look(self):
        bytes_ = int(os.pread(self._fd, 32, 0))
        return time.monotonic_ns(), bytes_

    def _run(self):
        at, bytes_ = self._look()
        ended = False
        while not ended:
            ended = self._ended.wait(TRACE_SEC)
            now, then = self._look()
            self._area += (bytes_ + then) * (now - at) // 2
            self.gap = max(self.gap, now - at)
            at, bytes_ = now, then

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        os.close(self._fd)

    @property
    def mib_msec(self):
        return self._area / MIB_MSEC


def meters(tenant):
    return tenant.usage("--totals")["meters"]


@pytest.fixture
def tenant(host):
    tenant = host.tenant(host.tier(executions_max=4, cpu_quota="max", memory_max="1G"))
    assert tenant.run(["true"]).status == 0
    return tenant


def compare(tenant, share, run):
    """`run` makes a use of memory of which the ledger is wrong by at most `share`."""
    before = meters(tenant)
    with Trace(tenant) as trace:
        run()
    after = meters(tenant)
    booked = after["memory_time"] - before["memory_time"]
    error = after["memory_time_error"] - before["memory_time_error"]
    print(f"booked {booked} MiB ms, error at most {error}, trace {trace.mib_msec:.0f}, "
          f"its longest gap {trace.gap / 1e6:.1f} ms")
    # The answers themselves lie outside the trace, with what little the idle tenant has.
    assert trace.mib_msec > 1000
    assert abs(booked - trace.mib_msec) <= share * trace.mib_msec


def run_steps(tenant, *steps):
    result = tenant.run([tenant.host.probe("memory"), *steps], timeout=300)
    assert (result.status, result.out) == (0, b"begun\n"), result.err


def test_constant_memory_is_exact_to_1_percent(tenant):
    compare(tenant, 0.01, lambda: run_steps(tenant, "100:30000"))


def test_steps_of_5_seconds_are_exact_to_1_percent(tenant):
    compare(tenant, 0.01, lambda: run_steps(tenant, "4x60:5000,120:5000"))


def test_a_sawtooth_of_700_ms_is_exact_to_5_percent(tenant):
    saw = ",".join(f"{10 * (i + 1)}:70" for i in range(10))
    compare(tenant, 0.05, lambda: run_steps(tenant, f"60x{saw}"))


def test_short_runs_are_exact_to_5_percent(tenant, full):
    count = full(500, 60)

    def run():
        for _ in range(count):
            run_steps(tenant, "40:300")

    compare(tenant, 0.05, run)


def test_usage_grows_while_nothing_has_ended(tenant):
    before = meters(tenant)
    running = tenant.start([tenant.host.probe("hog")])
    running.wait_out(b"busy")
    wait_for(lambda: meters(tenant)["memory_time"] > before["memory_time"] and
             meters(tenant)["cpu_time"] > before["cpu_time"] + 200_000, "the ledger to grow")
    now = meters(tenant)
    assert now["executions"] == before["executions"]
    tenant.host.ctl("kill", running.id)
    running.wait()
    assert meters(tenant)["cpu_time"] >= now["cpu_time"]


def test_the_hours_are_the_totals(tenant):
    run_steps(tenant, "50:3000,10:2000")
    usage = tenant.usage("--by", "hour")
    assert usage["meters"]["memory_time"] > 50 * 2900
    for name, amount in usage["meters"].items():
        assert sum(period["meters"][name] for period in usage["periods"]) == amount, name


def test_a_suspended_tenants_memory_goes_on_being_counted(host, tenant):
    running = tenant.start([host.probe("memory"), "50:120000"])
    running.wait_out(b"begun")
    wait_for(lambda: tenant.stat("memory.current") > 50 << 20, "the memory to be there")
    host.ctl("suspend", tenant.name)
    before = meters(tenant)
    time.sleep(5)
    after = meters(tenant)
    assert after["memory_time"] - before["memory_time"] > 50 * 4900
    assert after["cpu_time"] - before["cpu_time"] < 50_000
    host.ctl("resume", tenant.name)
    host.ctl("kill", running.id)
    running.wait()


def test_the_death_of_the_controller_leaves_no_hole(host, tenant):
    running = tenant.start([host.probe("memory"), "50:60000"])
    running.wait_out(b"begun")
    wait_for(lambda: tenant.stat("memory.current") > 50 << 20, "the memory to be there")

    def disturb():
        time.sleep(2)
        host.kill_controller()
        time.sleep(2)

    compare(tenant, 0.05, disturb)
    host.ctl("kill", running.id)
    running.wait()


def controller_fds(host, tenant):
    """Files of the tenant's cgroup that the controller has open."""
    directory = f"/proc/{host.controller_pid()}/fd"
    found = []
    for name in os.listdir(directory):
        try:
            found.append(os.readlink(f"{directory}/{name}"))
        except FileNotFoundError:
            continue
    return [path for path in found if path.startswith(f"{tenant.cgroup}/") or
            f"/{tenant.name}/" in path and path.endswith((".stat", ".current"))]


def test_nothing_is_kept_open_of_an_idle_tenant(host, tenant):
    wait_for(lambda: not controller_fds(host, tenant), "the files to be closed")
    running = tenant.start([host.probe("hog")])
    running.wait_out(b"busy")
    assert len(controller_fds(host, tenant)) == 3
    host.ctl("kill", running.id)
    running.wait()
    wait_for(lambda: not controller_fds(host, tenant), "the files to be closed")
