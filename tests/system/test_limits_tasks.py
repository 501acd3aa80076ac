# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many processes, for how long."""

import time

import pytest

from product import wait_for

# "caught" comes from a handler of SIGTERM; sleep is in its process group and ends too.
POLITE = ["sh", "-c", "trap 'echo caught; exit 3' TERM; echo up; sleep 60; sleep 60"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]


def peak_after(cgroup, seconds):
    """The most there were at once. pids.current cannot tell: the kernel counts a fork there before
    it looks whether it may be."""
    time.sleep(seconds)
    return cgroup.stat("pids.peak")


@pytest.mark.parametrize("tasks_max", [20, 40])
def test_a_fork_bomb_stays_at_tasks_max_and_is_gone_soon_after_kill(host, tasks_max):
    tenant = host.tenant(host.tier(tasks_max=tasks_max))
    running = tenant.start([host.probe("bomb")])
    running.wait_out(b"lit")
    assert peak_after(tenant, 3) == tasks_max
    leaf = running.leaf
    begin = time.monotonic()
    host.ctl("kill", running.id)
    wait_for(lambda: not leaf.exists(), "the leaf to be gone", timeout=2)
    assert time.monotonic() - begin < 2
    assert tenant.stat("pids.current") == 0
    record = running.wait().record
    assert (record["reason"], record["pids_peak"]) == ("killed", tasks_max)
    assert record["pids_refused"] > 0


def test_tasks_max_counts_all_executions_of_a_tenant_together(host):
    tenant = host.tenant(host.tier(tasks_max=20))
    eight = "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; echo up; wait"
    first = tenant.start(["sh", "-c", eight])
    first.wait_out(b"up")
    wait_for(lambda: tenant.stat("pids.current") == 10, "the first one's ten")
    second = tenant.start([host.probe("bomb")])
    second.wait_out(b"lit")
    assert peak_after(tenant, 2) == 20
    # Its own peak also counts forks that then fail above it, at the tenant's limit.
    assert len(second.read("cgroup.procs").split()) == 10


def test_a_tenant_without_a_process_left_is_told_so_by_name(host):
    tenant = host.tenant(host.tier(tasks_max=20))
    tenant.start([host.probe("bomb")]).wait_out(b"lit")
    wait_for(lambda: tenant.stat("pids.current") == 20, "the bomb to be at its limit")
    result = tenant.run(["true"])
    assert (result.status, result.record["reason"]) == (125, "runtime")
    assert b"tasks_max" in result.err
    assert len(tenant.leaves()) == 1


def test_a_tenant_with_room_for_no_more_than_the_sandbox_is_told_the_same(host):
    tenant = host.tenant(host.tier(tasks_max=4))
    tenant.start(["sh", "-c", "sleep 60; true"])
    wait_for(lambda: tenant.stat("pids.current") == 3, "its three")
    result = tenant.run(["true"])
    assert (result.status, result.record["reason"]) == (125, "runtime")
    assert b"tasks_max" in result.err
    assert len(tenant.leaves()) == 1


def test_a_bomb_in_one_tenant_leaves_another_its_processes(host):
    bomb = host.tenant(host.tier(tasks_max=20))
    other = host.tenant(host.tier(tasks_max=20))
    bomb.start([host.probe("bomb")]).wait_out(b"lit")
    wait_for(lambda: bomb.stat("pids.current") == 20, "the bomb to be at its limit")
    result = other.run(["sh", "-c", "for i in 1 2 3 4 5 6; do sleep 0.5 & done; wait; echo ok"])
    assert (result.status, result.out) == (0, b"ok\n")


def test_pids_narrows_one_execution(host):
    tenant = host.tenant(host.tier(tasks_max=40))
    running = tenant.start([host.probe("bomb")], "--pids", "10")
    running.wait_out(b"lit")
    assert running.stat("pids.max") == 10
    assert peak_after(running, 2) == 10
    assert tenant.stat("pids.max") == 40


def test_runtime_max_asks_with_term_and_a_handler_can_still_speak(host):
    tier = host.tier(runtime_max="2s")
    result = host.tenant(tier).run(POLITE)
    assert (result.status, result.record["reason"]) == (124, "timeout")
    assert result.record["exit_code"] == 124
    assert result.out == b"up\ncaught\n"
    assert 2_000_000 <= result.record["wall_usec"] < 6_000_000
    assert (f"timed out after runtime_max 2s ({host.where(tier, 'runtime_max')})"
            in result.err.decode())


