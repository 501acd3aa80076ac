# SPDX-License-Identifier: LGPL-2.1-or-later
"""An attached run outlives either daemon: its caller waits, and learns how it ended."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from product import Host, wait_for

GATE = "echo up; until [ -p /data/go ]; do sleep 0.1; done; read x </data/go; exit 7"


DISTURBANCES = pytest.mark.parametrize(
    "disturb", [Host.kill_controller, Host.kill_supervisor, Host.restart],
    ids=["kill_controller", "kill_supervisor", "restart"])


def gated(tenant, script=GATE):
    running = tenant.start(["sh", "-c", script])
    subprocess.run(["mkfifo", "-m", "666", tenant.storage / "go"], check=True)
    running.wait_out(b"up")
    return running


def let_go(tenant):
    with open(tenant.storage / "go", "w", encoding="ascii") as go:
        go.write("\n")


@DISTURBANCES
def test_the_exit_code_arrives(host, disturb):
    tenant = host.tenant()
    running = gated(tenant)
    for _ in range(2):
        disturb()
    let_go(tenant)
    result = running.wait()
    assert result.status == 7
    assert result.record == tenant.ps()[0]
    assert result.err.count(b"tenant-run: tenantd is back\n") == 2


@DISTURBANCES
def test_an_end_meanwhile_is_told_later(host, disturb):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "echo up; sleep 1; exit 8"])
    running.wait_out(b"up")
    disturb()
    result = running.wait()
    assert result.status == 8
    assert result.record == tenant.ps()[0]


@pytest.mark.parametrize("find", [Host.controller_pid, Host.supervisor_pid],
                         ids=["controller", "tenantd"])
def test_what_had_not_been_launched_is_launched_once(host, find):
    tenant = host.tenant()
    assert tenant.run(["true"]).status == 0
    old = find()
    # It does not get to what is asked of it before its end.
    os.kill(old, signal.SIGSTOP)
    asking = [tenant.start(["sh", "-c", f"echo {n} >>/data/log; exit {n}"]) for n in (3, 4, 5)]
    time.sleep(0.5)
    assert tenant.leaves() == []
    os.kill(old, signal.SIGKILL)
    host.wait_served(find, old)
    results = [running.wait() for running in asking]
    assert [result.status for result in results] == [3, 4, 5]
    assert sorted((tenant.storage / "log").read_text("ascii").split()) == ["3", "4", "5"]
    rows = {row["id"]: row for row in tenant.ps()}
    assert len(rows) == 4
    for result in results:
        assert rows[result.record["id"]] == result.record


def test_signals_that_come_meanwhile_arrive(host):
    tenant = host.tenant()
    running = gated(tenant, script="trap 'echo usr1' USR1; echo up; "
                                   "while ! read x </data/go; do :; done; exit 7")
    old = host.supervisor_pid()
    os.kill(old, signal.SIGKILL)
    running.process.send_signal(signal.SIGUSR1)
    host.wait_served(host.supervisor_pid, old)
    running.wait_out(b"usr1")
    let_go(tenant)
    assert running.wait().status == 7


def test_who_kills_it_is_told(host):
    tenant = host.tenant()
    running = gated(tenant)
    host.kill_controller()
    wait_for(lambda: host.ctl("kill", running.id, check=False).returncode == 0, "the kill")
    result = running.wait()
    assert result.status == 137
    assert b"tenant-run: killed by an administrator\n" in result.err


def test_a_caller_that_dies_after_it_has_come_back_ends_its_run(host):
    tenant = host.tenant()
    running = gated(tenant)
    host.kill_controller()
    wait_for(lambda: b"is back" in running.err(), "the run to be rejoined")
    running.process.kill()
    running.process.wait()
    wait_for(lambda: tenant.leaves() == [], "its end")
    assert tenant.ps()[0]["reason"] == "killed"


def test_a_caller_that_dies_meanwhile_ends_its_run(host):
    tenant = host.tenant()
    running = gated(tenant)
    leaf = running.leaf
    # Stopped, it cannot come back before it is killed.
    running.process.send_signal(signal.SIGSTOP)
    host.kill_supervisor()
    running.process.kill()
    running.process.wait()
    assert leaf.exists()
    wait_for(lambda: tenant.leaves() == [], "its end", 60)
    wait_for(lambda: tenant.ps()[0]["reason"] == "killed", "its record")


@DISTURBANCES
def test_who_comes_meanwhile_waits(host, disturb):
    tenant = host.tenant()
    over = threading.Event()
    results = []

    def come():
        while not over.is_set():
            results.append(host.ctl("show", tenant.name, check=False, timeout=120))

    comers = [threading.Thread(target=come) for _ in range(2)]
    for comer in comers:
        comer.start()
    disturb()
    wait_for(lambda: len(results) > len(comers), "answers from both")
    over.set()
    for comer in comers:
        comer.join(120)
    errors = [result.stderr for result in results if result.returncode != 0]
    # Whom the old one was answering is told so; nobody finds the door closed.
    assert len(errors) <= len(comers) < len(results)
    assert all(b"went away before it answered" in error for error in errors)


def test_where_no_daemon_can_start_nobody_waits_for_ever(host):
    bounds = Path("/etc/tenantd/bounds.conf")
    before = bounds.read_text(encoding="utf-8")
    bounds.write_text(before + "\nno_such_bound = 1\n", encoding="utf-8")
    try:
        os.kill(host.supervisor_pid(), signal.SIGKILL)
        wait_for(lambda: host.ctl("list", check=False).returncode == 69, "a closed door", 60)
    finally:
        bounds.write_text(before, encoding="utf-8")
    wait_for(lambda: host.ctl("status", check=False).returncode == 0, "tenantd to serve", 60)


def test_what_is_on_its_way_when_tenantd_dies_is_told_of_when_it_starts(host):
    """Its quota keeps it from executing anything for a while, and what it needs for that it has."""
    tenant = host.tenant(host.tier(cpu_quota="3%"))
    running = tenant.start(["sh", "-c", GATE])
    subprocess.run(["mkfifo", "-m", "666", tenant.storage / "go"], check=True)
    wait_for(lambda: tenant.leaves() != [], "its leaf")
    time.sleep(0.2)
    host.kill_supervisor()
    assert running.wait_out(b"up", 60)
    # Long before its end.
    assert wait_for(lambda: running.id, "its start", 30)
    assert [(row["id"], row["state"]) for row in tenant.ps()] == [(running.id, "running")]
    let_go(tenant)
    assert running.wait().status == 7
    assert len(tenant.ps()) == 1
