# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant after its creation: changed, suspended, resumed."""

import time

from product import wait_for

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
