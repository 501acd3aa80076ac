# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant after its creation: changed, suspended, resumed."""

import subprocess
import time
from pathlib import Path

from product import TIERS, wait_for

SLOTS = Path("/var/lib/tenantd/slots")
# Deeper than a path can be long, and with more in one directory than are read at once.
TREE_PROGRAM = """
import os
for i in range(500):
    os.mkdir("a-rather-long-name"); os.chdir("a-rather-long-name"); open("file", "w").close()
os.chdir("/data"); os.mkdir("wide")
for i in range(3000):
    os.symlink("/etc/passwd", f"wide/{i}")
"""
COUNT = "i=0; while :; do i=$((i + 1)); echo $i >count.new; mv count.new count; sleep 0.05; done"


def frozen(tenant):
    return tenant.stat("cgroup.events", "frozen") == 1


def counted(tenant):
    """What the loop of COUNT has got to; 0 before its first turn."""
    path = tenant.storage / "count"
    return int(path.read_text(encoding="ascii")) if path.exists() else 0


def running_ids(host, tenant):
    return [one["id"] for one in host.ctl_json("ps", tenant.name)]


def refused(host, *argv):
    """Exit status and words of a tenantctl that does nothing."""
    done = host.ctl(*argv, check=False)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


def test_what_is_suspended_stands_still_and_goes_on_as_the_very_same(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", COUNT])
    wait_for(lambda: counted(tenant) > 2, "a count")
    first = running.read("cgroup.procs").split()[:2]
    host.ctl("suspend", tenant.name)
    assert frozen(tenant) and tenant.show()["status"] == "suspended"
    before = counted(tenant), tenant.stat("cpu.stat", "usage_usec")
    time.sleep(1)
    assert (counted(tenant), tenant.stat("cpu.stat", "usage_usec")) == before
    assert refused(host, "suspend", tenant.name) == (
        1, f"tenantctl: tenant '{tenant.name}' is suspended; it cannot become suspended\n")
    host.ctl("resume", tenant.name)
    assert not frozen(tenant) and tenant.show()["status"] == "active"
    wait_for(lambda: counted(tenant) > before[0] + 2, "it to go on counting")
    assert set(first) <= set(running.read("cgroup.procs").split())
    assert refused(host, "resume", tenant.name) == (
        1, f"tenantctl: tenant '{tenant.name}' is active; it cannot become active\n")
    host.ctl("kill", running.id)
    assert running.wait().record["reason"] == "killed"


def test_a_suspended_tenant_launches_nothing_nor_lets_anyone_wait(host):
    tenant = host.tenant(host.tier(executions_max=1))
    running = tenant.start(["sleep", "1000"])
    assert running.id
    waiting = tenant.start(["true"], "--queue", "60s")
    wait_for(lambda: b"waiting for a slot" in waiting.err(), "the other to wait")
    host.ctl("suspend", tenant.name)
    says = f"tenant-run: tenant '{tenant.name}' is suspended\n".encode()
    ended = waiting.wait(20)
    assert ended.status == 125 and ended.err.endswith(says)
    now = tenant.run(["true"])
    assert (now.status, now.err) == (125, says)
    host.ctl("kill", running.id)
    assert running.wait(20).record["reason"] == "killed"
    host.ctl("resume", tenant.name)
    assert tenant.run(["true"]).status == 0


def test_no_deadline_comes_nearer_while_a_tenant_is_suspended(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"], "--timeout", "4s")
    assert running.id
    time.sleep(1)
    host.ctl("suspend", tenant.name)
    time.sleep(6)
    assert running_ids(host, tenant) == [running.id]
    host.ctl("resume", tenant.name)
    record = running.wait(30).record
    assert record["reason"] == "timeout"
    assert 4_000_000 <= record["wall_usec"] < 8_000_000
    assert record["ended_at"] - record["started_at"] > record["wall_usec"] + 5_000_000
    assert tenant.usage()["meters"]["execution_time"] == record["wall_usec"]


def test_a_suspended_tenant_stays_so_and_its_deadlines_where_they_are_without_tenantd(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"], "--timeout", "8s")
    execution = running.id
    host.ctl("suspend", tenant.name)
    host.kill_supervisor()
    time.sleep(8)
    assert frozen(tenant) and tenant.show()["status"] == "suspended"
    assert running_ids(host, tenant) == [execution]
    host.ctl("resume", tenant.name)
    wait_for(lambda: running_ids(host, tenant) == [], "the deadline", 40)
    record = next(one for one in tenant.ps() if one["id"] == execution)
    assert record["reason"] == "timeout"
    assert 8_000_000 <= record["wall_usec"] < 16_000_000


def test_another_tier_holds_at_once_for_what_runs(host):
    small = host.tier(memory_max="64M", cpu_quota="50%", tasks_max=64, executions_max=2)
    large = host.tier(memory_max="256M", cpu_quota="150%", tasks_max=128, executions_max=5)
    tenant = host.tenant(small)
    running = tenant.start(["sleep", "1000"])
    assert running.id
    tenant.update("--tier", large)
    names = ("memory.max", "cpu.max", "pids.max", "cgroup.max.descendants")
    assert {name: tenant.read(name) for name in names} == {
        "memory.max": str(256 << 20), "cpu.max": "150000 100000", "pids.max": "128",
        "cgroup.max.descendants": "5"}
    assert tenant.show()["tier"] == large
    assert running_ids(host, tenant) == [running.id]
    host.ctl("kill", running.id)
    running.wait()


def test_limits_of_its_own_hold_over_its_tiers_and_are_named_as_such(host):
    tenant = host.tenant(host.tier(tasks_max=64, runtime_max="1h", executions_max=4))
    tenant.update("--set", "limits.tasks_max=32", "--set", "limits.runtime_max=1s")
    assert tenant.read("pids.max") == "32" and tenant.read("cgroup.max.descendants") == "4"
    assert tenant.show()["overrides"] == {"limits.runtime_max": "1s", "limits.tasks_max": "32"}
    ended = tenant.run(["sleep", "60"])
    assert ended.status == 124
    assert ended.err == b"tenant-run: timed out after runtime_max 1s (override)\n", ended.err
    assert refused(host, "update", tenant.name, "--set", "limits.tasks_max=lots")[0] == 2
    tenant.update("--unset", "limits.tasks_max", "--unset", "limits.runtime_max")
    assert tenant.read("pids.max") == "64" and tenant.show()["overrides"] == {}


def test_a_drop_in_changes_its_tier_and_is_named_as_the_place(host):
    tier = host.tier(tasks_max=64, executions_max=3)
    tenant = host.tenant(tier)
    directory = TIERS / f"{tier}.d"
    directory.mkdir()
    try:
        (directory / "50-local.yaml").write_text("limits:\n  tasks_max: 48\n", encoding="ascii")
        host.ctl("policy", "reload")
        assert tenant.run(["true"]).status == 0
        assert tenant.read("pids.max") == "48" and tenant.read("cgroup.max.descendants") == "3"
        plan = tenant.run(["true"], "--dry-run").out.decode()
        assert f"tiers/{tier}.d/50-local.yaml:2" in plan, plan
        (directory / "60-wrong.yaml").write_text("limits:\n  tasks_max: 0\n", encoding="ascii")
        status, words = refused(host, "policy", "reload")
        assert status == 2 and f"tiers/{tier}.d/60-wrong.yaml:2:14: tasks_max: '0'" in words
        assert tenant.read("pids.max") == "48"
    finally:
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        host.ctl("policy", "reload")
    assert tenant.read("pids.max") == "64"


def test_when_the_kernel_refuses_one_limit_all_are_as_they_were(host):
    small = host.tier(memory_max="64M", cpu_quota="50%", tasks_max=64, executions_max=2)
    large = host.tier(memory_max="256M", cpu_quota="150%", tasks_max=128, executions_max=5)
    tenant = host.tenant(small)
    assert tenant.run(["true"]).status == 0
    names = ("memory.max", "memory.high", "cpu.max", "cpu.weight", "cgroup.max.descendants")
    before = {name: tenant.read(name) for name in names}
    # What is written there is refused with ENOSPC.
    subprocess.run(["mount", "--bind", "/dev/full", tenant.cgroup / "pids.max"], check=True)
    try:
        status, words = refused(host, "update", tenant.name, "--tier", large)
    finally:
        subprocess.run(["umount", tenant.cgroup / "pids.max"], check=True)
    assert status == 1 and f"cgroup '{tenant.name}'" in words
    assert {name: tenant.read(name) for name in names} == before
    assert tenant.show()["tier"] == small
    tenant.update("--tier", large)
    assert tenant.read("pids.max") == "128"


def test_fewer_executions_than_run_lets_them_run_and_admits_none(host):
    tenant = host.tenant(host.tier(executions_max=3))
    running = [tenant.start(["sleep", "1000"]) for _ in range(3)]
    assert all(one.id for one in running)
    tenant.update("--tier", host.tier(executions_max=1))
    assert len(running_ids(host, tenant)) == 3
    assert tenant.run(["true"]).status == 125
    for one in running:
        host.ctl("kill", one.id)
        one.wait()
    assert tenant.run(["true"]).status == 0


def test_a_change_is_whole_and_undoes_no_other(host):
    tenant = host.tenant()
    version = tenant.show()["version"]
    tenant.update("--display-name", "Acme, Inc.", "--meta", "a=1", "--meta", "b=2",
                  "--billing-day", "15", "--customer", "C-7")
    assert refused(host, "update", tenant.name, "--meta", "a=3", "--if-version", version) == (
        5, f"tenantctl: tenant '{tenant.name}' has version {version + 1}, not {version}\n")
    assert refused(host, "update", tenant.name, "--meta", "a=3", "--tier", "none-such") == (
        3, "tenantctl: there is no tier 'none-such'\n")
    tenant.update("--no-meta", "a", "--if-version", version + 1)
    now = tenant.show()
    assert now["metadata"] == {"b": "2"}
    assert (now["display_name"], now["version"]) == ("Acme, Inc.", version + 2)
    assert now["settings"] == {"billing_anchor_day": 15, "time_zone": "UTC", "currency": "USD",
                               "customer_id": "C-7"}


def test_a_list_can_be_of_one_status_or_one_tier(host):
    tier = host.tier()
    tenants = [host.tenant(tier) for _ in range(3)]
    host.ctl("suspend", tenants[1].name)

    def names(*options):
        return [one["name"] for one in host.ctl_json("list", *options)]

    assert set(names("--tier", tier)) == {one.name for one in tenants}
    assert names("--tier", tier, "--status", "suspended") == [tenants[1].name]
    assert not {one.name for one in tenants} & set(names("--tier", "free"))
    status, words = refused(host, "list", "--status", "asleep")
    assert status == 2 and "'asleep' is no status" in words
    host.ctl("resume", tenants[1].name)


def test_a_list_can_be_of_what_metadata_says(host):
    tier = host.tier()
    plain, trial, paid = (host.tenant(tier) for _ in range(3))
    host.ctl("update", trial.name, "--meta", "plan=trial", "--meta", "region=eu=west")
    host.ctl("update", paid.name, "--meta", "plan=paid")

    def names(*options):
        return {one["name"] for one in host.ctl_json("list", "--tier", tier, *options)}

    assert names() == {plain.name, trial.name, paid.name}
    assert names("--meta", "plan=trial") == {trial.name}
    assert names("--meta", "plan") == {trial.name, paid.name}
    assert names("--meta", "plan", "--meta", "region=eu=west") == {trial.name}
    assert names("--meta", "plan=paid", "--meta", "region") == set()
    assert names("--meta", "plan=") == set()
    status, words = refused(host, "list", "--meta", "=trial")
    assert status == 2 and "'=trial' is neither KEY=VALUE nor KEY" in words


def gone(tenant):
    return not tenant.cgroup.exists() and not tenant.storage.exists()


def slots_taken():
    """Ranges of ids that are a tenant's, or still a deleted one's."""
    table = SLOTS.read_bytes()
    return sum(table[at:at + 4] != bytes(4) for at in range(0, len(table), 128))


def test_what_runs_or_is_stored_is_deleted_by_force_alone(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", COUNT])
    assert running.id
    assert refused(host, "delete", tenant.name) == (
        1, f"tenantctl: tenant '{tenant.name}' is not deleted without --force: "
           "1 execution is running\n")
    host.ctl("kill", running.id)
    running.wait()
    assert refused(host, "delete", tenant.name) == (
        1, f"tenantctl: tenant '{tenant.name}' is not deleted without --force: "
           "the tenant has stored data\n")
    assert tenant.show()["status"] == "active" and tenant.run(["true"]).status == 0
    tenant.run(["rm", "-f", "count", "count.new"])
    host.ctl("delete", tenant.name)
    assert gone(tenant)


def test_what_runs_ends_and_its_last_usage_is_booked(host):
    tenant = host.tenant(host.tier(executions_max=8))
    running = [tenant.start(["sh", "-c", "while :; do :; done"]) for _ in range(4)]
    ids = {one.id for one in running}
    taken = slots_taken()
    host.ctl("delete", tenant.name, "--force")
    assert gone(tenant)
    for one in running:
        assert one.wait(20).record["reason"] == "killed"
    usage = host.ctl_json("usage", tenant.id)
    assert {one["id"] for one in usage["executions"]} == ids
    assert all(one["state"] == "exited" for one in usage["executions"])
    used = sum(one["cpu_usec"] for one in usage["executions"])
    assert 0 <= usage["unattributed_usec"] == usage["meters"]["cpu_time"] - used
    wait_for(lambda: slots_taken() == taken - 1, "the range of ids to return")
    assert host.ctl_json("show", tenant.id)["status"] == "deleted"
    assert refused(host, "delete", tenant.id) == (
        1, f"tenantctl: tenant '{tenant.name}' is deleted; it cannot become deleting\n")
    assert tenant.run(["true"]).err == f"tenant-run: tenant '{tenant.name}' is deleted\n".encode()


def test_a_name_that_is_free_again_is_another_tenants(host):
    tenant = host.tenant()
    tenant.run(["sh", "-c", "echo mine >secret"])
    host.ctl("delete", tenant.name, "--force")
    assert host.ctl_json("show", tenant.name)["id"] == tenant.id
    again = host.tenant(name=tenant.name)
    assert again.id != tenant.id
    assert again.run(["sh", "-c", "ls -A; cat secret"]).out == b""
    assert host.ctl_json("show", again.name)["id"] == again.id
    assert host.ctl_json("show", tenant.id)["status"] == "deleted"
    assert again.usage()["meters"]["executions"] == 1
    assert host.ctl_json("usage", tenant.id)["meters"]["executions"] == 1


def test_a_suspended_tenant_can_be_deleted(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    assert running.id
    host.ctl("suspend", tenant.name)
    host.ctl("delete", "--force", tenant.name)
    assert running.wait(20).record["reason"] == "killed"
    assert gone(tenant)


def test_a_deep_and_wide_tree_goes_and_its_ids_return_afterwards(host):
    tenant = host.tenant(host.tier(tasks_max=64, memory_max="256M"))
    made = tenant.run(["python3", "-c", TREE_PROGRAM], timeout=300)
    assert made.status == 0, made.err
    taken = slots_taken()
    host.ctl("delete", "--force", tenant.name)
    assert gone(tenant)
    wait_for(lambda: slots_taken() == taken - 1, "the range of ids to return", 120)
    assert not list((tenant.storage.parent.parent / ".deleted").iterdir())


def test_a_deletion_survives_the_end_of_both_daemons(host, full):
    for _ in range(full(10, 2)):
        tenant = host.tenant()
        running = tenant.start(["sh", "-c", COUNT])
        assert running.id
        deleting = subprocess.Popen(["tenantctl", "delete", "--force", tenant.name],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        host.kill_supervisor()
        deleting.wait(60)
        # Either it was begun, and is gone on with, or it was not, and all is as it was.
        if host.ctl_json("show", tenant.id)["status"] == "active":
            host.ctl("delete", "--force", tenant.name)
        wait_for(lambda: host.ctl_json("show", tenant.id)["status"] == "deleted",
                 "the deletion", 60)
        assert gone(tenant)
        assert running.wait(20).status != 0
