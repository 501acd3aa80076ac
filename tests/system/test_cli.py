# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands as scripts and admins use them: exit status, JSON, help, and the units."""

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from product import LIMIT_KEYS, RECORD_KEYS, TIERS, TREE, Host, wait_for

COMMANDS = (["create"], ["update"], ["suspend"], ["resume"], ["delete"], ["list"], ["show"],
            ["ps"], ["wait"], ["logs"], ["exec"], ["attach"], ["kill"], ["usage"], ["stats"],
            ["events"], ["policy", "check"], ["policy", "reload"], ["status"], ["backup"],
            ["restore"], ["drain"], ["undrain"], ["doctor"])
OPTIONS = {
    "create": ("--display-name", "--tier", "--meta", "--json", "--socket"),
    "update": ("--tier", "--no-meta", "--unset", "--if-version", "--json", "--socket"),
    "suspend": ("--json", "--socket"),
    "resume": ("--json", "--socket"),
    "delete": ("--force", "--json", "--socket"),
    "list": ("--status", "--tier", "--meta", "--json", "--socket"),
    "wait": ("--json", "--socket"),
    "show": ("--json", "--socket"),
    "ps": ("--all", "--json", "--socket"),
    "kill": ("--all", "--signal", "--grace", "--json", "--socket"),
    "usage": ("--by", "--csv", "--since", "--until", "--json", "--socket"),
    "logs": ("--follow", "--timestamps", "--since", "--json", "--socket"),
    "exec": ("--tty", "--env", "--workdir", "--user", "--json", "--socket"),
    "attach": ("--logs", "--sig-proxy", "--no-stdin", "--json", "--socket"),
    "stats": ("--no-stream", "--interval", "--json", "--socket"),
    "events": ("--follow", "--since", "--json", "--socket"),
    "backup": ("--verify", "--force"),
    "restore": ("--force", "--config", "--state-dir"),
    "policy check": ("--json",),
    "policy reload": ("--json", "--socket"),
    "status": ("--json", "--socket"),
    "drain": ("--wait", "--json", "--socket"),
    "undrain": ("--json", "--socket"),
    "doctor": ("--config", "--json"),
}
RUN_OPTIONS = ("--env", "--env-file", "--interactive", "--tty", "--workdir", "--user", "--memory",
               "--cpus", "--pids", "--timeout", "--cpu-time", "--kill-after", "--queue", "--bind",
               "--tmpfs", "--read-only", "--no-init", "--report", "--status-fd", "--dry-run",
               "--json", "--quiet", "--verbose", "--socket", "--help", "--version")
TENANT_KEYS = {"id", "name", "display_name", "status", "tier", "metadata", "overrides", "settings", "version",
               "created_at", "updated_at", "policy_hash", "cgroup", "uid_first", "uid_count",
               "storage_path", "operators"}
SETTING_KEYS = {"billing_anchor_day", "time_zone", "currency", "customer_id"}
STATUS_KEYS = {"version", "uptime_usec", "health", "degraded", "policy_hash", "tenants",
               "executions", "store_bytes", "unenforced", "drained_at", "drained_by",
               "commit_lag_usec"}
USAGE_KEYS = {"tenant", "since", "until", "meters", "held", "unattributed_usec",
              "itemized_since", "executions"}
NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


def systemctl(*argv, check=True):
    return subprocess.run(["systemctl", *argv], capture_output=True, text=True, timeout=120,
                          check=check)


def wait_until_it_answers():
    wait_for(lambda: Host.ctl("status", check=False).returncode == 0, "an answer of tenantd", 60)


@contextlib.contextmanager
def stopped_daemon():
    """tenantd.service alone: the tree and what runs in it stay."""
    systemctl("stop", "tenantd.service")
    try:
        yield
    finally:
        systemctl("start", "tenantd.service")
        wait_until_it_answers()


