# SPDX-License-Identifier: LGPL-2.1-or-later
"""The node as a whole: drained for maintenance, and what a monitor is told of it."""

import contextlib
import subprocess
from pathlib import Path

from product import wait_for

DRAINED = b"tenant-run: the node is drained: it launches nothing until it is undrained\n"


@contextlib.contextmanager
def drained(host):
    shown = host.ctl("drain").stdout
    try:
        yield shown
    finally:
        host.ctl("undrain")


def test_a_drained_node_launches_nothing_and_ends_nothing(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "echo up; read x; echo $x"], stdin=subprocess.PIPE)
    running.wait_out(b"up")
    with drained(host) as shown:
        assert shown == b"drained; 1 running\n"
        result = tenant.run(["true"])
        assert (result.status, result.err) == (125, DRAINED)
        queued = tenant.run(["true"], "--queue", "60s")
        assert (queued.status, queued.err) == (125, DRAINED)
        assert b"drained" in host.ctl("status").stdout
        status = host.ctl_json("status")
        assert status["drained_at"] > 0 and status["drained_by"] == 0
        # Tenants can be changed, and plans be made.
        host.ctl("update", tenant.name, "--display-name", "Other")
        assert tenant.run(["true"], "--dry-run").status == 0
        waits = subprocess.Popen(["tenantctl", "drain", "--wait"], stdout=subprocess.PIPE)
        running.stdin.write(b"word\n")
        running.stdin.close()
        assert running.wait().out == b"up\nword\n"
        assert waits.communicate(timeout=60)[0] == b"drained; 0 running\n"
        assert waits.returncode == 0
    assert host.ctl_json("status")["drained_at"] is None
    assert tenant.run(["true"]).status == 0


def test_it_stays_drained_without_either_daemon(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    assert running.id
    with drained(host):
        host.restart()
        assert host.ctl_json("status")["drained_at"] > 0
        assert tenant.run(["true"]).err == DRAINED
        waits = subprocess.Popen(["tenantctl", "drain", "--wait"], stdout=subprocess.PIPE)
        wait_for(lambda: host.ctl_json("status")["executions"] == 1, "the one that runs")
        assert waits.poll() is None
        host.ctl("kill", running.id)
        assert waits.communicate(timeout=60)[0] == b"drained; 0 running\n"
    running.wait()
    assert tenant.run(["true"]).status == 0


def test_a_wait_ends_when_somebody_undrains(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    assert running.id
    with drained(host):
        waits = subprocess.Popen(["tenantctl", "drain", "--wait"], stderr=subprocess.PIPE)
        wait_for(lambda: "poll" in Path(f"/proc/{waits.pid}/wchan").read_text("ascii"),
                 "its question")
    assert waits.communicate(timeout=60)[1] == b"tenantctl: the node is not drained any more\n"
    assert waits.returncode == 1
    running.kill()
    running.wait()
    assert host.ctl_json("status")["drained_at"] is None


def test_status_tells_monitors_by_its_exit_status(host):
    assert host.ctl("status", check=False).returncode == 0
    missing = host.ctl("status", "--socket", "/run/tenantd/nobody", check=False)
    assert missing.returncode == 69
    # What has been booked is on the disk soon.
    assert host.tenant().run(["true"]).status == 0
    wait_for(lambda: host.ctl_json("status")["commit_lag_usec"] == 0, "the disk", 10)
