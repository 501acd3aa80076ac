# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists of many executions: whole, correct, in bounded time, with bounded memory."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from product import RECORD_KEYS, Host
from wire import Wire, message

COUNT = (10000, 500)  # full, short
ROW_SECONDS_MAX = 0.004
MEMORY_KIB_MAX = 8192


@pytest.fixture(scope="module")
def busy(product):
    """A tenant that has run `nothing` so often, and how often."""
    made = Host()
    tenant = made.tenant(made.tier(executions_max=32, cpu_quota="max"))
    yield tenant
    made.close()


def run_many(host, tenant, count):
    with host.launches(tenant, count, host.probe("nothing"), flight=8,
                       stdout=subprocess.PIPE) as client:
        ended = [line.split()[1] for line in client.stdout]
    assert client.returncode == 0
    assert ended == ["exited"] * count


def controller_kib(host):
    status = Path(f"/proc/{host.controller_pid()}/status").read_text(encoding="ascii")
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M).group(1))


def timed(function, *args):
    began = time.monotonic()
    value = function(*args)
    return value, time.monotonic() - began


def test_usage_and_ps_are_whole_after_many_executions(host, busy, full):
    count = full(*COUNT)
    other = host.tenant()
    assert other.run(["true"]).status == 0
    run_many(host, busy, count)
    before = controller_kib(host)
    usage, usage_took = timed(busy.usage)
    rows, ps_took = timed(host.ctl_json, "ps", "--all")
    grown = controller_kib(host) - before
    print(f"{count} executions: usage in {usage_took:.2f} s, ps in {ps_took:.2f} s for "
          f"{len(rows)} rows, the controller grew by {grown} KiB")

    records = {record["id"]: record for record in usage["executions"]}
    assert len(records) == len(usage["executions"]) == usage["meters"]["executions"] == count
    assert usage["meters"]["cpu_time"] == busy.stat("cpu.stat", "usage_usec")
    assert (sum(record["cpu_usec"] for record in records.values()) +
            usage["unattributed_usec"]) == usage["meters"]["cpu_time"]
    assert usage["meters"]["execution_time"] == sum(
        record["wall_usec"] for record in records.values())

    assert all(set(row) == set(RECORD_KEYS) for row in rows)
    starts = [row["started_at"] for row in rows]
    assert starts == sorted(starts, reverse=True)
    mine = {row["id"]: row for row in rows if row["tenant"] == busy.name}
    assert mine == records
    assert len({row["id"] for row in rows}) == len(rows) > count
    assert [row["tenant"] for row in rows].count(other.name) == 1
    assert {row["id"] for row in host.ctl_json("ps", "--all", busy.name)} == set(records)
    assert host.ctl_json("ps", busy.name) == []

    assert usage_took < 5 + count * ROW_SECONDS_MAX
    assert ps_took < 5 + len(rows) * ROW_SECONDS_MAX
    assert grown < MEMORY_KIB_MAX


def test_a_list_that_nobody_reads_waits_and_is_whole_when_it_is_read(host, busy):
    # Without the test before this one, more than socket and queue hold.
    run_many(host, busy, max(0, 500 - len(host.ctl_json("ps", "--all", busy.name))))
    expected = {row["id"] for row in host.ctl_json("ps", "--all", busy.name)}
    with Wire() as wire:
        wire.send(message("io.tenantd.ListExecutions", {"tenant": busy.name, "all": True},
                          more=True))
        time.sleep(1)
        before = controller_kib(host)
        # What begins meanwhile is not of this list; others are served.
        assert busy.run(["true"]).status == 0
        assert controller_kib(host) - before < MEMORY_KIB_MAX
        found = []
        while True:
            reply = wire.receive()
            assert "error" not in reply
            found.append(reply["parameters"]["execution"]["id"])
            if not reply.get("continues"):
                break
    assert len(found) == len(set(found)) == len(expected)
    assert set(found) == expected
