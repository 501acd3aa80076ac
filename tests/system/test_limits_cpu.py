# SPDX-License-Identifier: LGPL-2.1-or-later
"""CPU limits, measured by what the kernel says the tenants used."""

import os
import time

import pytest

pytestmark = pytest.mark.alone

WINDOW_SECONDS = (10, 5)  # full, short


def cpu_rates(seconds, *read_usec):
    """CPU-seconds per second over a window, of each counter."""
    begin, before = time.monotonic(), [read() for read in read_usec]
    time.sleep(seconds)
    after, end = [read() for read in read_usec], time.monotonic()
    return [(b - a) / 1e6 / (end - begin) for a, b in zip(before, after)]


def tenant_usage(tenant):
    return lambda: tenant.stat("cpu.stat", "usage_usec")


def start_hog(host, tenant, *args, opts=()):
    running = tenant.start([host.probe("hog"), *args], *opts)
    running.wait_out(b"busy")
    time.sleep(0.3)  # beyond the first period, whose quota has not been used yet
    return running


@pytest.mark.parametrize("threads", [1, 2])
def test_cpu_quota_holds_a_tenant_to_half_a_cpu(host, full, threads):
    tenant = host.tenant(host.tier(cpu_quota="50%"))
    start_hog(host, tenant, threads)
    rate, = cpu_rates(full(*WINDOW_SECONDS), tenant_usage(tenant))
    assert 0.45 <= rate <= 0.55
    assert tenant.stat("cpu.stat", "throttled_usec") > 0


def test_cpu_quota_counts_all_executions_of_a_tenant_together(host, full):
    tenant = host.tenant(host.tier(cpu_quota="50%"))
    for _ in range(3):
        start_hog(host, tenant, 1)
    rate, = cpu_rates(full(*WINDOW_SECONDS), tenant_usage(tenant))
    assert 0.45 <= rate <= 0.55


def test_without_a_quota_the_same_hog_takes_more(host, full):
    tenant = host.tenant(host.tier(cpu_quota="max"))
    start_hog(host, tenant, 2)
    rate, = cpu_rates(full(*WINDOW_SECONDS), tenant_usage(tenant))
    assert rate > 0.8
    assert tenant.read("cpu.max") == "max 100000"


def test_a_quota_above_one_cpu_lets_two_threads_have_more_than_one(host, full):
    tenant = host.tenant(host.tier(cpu_quota="150%"))
    start_hog(host, tenant, 2)
    rate, = cpu_rates(full(*WINDOW_SECONDS), tenant_usage(tenant))
    assert 1.05 <= rate <= 1.65


def test_the_record_tells_how_long_the_tenant_was_throttled(host):
    held = host.tenant(host.tier(cpu_quota="20%"))
    free = host.tenant(host.tier(cpu_quota="max"))
    records = [tenant.run([host.probe("hog"), "2"], "--timeout", "2s").record
               for tenant in (held, free)]
    assert records[0]["tenant_throttled_usec"] > 500_000
    assert records[1]["tenant_throttled_usec"] == 0
    assert records[0]["cpu_usec"] < 700_000 < records[1]["cpu_usec"]


def test_cpu_weight_divides_a_busy_cpu_in_its_proportion(host, full):
    light = host.tenant(host.tier(cpu_quota="max", cpu_weight=50))
    heavy = host.tenant(host.tier(cpu_quota="max", cpu_weight=200))
    assert (light.read("cpu.weight"), heavy.read("cpu.weight")) == ("50", "200")
    for tenant in light, heavy:
        start_hog(host, tenant, 1, 1)
    rates = cpu_rates(full(*WINDOW_SECONDS), tenant_usage(light), tenant_usage(heavy))
    assert rates[0] > 0.02
    assert 2.5 <= rates[1] / rates[0] <= 6  # 4, but for what else runs on that CPU


def test_weights_of_100_and_300_get_a_quarter_and_three_of_one_cpu(host, full):
    tenants = [host.tenant(host.tier(cpu_quota="max", cpu_weight=weight))
               for weight in (100, 300)]
    assert [tenant.read("cpu.weight") for tenant in tenants] == ["100", "300"]
    for tenant in tenants:
        start_hog(host, tenant, 1, 1)
    rates = cpu_rates(full(20, 8), *map(tenant_usage, tenants))
    print(f"CPU-seconds per second: {rates[0]:.3f} and {rates[1]:.3f}")
    assert rates[0] > 0.02
    assert 3 * 0.85 <= rates[1] / rates[0] <= 3 * 1.15


def test_cpus_narrows_one_execution_below_the_tenants_quota(host, full):
    tenant = host.tenant(host.tier(cpu_quota="200%"))
    narrow = start_hog(host, tenant, 2, opts=["--cpus", "0.5"])
    wide = tenant.start(["sleep", "60"])
    assert narrow.read("cpu.max") == "50000 100000"
    assert wide.read("cpu.max") == "max 100000"
    rate, = cpu_rates(full(*WINDOW_SECONDS), lambda: narrow.stat("cpu.stat", "usage_usec"))
    assert 0.45 <= rate <= 0.55
    assert narrow.stat("cpu.stat", "throttled_usec") > 0


def test_a_workload_may_be_on_every_cpu_that_the_host_gives_it(host):
    tenant = host.tenant()
    wanted = f"{len(os.sched_getaffinity(host.supervisor_pid()))}\n".encode()
    for opts in ((), ("--no-init",)) * 5:
        assert tenant.run(["nproc"], *opts).out == wanted
