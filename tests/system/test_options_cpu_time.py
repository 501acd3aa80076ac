# SPDX-License-Identifier: LGPL-2.1-or-later
"""--cpu-time and cpu_time_max: the CPU time of a whole execution, held by its end."""

import pytest

from product import wait_for

pytestmark = pytest.mark.alone

# Processes of one second each, all at once or one after the other; then a word.
BURN = """
$busy = sub { while ((times)[0] + (times)[1] < 1) { $n++ for 1 .. 20000 } exit };
for (1 .. $ARGV[0]) { $pid = fork; $busy->() unless $pid; waitpid $pid, 0 if $ARGV[1] }
1 while wait > 0;
syswrite STDOUT, "done\\n";
"""
# What has no parent in the sandbox but process 1, and ignores what can be ignored.
STUBBORN = """
$SIG{$_} = 'IGNORE' for qw(HUP INT TERM XCPU);
fork or do { setpgrp; fork and exit; 1 while 1 };
sleep 1000;
"""


def assert_held(result, seconds, over=0.3):
    assert result.record["reason"] == "timeout", result
    assert (result.status, result.record["exit_code"]) == (124, 124)
    assert seconds <= result.record["cpu_usec"] / 1e6 <= seconds + over


@pytest.mark.parametrize("in_turn", [0, 1])
def test_four_processes_of_one_second_each_are_ended_at_two(host, in_turn):
    tenant = host.tenant(host.tier(cpu_quota="max"))
    result = tenant.run(["perl", "-e", BURN, 4, in_turn], "--cpu-time", "2s")
    assert_held(result, 2)
    assert result.out == b""
    assert result.err == b"tenant-run: killed by cpu_time_max 2s (--cpu-time)\n"
    assert tenant.leaves() == []


def test_what_stays_below_it_ends_by_itself(host):
    tenant = host.tenant(host.tier(cpu_quota="max"))
    result = tenant.run(["perl", "-e", BURN, 2, 0], "--cpu-time", "4s")
    assert (result.status, result.out, result.err) == (0, b"done\n", b"")
    assert 2 <= result.record["cpu_usec"] / 1e6 <= 4


def test_time_that_is_only_waited_does_not_count(host):
    result = host.tenant().run(["sleep", "3"], "--cpu-time", "1s")
    assert (result.status, result.record["reason"]) == (0, "exited")


def test_a_tier_sets_it_and_is_named(host):
    tier = host.tier(cpu_quota="max", cpu_time_max="1s")
    tenant = host.tenant(tier)
    result = tenant.run([host.probe("hog"), "2"])
    assert_held(result, 1)
    where = host.where(tier, "cpu_time_max")
    assert f"killed by cpu_time_max 1s ({where})" in result.err.decode()
    refused = tenant.run(["true"], "--cpu-time", "1001ms")
    assert refused.status == 125
    assert (f"--cpu-time 1s1ms is wider than cpu_time_max 1s ({where})"
            in refused.err.decode())
    assert tenant.run(["true"], "--cpu-time", "1s").status == 0


def test_no_process_of_it_escapes(host):
    tenant = host.tenant(host.tier(cpu_quota="max"))
    result = tenant.run(["perl", "-e", STUBBORN], "--cpu-time", "1s", "--kill-after", "10s")
    assert_held(result, 1)
    assert tenant.leaves() == []
    assert tenant.stat("cgroup.events", "populated") == 0


def test_a_quota_that_stretches_it_changes_nothing(host):
    tenant = host.tenant(host.tier(cpu_quota="50%"))
    result = tenant.run([host.probe("hog"), "2"], "--cpu-time", "1s")
    assert_held(result, 1)
    assert result.record["wall_usec"] > 1_500_000


def test_it_holds_on_after_a_restart_of_tenantd(host):
    tenant = host.tenant(host.tier(cpu_quota="max"))
    running = tenant.start([host.probe("hog"), "1"], "--cpu-time", "10s")
    execution = running.id
    # It takes seconds, of which the hog makes use.
    host.kill_supervisor()
    assert running.leaf.exists()
    wait_for(lambda: tenant.leaves() == [], "the end of the execution")
    row, = wait_for(lambda: [row for row in tenant.ps() if row["state"] == "exited"],
                    "its record")
    assert (row["id"], row["reason"], row["exit_code"]) == (execution, "timeout", 124)
    assert 10 <= row["cpu_usec"] / 1e6 <= 10.3
