# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that is full: what runs goes on, what is new is refused with the
reason, and when there is room again nothing has been lost."""

import contextlib
import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from product import EXEC_RECORDS, Host, wait_for
from second import second

STATE = Path("/var/lib/tenantd")


def degraded(reason):
    """Whether `status` says so, with its exit status."""
    done = Host.ctl("status", check=False)
    return done.returncode == 1 and reason in done.stdout.decode()


def healthy():
    return Host.ctl("status", check=False).returncode == 0


def fill(directory):
    """Takes all the room there is, to the last byte; gives the file that has it."""
    path = Path(directory, "filler")
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
        with pytest.raises(OSError) as full:
            file.write(b"x")
    assert full.value.errno == errno.ENOSPC
    return path


@contextlib.contextmanager
def own_file_system():
    """The state directory on a small disk of its own."""
    image = Path("/var/tmp/state.img")
    subprocess.run(["systemctl", "stop", "tenantd.service"], check=True)
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, "/mnt"], check=True)
    subprocess.run(["cp", "-a", f"{STATE}/.", "/mnt"], check=True)
    # All of it is in the database; a log that is there has room that a full disk cannot take.
    for name in ("tenantd.db-wal", "tenantd.db-shm"):
        Path("/mnt/store", name).unlink()
    subprocess.run(["umount", "/mnt"], check=True)
    subprocess.run(["mount", "-o", "loop", image, STATE], check=True)
    subprocess.run(["systemctl", "start", "tenantd.service"], check=True)
    wait_for(healthy, "the daemon")
    try:
        yield
    finally:
        subprocess.run(["systemctl", "stop", "tenantd.service"], check=True)
        # What was made here lives on, with its slots and its data.
        subprocess.run(["mount", "-o", "loop", image, "/mnt"], check=True)
        subprocess.run(["umount", STATE], check=True)
        subprocess.run(["cp", "-a", "/mnt/.", STATE], check=True)
        subprocess.run(["umount", "/mnt"], check=True)
        image.unlink()
        subprocess.run(["systemctl", "start", "tenantd.service"], check=True)
        wait_for(healthy, "the daemon", 60)


def status_text():
    return subprocess.run(["systemctl", "show", "-P", "StatusText", "tenantd.service"],
                          capture_output=True, text=True, check=True).stdout


def assert_refused_while(host, tenant, reason, recover):
    """The store takes nothing: look at all that is to hold, `recover`, and look again."""
    runs = [tenant.start(["sh", "-c", f"echo up; read x; exit {code}"], stdin=subprocess.PIPE)
            for code in (3, 4)]
    for running in runs:
        running.wait_out(b"up")
    yield
    # The first thing that would have to be booked tells.
    runs[0].stdin.close()
    ended = runs[0].wait()
    assert ended.status == 3
    wait_for(lambda: degraded(reason), "a degraded daemon", 30)
    refused = tenant.run(["true"])
    assert refused.status == 125
    assert reason.encode() in refused.err
    assert b"nothing is launched" in refused.err
    name = f"after-{tenant.name}"
    created = host.ctl("create", name, "--tier", "professional", check=False)
    assert created.returncode != 0
    assert reason.encode() in created.stderr
    # It waits where a reboot alone would lose it, and is shown all the same.
    assert (EXEC_RECORDS / ended.record["id"]).exists()
    assert runs[1].poll() is None
    assert [row["id"] for row in host.ctl_json("ps", tenant.name)] == [runs[1].id]
    # The controller's death changes nothing, and the next one says the same.
    supervisor, controller = host.supervisor_pid(), host.controller_pid()
    os.kill(controller, 9)
    wait_for(lambda: host.controller_pid() not in (0, controller) and degraded(reason),
             "the next one, degraded as well", 30)
    assert host.supervisor_pid() == supervisor
    assert reason in status_text()
    refused = tenant.run(["true"])
    assert refused.status == 125
    assert reason.encode() in refused.err
    assert runs[1].poll() is None
    recover()
    wait_for(healthy, "a daemon that has recovered", 60)
    runs[1].stdin.close()
    assert runs[1].wait().status == 4
    wait_for(lambda: list(EXEC_RECORDS.iterdir()) == [], "all to be settled", 30)
    rows = {row["id"]: row for row in tenant.ps()}
    assert rows[ended.record["id"]] == ended.record
    assert tenant.run(["true"]).status == 0
    host.tenant(name=name)
    yield


@pytest.mark.alone
def test_a_full_disk_stops_nothing_and_loses_nothing(host):
    with own_file_system():
        tenant = host.tenant()
        steps = assert_refused_while(host, tenant, "No space left on device",
                                     lambda: filler.unlink())
        next(steps)
        filler = fill(STATE)
        next(steps)
        usage = tenant.usage()
        assert usage["meters"]["executions"] == 3
        assert usage["meters"]["cpu_time"] == tenant.stat("cpu.stat", "usage_usec")


@pytest.mark.alone
def test_a_full_run_directory_refuses_launches_and_keeps_every_end(host):
    """/run of a second daemon is a small tmpfs."""
    with second() as other:
        (other.place / "run").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", other.place / "run"],
                       check=True)
        try:
            with other.running():
                wait_for(lambda: other.alive() and
                         other.program("tenantctl", "status").returncode == 0, "the daemon")
                done = other.program("tenantctl", "create", "acme", "--tier", "free")
                assert done.returncode == 0, done.stderr
                assert other.program("tenant-run", "acme", "--", "true").returncode == 0
                running = subprocess.Popen(
                    ["tenant-run", "--socket", other.socket, "acme", "--", "sh", "-c",
                     "read x; exit 7"], stdin=subprocess.PIPE)
                wait_for(lambda: any((other.tree / "acme").glob("*-*/cgroup.procs")), "a start")
                time.sleep(1)
                filler = fill(other.place / "run")
                refused = other.program("tenant-run", "acme", "--", "true")
                assert refused.returncode == 125
                assert b"No space left on device" in refused.stderr
                running.stdin.close()
                assert running.wait(30) == 7
                filler.unlink()
                assert other.program("tenant-run", "acme", "--", "true").returncode == 0
                wait_for(lambda: list(other.exec.iterdir()) == [], "all to be settled")
        finally:
            subprocess.run(["umount", other.place / "run"], check=True)


def in_tenantds_mounts(host, *argv):
    """As tenantd sees the file system."""
    subprocess.run(["nsenter", "--target", str(host.supervisor_pid()), "--mount", *argv],
                   check=True)


@contextlib.contextmanager
def controller_anew(host):
    """Another controller, to which the store is read-only: mounted so between the one and the
    other, as whoever has a file open there for writing writes on."""
    supervisor, old = host.supervisor_pid(), host.controller_pid()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{old}/fd/0"), "the old one's end")
        in_tenantds_mounts(host, "mount", "--bind", STATE / "store", STATE / "store")
        in_tenantds_mounts(host, "mount", "-o", "remount,bind,ro", STATE / "store")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: host.controller_pid() not in (0, old), "another controller")
    assert host.supervisor_pid() == supervisor
    try:
        yield
    finally:
        in_tenantds_mounts(host, "mount", "-o", "remount,bind,rw", STATE / "store")


@contextlib.contextmanager
def tenantd_anew(host):
    """All of it anew, on a store that is read-only."""
    dropin = Path("/run/systemd/system/tenantd.service.d/read-only.conf")
    dropin.parent.mkdir(parents=True, exist_ok=True)
    dropin.write_text(f"[Service]\nReadOnlyPaths={STATE}/store\n", encoding="utf-8")
    try:
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        host.restart(status=1)
    finally:
        dropin.unlink()
        subprocess.run(["systemctl", "daemon-reload"], check=True)
    try:
        yield
    finally:
        in_tenantds_mounts(host, "mount", "-o", "remount,bind,rw", STATE / "store")


@pytest.mark.parametrize("begin_on_read_only", [controller_anew, tenantd_anew])
def test_who_begins_on_a_read_only_file_system_stops_nothing_and_loses_nothing(
        host, begin_on_read_only):
    reason = "Read-only file system"
    tenant = host.tenant()
    runs = [tenant.start(["sh", "-c", f"echo up; read x; exit {code}"], stdin=subprocess.PIPE)
            for code in (3, 4)]
    for running in runs:
        running.wait_out(b"up")
    with begin_on_read_only(host):
        wait_for(lambda: degraded(reason), "a degraded daemon", 60)
        assert reason in status_text()
        assert tenant.show()["status"] == "active"
        refused = tenant.run(["true"])
        assert refused.status == 125
        assert reason.encode() in refused.err
        assert b"nothing is launched" in refused.err
        created = host.ctl("create", f"after-{tenant.name}", "--tier", "professional",
                           check=False)
        assert created.returncode != 0
        assert reason.encode() in created.stderr
        # An end is told and waits; what runs runs on.
        runs[0].stdin.close()
        ended = runs[0].wait()
        assert ended.status == 3
        assert (EXEC_RECORDS / ended.record["id"]).exists()
        assert runs[1].poll() is None
    wait_for(healthy, "a daemon that has recovered by itself", 60)
    runs[1].stdin.close()
    assert runs[1].wait().status == 4
    wait_for(lambda: list(EXEC_RECORDS.iterdir()) == [], "all to be settled", 30)
    rows = {row["id"]: row for row in tenant.ps()}
    assert rows[ended.record["id"]] == ended.record
    assert tenant.run(["true"]).status == 0
    host.tenant(name=f"after-{tenant.name}")
    usage = tenant.usage()
    assert usage["meters"]["executions"] == 3
    assert usage["meters"]["cpu_time"] == tenant.stat("cpu.stat", "usage_usec")
    # In mounts of its own making.
    host.restart()
