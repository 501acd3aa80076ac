# SPDX-License-Identifier: LGPL-2.1-or-later
"""A package upgrade as dpkg does it, under load: nobody notices. Programs of two releases work
together or say which ones they are."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import chance
from product import Host, wait_for
from second import second
from wire import Wire

TENANTS = 20
PROGRAMS = [Path(path) for path in (
    "/usr/sbin/tenantd", "/usr/libexec/tenantd/tenant-controller",
    "/usr/libexec/tenantd/tenant-init", "/usr/bin/tenant-run", "/usr/bin/tenantctl")]
LIBRARY = [path for path in Path("/usr/lib").glob("libtenant.so*") if not path.is_symlink()]


def unpack(path):
    """As dpkg does: whole under another name, on the disk, and then in place of the old."""
    new = path.with_name(path.name + ".dpkg-new")
    shutil.copy2(path, new)
    with open(new, "ab") as file:
        os.fsync(file.fileno())
    before = path.stat().st_ino
    os.rename(new, path)
    assert path.stat().st_ino != before


class Worker(threading.Thread):
    """A customer who starts one short job after the other."""

    def __init__(self, tenant, over):
        super().__init__(daemon=True)
        self.tenant, self.over = tenant, over
        self.rng = chance.source(tenant.name)
        self.records, self.wrong = [], []

    def run(self):
        while not self.over.is_set():
            code = self.rng.randrange(100)
            result = self.tenant.run(["sh", "-c", f"sleep 0.1; exit {code}"], timeout=180)
            if result.status == code:
                self.records.append(result.record)
            else:
                self.wrong.append((code, result))


@pytest.mark.alone
def test_nobody_notices_an_upgrade(host, full):
    tier = host.tier(cpu_quota="max", executions_max=8)
    tenants = [host.tenant(tier) for _ in range(TENANTS)]
    lasting = [tenant.start([host.probe("beat")]) for tenant in tenants[:5]]
    for running in lasting:
        running.wait_out(b"up")
    pids = [running.read("cgroup.procs") for running in lasting]
    over = threading.Event()
    workers = [Worker(tenant, over) for tenant in tenants]
    for worker in workers:
        worker.start()
    for _ in range(full(5, 2)):
        time.sleep(2)
        for path in [*PROGRAMS, *LIBRARY]:
            unpack(path)
        host.restart()
    time.sleep(2)
    over.set()
    for worker in workers:
        worker.join(240)
        assert not worker.is_alive()
        assert worker.wrong == []
        assert worker.records
    assert [running.read("cgroup.procs") for running in lasting] == pids
    for running in lasting:
        running.send_signal(signal.SIGTERM)
        assert running.wait(120).status == 5
    for worker in workers:
        rows = {row["id"]: row for row in worker.tenant.ps()}
        assert all(rows[record["id"]] == record for record in worker.records)


def with_version_raised(program, where):
    """The program with another SPEC_VERSION, as if of the next release: a copy that differs in
    what it writes into the head of each message."""
    source = Path(__file__).parent / "probes/next_version.c"
    wrapper = where / "next_version.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(wrapper),
                    str(source)], check=True)
    wrapper.chmod(0o755)
    real = program.with_name(program.name + ".real")
    program.rename(real)
    program.write_text(f"#!/bin/sh\nexec env LD_PRELOAD={wrapper} {real} \"$@\"\n", "ascii")
    program.chmod(0o755)


@pytest.mark.alone
def test_two_releases_of_the_daemons_refuse_each_other_by_version():
    with second() as other:
        with_version_raised(other.libexec / "tenant-controller", other.place)
        with other.running():
            wait_for(lambda: other.process.poll() is not None, "the daemon to give up", 60)
        said = (other.place / "log").read_text("utf-8")
    found = re.search(r"speaks version (\d+) of the channel, tenantd (\d+)", said)
    assert found, said
    assert int(found.group(1)) == int(found.group(2)) + 1
    assert "install both" in said


def test_a_client_of_an_older_release_is_served(host):
    """It knows no parameter that came later, and asks for none: what it asks for it gets."""
    tenant = host.tenant()
    with Wire() as connection:
        answer = connection.call("io.tenantd.GetTenant", {"tenant": tenant.name})
        assert "error" not in answer
        # And what it asks for that is not there any more is refused by name.
        answer = connection.call("io.tenantd.NoSuchMethod", {})
        assert answer["error"] == "org.varlink.service.MethodNotFound"
        answer = connection.call("io.tenantd.GetTenant",
                                 {"tenant": tenant.name, "of_the_next_release": 1})
        assert answer["error"] == "org.varlink.service.InvalidParameter"
        assert answer["parameters"]["parameter"] == "of_the_next_release"
    assert Host.ctl("status").returncode == 0