def test_without_runtime_max_the_same_runs_on(host):
    tenant = host.tenant(host.tier(runtime_max="max"))
    running = tenant.start(POLITE)
    running.wait_out(b"up")
    time.sleep(3)
    assert running.poll() is None


@pytest.mark.parametrize("grace", [1, 3])
def test_what_ignores_term_is_killed_after_the_grace_of_kill_after(host, grace):
    tenant = host.tenant(host.tier(runtime_max="1s"))
    result = tenant.run(STUBBORN, "--kill-after", f"{grace}s")
    assert (result.status, result.record["reason"]) == (124, "timeout")
    assert (1 + grace) * 1_000_000 <= result.record["wall_usec"] < (2.5 + grace) * 1_000_000


def test_kill_after_of_nothing_kills_at_once(host):
    result = host.tenant().run(POLITE, "--timeout", "1s", "--kill-after", "0")
    assert (result.status, result.out) == (124, b"up\n")


def test_a_timeout_ends_the_processes_in_the_background_too(host):
    tenant = host.tenant(host.tier(runtime_max="1s"))
    result = tenant.run(["sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & sleep 1000"])
    assert result.status == 124
    assert tenant.leaves() == []
    assert tenant.stat("cgroup.events", "populated") == 0


def test_timeout_narrows_one_execution(host):
    tenant = host.tenant(host.tier(runtime_max="1h"))
    result = tenant.run(["sleep", "60"], "--timeout", "1s")
    assert (result.status, result.record["reason"]) == (124, "timeout")
    assert 1_000_000 <= result.record["wall_usec"] < 4_000_000
    assert b"timed out after runtime_max 1s (--timeout)" in result.err


@pytest.mark.parametrize("opts, named", [
    (["--memory", "65M"], ["--memory 65M", "execution_memory_max 64M", "execution_memory_max"]),
    (["--cpus", "0.6"], ["--cpus 60%", "cpu_quota 50%", "cpu_quota"]),
    (["--pids", "21"], ["--pids 21", "tasks_max 20", "tasks_max"]),
    (["--timeout", "11s"], ["--timeout 11s", "runtime_max 10s", "runtime_max"]),
    (["--cpu-time", "6s"], ["--cpu-time 6s", "cpu_time_max 5s", "cpu_time_max"]),
])
def test_an_option_that_widens_is_refused_and_the_message_names_both(host, opts, named):
    tier = host.tier(memory_max="128M", execution_memory_max="64M", cpu_quota="50%",
                     tasks_max=20, runtime_max="10s", cpu_time_max="5s")
    tenant = host.tenant(tier)
    *words, key = named
    result = tenant.run(["true"], *opts)
    assert result.status == 125
    for word in (*words, host.where(tier, key)):
        assert word in result.err.decode()
    assert result.record["reason"] == "runtime"
    assert tenant.ps() == []


@pytest.mark.parametrize("opts", [
    ["--memory", "64M"], ["--cpus", "0.5"], ["--pids", "20"], ["--timeout", "10s"],
    ["--cpu-time", "5s"],
])
def test_an_option_of_exactly_the_tiers_value_is_taken(host, opts):
    tenant = host.tenant(host.tier(memory_max="128M", execution_memory_max="64M",
                                   cpu_quota="50%", tasks_max=20, runtime_max="10s",
                                   cpu_time_max="5s"))
    assert tenant.run(["true"], *opts).status == 0


def test_kill_after_longer_than_the_default_is_refused(host):
    result = host.tenant().run(["true"], "--kill-after", "11s")
    assert result.status == 125
    assert b"--kill-after 11s" in result.err


def test_a_forwarded_signal_still_ends_what_a_timeout_would(host):
    running = host.tenant().start(POLITE)
    running.wait_out(b"up")
    running.process.terminate()
    result = running.wait()
    assert (result.status, result.record["reason"]) == (3, "exited")
    assert result.out == b"up\ncaught\n"


def test_kill_all_ends_every_execution_of_one_tenant_only(host):
    one, other = host.tenant(), host.tenant()
    killed = [one.start(["sleep", "60"]) for _ in range(3)]
    spared = other.start(["sleep", "60"])
    assert spared.id and all(running.id for running in killed)
    host.ctl("kill", "--all", one.name)
    assert [running.wait().record["reason"] for running in killed] == ["killed"] * 3
    assert spared.poll() is None
