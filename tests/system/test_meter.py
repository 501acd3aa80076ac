# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant's own socket: a workload meters itself and nobody else, whichever daemon dies
meanwhile, and whoever means harm by it slows no other tenant."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from inside import command, probe
from product import wait_for

TOKENS = {"tokens": {"limit": 10, "per": "month"}}
SOCKET = "/run/tenant/meter.sock"
KINDS = ("flood", "garbage", "deep", "connections", "deaf", "descriptors")
LOOKS = 3
FLOOR_USEC = 5000  # below that nobody is slow


def quota(host, tenant, meter="tokens"):
    summary = host.ctl_json("quota", "show", tenant.name)
    return next(row for row in summary["quotas"] if row["meter"] == meter)


def used(host, tenant, meter="tokens"):
    return quota(host, tenant, meter)["used"]


def used_and_reserved(host, tenant):
    row = quota(host, tenant)
    return row["used"], row["reserved"]


def meter(tenant, *argv):
    return tenant.run(["tenant-meter", *argv])


def test_a_workload_meters_itself_and_nobody_else(host):
    tier = host.tier(quotas=TOKENS)
    tenant, other = host.tenant(tier), host.tenant(tier)
    for done in range(1, 11):
        result = meter(tenant, "consume", "tokens", "1")
        assert (result.status, result.out) == (0, f"{done} of 10 used, 0 reserved\n".encode())
    refused = meter(tenant, "consume", "tokens", "1", "--json")
    assert refused.status == 1
    assert json.loads(refused.err)["error"] == "io.tenantd.QuotaExceeded"
    assert meter(other, "check", "tokens", "10").status == 0
    assert (used(host, tenant), used(host, other)) == (10, 0)
    shown = json.loads(meter(tenant, "show", "--json").out)
    assert shown["tenant"] == tenant.name
    # Whom it names is not whom it is.
    answers = probe(tenant, "ask", json.dumps([
        {"method": "io.tenantd.ConsumeQuota",
         "parameters": {"tenant": other.name, "meter": "tokens", "amount": 1}},
        {"method": "io.tenantd.GetQuotas", "parameters": {"tenant": other.name}},
        {"method": "io.tenantd.ListTenants", "parameters": {}, "more": True},
        {"method": "io.tenantd.DeleteTenant", "parameters": {"tenant": other.name}},
        {"method": "io.tenantd.GetQuotas", "parameters": {}}]))
    assert [answer.get("error") for answer in answers] == (
        ["io.tenantd.NotPermitted"] * 4 + [None])
    assert answers[-1]["parameters"]["tenant"] == tenant.name
    assert used(host, other) == 0


def test_workloads_lease_what_there_is_and_no_more(host):
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": 1000, "per": "month"}}))
    lease = host.probe("lease", "-ltenant")
    both = [tenant.start([lease, "tokens", "70", "2000"]) for _ in range(2)]
    results = [running.wait() for running in both]
    assert [result.status for result in results] == [0, 0], results
    assert sum(int(result.out) for result in results) == 1000
    assert used_and_reserved(host, tenant) == (1000, 0)


def test_what_a_workload_that_is_killed_has_leased_counts_as_used(host):
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": 1000, "per": "month"}}))
    lease = host.probe("lease", "-ltenant")
    closed = tenant.run([lease, "tokens", "100", "30"])
    assert (closed.status, closed.out) == (0, b"30\n"), closed.err
    assert used_and_reserved(host, tenant) == (30, 0)
    running = tenant.start([lease, "tokens", "100", "30", "hold"])
    running.wait_out(b"30\n")
    assert sum(used_and_reserved(host, tenant)) >= 30 + 100
    running.kill()
    running.wait()
    held = sum(used_and_reserved(host, tenant))
    wait_for(lambda: used_and_reserved(host, tenant) == (held, 0), "the end of its term")


def test_nobody_outside_is_taken_for_a_workload(host):
    """Not even root, who alone comes to the socket."""
    tenant = host.tenant(host.tier(quotas=TOKENS))
    assert meter(tenant, "show").status == 0
    path = f"/run/tenantd/meter/{tenant.id}/meter.sock"
    done = subprocess.run(["tenant-meter", "consume", "tokens", "1", "--socket", path],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 69
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           "tenant-meter", "show", "--socket", path],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 4
    assert used(host, tenant) == 0


def test_the_socket_can_be_connected_to_and_nothing_else(host):
    tenant = host.tenant()
    listed = tenant.run(["sh", "-c", f"""
        ls /run/tenant; stat -c %A {SOCKET}
        for f in {SOCKET} /run/tenant/hosts; do
            rm -f $f 2>/dev/null && echo removed; mv $f /tmp/x 2>/dev/null && echo moved
        done
        touch /run/tenant/x 2>/dev/null && echo made
        chmod 777 {SOCKET} 2>/dev/null && echo changed
        true"""])
    assert listed.out == b"hostname\nhosts\nmeter.sock\nsrw-rw-rw-\n"
    assert meter(tenant, "show").status == 0


