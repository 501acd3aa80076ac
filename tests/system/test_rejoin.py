# SPDX-License-Identifier: LGPL-2.1-or-later
"""An attached run outlives either daemon: its caller waits, and learns how it ended."""

import os
import signal
import subprocess
import threading

import pytest

from product import wait_for

GATE = "echo up; read x </data/go; exit 7"


def kill(find):
    """kill -9; gives back the pid that was."""
    pid = find()
    os.kill(pid, signal.SIGKILL)
    return pid


def serves(host, find, old):
    wait_for(lambda: find() not in (0, old) and
             host.ctl("status", check=False).returncode == 0, "a new daemon", 60)


def kill_controller(host):
    serves(host, host.controller_pid, kill(host.controller_pid))


def kill_supervisor(host):
    serves(host, host.supervisor_pid, kill(host.supervisor_pid))


def restart(host):
    old = host.supervisor_pid()
    subprocess.run(["systemctl", "restart", "tenantd"], check=True, timeout=120)
    serves(host, host.supervisor_pid, old)


DISTURBANCES = pytest.mark.parametrize("disturb", [kill_controller, kill_supervisor, restart])


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
        disturb(host)
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
    disturb(host)
    result = running.wait()
    assert result.status == 8
    assert result.record == tenant.ps()[0]


def test_signals_that_come_meanwhile_arrive(host):
    tenant = host.tenant()
    running = gated(tenant, script="trap 'echo usr1' USR1; echo up; "
                                   "while ! read x </data/go; do :; done; exit 7")
    old = kill(host.supervisor_pid)
    running.process.send_signal(signal.SIGUSR1)
    serves(host, host.supervisor_pid, old)
    running.wait_out(b"usr1")
    let_go(tenant)
    assert running.wait().status == 7


def test_who_kills_it_is_told(host):
    tenant = host.tenant()
    running = gated(tenant)
    kill_controller(host)
    wait_for(lambda: host.ctl("kill", running.id, check=False).returncode == 0, "the kill")
    result = running.wait()
    assert result.status == 137
    assert b"tenant-run: killed by an administrator\n" in result.err


def test_a_caller_that_dies_after_it_has_come_back_ends_its_run(host):
    tenant = host.tenant()
    running = gated(tenant)
    kill_controller(host)
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
    kill_supervisor(host)
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
    disturb(host)
    over.set()
    for comer in comers:
        comer.join(120)
    errors = [result.stderr for result in results if result.returncode != 0]
    # Whom the old one was answering is told so; nobody finds the door closed.
    assert len(errors) <= len(comers) < len(results)
    assert all(b"went away before it answered" in error for error in errors)
