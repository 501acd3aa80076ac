# SPDX-License-Identifier: LGPL-2.1-or-later
"""Budgets on what the kernel counts: what runs is stopped when they are used up, by whichever
controller is there, and goes on when there is more."""

import json
import time

import pytest

from product import wait_for

pytestmark = pytest.mark.alone

SPIN = "while :; do :; done"
# What two CPUs use while a busy host makes everything wait, in an emulated machine. The bound that
# counts is measured natively, by tests/bench/budget.
BEYOND_USEC = 400000


def budget(seconds, then, **limits):
    return {"quotas": {"cpu_time": {"limit": f"{seconds}s", "per": "month", "on_exhaust": then}},
            "cpu_quota": "max", **limits}


def cpu_usec(tenant):
    return tenant.stat("cpu.stat", "usage_usec")


def frozen(tenant):
    return "frozen 1" in (tenant.cgroup / "cgroup.events").read_text()


def kinds(host, tenant):
    lines = host.ctl("events", tenant.name, "--json").stdout.splitlines()
    return [event["kind"] for event in map(json.loads, lines)]


def stays(tenant, seconds):
    before = cpu_usec(tenant)
    time.sleep(seconds)
    return cpu_usec(tenant) - before


def raise_to(host, tenant, limit):
    host.ctl("quota", "set", tenant.name, "cpu_time", limit)


def test_what_runs_stands_still_at_the_limit_and_goes_on_beyond(host):
    tenant = host.tenant(host.tier(**budget(2, "freeze")))
    running = tenant.start(["sh", "-c", f"({SPIN})& {SPIN}"])
    wait_for(lambda: frozen(tenant), "the freeze", 60)
    used = cpu_usec(tenant)
    print(f"{used - 2000000} us beyond the limit")
    assert 2000000 <= used <= 2000000 + BEYOND_USEC
    assert stays(tenant, 1) == 0
    refused = tenant.run(["true"])
    assert refused.status == 125 and b"is used up" in refused.err
    assert host.ctl("exec", running.id, "--", "true", check=False).returncode == 125
    raise_to(host, tenant, "4s")
    wait_for(lambda: not frozen(tenant), "the thaw")
    wait_for(lambda: frozen(tenant), "the next freeze", 60)
    assert 4000000 <= cpu_usec(tenant) <= 4000000 + BEYOND_USEC
    assert running.poll() is None
    told = [kind for kind in kinds(host, tenant) if kind.startswith("quota_")]
    assert told == ["quota_exhausted", "quota_restored", "quota_exhausted"]
    host.ctl("kill", running.id)
    assert running.wait().status == 137
    assert not frozen(tenant)


def test_what_runs_is_throttled_at_the_limit(host):
    tenant = host.tenant(host.tier(**budget(1, "throttle")))
    running = tenant.start(["sh", "-c", SPIN])
    wait_for(lambda: (tenant.cgroup / "cpu.max").read_text() == "1000 100000\n", "the limit", 60)
    assert stays(tenant, 3) <= 90000
    raise_to(host, tenant, "max")
    wait_for(lambda: (tenant.cgroup / "cpu.max").read_text() == "max 100000\n", "its own limit")
    host.ctl("kill", running.id)
    running.wait()


def test_what_runs_is_killed_at_the_limit(host):
    tenant = host.tenant(host.tier(**budget(1, "kill")))
    done = tenant.run(["sh", "-c", f"({SPIN})& {SPIN}"])
    assert done.status == 137
    assert b"killed by quotas.cpu_time 1s per month, hard, on_exhaust kill" in done.err
    used = tenant.usage("--totals")["meters"]["cpu_time"]
    assert 1000000 <= used <= 1000000 + BEYOND_USEC
    assert done.record["reason"] == "quota"
    assert tenant.run(["true"]).status == 125


def test_a_budget_is_held_whichever_controller_there_is(host, full):
    tenant = host.tenant(host.tier(**budget(3600, "freeze")))
    running = tenant.start(["sh", "-c", SPIN])
    for _ in range(full(6, 3)):
        time.sleep(0.3)
        host.kill_controller()
    # The one that is there now has not seen it begin. While there is none nobody looks.
    limit = cpu_usec(tenant) + 2000000
    raise_to(host, tenant, f"{limit}us")
    wait_for(lambda: frozen(tenant), "the freeze", 60)
    assert limit <= cpu_usec(tenant) <= limit + BEYOND_USEC
    # The one that froze it is gone, and so is what it was frozen for.
    host.kill_controller()
    raise_to(host, tenant, "max")
    wait_for(lambda: not frozen(tenant), "the thaw")
    assert stays(tenant, 0.5) > 0
    host.ctl("kill", running.id)
    running.wait()


def test_memory_over_time_is_a_budget_too(host):
    quota = {"memory_time": {"limit": "100MiBs", "per": "day", "on_exhaust": "kill"}}
    tenant = host.tenant(host.tier(quotas=quota, memory_max="256M"))
    done = tenant.run([host.probe("memory"), "64:600000"])
    assert done.status == 137 and b"killed by quotas.memory_time" in done.err
    used = tenant.usage("--totals")["meters"]["memory_time"]
    assert 100000 <= used <= 120000