def test_what_an_execution_acquires_comes_back_with_its_end(host):
    tenant = host.tenant(host.tier(quotas={"agents": {"limit": 2}}))
    running = tenant.start(["sh", "-c", "tenant-meter acquire agents 2; sleep 600"])
    running.wait_out(b"2 of 2 used")
    assert meter(tenant, "acquire", "agents", "1").status == 1
    # Nor does another give back what is not its own.
    assert meter(tenant, "give-back", "agents", "1").status == 1
    host.ctl("kill", running.id)
    running.wait()
    wait_for(lambda: used(host, tenant, "agents") == 0, "what it had")


def test_a_reservation_is_used_in_part(host):
    tenant = host.tenant(host.tier(quotas=TOKENS))
    done = tenant.run(["sh", "-ec", """
        id=$(tenant-meter reserve tokens 8 --for 1min | cut -d" " -f1)
        tenant-meter check tokens 3 && exit 1
        tenant-meter commit $id 3
        id=$(tenant-meter reserve tokens 7 | cut -d" " -f1)
        tenant-meter release $id"""])
    assert done.status == 0, done.err
    assert used(host, tenant) == 3


def consuming(host, tenant, clients, each, prefix):
    return tenant.start([host.probe("consume", "-ltenant"), "-", "tokens", clients, each, prefix])


def kill_both(host):
    """At the same moment; systemd starts the one and that the other."""
    old = host.supervisor_pid()
    for pid in (old, host.controller_pid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    host.wait_served(host.supervisor_pid, old)


@pytest.mark.parametrize("kills", ["controller", "supervisor", "both", "restart"])
def test_what_was_accepted_is_counted_once_whichever_daemon_dies(host, full, kills):
    kill = {"controller": host.kill_controller, "supervisor": host.kill_supervisor,
            "both": lambda: kill_both(host), "restart": host.restart}[kills]
    clients, each = 8, full(200, 40)
    limit = clients * each * 3 // 4
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": limit, "per": "day"}},
                                   tasks_max=64))
    running = consuming(host, tenant, clients, each, "k")
    assert running.id
    for _ in range(full(6, 2)):
        time.sleep(0.5)
        kill()
    result = running.wait(600)
    accepted, refused, lost = map(int, result.out.split())
    assert (result.status, lost) == (0, 0)
    assert (accepted, accepted + refused) == (limit, clients * each)
    assert used(host, tenant) == limit
    # What is launched then has it, too, at the same path.
    assert meter(tenant, "check", "tokens", "1").status == 1


def test_a_client_that_is_connected_goes_on_by_itself(host):
    """With a key the command line waits for the daemon to come back."""
    tenant = host.tenant(host.tier(quotas=TOKENS))
    running = tenant.start(["sh", "-c", """
        for i in 1 2 3 4 5 6; do tenant-meter consume tokens 1 --key k$i || exit; sleep 0.3; done"""])
    running.wait_out(b"1 of 10 used")
    host.kill_supervisor()
    host.kill_controller()
    assert running.wait(120).status == 0
    assert used(host, tenant) == 6


def test_nothing_is_left_of_a_deleted_tenant(host):
    tenant = host.tenant()
    assert meter(tenant, "show").status == 0
    directory = f"/run/tenantd/meter/{tenant.id}"
    assert os.listdir(directory)
    host.ctl("delete", "--force", tenant.name)
    assert not os.path.exists(directory)


def times(host, tenant, count):
    result = tenant.run([host.probe("meter_times", "-ltenant"), "tokens", count, 1000],
                        timeout=600)
    assert result.status == 0, result.err
    return sorted(map(int, result.out.split()))


def p50(values):
    return values[len(values) // 2]


def p99(values):
    return values[len(values) * 99 // 100]


def times_beside(host, tenant, hostile, argv, count):
    running = hostile.start(argv)
    running.wait_out(b"up")
    measured = times(host, tenant, count)
    assert running.poll() is None
    host.ctl("kill", running.id)
    running.wait()
    return measured


@pytest.mark.alone
@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_workload_slows_no_other_tenant(host, full, kind):
    quotas = {"tokens": {"limit": "max", "per": "day"}}
    hostile = host.tenant(host.tier(quotas=quotas, cpu_quota="50%", tasks_max=64))
    tenant = host.tenant(host.tier(quotas=quotas, cpu_quota="max"))
    count = full(2000, 400)
    # What it uses of its quota of CPU time slows others down in any case, as far as there are no
    # more processors: so much a loop does that lets the socket be.
    loop = ["sh", "-c", "echo up; while :; do :; done"]
    times(host, tenant, 50)
    shown = ""
    for _ in range(LOOKS):
        before = times(host, tenant, count)
        beside_loop = times_beside(host, tenant, hostile, loop, count)
        during = times_beside(host, tenant, hostile, command("spite", kind, 600), count)
        shown = f"{kind}: consume, " + "; ".join(
            f"{name}: p50 {p50(values)} us, p99 {p99(values)} us" for name, values in
            (("before", before), ("beside a loop", beside_loop), ("beside it", during)))
        print(shown)
        # What the machine does to each of them is in all three.
        quiet = [max(of(before), of(beside_loop)) for of in (p50, p99)]
        if all(of(during) <= max(2 * usual, FLOOR_USEC)
               for of, usual in zip((p50, p99), quiet, strict=True)):
            # Its own are served, too, if not at once.
            assert meter(hostile, "check", "tokens", "1").status == 0
            return
    raise AssertionError(f"slowed down {LOOKS} times, at last {shown}")
