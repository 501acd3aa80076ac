# SPDX-License-Identifier: LGPL-2.1-or-later
"""Executions that are left to themselves: their output, their end, and what restarts do to them."""

import json
import os
import re
import signal
import subprocess
import time
from datetime import datetime, timezone

import pytest

from product import Host, wait_for


def detach(tenant, script, *opts, check=True):
    """The id of an execution of `script`; without `check` the finished tenant-run."""
    done = subprocess.run(["tenant-run", "-d", *opts, tenant.name, "--", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60, check=False)
    if not check:
        return done
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.fullmatch(r"[0-9a-f-]{36}\n", done.stdout), done.stdout
    return done.stdout.strip()


def logs(identity, *opts, check=True):
    done = subprocess.run(["tenantctl", "logs", *opts, identity], capture_output=True, text=True,
                          timeout=120, check=False)
    if check:
        assert done.returncode == 0, done
    return done


def waited(identity):
    return subprocess.run(["tenantctl", "wait", identity], capture_output=True, timeout=120,
                          check=False).returncode


def logger_pid():
    return int(subprocess.run(["systemctl", "show", "-P", "MainPID", "tenantd-logger"],
                              capture_output=True, text=True, check=True).stdout)


def kill_logger():
    old = logger_pid()
    assert old > 0
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: logger_pid() not in (0, old), "the next logger")


def test_it_goes_on_alone_and_what_it_wrote_is_there(host):
    tenant = host.tenant()
    identity = detach(tenant, "echo out; echo err >&2; read x && echo read; exit 5",
                      "--name", "job-1")
    assert waited(identity) == 5
    done = logs(identity)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    record = tenant.ps()[0]
    assert (record["id"], record["name"], record["exit_code"]) == (identity, "job-1", 5)
    # What belongs to no one's connection is nobody's to end.
    assert record["reason"] == "exited"


def test_its_id_is_told_once_it_has_been_executed(host):
    tenant = host.tenant()
    identity = detach(tenant, "sleep 60")
    assert tenant.leaves() == [identity]
    assert [row["state"] for row in tenant.ps()] == ["running"]
    host.ctl("kill", identity)
    assert waited(identity) == 137


