# SPDX-License-Identifier: LGPL-2.1-or-later
"""--no-init: the workload is process 1, and everything else is as with tenant-init."""

import json
import signal
import subprocess

import pytest

from inside import command, status_of
from product import Host, wait_for
from wire import Wire

NO_INIT = "--no-init"


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


def test_the_command_is_process_1_alone_in_its_session(tenant):
    result = tenant.run(["cat", "/proc/self/status", "/proc/self/cmdline"], NO_INIT)
    status = status_of(result.out.decode().replace("\0", " "))
    assert (status["Name"], status["Pid"], status["NSpgid"], status["NSsid"]) == (
        "cat", "1", "1", "1")
    assert status["SigBlk"] == status["SigIgn"] == "0" * 16
    assert tenant.run(["cat", "/proc/self/status"]).out.count(b"\nPid:\t2\n") == 1


def test_it_gets_its_standard_streams_and_nothing_else(tenant):
    for argv in (["ls", "-l", "/proc/self/fd"],):
        shown = tenant.run(argv, NO_INIT).out.decode()
        numbers = [line.split()[8] for line in shown.splitlines() if "->" in line]
        assert numbers == ["0", "1", "2", "3"], shown  # 3 is what ls itself opened
        assert "/proc/1/fd" in shown.splitlines()[-1]


def test_exit_codes_and_signals_come_out(tenant):
    for code in (0, 1, 7, 125, 126, 127, 255):
        result = tenant.run(["sh", "-c", f"exit {code}"], NO_INIT)
        assert (result.status, result.record["reason"], result.record["exit_code"],
                result.err) == (code, "exited", code, b"")
    # What the kernel itself makes of a fault is not what a process may be sent.
    result = tenant.run(["perl", "-e", "unpack 'p', pack 'J', 1"], NO_INIT)
    assert (result.record["reason"], result.record["signal"]) == ("signaled", signal.SIGSEGV)
    assert result.status == 128 + signal.SIGSEGV


def test_what_cannot_be_executed_is_126_and_what_is_not_there_127(tenant):
    tenant.run(["sh", "-c", "echo true >/data/plain; mkdir /data/directory"])
    for path, status in (("/data/plain", 126), ("/data/directory", 126), ("/etc/passwd", 126),
                         ("/data/absent", 127), ("absent", 127), ("", 127)):
        with_init, without = tenant.run([path]), tenant.run([path], NO_INIT)
        assert without.status == with_init.status == status, path
        assert without.err == with_init.err
        for key in ("reason", "exit_code", "signal"):
            assert without.record[key] == with_init.record[key]
        assert without.record["overhead_usec"] > 0
    for path, word in (("/absent", b"No such file"), ("/etc/passwd", b"Not a directory")):
        result = tenant.run(["pwd"], "-w", path, NO_INIT)
        assert (result.status, result.out) == (125, b"") and word in result.err


def test_the_path_is_searched_as_with_init(tenant):
    script = "mkdir -p /data/bin /data/shut; printf '#!/bin/sh\\necho mine\\n' >/data/bin/true; " \
             "cp /data/bin/true /data/shut/true; chmod 755 /data/bin/true"
    assert tenant.run(["sh", "-c", script]).status == 0
    for path in ("/data/none:/data/shut:/data/bin:/usr/bin", "/data/none", "/data/shut", ""):
        opts = ["-e", f"PATH={path}"]
        with_init, without = tenant.run(["true"], *opts), tenant.run(["true"], *opts, NO_INIT)
        assert (without.status, without.out) == (with_init.status, with_init.out), path


def test_the_overhead_is_what_was_spent_before_the_command(tenant):
    record = tenant.run(["perl", "-e", "1 while (times)[0] < 0.5"], NO_INIT).record
    assert 0 < record["overhead_usec"] < record["cpu_usec"] - 500_000