def test_each_kind_of_failure_has_an_exit_status_and_a_name_in_json(host, tenant):
    for argv, status, name in ((["show", "absent"], 3, "NotFound"),
                               (["create", tenant.name], 1, "AlreadyExists"),
                               (["create", "No Name"], 2, "Invalid"),
                               (["frobnicate"], 2, "Invalid"),
                               (["show"], 2, "Invalid"),
                               (["show", "a", "b"], 2, "Invalid"),
                               (["list", "--absent"], 2, "Invalid"),
                               (["kill", "not-an-id"], 2, "Invalid"),
                               (["kill"], 2, "Invalid"),
                               (["usage", tenant.name, "--since", "yesteryear"], 2, "Invalid"),
                               (["policy", "check", "/absent"], 3, "NotFound"),
                               (["--socket", "/absent", "list"], 69, "Unreachable")):
        plain = host.ctl(*argv, check=False)
        assert (plain.returncode, plain.stdout) == (status, b""), argv
        assert plain.stderr.startswith(b"tenantctl: "), argv
        shown = host.ctl("--json", *argv, check=False)
        assert (shown.returncode, shown.stdout) == (status, b""), argv
        error = json.loads(shown.stderr)
        assert error == {"error": f"io.tenantd.{name}",
                         "message": plain.stderr.decode()[len("tenantctl: "):-1]}, argv
    done = subprocess.run([*NOBODY, "tenantctl", "status", "--json"], capture_output=True,
                          check=False)
    assert done.returncode == 4
    assert json.loads(done.stderr)["error"] == "io.tenantd.NotPermitted"


