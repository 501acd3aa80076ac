# SPDX-License-Identifier: LGPL-2.1-or-later
"""Quotas: no more than there is, whoever asks at once and whichever daemon dies meanwhile."""

import json
import subprocess
import time

from product import wait_for

TOKENS = {"tokens": {"limit": 10, "per": "month"}}


def quota(host, *argv):
    return host.ctl("quota", *argv, check=False)


def shown(host, tenant, meter):
    summary = host.ctl_json("quota", "show", tenant.name)
    return next(row for row in summary["quotas"] if row["meter"] == meter)


def test_ten_consumes_pass_and_the_eleventh_fails(host):
    tenant = host.tenant(host.tier(quotas=TOKENS))
    for used in range(1, 11):
        done = host.ctl("quota", "consume", tenant.name, "tokens", 1)
        assert done.stdout == f"{used} of 10 used, 0 reserved\n".encode()
    done = quota(host, "consume", tenant.name, "tokens", 1, "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"] == "io.tenantd.QuotaExceeded"
    row = shown(host, tenant, "tokens")
    assert (row["limit"], row["used"], row["percent"], row["per"]) == (10, 10, 100, "month")
    assert row["period_start"] <= time.time() * 1e6 < row["reset_at"]
    # Another tenant of the same tier has its own.
    other = host.tenant(tenant.tier)
    host.ctl("quota", "consume", other.name, "tokens", 10)


def consuming(host, tenant, clients, each, prefix):
    return subprocess.Popen(
        [host.probe("consume", "-ltenant"), tenant.name, "tokens", str(clients), str(each),
         prefix], stdout=subprocess.PIPE, text=True)


def counts(process):
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return [int(word) for word in out.split()]


def test_many_at_once_stop_exactly_at_the_limit(host, full):
    clients, each = full(30, 16), full(100, 20)
    limit = clients * each // 2 + 7
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": limit, "per": "day"}}))
    accepted, refused, lost = counts(consuming(host, tenant, clients, each, "a"))
    assert (accepted, refused, lost) == (limit, clients * each - limit, 0)
    assert shown(host, tenant, "tokens")["used"] == limit


def test_what_was_accepted_is_kept_and_nothing_counts_twice_when_the_controller_dies(host, full):
    clients, each = 8, full(200, 40)
    limit = clients * each * 3 // 4
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": limit, "per": "day"}}))
    process = consuming(host, tenant, clients, each, "k")
    for _ in range(full(10, 3)):
        time.sleep(0.3)
        host.kill_controller()
    accepted, refused, lost = counts(process)
    assert lost == 0
    assert (accepted, accepted + refused) == (limit, clients * each)
    assert shown(host, tenant, "tokens")["used"] == limit


def test_a_gauge_comes_back_with_the_execution_that_has_it(host):
    tenant = host.tenant(host.tier(quotas={"agents": {"limit": 2}}))
    running = tenant.start(["sleep", "600"])
    host.ctl("quota", "acquire", tenant.name, "agents", 2, "--execution", running.id)
    assert quota(host, "acquire", tenant.name, "agents", 1).returncode == 1
    host.ctl("kill", running.id)
    running.wait()
    wait_for(lambda: shown(host, tenant, "agents")["used"] == 0, "what it had")
    host.ctl("quota", "acquire", tenant.name, "agents", 2)
    host.ctl("quota", "release", tenant.name, "agents", 2)
    assert quota(host, "release", tenant.name, "agents", 1).returncode == 1


def test_nothing_is_launched_when_what_the_kernel_measures_is_used_up(host):
    tier = host.tier(quotas={"executions": {"limit": 2, "per": "month"}})
    tenant = host.tenant(tier)
    assert tenant.run(["true"]).status == 0
    running = tenant.start(["sleep", "600"])
    identity = running.id
    refused = tenant.run(["true"])
    assert refused.status == 125
    assert f"executions of '{tenant.name}' is used up until the next month: 2 of 2".encode() in (
        refused.err)
    host.ctl("kill", identity)
    running.wait()
    assert tenant.run(["true"]).status == 125
    host.ctl("quota", "set", tenant.name, "executions", "3")
    assert tenant.run(["true"]).status == 0
    assert tenant.run(["true"]).status == 125


def test_a_threshold_is_told_of_once(host):
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": 10, "per": "month",
                                                      "warn": [50, 80]}}))
    for _ in range(9):
        host.ctl("quota", "consume", tenant.name, "tokens", 1)

    def told():
        lines = host.ctl("events", tenant.name, "--json").stdout.splitlines()
        return [event["after"]["percent"] for event in map(json.loads, lines)
                if event["kind"] == "quota_reached"]

    wait_for(lambda: told() == ["50", "80"], told)
