# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenant-run --queue: waiting in order for one of executions_max."""

import itertools
import json
import os
import signal
import time

from product import wait_for


def waiting(tenant, argv, before, *opts):
    """A run that waits behind that many others."""
    running = tenant.start(argv, "--queue", "5min", *opts)
    text = f"waiting for a slot of {tenant.name}, {before} before".encode()
    wait_for(lambda: text in running.err(), lambda: f"{text!r} in {running.err()!r}")
    return running


def test_forty_racing_launches_all_run_and_never_more_than_two(host):
    tenant = host.tenant(host.tier(executions_max=2))
    assert tenant.run(["true"]).status == 0
    racing = [tenant.start(["sleep", "0.1"], "--queue", "5min") for _ in range(40)]
    most = 0
    while any(running.poll() is None for running in racing):
        most = max(most, tenant.stat("cgroup.stat", "nr_descendants"), len(tenant.leaves()))
        time.sleep(0.002)
    results = [running.wait() for running in racing]
    assert [r.status for r in results] == [0] * 40, [r.err for r in results if r.status]
    assert most == 2
    assert len({r.record["id"] for r in results}) == 40
    # By the records too: an end counts before a beginning at the same time.
    changes = [(r.record["started_at"], 1) for r in results]
    changes += [(r.record["ended_at"], -1) for r in results]
    assert max(itertools.accumulate(change for _, change in sorted(changes))) == 2
    assert tenant.usage()["meters"]["executions"] == 41


def test_they_run_in_the_order_in_which_they_came(host):
    tenant = host.tenant(host.tier(executions_max=1))
    first = tenant.start(["sleep", "60"])
    assert first.id
    queue = [waiting(tenant, ["true"], before) for before in range(8)]
    # Who would not wait is refused, and does not overtake.
    refused = tenant.run(["true"], "--json")
    assert refused.status == 125
    assert json.loads(refused.err)["error"].endswith("QuotaExceeded")
    host.ctl("kill", first.id)
    results = [running.wait() for running in queue]
    assert [r.status for r in results] == [0] * 8
    started = [r.record["started_at"] for r in results]
    assert started == sorted(started)
    ended = [r.record["ended_at"] for r in results]
    assert all(start >= end for start, end in zip(started[1:], ended))


def test_the_wait_has_an_end(host):
    tenant = host.tenant(host.tier(executions_max=1))
    first = tenant.start(["sleep", "60"])
    assert first.id
    began = time.monotonic()
    refused = tenant.run(["true"], "--json", "--queue", "1s")
    took = time.monotonic() - began
    assert refused.status == 125
    error = json.loads(refused.err)
    assert error["error"].endswith("QuotaExceeded")
    assert "executions_max 1 is reached; no slot was free within 1s" in error["message"]
    assert 1.0 <= took < 4.0
    assert tenant.run(["true"], "--queue", "0").status == 125
    assert len(tenant.leaves()) == 1
    assert [row["id"] for row in tenant.ps()] == [first.id]


def test_who_goes_away_waits_no_more(host):
    tenant = host.tenant(host.tier(executions_max=1))
    first = tenant.start(["sleep", "60"])
    assert first.id
    killed = waiting(tenant, ["touch", "/data/killed"], 0)
    ended = waiting(tenant, ["touch", "/data/ended"], 1)
    last = waiting(tenant, ["touch", "/data/last"], 2)
    killed.kill()
    assert killed.wait().status == -signal.SIGKILL
    ended.send_signal(signal.SIGTERM)
    assert ended.wait().status == 128 + signal.SIGTERM
    host.ctl("kill", first.id)
    result = last.wait()
    assert result.status == 0
    assert {row["id"] for row in tenant.ps()} == {first.id, result.record["id"]}
    assert sorted(p.name for p in tenant.storage.iterdir()) == ["last"]


def test_a_reload_that_allows_more_lets_them_run(host):
    tier = host.tier(executions_max=1)
    tenant = host.tenant(tier)
    first = tenant.start(["sleep", "60"])
    assert first.id
    queue = [waiting(tenant, ["sleep", "60"], before) for before in range(2)]
    host.tier(tier, executions_max=3)
    assert sorted(running.id for running in [first, *queue]) == tenant.leaves()


def test_a_restart_does_not_end_the_wait(host):
    tenant = host.tenant(host.tier(executions_max=1))
    first = tenant.start(["sleep", "60"])
    assert first.id
    queued = waiting(tenant, ["true"], 0)
    controller = host.controller_pid()
    os.kill(controller, signal.SIGKILL)
    host.wait_served(host.controller_pid, controller)
    assert [row["id"] for row in tenant.ps()] == [first.id]
    # What ran runs on, and is waited for.
    assert (first.poll(), queued.poll()) == (None, None)
    host.ctl("kill", first.id)
    assert queued.wait().status == 0
    assert first.wait().record["reason"] == "killed"
    wait_for(lambda: not tenant.leaves(), "its end")
