# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mounts of an execution are made, and taken apart, by processes of tenantd's own cgroup."""

import os
import signal
import subprocess
from pathlib import Path

from product import wait_for


def kept(host):
    """The mount namespaces that the keeper holds."""
    directory = f"/proc/{host.keeper_pid()}/fd"
    links = [os.readlink(f"{directory}/{fd}") for fd in os.listdir(directory)]
    return [link for link in links if link.startswith("mnt:[")]


def namespaces_of(tenant, execution):
    procs = (tenant.cgroup / execution / "cgroup.procs").read_text(encoding="ascii").split()
    return {os.readlink(f"/proc/{pid}/ns/mnt") for pid in procs}


def start(tenant):
    # With a file in memory, for which the end has to wait until the mounts are gone.
    running = tenant.start(["sh", "-c", ": >/tmp/x; echo up; read x; echo $x"],
                           stdin=subprocess.PIPE)
    running.wait_out(b"up")
    return running


def end(running):
    running.stdin.write(b"word\n")
    running.stdin.close()
    assert running.wait().status == 0


def test_the_keeper_has_each_mount_namespace_until_the_end_is_told(host):
    tenant = host.tenant()
    before = kept(host)
    running = [start(tenant), start(tenant)]
    for one in running:
        assert namespaces_of(tenant, one.id) <= set(kept(host))
    assert len(kept(host)) == len(before) + 2
    end(running[0])
    assert len(kept(host)) == len(before) + 1
    end(running[1])
    assert kept(host) == before


def test_the_keeper_is_in_tenantds_cgroup(host):
    assert (Path(f"/proc/{host.keeper_pid()}/cgroup").read_text(encoding="ascii") ==
            Path(f"/proc/{host.supervisor_pid()}/cgroup").read_text(encoding="ascii"))


def test_a_keeper_that_is_killed_is_replaced_and_nothing_else_ends(host):
    tenant = host.tenant()
    running = start(tenant)
    old = host.keeper_pid()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: host.keeper_pid() not in (0, old), "another keeper")
    assert tenant.run(["echo", "served"]).out == b"served\n"
    end(running)
    assert kept(host) == []


def test_a_new_tenantds_keeper_has_the_mounts_of_what_runs_on(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    assert running.id
    namespaces = namespaces_of(tenant, running.id)
    host.kill_supervisor()
    assert namespaces <= set(kept(host))
    host.ctl("kill", running.id)
    wait_for(lambda: tenant.leaves() == [], "the end")
    # The leaf goes while the mounts do.
    wait_for(lambda: namespaces.isdisjoint(kept(host)), "the mounts to be gone")


def test_what_was_in_tmp_is_not_the_tenants_memory_when_the_end_is_told(host):
    tenant = host.tenant(host.tier(memory_max="96M"))
    for _ in range(4):
        assert tenant.run(["sh", "-c", "head -c 60M /dev/zero >/tmp/x"]).status == 0
        assert tenant.stat("memory.stat", "shmem") < 1 << 20