def test_without_a_daemon_it_is_69_and_125_and_says_so(host, tenant):
    with stopped_daemon():
        for argv in (["list"], ["show", tenant.name], ["status"], ["ps"], ["policy", "reload"],
                     ["create", "while-stopped"], ["usage", tenant.name]):
            done = host.ctl("--json", *argv, check=False)
            assert done.returncode == 69, argv
            assert json.loads(done.stderr)["error"] == "io.tenantd.Unreachable", argv
        done = subprocess.run(["tenant-run", "--json", tenant.name, "--", "true"],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 125
        assert json.loads(done.stderr)["error"] == "io.tenantd.Unreachable"
        # These need none.
        assert host.ctl("policy", "check").returncode == 0
        assert json.loads(host.ctl("doctor", "--json", check=False).stdout)
    assert tenant.run(["echo", "again"]).out == b"again\n"
    assert "while-stopped" not in [row["name"] for row in host.ctl_json("list")]


def test_show_and_list_give_every_field_of_a_tenant(host):
    name = "of-many-fields"
    host.ctl("create", name, "--tier", "free", "--display-name", "Ümläut & Söhne",
             "--meta", "plan=a=b", "--meta", "seat=7")
    shown = host.ctl_json("show", name)
    assert set(shown) == TENANT_KEYS
    assert set(shown["settings"]) == SETTING_KEYS
    assert shown["name"] == name and shown["tier"] == "free" and shown["status"] == "active"
    assert shown["display_name"] == "Ümläut & Söhne"
    assert shown["metadata"] == {"plan": "a=b", "seat": "7"}
    assert re.fullmatch(UUID, shown["id"])
    assert shown["policy_hash"] == host.ctl_json("status")["policy_hash"]
    assert abs(shown["created_at"] / 1e6 - time.time()) < 60
    assert Path(shown["cgroup"]) == TREE / name and Path(shown["cgroup"]).is_dir()
    assert Path(shown["storage_path"]).is_dir()
    listed = host.ctl_json("list")
    assert [row for row in listed if row["name"] == name] == [shown]
    assert [row["name"] for row in listed] == sorted(row["name"] for row in listed)
    assert host.ctl_json("show", shown["id"]) == shown
    assert {path.name for path in TREE.iterdir() if path.is_dir()} - {".holder"} == {
        row["name"] for row in listed}


def test_ps_gives_the_record_of_each_execution_and_without_all_those_that_run(host):
    tenant = host.tenant()
    result = tenant.run(["sh", "-c", "exit 3"])
    assert set(result.record) == set(RECORD_KEYS)
    assert [row for row in host.ctl_json("ps") if row["tenant"] == tenant.name] == []
    assert host.ctl_json("ps", tenant.name) == []
    assert host.ctl_json("ps", "--all", tenant.name) == [result.record]
    running = tenant.start(["sleep", "100"])
    rows = host.ctl_json("ps", tenant.name) if running.id else []
    assert [row["id"] for row in rows] == [running.id]
    assert set(rows[0]) == set(RECORD_KEYS)
    assert rows[0]["state"] == "running"
    assert rows[0]["reason"] is rows[0]["exit_code"] is rows[0]["ended_at"] is None
    text = host.ctl("ps", tenant.name).stdout.decode().splitlines()
    assert text[0].split()[:3] == ["ID", "TENANT", "STATE"]
    assert text[1].split()[:3] == [running.id, tenant.name, "running"]
    assert host.ctl_json("kill", running.id) == {"killed": 1}
    assert running.wait().status == 137
    assert running.wait().record["reason"] == "killed"
    assert [row["id"] for row in host.ctl_json("ps", "--all", tenant.name)] == [
        running.id, result.record["id"]]


def test_kill_all_ends_what_runs_for_one_tenant_and_for_no_other(host):
    one, other = host.tenant(), host.tenant()
    ended = [one.start(["sleep", "100"]) for _ in range(3)]
    kept = other.start(["sleep", "100"])
    assert all(running.id for running in [*ended, kept])
    assert host.ctl_json("kill", "--all", one.name) == {"killed": 3}
    assert [running.wait().record["reason"] for running in ended] == ["killed"] * 3
    assert kept.poll() is None and other.leaves() == [kept.id]
    assert host.ctl_json("kill", "--all", one.name) == {"killed": 0}
    kept.kill()
    kept.wait()


def test_usage_gives_totals_and_records(host):
    tenant = host.tenant()
    record = tenant.run(["true"]).record
    usage = tenant.usage()
    assert set(usage) == USAGE_KEYS
    assert usage["tenant"] == tenant.name
    assert usage["meters"]["executions"] == 1
    assert usage["held"] == {}  # no gauge: these are applications'
    assert {"cpu_time", "executions"} <= set(usage["meters"])
    assert all(isinstance(amount, int) for amount in usage["meters"].values())
    assert usage["executions"] == [record]
    assert usage["meters"]["cpu_time"] == record["cpu_usec"] + usage["unattributed_usec"]


# What stays charged while nothing runs, page cache, adds to these on and on.
OVER_TIME = {"memory_time", "memory_time_error"}


def counted(usage):
    return {name: amount for name, amount in usage["meters"].items() if name not in OVER_TIME}


def test_usage_by_periods_is_the_same_usage(host):
    tenant = host.tenant()
    names, = host.ctl("usage", tenant.name, "--by", "day", "--csv").stdout.decode().splitlines()
    assert names.startswith("start,end,")
    record = tenant.run(["dd", "if=/dev/zero", "of=/data/x", "bs=1M", "count=4",
                         "conv=fsync"]).record
    assert tenant.run(["true"]).status == 0
    usage = tenant.usage()
    meters = usage["meters"]
    assert meters["overhead_time"] == sum(row["overhead_usec"] for row in usage["executions"])
    assert meters["io_write_bytes"] >= record["io_write_bytes"] and meters["io_ops"] > 0
    for period in ("hour", "day", "week", "month"):
        shown = host.ctl_json("usage", tenant.name, "--by", period)
        assert set(shown) == USAGE_KEYS - {"executions"} | {"periods"}
        assert counted(shown) == counted(usage)
        assert all(shown["meters"][name] >= meters[name] for name in OVER_TIME)
        # An hour may have ended meanwhile.
        assert 1 <= len(shown["periods"]) <= 2
        for name, amount in shown["meters"].items():
            assert sum(one["meters"][name] for one in shown["periods"]) == amount, name
        assert all(one["start"] < one["end"] for one in shown["periods"])
    lines = host.ctl("usage", tenant.name, "--by", "day", "--csv").stdout.decode().splitlines()
    assert lines[0] == ",".join(["start", "end", *meters])
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ,20\S+Z,\d+,", lines[1])
    lines = host.ctl("usage", tenant.name, "--csv").stdout.decode().splitlines()
    assert len(lines) == 3 and lines[0].startswith("id,tenant,name,")
    assert {line.split(",")[0] for line in lines[1:]} == {
        row["id"] for row in usage["executions"]}


def test_status_tells_how_the_daemon_is(host, tenant):
    status = host.ctl_json("status")
    assert set(status) == STATUS_KEYS
    assert (status["health"], status["degraded"], status["unenforced"]) == ("ok", [], [])
    assert status["tenants"] == len(host.ctl_json("list"))
    assert status["executions"] == 0
    running = tenant.start(["sleep", "100"])
    assert running.id and host.ctl_json("status")["executions"] == 1
    running.kill()
    running.wait()
    assert b"healthy" in host.ctl("status").stdout


def test_help_names_every_option_of_every_command(host):
    for argv in COMMANDS:
        done = host.ctl(*argv, "--help")
        text = done.stdout.decode()
        assert text.startswith(f"usage: tenantctl {' '.join(argv)} "), argv
        assert done.stderr == b""
        for option in (*OPTIONS[" ".join(argv)], "--help"):
            assert option in text, (argv, option)
        assert host.ctl(*argv, "-h").stdout == done.stdout
    text = host.ctl("--help").stdout.decode()
    for argv in COMMANDS:
        assert re.search(rf"^  {' '.join(argv)}\b", text, re.M), argv
    done = subprocess.run(["tenant-run", "--help"], capture_output=True, text=True, check=True)
    for option in RUN_OPTIONS:
        assert option in done.stdout, option
    for program in ("tenant-run", "tenantctl"):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", done.stdout)


def test_a_full_standard_output_is_a_failure(host, tenant):
    for argv in (["tenantctl", "list"], ["tenantctl", "status", "--json"], ["tenantctl", "--help"],
                 ["tenant-run", "--dry-run", tenant.name]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.returncode in (1, 125), argv
        assert b"standard output" in done.stderr, argv


def test_doctor_finds_nothing_missing_and_says_the_same_in_json(host):
    plain = host.ctl("doctor")
    assert b"nothing that is needed is missing" in plain.stdout
    found = json.loads(host.ctl("doctor", "--json").stdout)
    text = json.dumps(found)
    for word in ("cgroup v2", "controller memory", "controller cpu", "controller pids",
                 "controller io", "seccomp"):
        assert word in text, word
    assert '"missing"' not in text


def test_doctor_names_what_is_wrong_in_the_configuration(host, tmp_path):
    (tmp_path / "tiers").mkdir()
    (tmp_path / "bounds.conf").write_text("")
    (tmp_path / "bounds.conf").chmod(0o666)
    (tmp_path / "tiers" / "bad.yaml").write_text("tier: bad\nlimits: {memory_max: 0}\n")
    done = host.ctl("doctor", "--config", tmp_path, check=False)
    assert done.returncode == 1
    rows = done.stdout.decode().splitlines()
    assert [row for row in rows if row.startswith("FAIL") and "bounds.conf" in row], rows
    assert [row for row in rows if "bad.yaml:2:" in row], rows


def test_a_policy_is_checked_as_a_file_a_directory_and_as_installed(host, tmp_path):
    assert host.ctl_json("policy", "check")["ok"] is True
    tiers = len(list(TIERS.glob("*.yaml")))
    assert host.ctl_json("policy", "check", "/etc/tenantd") == {"ok": True, "tiers": tiers}
    path = tmp_path / "good.yaml"
    path.write_text("tier: good\nlimits: {memory_max: 64M}\n")
    assert host.ctl_json("policy", "check", path) == {"ok": True, "tiers": 1}
    assert host.ctl("policy", "check", path).stdout == b"ok: 1 tier\n"
    # As one who may not ask the daemon.
    done = subprocess.run([*NOBODY, "tenantctl", "policy", "check"], capture_output=True,
                          check=False)
    assert done.returncode == 0


def test_dry_run_shows_each_limit_its_value_and_where_it_is_set(host):
    tier = host.tier(memory_max="96M", cpu_quota="150%", tasks_max=33)
    tenant = host.tenant(tier)
    done = subprocess.run(["tenant-run", "--dry-run", "--json", "--memory", "32M", "--timeout",
                           "90s", tenant.name], capture_output=True, check=True)
    plan = json.loads(done.stdout)
    assert plan["tenant"] == tenant.name and plan["tier"] == tier
    limits = {row["key"]: (row["value"], row["source"]) for row in plan["limits"]}
    assert set(limits) == set(LIMIT_KEYS) | {"kill_after"}
    assert len(plan["limits"]) == len(limits)
    assert limits["memory_max"] == ("96M", host.where(tier, "memory_max"))
    assert limits["cpu_quota"] == ("150%", host.where(tier, "cpu_quota"))
    assert limits["tasks_max"] == ("33", host.where(tier, "tasks_max"))
    assert limits["execution_memory_max"] == ("32M", "--memory")
    assert limits["runtime_max"] == ("1min30s", "--timeout") or limits["runtime_max"][1] == (
        "--timeout")
    assert limits["oom"][1] == limits["kill_after"][1] == "default"
    assert f"TENANT_MEMORY_MAX={32 << 20}" in plan["environment"]
    text = subprocess.run(["tenant-run", "--dry-run", tenant.name], capture_output=True,
                          check=True, text=True).stdout
    for key in limits:
        row = next(line.split() for line in text.splitlines() if line.startswith(f"{key} "))
        assert len(row) == 3, row
    assert tenant.ps() == [] and tenant.leaves() == []


def test_the_units_are_clean_enabled_and_active():
    units = ("tenantd.service", "tenantd-tenants.service", "tenants.slice",
             "tenantd-logger.socket")
    done = subprocess.run(["systemd-analyze", "verify", *units, "tenantd-logger.service"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for unit in units:
        assert systemctl("is-active", unit).stdout == "active\n", unit
    for unit in ("tenantd.service", "tenantd-logger.socket"):
        assert systemctl("is-enabled", unit).stdout == "enabled\n", unit
    # It is started by tenantd.service, whatever starts that.
    assert "tenantd-tenants.service" in systemctl(
        "show", "-P", "BindsTo", "tenantd.service").stdout.split()


def test_the_nodes_of_tenants_show_in_systemd_cgls(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "100"])
    assert running.id
    done = subprocess.run(["systemd-cgls", "--no-pager", "-l", "-u", "tenantd-tenants.service"],
                          capture_output=True, text=True, check=True)
    assert re.search(rf"[├└]─{tenant.name}\b", done.stdout), done.stdout
    assert running.id in done.stdout and "sleep 100" in done.stdout
    running.kill()
    running.wait()


def beat_of(tenant):
    path = tenant.storage / "beat"
    return path.stat().st_mtime_ns if path.exists() else 0


def test_a_restart_of_the_daemon_leaves_what_runs_running(host):
    tenant = host.tenant()
    other = tenant.run(["true"]).record
    script = "while test ! -e /data/stop; do touch /data/beat; sleep 0.1; done; echo out; exit 3"
    running = tenant.start(["sh", "-c", script])
    pids = running.read("cgroup.procs") if running.id else ""
    limits = [running.read(name) for name in ("memory.max", "pids.max", "cpu.max")]
    supervisor = host.supervisor_pid()
    wait_for(lambda: beat_of(tenant), "a beat")
    systemctl("restart", "tenantd.service")
    wait_until_it_answers()
    assert host.supervisor_pid() != supervisor
    before = beat_of(tenant)
    wait_for(lambda: beat_of(tenant) > before, "a beat after the restart")
    first = set(pids.split()) & set(running.read("cgroup.procs").split())
    assert first, "other processes than before"
    assert [running.read(name) for name in ("memory.max", "pids.max", "cpu.max")] == limits
    rows = host.ctl_json("ps", tenant.name)
    assert [(row["id"], row["state"]) for row in rows] == [(running.id, "running")]
    (tenant.storage / "stop").touch()
    result = running.wait()
    assert result.status == 3
    assert (result.record["id"], result.record["exit_code"]) == (running.id, 3)
    wait_for(lambda: host.ctl_json("ps", tenant.name) == [], "the end of the run")
    rows = {row["id"]: row for row in host.ctl_json("ps", "--all", tenant.name)}
    assert (rows[running.id]["reason"], rows[running.id]["exit_code"]) == ("exited", 3)
    assert rows[other["id"]] == other
    assert running.out() == b"out\n"
    assert tenant.run(["echo", "more"]).out == b"more\n"


def test_the_death_of_the_controller_leaves_what_runs_running(host):
    tenant = host.tenant()
    script = "while test ! -e /data/stop; do sleep 0.1; done; exit 4"
    running = tenant.start(["sh", "-c", script])
    assert running.id
    supervisor, controller = host.supervisor_pid(), host.controller_pid()
    os.kill(controller, 9)
    wait_for(lambda: host.controller_pid() not in (0, controller), "another controller")
    wait_until_it_answers()
    assert host.supervisor_pid() == supervisor
    assert [row["id"] for row in host.ctl_json("ps", tenant.name)] == [running.id]
    (tenant.storage / "stop").touch()
    wait_for(lambda: host.ctl_json("ps", tenant.name) == [], "the end of the run")
    row = host.ctl_json("ps", "--all", tenant.name)[0]
    assert (row["id"], row["reason"], row["exit_code"]) == (running.id, "exited", 4)
    result = running.wait()
    assert (result.status, result.record) == (4, row)


def test_what_is_known_of_tenants_and_executions_outlives_the_daemon(host):
    tenant = host.tenant()
    records = [tenant.run(["sh", "-c", f"exit {code}"]).record for code in (0, 5)]
    shown, usage = tenant.show(), tenant.usage()
    (tenant.storage / "kept").write_text("kept", encoding="ascii")
    systemctl("restart", "tenantd.service")
    wait_until_it_answers()
    assert tenant.show() == shown
    assert tenant.ps() == records[::-1]
    after = tenant.usage()
    assert after["meters"]["cpu_time"] == usage["meters"]["cpu_time"]
    assert after["executions"] == usage["executions"]
    assert tenant.run(["cat", "/data/kept"]).out == b"kept"