@pytest.mark.parametrize("argv, status, said", [
    (["/nonexistent"], 127, "/nonexistent: cannot execute the command: No such file or directory"),
    (["/etc/passwd"], 126, "/etc/passwd: cannot execute the command: Permission denied"),
])
def test_what_cannot_be_executed_is_said_as_ever(host, argv, status, said):
    tenant = host.tenant()
    done = subprocess.run(["tenant-run", "-d", tenant.name, "--", *argv], capture_output=True,
                          text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    identity = tenant.ps()[0]["id"]
    refused = logs(identity, check=False)
    assert refused.returncode == 3
    assert f"there is no log of execution {identity}" in refused.stderr


def test_one_too_many_is_refused_and_leaves_no_log(host):
    tenant = host.tenant(host.tier(executions_max=1))
    identity = detach(tenant, "sleep 60")
    done = detach(tenant, "true", check=False)
    assert done.returncode == 125
    assert "executions_max" in done.stderr
    host.ctl("kill", identity)
    assert waited(identity) == 137
    kept = subprocess.run(["sh", "-c", f"ls /var/lib/tenantd/store/logs/{tenant.id}"],
                          capture_output=True, text=True, check=True)
    assert kept.stdout.split() == [identity]


def test_options_that_need_somebody_are_refused(host):
    tenant = host.tenant()
    for option in (["-t"], ["--report", "/dev/null"]):
        done = detach(tenant, "true", *option, check=False)
        assert done.returncode == 125
        assert "--detach leaves nobody" in done.stderr
    done = detach(tenant, "true", "--name", "No Name", check=False)
    assert done.returncode == 125
    assert "'No Name' is no name for an execution" in done.stderr


def test_following_shows_what_comes_until_the_end(host):
    tenant = host.tenant()
    identity = detach(tenant, "for n in 1 2 3 4 5; do echo $n; sleep 0.3; done")
    following = subprocess.Popen(["tenantctl", "logs", "-f", identity], stdout=subprocess.PIPE,
                                 text=True)
    assert following.stdout.readline() == "1\n"
    assert following.poll() is None
    assert following.communicate(timeout=60)[0] == "2\n3\n4\n5\n"
    assert following.returncode == 0


def test_each_line_tells_when_it_was_written(host):
    tenant = host.tenant()
    before = time.time()
    identity = detach(tenant, "echo one; sleep 2; echo two; printf three >&2")
    assert waited(identity) == 0
    after = time.time()
    stamped = [line.split(" ", 1) for line in logs(identity, "-t").stdout.splitlines()]
    times = [datetime.fromisoformat(line[0].replace("Z", "+00:00")).timestamp()
             for line in stamped]
    assert [line[1] for line in stamped] == ["one", "two"]
    assert before <= times[0] <= times[1] - 1.5 < times[1] <= after
    middle = datetime.fromtimestamp(times[1] - 0.5, timezone.utc)
    assert logs(identity, "--since", middle.strftime("%Y-%m-%dT%H:%M:%SZ")).stdout == "two\n"
    pieces = json.loads(logs(identity, "--json").stdout)
    assert [(piece["stream"], piece["text"]) for piece in pieces] == [
        ("stdout", "one\n"), ("stdout", "two\n"), ("stderr", "three")]


def test_the_last_log_max_is_kept_and_nobody_waits(host):
    tenant = host.tenant(host.tier(log_max="256K"))
    identity = detach(tenant, "head -c 8M /dev/zero | tr '\\0' x; echo; echo the end")
    assert waited(identity) == 0
    # The pipe may hold some of it still.
    text = wait_for(lambda: (out := logs(identity).stdout).endswith("\nthe end\n") and out,
                    "the end")
    assert 128 * 1024 <= len(text) <= 256 * 1024
    blocks = os.stat(f"/var/lib/tenantd/store/logs/{tenant.id}/{identity}").st_blocks
    assert blocks * 512 <= 320 * 1024


def test_output_to_the_journal_has_its_fields(host):
    tenant = host.tenant(host.tier(log="journal"))
    identity = detach(tenant, "echo to the journal; echo badly >&2", "--name", "job-2")
    assert waited(identity) == 0

    def entries():
        done = subprocess.run(["journalctl", "-o", "json", f"EXECUTION={identity}"],
                              capture_output=True, text=True, check=True)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        # Beside its output there are its events.
        found = [entry for entry in found if "STREAM" in entry]
        return found if len(found) == 2 else None

    found = {entry["STREAM"]: entry for entry in wait_for(entries, "two entries")}
    assert found["stdout"]["MESSAGE"] == "to the journal"
    assert found["stderr"]["MESSAGE"] == "badly"
    for entry in found.values():
        assert (entry["TENANT"], entry["TENANT_NAME"]) == (tenant.id, tenant.name)
        assert entry["EXECUTION_NAME"] == "job-2"
    refused = logs(identity, check=False)
    assert refused.returncode == 1
    assert f"journalctl EXECUTION={identity}" in refused.stderr


@pytest.mark.parametrize("disturb", [Host.kill_controller, Host.kill_supervisor, Host.restart,
                                     kill_logger],
                         ids=["kill_controller", "kill_supervisor", "restart", "kill_logger"])
def test_nobodys_death_costs_a_line_or_stops_it(host, disturb):
    tenant = host.tenant()
    lines = 60
    identity = detach(tenant, f"n=0; while [ $n -lt {lines} ]; do n=$((n + 1)); echo $n; "
                      "echo $n >&2; sleep 0.05; done; exit 9", "--name", "steady")
    wait_for(lambda: "5\n" in logs(identity).stdout, "its output")
    for _ in range(2):
        disturb()
        time.sleep(0.3)
    assert waited(identity) == 9
    expected = "".join(f"{n}\n" for n in range(1, lines + 1))
    wait_for(lambda: logs(identity).stdout == expected, lambda: logs(identity).stdout[-200:])
    assert logs(identity).stderr == expected
    assert tenant.ps()[0]["name"] == "steady"


def test_the_logs_of_a_deleted_tenant_go(host):
    tenant = host.tenant()
    identity = detach(tenant, "echo x")
    assert waited(identity) == 0
    assert logs(identity).stdout == "x\n"
    host.ctl("delete", "--force", tenant.name)
    assert logs(identity, check=False).returncode == 3
    assert not os.path.exists(f"/var/lib/tenantd/store/logs/{tenant.id}")


def test_a_flood_of_output_holds_nobody_up(host):
    flooding = host.tenant(host.tier(log_max="1M"))
    flood = detach(flooding, "yes & yes >&2", "--timeout", "60s")
    tenant = host.tenant()
    identity = detach(tenant, "for n in 1 2 3; do echo $n; sleep 0.2; done")
    assert waited(identity) == 0
    assert logs(identity).stdout == "1\n2\n3\n"
    # It has been let go on all the while, and no more of it is kept than may be.
    file = f"/var/lib/tenantd/store/logs/{flooding.id}/{flood}"
    wait_for(lambda: os.stat(file).st_size > 8 << 20, "more output than is kept", 60)
    assert os.stat(file).st_blocks * 512 <= (1 << 20) + (256 << 10)
    host.ctl("kill", flood)
    assert waited(flood) == 137