def test_signals_reach_it_and_its_process_group_if_it_handles_them(tenant):
    numbers = [signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGTERM, 40]
    running = tenant.start(command("catch", *map(int, numbers)), NO_INIT)
    running.wait_out(b"parent ready;")
    running.wait_out(b"child ready;")
    for number in map(int, numbers):
        running.send_signal(number)
        running.wait_out(f"parent {number};".encode())
        running.wait_out(f"child {number};".encode())
    running.kill()
    running.wait()


def test_without_a_handler_it_takes_no_signal_but_kill(tenant):
    running = tenant.start(["sleep", "100"], NO_INIT)
    execution = running.id
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGINT)
    assert tenant.run(["true"]).status == 0
    assert running.poll() is None
    tenant.host.ctl("kill", execution)
    result = running.wait()
    assert (result.status, result.record["reason"]) == (137, "killed")


def test_a_timeout_kills_what_ignores_its_term(tenant):
    result = tenant.run(["sleep", "100"], NO_INIT, "--timeout", "1s", "--kill-after", "1s")
    assert (result.status, result.record["reason"]) == (124, "timeout")
    assert 2_000_000 <= result.record["wall_usec"] < 5_000_000
    polite = tenant.run(["perl", "-e", "$SIG{TERM} = sub { print qq(term\\n); exit 5 }; sleep 99"],
                        NO_INIT, "--timeout", "1s")
    assert (polite.status, polite.out) == (124, b"term\n")


def test_what_it_leaves_ends_with_it(tenant):
    result = tenant.run(["sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & echo up"], NO_INIT)
    assert (result.status, result.out) == (0, b"up\n")
    assert tenant.leaves() == []


def test_memory_it_may_not_have_is_told(host):
    tenant = host.tenant(host.tier(memory_max="64M", execution_memory_max="32M"))
    result = tenant.run([host.probe("eat"), "48"], NO_INIT)
    assert (result.status, result.record["reason"]) == (137, "oom")


def test_after_a_restart_of_tenantd_it_is_still_signalled_and_killed(host):
    tenant = host.tenant()
    running = tenant.start(command("catch", int(signal.SIGUSR1), int(signal.SIGTERM)), NO_INIT)
    running.wait_out(b"parent ready;")
    running.wait_out(b"child ready;")
    execution, leaf = running.id, running.leaf
    host.kill_supervisor()
    assert leaf.exists()
    with Wire() as wire:
        wire.call("io.tenantd.Signal", {"id": execution, "signal": int(signal.SIGUSR1)})
    wait_for(lambda: f"parent {int(signal.SIGUSR1)};".encode() in running.out(), "the signal")
    host.ctl("kill", execution)
    wait_for(lambda: not leaf.exists(), "the execution's end")
    row, = wait_for(lambda: [row for row in tenant.ps() if row["state"] == "exited"], "its record")
    assert (row["id"], row["reason"], row["signal"]) == (execution, "killed", None)
    assert row["cpu_usec"] > 0 and row["overhead_usec"] > 0
    running.wait()


def test_after_a_restart_of_tenantd_its_status_is_not_invented(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "echo up; until [ -p /data/go ]; do sleep 0.1; done; "
                            "read x </data/go; exit 9"], NO_INIT)
    subprocess.run(["mkfifo", "-m", "666", tenant.storage / "go"], check=True)
    running.wait_out(b"up")
    execution, leaf = running.id, running.leaf
    host.kill_supervisor()
    assert leaf.exists()
    with open(tenant.storage / "go", "w", encoding="ascii") as go:
        go.write("\n")
    wait_for(lambda: not leaf.exists(), "the execution's end")
    row, = wait_for(lambda: [row for row in tenant.ps() if row["state"] == "exited"], "its record")
    assert (row["id"], row["reason"]) == (execution, "unknown")
    assert row["exit_code"] is None and row["signal"] is None
    running.wait()


def test_a_plan_shows_it(tenant):
    for opts, value in (([], ("yes", "default")), ([NO_INIT], ("no", NO_INIT))):
        done = subprocess.run(["tenant-run", "--dry-run", "--json", *opts, tenant.name],
                              capture_output=True, check=True)
        rows = {row["key"]: (row["value"], row["source"])
                for row in json.loads(done.stdout)["options"]}
        assert rows["init"] == value
