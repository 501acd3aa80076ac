# SPDX-License-Identifier: LGPL-2.1-or-later
"""One tenant cannot hold up another, nor tenantd: throttled, frozen or out of memory."""

import contextlib
import math
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from product import TREE, wait_for

pytestmark = pytest.mark.alone

PENDING = 20
# Of these so many are begun at a time by one that is throttled, as isolate/execution.h has it; the
# others wait.
BEGUN = 1
HOGS = 3
# What disturbs the guest from outside makes a quiet block slow as well as a loud one, and is
# gone when looked at again; a tenant that holds up another does so each time.
LOOKS = 3
# Blocks of each kind and launches in one: of fewer than five hundred of a kind the 99th percentile
# is chance.
COUNTS_LONG = (10, 100)
COUNTS = (5, 100)


def percentile(values, share):
    return sorted(values)[math.ceil(share * len(values)) - 1]


def launch_times(host, tenant, count):
    """Microseconds of so many launches, one after the other, each waited for."""
    with host.launches(tenant, count, host.probe("nothing"), stdout=subprocess.PIPE) as client:
        lines = client.stdout.read().split("\n")[:-1]
    assert client.returncode == 0
    assert [line.split()[1] for line in lines] == ["exited"] * count
    return [int(line.split()[0]) for line in lines]


@contextlib.contextmanager
def crowd(host, tenant):
    """`tenant` has three busy loops and, all the time, twenty launches under way."""
    hogs = [tenant.start([host.probe("hog")]) for _ in range(HOGS)]
    for hog in hogs:
        hog.wait_out(b"busy")
    with host.launches(tenant, 1 << 20, host.probe("nothing"), flight=PENDING,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pending:
        try:
            wait_for(lambda: len(tenant.leaves()) >= HOGS + BEGUN, "launches pending")
            yield pending
            assert pending.poll() is None
        finally:
            pending.kill()
            pending.wait()
            for hog in hogs:
                hog.kill()
                hog.wait()
            wait_for(lambda: tenant.leaves() == [], "the crowd to be gone", 60)


@contextlib.contextmanager
def frozen_crowd(host, tenant):
    freeze = tenant.cgroup / "cgroup.freeze"
    with crowd(host, tenant) as pending:
        # What is under way stays so; to ask again and again would be refused.
        pending.send_signal(signal.SIGSTOP)
        freeze.write_text("1", encoding="ascii")
        try:
            wait_for(lambda: tenant.stat("cgroup.events", "frozen") == 1, "the freeze")
            yield
        finally:
            freeze.write_text("0", encoding="ascii")


def compare(host, quiet, loud_tenant, crowded, counts):
    """Launch times of `quiet` without and with a crowd, in turn."""
    blocks, each = counts
    without, beside = [], []
    for _ in range(blocks):
        without += launch_times(host, quiet, each)
        with crowded(host, loud_tenant):
            beside += launch_times(host, quiet, each)
    return without, beside


def assert_not_held_up(host, full, crowded):
    loud = host.tenant(host.tier(cpu_quota="20%", executions_max=64, tasks_max=512))
    quiet = host.tenant(host.tier(cpu_quota="max"))
    launch_times(host, quiet, 10)
    for look in range(LOOKS):
        without, beside = compare(host, quiet, loud, crowded, full(COUNTS_LONG, COUNTS))
        shown = [f"{name}: median {percentile(times, 0.5) / 1000:.1f} ms, p99 "
                 f"{percentile(times, 0.99) / 1000:.1f} ms, most {max(times) / 1000:.1f} ms"
                 for name, times in (("alone", without), ("beside the crowd", beside))]
        print("; ".join(shown))
        if (percentile(beside, 0.5) <= 2 * percentile(without, 0.5) and
                percentile(beside, 0.99) <= 2 * percentile(without, 0.99)):
            return
    raise AssertionError(f"held up {LOOKS} times, at last {'; '.join(shown)}")


def test_a_throttled_tenant_does_not_hold_up_the_launches_of_another(host, full):
    assert_not_held_up(host, full, crowd)


def test_a_frozen_tenant_does_not_hold_up_the_launches_of_another(host, full):
    assert_not_held_up(host, full, frozen_crowd)


def processes_of_ours():
    """(pid, cgroup) of each process that is tenantd or its controller, or a helper of theirs: the
    first of a sandbox, which is tenantd until it executes tenant-init, has a pid inside too."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            cgroup = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        inside = len(re.search(r"^NSpid:(.*)", status, re.M).group(1).split()) > 1
        if name in ("tenantd", "tenant-controller") and not inside:
            yield int(pid), cgroup.strip()


def assert_ours_are_outside(host):
    tree = str(TREE.relative_to("/sys/fs/cgroup"))
    ours = dict(processes_of_ours())
    assert {host.supervisor_pid(), host.controller_pid()} <= set(ours)
    assert not [cgroup for cgroup in ours.values() if tree in cgroup]


def test_running_out_of_memory_over_and_over_harms_neither_tenantd_nor_another(host, full):
    loud = host.tenant(host.tier(memory_max="16M", oom="group", cpu_quota="max"))
    quiet = host.tenant()
    pids = host.supervisor_pid(), host.controller_pid()
    with host.launches(loud, 1 << 20, host.probe("eat"), 64, flight=4,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as storm:
        try:
            for _ in range(full(200, 40)):
                assert quiet.run(["echo", "served"]).out == b"served\n"
                assert_ours_are_outside(host)
        finally:
            storm.kill()
        ended = [line.split()[1] for line in storm.stdout]
    wait_for(lambda: loud.leaves() == [], "the storm's end")
    print(f"{len(ended)} executions out of memory meanwhile")
    # Also one that has not got so far as its command.
    assert set(ended) <= {"oom", "refused"} and ended.count("oom") > 20
    assert (host.supervisor_pid(), host.controller_pid()) == pids
    assert loud.stat("memory.events", "oom_kill") >= ended.count("oom")
    assert loud.usage()["meters"]["cpu_time"] == loud.stat("cpu.stat", "usage_usec")


def test_a_frozen_tenant_takes_no_launch_and_goes_on_when_it_thaws(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "echo up; read x; echo $x"], stdin=subprocess.PIPE)
    running.wait_out(b"up")
    (tenant.cgroup / "cgroup.freeze").write_text("1", encoding="ascii")
    try:
        wait_for(lambda: tenant.stat("cgroup.events", "frozen") == 1, "the freeze")
        refused = tenant.run(["true"], timeout=10)
        assert refused.status == 125
        assert refused.err == f"tenant-run: '{tenant.name}' is suspended\n".encode()
        assert tenant.leaves() == [running.id]
        running.stdin.write(b"word\n")
        running.stdin.close()
        assert running.out() == b"up\n"
    finally:
        (tenant.cgroup / "cgroup.freeze").write_text("0", encoding="ascii")
    assert running.wait().out == b"up\nword\n"
    assert tenant.run(["true"]).status == 0


def test_what_is_killed_while_it_is_frozen_ends(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    assert running.id
    (tenant.cgroup / "cgroup.freeze").write_text("1", encoding="ascii")
    try:
        wait_for(lambda: tenant.stat("cgroup.events", "frozen") == 1, "the freeze")
        host.ctl("kill", running.id)
        assert running.wait(10).record["reason"] == "killed"
    finally:
        (tenant.cgroup / "cgroup.freeze").write_text("0", encoding="ascii")
