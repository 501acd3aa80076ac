# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantctl stats: what runs uses, measured by what it was made to use."""

import json
import subprocess

from product import wait_for


def stats(*arguments):
    done = subprocess.run(["tenantctl", "stats", *arguments], capture_output=True, text=True,
                          timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def look(tenant, interval="2s"):
    """One look: the tenant's own line, and those of its executions by their ids."""
    lines = json.loads(stats("--no-stream", "--json", "--interval", interval, tenant.name))
    assert all(line["tenant"] == tenant.name for line in lines)
    assert lines[0]["execution"] is None
    return lines[0], {line["execution"]: line for line in lines[1:]}


def numbers(line):
    return [value for value in line.values() if isinstance(value, int)]


def test_cpu_memory_and_tasks_are_those_that_are_used(host):
    tier = host.tier(cpu_quota="50%", memory_max="256M", tasks_max=32,
                     execution_memory_max="64M")
    tenant = host.tenant(tier)
    busy = tenant.start(["sh", "-c", "echo go; while :; do :; done"])
    # They are listed as they began, and of two at once either may.
    busy.wait_out(b"go")
    idle = tenant.start(["sh", "-c", "head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null; "
                         "sleep 600 & sleep 1; echo go; wait"])
    idle.wait_out(b"go")
    whole, each = look(tenant)
    assert set(each) == {busy.id, idle.id}
    # Half of one CPU, which it would have all of.
    assert 350 <= each[busy.id]["cpu_permille"] <= 600, each
    assert each[idle.id]["cpu_permille"] <= 20
    assert 350 <= whole["cpu_permille"] <= 650
    assert whole["throttled_permille"] >= 500
    assert each[idle.id]["tasks"] >= 3 and each[busy.id]["tasks"] >= 2
    assert whole["tasks"] >= each[idle.id]["tasks"] + each[busy.id]["tasks"]
    assert whole["tasks_max"] == 32 and whole["memory_max_bytes"] == 256 << 20
    assert each[idle.id]["memory_max_bytes"] == 64 << 20
    assert 0 < each[busy.id]["memory_bytes"] < 64 << 20
    assert 0 < whole["cpu_usec"] <= tenant.stat("cpu.stat", "usage_usec")
    assert 1_900_000 <= whole["interval_usec"] < 20_000_000
    table = stats("--no-stream", "--interval", "200ms", tenant.name)
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        [tenant.name, "-"], [tenant.name, busy.id[:8]], [tenant.name, idle.id[:8]]]


def test_what_is_written_is_a_rate(host):
    tenant = host.tenant()
    writes = tenant.start(["sh", "-c", "echo go; while :; do dd if=/dev/zero of=/data/x bs=1M "
                           "count=8 conv=fsync 2>/dev/null; done"])
    writes.wait_out(b"go")
    _, each = look(tenant)
    rate = each[writes.id]["io_write_bytes_per_sec"]
    # null where the kernel has no io controller for the tree, as the status then says.
    unenforced = " ".join(host.ctl_json("status")["unenforced"])
    assert rate > 1 << 20 if rate is not None else "io" in unenforced


def test_only_what_runs_is_looked_at_unless_it_is_named(host):
    idle, tenant = host.tenant(), host.tenant()
    running = tenant.start(["sh", "-c", "echo go; sleep 600"])
    running.wait_out(b"go")
    names = {line["tenant"] for line in json.loads(
        stats("--no-stream", "--json", "--interval", "100ms"))}
    assert tenant.name in names and idle.name not in names
    whole, each = look(idle, "100ms")
    assert not each and whole["cpu_permille"] in (None, 0)


def test_nothing_is_negative_while_executions_come_go_and_daemons_restart(host, tmp_path):
    tenant = host.tenant()
    stays = tenant.start(["sh", "-c", "echo go; while :; do :; done"])
    stays.wait_out(b"go")
    told, trouble = tmp_path / "told", tmp_path / "trouble"
    with told.open("wb") as out, trouble.open("wb") as err, subprocess.Popen(
            ["tenantctl", "stats", "--json", "--interval", "100ms", tenant.name],
            stdout=out, stderr=err) as watcher:
        wait_for(lambda: told.read_text("utf-8").count("\n") > 1, "two looks")
        for restart in host.kill_controller, host.kill_supervisor, lambda: None:
            for _ in range(5):
                tenant.run(["true"])
            restart()
        seen = told.read_text("utf-8").count("\n")
        wait_for(lambda: told.read_text("utf-8").count("\n") > seen + 2, "two more looks", 60)
        assert watcher.poll() is None, trouble.read_text("utf-8")
        watcher.terminate()
        watcher.wait(60)
    looks = [json.loads(line) for line in told.read_text("utf-8").splitlines(keepends=True)
             if line.endswith("\n")]
    assert len(looks) > 5 and looks[0][0]["tenant"] == tenant.name
    for lines in looks:
        for line in lines:
            assert min(numbers(line)) >= 0, line
    # After both restarts it counts on from where it was.
    assert looks[-1][0]["cpu_usec"] > looks[0][0]["cpu_usec"]
    assert looks[-1][0]["cpu_permille"] is not None
    for line in trouble.read_text("utf-8").splitlines():
        assert line.endswith("; trying again"), line
