# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixture that looks for leaks sees each kind of them."""

import os
import subprocess
import sys

import leaks
from product import EXEC_RECORDS, PROBES


def left_since(before):
    return "\n".join(leaks.compare(before, leaks.Snapshot()))


def test_a_tenant_and_its_first_run_are_no_leak(host):
    before = leaks.Snapshot()
    assert host.tenant().run(["true"]).status == 0
    assert left_since(before) == ""


def test_a_running_execution_is_seen_as_cgroup_processes_and_record(host):
    tenant = host.tenant()
    before = leaks.Snapshot()
    running = tenant.start(["sleep", "60"])
    assert running.id
    found = left_since(before)
    assert f"cgroup {tenant.name}/{running.id}" in found
    assert f"{EXEC_RECORDS}/{running.id}" in found
    assert "process sleep (" in found
    assert found.count("process ") == 2, found
    assert "the keeper holds " in found


def test_a_process_of_a_tenants_uid_outside_the_tree_is_seen(host):
    tenant = host.tenant()
    before = leaks.Snapshot()
    with subprocess.Popen(["sleep", "60"], user=tenant.uid_first + 1000) as stray:
        found = left_since(before)
        stray.kill()
    assert f"process sleep (pid {stray.pid}" in found


def test_a_mount_is_seen(host):
    PROBES.mkdir(parents=True, exist_ok=True)
    before = leaks.Snapshot()
    subprocess.run(["mount", "-t", "tmpfs", "none", PROBES], check=True)
    try:
        found = left_since(before)
    finally:
        subprocess.run(["umount", PROBES], check=True)
    assert f"mount of pid 1: {PROBES}" in found


def test_a_network_namespace_that_only_a_descriptor_holds_is_seen(host):
    before = leaks.Snapshot()
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as owner:
        while os.readlink(f"/proc/{owner.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        fd = os.open(f"/proc/{owner.pid}/ns/net", os.O_RDONLY)
        owner.kill()
    try:
        found = left_since(before)
    finally:
        os.close(fd)
    assert "network namespace net:[" in found


def test_a_connection_that_stays_open_is_seen_as_a_descriptor_of_the_controller(host):
    before = leaks.Snapshot()
    code = ("import socket, time; s = socket.socket(socket.AF_UNIX); "
            "s.connect('/run/tenantd/control.sock'); print('up', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"up\n"
        host.ctl("status")
        found = left_since(before)
        client.kill()
    assert "descriptor of the controller: socket" in found
