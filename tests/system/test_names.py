# SPDX-License-Identifier: LGPL-2.1-or-later
"""Executions by their names and by the beginnings of their ids; and a grace that tenantd keeps."""

import json
import re
import signal
import subprocess
import time

from product import wait_for

POLITE = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def detach(tenant, script, *opts):
    done = subprocess.run(["tenant-run", "-d", *opts, tenant.name, "--", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


def ctl(*arguments):
    done = subprocess.run(["tenantctl", *arguments], capture_output=True, text=True, timeout=120,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def ready(execution):
    wait_for(lambda: ctl("logs", execution)[1] == "ready\n", "its first word")


def record(host, execution):
    return next(one for one in host.ctl_json("ps", "--all") if one["id"] == execution)


def test_a_name_stands_for_the_one_that_runs_or_else_for_the_last(host):
    tenant = host.tenant()
    name = f"{tenant.name}/job"
    first = detach(tenant, POLITE, "--name", "job")
    ready(name)
    second = detach(tenant, "echo second; exit 7", "--name", "job")
    assert ctl("wait", second)[0] == 7
    # The second has ended, the first has not.
    assert ctl("logs", name)[1] == "ready\n"
    assert ctl("kill", "--signal", "TERM", name) == (0, "signalled 1\n", "")
    assert ctl("wait", first)[0] == 3
    # Of those that have ended it is the one that began last.
    assert ctl("logs", name)[1] == "second\n"
    status, words, _ = ctl("wait", name)
    assert (status, words) == (7, f"{second}  exit 7\n")
    status, _, trouble = ctl("kill", name)
    assert status == 3 and second in trouble
    status, _, trouble = ctl("logs", f"{tenant.name}/none")
    assert status == 3 and "has no execution 'none'" in trouble
    status, words, _ = ctl("ps", "--all", tenant.name)
    assert re.search(r"ID +TENANT +NAME +STATE", words), words
    assert ctl("ps", host.tenant().name)[1].split()[:3] == ["ID", "TENANT", "STATE"]


def test_a_beginning_stands_for_the_only_one_that_begins_so(host):
    tenant = host.tenant()
    execution = detach(tenant, "echo hello; exit 5")
    for beginning in (execution[:8], execution[:9], execution[:20],
                      execution.replace("-", "")[:12], execution):
        assert ctl("wait", beginning)[0] == 5, beginning
        assert ctl("logs", beginning)[1] == "hello\n"
    status, _, trouble = ctl("logs", execution[:7])
    assert status == 2 and "8 or more digits" in trouble


def test_names_outlast_a_restart_of_the_controller(host):
    tenant = host.tenant()
    name = f"{tenant.name}/job"
    execution = detach(tenant, POLITE, "--name", "job")
    ready(name)
    host.kill_controller()
    assert ctl("kill", "--grace", "1min", name) == (0, "signalled 1\nkilled 0\n", "")
    assert record(host, execution)["exit_code"] == 3


def test_a_grace_goes_on_without_who_gave_it(host):
    """Neither tenantctl nor the controller nor tenantd itself need live to see its end."""
    tenant = host.tenant()
    execution = detach(tenant, DEAF, "--name", "deaf")
    ready(execution)
    begun = time.monotonic()
    with subprocess.Popen(["tenantctl", "kill", "--grace", "6s", execution],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asker:
        time.sleep(1)
        asker.kill()
    host.kill_controller()
    host.kill_supervisor()
    assert ctl("wait", execution)[0] == 128 + signal.SIGKILL
    assert time.monotonic() - begun >= 6
    assert record(host, execution)["reason"] == "killed"


def test_a_kill_overtakes_a_grace(host):
    tenant = host.tenant()
    execution = detach(tenant, DEAF)
    ready(execution)
    with subprocess.Popen(["tenantctl", "kill", "--grace", "1h", "--json", execution],
                          stdout=subprocess.PIPE, text=True) as asker:
        time.sleep(0.5)
        assert ctl("kill", execution) == (0, "killed 1\n", "")
        assert json.loads(asker.communicate(timeout=60)[0]) == {"killed": 1, "signalled": 1}


def test_a_grace_stands_still_while_the_tenant_is_suspended(host):
    tenant = host.tenant()
    execution = detach(tenant, DEAF)
    ready(execution)
    host.ctl("suspend", tenant.name)
    with subprocess.Popen(["tenantctl", "kill", "--grace", "2s", execution],
                          stdout=subprocess.PIPE, text=True) as asker:
        time.sleep(4)
        assert asker.poll() is None
        assert record(host, execution)["state"] == "running"
        host.ctl("resume", tenant.name)
        assert asker.communicate(timeout=60)[0] == "signalled 1\nkilled 1\n"
