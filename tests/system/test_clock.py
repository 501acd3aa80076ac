# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is used does not follow the wall clock, which is set, nor the host, which sleeps: totals are the
kernel's, and each row lies in the hour in which it was measured."""

import subprocess
import time

import pytest

from product import wait_for

pytestmark = pytest.mark.alone

DAY = 86400
HOUR_USEC = 3600 * 10**6
STEPS = (DAY, -2 * DAY, DAY)
SLEEP_SECONDS = 5


def step(seconds):
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds)


@pytest.fixture
def clock():
    """Whatever happens, the clock is right again."""
    before = time.time() - time.monotonic()
    yield
    time.clock_settime(time.CLOCK_REALTIME, before + time.monotonic())


def cpu_usec(tenant):
    return tenant.stat("cpu.stat", "usage_usec")


def hour():
    now = int(time.time() * 1e6)
    return now - now % HOUR_USEC


def measured(host, tenant):
    """All of it is booked, and nothing runs on: what the kernel has counted until now."""
    host.ctl("suspend", tenant.name)
    usage = tenant.usage("--totals")
    assert usage["meters"]["cpu_time"] == cpu_usec(tenant)
    return cpu_usec(tenant)


def by_hour(tenant):
    return {period["start"]: period["meters"] for period in tenant.usage("--by", "hour")["periods"]}


def work(host, tenant, until):
    """Some runs beside what runs, and their time by the wall."""
    for _ in range(3):
        done = tenant.run(["sleep", "0.2"])
        assert done.status == 0
        assert 200000 <= done.record["wall_usec"] <= 5000000
    wait_for(lambda: cpu_usec(tenant) > until, "something to be used")


def test_steps_of_a_day_change_no_total(host, clock):
    tenant = host.tenant(host.tier(executions_max=4, cpu_quota="20%"))
    running = tenant.start([host.probe("hog")])
    running.wait_out(b"busy")
    expected, last = {}, 0
    for seconds in (0, *STEPS):
        step(seconds)
        began = hour()
        if seconds:
            host.ctl("resume", tenant.name)
        work(host, tenant, last + 300000)
        now = measured(host, tenant)
        if hour() == began:
            expected[began] = expected.get(began, 0) + now - last
        else:  # an hour has ended meanwhile: both have it
            expected[(began, hour())] = now - last
        last = now
    found = by_hour(tenant)
    for key, amount in expected.items():
        hours = key if isinstance(key, tuple) else (key,)
        if not isinstance(key, tuple) and any(key in other for other in expected
                                              if isinstance(other, tuple)):
            continue
        assert sum(found[one]["cpu_time"] for one in hours) == amount, (key, expected, found)
    totals = tenant.usage("--totals")["meters"]
    assert totals["cpu_time"] == last == sum(row["cpu_time"] for row in found.values())
    assert totals["executions"] == 3 * (1 + len(STEPS))
    assert sum(row["executions"] for row in found.values()) == totals["executions"]
    host.ctl("resume", tenant.name)
    host.ctl("kill", running.id)
    record = running.wait().record
    assert record["wall_usec"] < 300 * 10**6


def test_a_host_that_sleeps_uses_nothing(host):
    tenant = host.tenant(host.tier(executions_max=4, memory_max="256M"))
    running = tenant.start([host.probe("memory"), "50:600000"])
    running.wait_out(b"begun")
    wait_for(lambda: tenant.stat("memory.current") > 50 << 20, "the memory to be there")
    before, monotonic, boottime = (tenant.usage("--totals")["meters"], time.monotonic(),
                                   time.clock_gettime(time.CLOCK_BOOTTIME))
    subprocess.run(["rtcwake", "-m", "mem", "-s", str(SLEEP_SECONDS)], check=True,
                   capture_output=True, timeout=120)
    asleep = (time.clock_gettime(time.CLOCK_BOOTTIME) - boottime) - (time.monotonic() - monotonic)
    assert asleep > SLEEP_SECONDS - 1
    time.sleep(1)
    after, awake = tenant.usage("--totals")["meters"], time.monotonic() - monotonic
    held = after["memory_time"] - before["memory_time"]
    print(f"asleep for {asleep:.1f} s; {held} MiB ms in {awake:.1f} s awake")
    assert 50 * 900 <= held <= 60 * 1000 * awake
    assert after["cpu_time"] == cpu_usec(tenant)
    assert after["cpu_time"] - before["cpu_time"] <= awake * 2e6
    host.ctl("kill", running.id)
    running.wait()
    # Who slept can be launched for as before.
    assert tenant.run(["true"]).status == 0
