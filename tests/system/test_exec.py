# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantctl exec: a further command in an execution that runs."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from product import Host, wait_for
from terminal import Session

DISTURBANCES = pytest.mark.parametrize(
    "disturb", [Host.kill_controller, Host.kill_supervisor, Host.restart],
    ids=["kill_controller", "kill_supervisor", "restart"])


def exec_argv(identity, *argv, opts=()):
    return ["tenantctl", "exec", *opts, identity, "--", *argv]


def execute(identity, script, *opts, stdin=""):
    return subprocess.run(exec_argv(identity, "sh", "-c", script, opts=opts), input=stdin,
                          capture_output=True, text=True, timeout=60, check=False)


def begin(identity, script, *opts):
    return subprocess.Popen(exec_argv(identity, "sh", "-c", script, opts=opts), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def sleeping(tenant, *opts):
    return tenant.start(["sleep", "600"], *opts).id


def joined(tenant):
    return [row for row in tenant.ps() if row["joins"] is not None]


@pytest.mark.parametrize("opts", [[], ["--no-init"]], ids=["init", "no_init"])
def test_it_is_in_the_leaf_and_all_namespaces(host, opts):
    tenant = host.tenant()
    running = tenant.start(["sleep", "600"], *opts)
    process = begin(running.id, "echo up; readlink /proc/self/ns/*; echo over; read x")
    assert process.stdout.readline() == "up\n"
    seen = [process.stdout.readline().strip() for _ in range(10)]
    assert process.stdout.readline() == "over\n"  # readlink is no more
    pids = [int(pid) for pid in running.read("cgroup.procs").split()]
    assert len(pids) >= 3, "sleep, the shell and its tenant-init"
    for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
        assert {os.readlink(f"/proc/{pid}/ns/{name}") for pid in pids} <= set(seen), name
    assert tenant.leaves() == [running.id]
    process.communicate("\n", timeout=30)
    host.ctl("kill", running.id)


def test_it_has_no_more_rights_than_the_command_that_runs(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    keys = "Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp"
    mine = execute(identity, f"grep -E '{keys}' /proc/self/status; cat /proc/self/oom_score_adj; "
                   "ulimit -n; ulimit -c")
    theirs = tenant.run(["sh", "-c", f"grep -E '{keys}' /proc/self/status; "
                         "cat /proc/self/oom_score_adj; ulimit -n; ulimit -c"])
    assert mine.stdout == theirs.out.decode()
    assert execute(identity, "ls /proc/$$/fd").stdout.split() == ["0", "1", "2"]
    assert execute(identity, "echo x >/usr/x").returncode != 0
    assert execute(identity, "echo x >/data/x && cat /data/x").stdout == "x\n"
    host.ctl("kill", identity)


def test_exit_codes_and_signals_come_back(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    assert execute(identity, "exit 7").returncode == 7
    assert execute(identity, "kill -KILL $$").returncode == 137
    assert execute(identity, "cat", stdin="in").stdout == "in"
    assert execute(identity, "true", "-w", "/nonexistent").returncode == 125
    assert execute(identity, "id -u", "-u", "0").stdout == "0\n"
    assert execute(identity, "echo $A", "-e", "A=b").stdout == "b\n"
    assert subprocess.run(exec_argv(identity, "/nonexistent"), check=False,
                          capture_output=True).returncode == 127
    process = begin(identity, "trap 'exit 9' USR1; echo up; while :; do sleep 0.1; done")
    assert process.stdout.readline() == "up\n"
    wait_for(lambda: joined(tenant)[0]["state"] == "running", "its start")
    time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(30) == 9
    host.ctl("kill", identity)


def test_it_is_recorded_and_its_cpu_time_is_the_executions(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    done = execute(identity, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3")
    assert done.returncode == 3
    row = joined(tenant)[0]
    assert (row["joins"], row["exit_code"], row["reason"]) == (identity, 3, "exited")
    assert (row["asked_uid"], row["cpu_usec"]) == (0, None)
    assert row["asked_pid"] > 1 and row["ended_at"] >= row["started_at"]
    host.ctl("kill", identity)
    wait_for(lambda: tenant.ps()[-1]["state"] == "exited", "its end")
    execution = tenant.ps()[-1]
    assert execution["joins"] is None and execution["cpu_usec"] > 20000
    meters = tenant.usage()["meters"]
    assert meters["executions"] == 1
    assert meters["execution_time"] == execution["wall_usec"]


@DISTURBANCES
def test_it_outlives_either_daemon(host, disturb):
    tenant = host.tenant()
    identity = sleeping(tenant)
    process = begin(identity, "echo up; read x; echo got $x; exit 6")
    assert process.stdout.readline() == "up\n"
    time.sleep(0.3)
    disturb()
    assert execute(identity, "exit 4").returncode == 4
    out, err = process.communicate("word\n", timeout=90)
    assert (process.returncode, out, err) == (6, "got word\n", "")
    host.ctl("kill", identity)


@DISTURBANCES
def test_an_end_meanwhile_is_told_later(host, disturb):
    tenant = host.tenant()
    identity = sleeping(tenant)
    process = begin(identity, "echo up; sleep 1; exit 8")
    assert process.stdout.readline() == "up\n"
    time.sleep(0.3)
    disturb()
    assert process.wait(90) == 8
    host.ctl("kill", identity)


def test_it_ends_with_its_execution_and_with_its_client(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    process = begin(identity, "echo up; exec sleep 500")
    assert process.stdout.readline() == "up\n"
    time.sleep(0.3)
    process.kill()
    wait_for(lambda: joined(tenant)[0]["state"] == "exited", "the end of what nobody waits for")
    assert joined(tenant)[0]["reason"] == "killed"
    process = begin(identity, "echo up; exec sleep 500")
    assert process.stdout.readline() == "up\n"
    time.sleep(0.3)
    host.ctl("kill", identity)
    assert process.wait(60) == 137
    assert "the execution it had joined ended" in process.stderr.read()
    wait_for(lambda: tenant.leaves() == [], "an empty tenant")
    done = execute(identity, "true")
    assert done.returncode == 125 and "no running execution" in done.stderr


def test_what_is_suspended_or_full_is_not_joined(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    host.ctl("suspend", tenant.name)
    done = execute(identity, "true")
    assert done.returncode == 125 and "is suspended" in done.stderr
    host.ctl("resume", tenant.name)
    many = [begin(identity, "echo up; read x") for _ in range(32)]
    for process in many:
        assert process.stdout.readline() == "up\n"
    done = execute(identity, "true")
    assert done.returncode == 125 and "32 commands have joined" in done.stderr
    for process in many:
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    assert execute(identity, "true").returncode == 0
    host.ctl("kill", identity)


def test_its_processes_count_for_tasks_max(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "600"], "--pids", "3")
    done = execute(running.id, "true")
    assert done.returncode == 125 and "tasks_max" in done.stderr
    host.ctl("kill", running.id)


def test_it_joins_by_the_filter_of_the_launch_after_a_reload_and_a_restart(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    before = execute(identity, "grep Seccomp /proc/self/status").stdout
    assert "Seccomp:\t2" in before
    tenant.update("--tier", host.tier(tasks_max=77))
    Host.kill_supervisor()
    assert execute(identity, "grep Seccomp /proc/self/status").stdout == before
    host.ctl("kill", identity)


def test_with_a_terminal_it_has_one_of_the_sandboxs_own(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    with Session(exec_argv(identity, "sh", "-c", "tty; stty size; read x; echo got $x",
                           opts=["-it"])) as session:
        session.expect(b"/dev/pts/0")
        session.expect(b"30 100")
        session.type(b"word\r")
        session.expect(b"got word")
        assert session.wait()[0] == 0
    host.ctl("kill", identity)


def test_nobody_inside_sees_a_joiner_before_it_has_executed(host):
    tenant = host.tenant()
    running = tenant.start([host.probe("spy")])
    running.wait_out(b"ready")
    for _ in range(40):
        assert execute(running.id, "exit 5").returncode == 5
    running.send_signal(signal.SIGTERM)
    lines = running.wait().out.decode().splitlines()
    assert lines[0] == "ready" and re.fullmatch(r"done [1-9]\d* 1", lines[-1]), lines
    # Where there is no Landlock, programs of the sandbox's own may be seen, and nothing else.
    for line in lines[1:-1]:
        assert re.fullmatch(r"program /usr/bin/(dash|true|sh)", line), lines


def test_a_program_that_leads_back_to_the_joiners_own_gives_nothing(host):
    tenant = host.tenant()
    identity = sleeping(tenant)
    execute(identity, "printf '#!/proc/self/exe\\n' >/data/trap; chmod 755 /data/trap; "
            "ln -s /proc/self/exe /data/self; ln -s /proc/1/exe /data/one")
    for path in ("/data/trap", "/data/self", "/data/one"):
        done = subprocess.run(exec_argv(identity, path), capture_output=True, timeout=60,
                              check=False)
        assert done.returncode in (1, 2, 125, 126, 127), (path, done)
    # What runs goes on, and so does tenantd.
    assert execute(identity, "exit 5").returncode == 5
    assert json.loads(host.ctl("status", "--json").stdout)["health"] in ("ok", "degraded")
    host.ctl("kill", identity)
