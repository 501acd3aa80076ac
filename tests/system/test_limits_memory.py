# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory limits: who is ended, and what the record says of it."""

import subprocess
import time
from pathlib import Path

import pytest

from product import wait_for

SWAP_FILE = Path("/var/tmp/tenantd-test-swap")


def assert_out_of_memory(result, named):
    assert (result.status, result.record["reason"]) == (137, "oom"), result
    assert result.record["exit_code"] == 137
    assert result.record["oom_kills"] >= 1
    assert named in result.err.decode()


def assert_had_enough(result):
    assert (result.status, result.record["reason"]) == (0, "exited"), result
    assert result.record["oom_kills"] == 0


@pytest.mark.alone
def test_memory_max_holds_two_executions_together_below_what_each_may_have(host):
    tier = host.tier(memory_max="64M", execution_memory_max="64M")
    tenant = host.tenant(tier)
    eat = host.probe("eat")
    # Each stays below its own limit; only the tenant's is exceeded. When it is, the one that
    # grows is also the largest: were it another, the kernel would now and then (2 of 60 times)
    # end both, as it chooses again while the first one's memory is still to be freed.
    holding = tenant.start([eat, "20", "hold"])
    holding.wait_out(b"full")
    result = tenant.run([eat, "50", "hold"])
    assert_out_of_memory(result, f"killed by memory_max 64M ({host.where(tier, 'memory_max')})")
    assert result.out == b""
    assert holding.stat("memory.max") == tenant.stat("memory.max") == 64 << 20
    assert 63 << 20 <= tenant.stat("memory.peak") <= 64 << 20
    assert holding.poll() is None and holding.stat("memory.events", "oom_kill") == 0
    host.ctl("kill", holding.id)
    assert holding.wait().record["reason"] == "killed"


def test_with_room_for_both_neither_is_ended(host):
    tenant = host.tenant(host.tier(memory_max="128M", execution_memory_max="64M"))
    eat = host.probe("eat")
    both = [tenant.start([eat, "40", "hold"]) for _ in range(2)]
    for running in both:
        running.wait_out(b"full")
    assert tenant.stat("memory.current") >= 80 << 20
    assert [running.poll() for running in both] == [None, None]


def test_execution_memory_max_ends_one_execution_and_not_its_neighbour(host):
    tier = host.tier(memory_max="256M", execution_memory_max="32M")
    tenant = host.tenant(tier)
    eat = host.probe("eat")
    neighbour = tenant.start([eat, "20", "hold"])
    neighbour.wait_out(b"full")
    result = tenant.run([eat, "48"])
    assert_out_of_memory(result, "killed by execution_memory_max 32M "
                                 f"({host.where(tier, 'execution_memory_max')})")
    assert result.out == b""
    assert neighbour.stat("memory.max") == 32 << 20
    assert neighbour.poll() is None
    # The same in a tenant whose tier gives no such limit.
    assert_had_enough(host.tenant(host.tier(memory_max="256M")).run([eat, "48"]))


def test_of_two_executions_the_one_that_grows_dies_whole_and_the_other_is_untouched(host):
    tier = host.tier(memory_max="64M", execution_memory_max="64M", oom="group")
    tenant = host.tenant(tier)
    # Six processes each: pid 1, the command, three that sleep, and one that grows if told to.
    sibling, grower = (tenant.start([host.probe("family"), 3, 128], stdin=subprocess.PIPE)
                       for _ in range(2))
    for family in sibling, grower:
        family.wait_out(b"here")
    before = sibling.read("cgroup.procs")
    assert len(before.split()) == len(grower.read("cgroup.procs").split()) == 6
    grower.stdin.write(b"\n")
    grower.stdin.close()
    result = grower.wait()
    assert_out_of_memory(result, f"killed by memory_max 64M ({host.where(tier, 'memory_max')})")
    # Its first process was not there any more to see another one go. The kernel counts none
    # that went with pid 1 before it came to them, and the one that it chose again when it then
    # goes through all, if that is still there.
    assert result.record["oom_kills"] in range(1, 6 + 1 + 1)
    assert result.out == b"here\n"
    assert tenant.leaves() == [sibling.id]
    assert sibling.read("cgroup.procs") == before
    assert sibling.stat("memory.events", "oom_kill") == 0
    assert sibling.poll() is None
    host.ctl("kill", sibling.id)
    record = sibling.wait().record
    assert (record["reason"], record["oom_kills"]) == ("killed", 0)


@pytest.mark.parametrize("oom", ["group", "process"])
def test_a_launch_that_runs_out_of_memory_says_so_wherever_it_is(host, oom):
    tenant = host.tenant(host.tier(memory_max="64M", oom=oom))
    assert_had_enough(tenant.run(["true"]))
    ends = []
    for room in range(0, 1536, 32):
        (tenant.cgroup / "memory.max").write_text(f"{tenant.stat('memory.current') + (room << 10)}",
                                                  encoding="ascii")
        result = tenant.run(["true"])
        ends.append(result.record["reason"])
        if ends[-1] == "runtime":
            assert (result.status, result.out) == (125, b"") and b"memory" in result.err, result
        elif ends[-1] == "oom":
            assert_out_of_memory(result, "killed by memory_max 64M")
        else:
            assert_had_enough(result)
    print(" ".join(ends))
    assert ends.count("oom") >= 5 and ends[-1] == "exited"
    assert tenant.leaves() == []


def test_memory_narrows_one_execution(host):
    tenant = host.tenant(host.tier(memory_max="128M"))
    eat = host.probe("eat")
    assert_out_of_memory(tenant.run([eat, "48"], "--memory", "32M"),
                         "killed by execution_memory_max 32M (--memory)")
    assert_had_enough(tenant.run([eat, "48"]))
    running = tenant.start(["sleep", "60"], "--memory", "32M")
    assert running.stat("memory.max") == 32 << 20


def test_files_in_tmp_count_as_memory(host):
    tenant = host.tenant(host.tier(memory_max="32M"))
    result = tenant.run(["dd", "if=/dev/zero", "of=/tmp/x", "bs=1M", "count=64"])
    # At the limit dd is ended, or the file system is full: whichever the kernel meets first.
    assert result.status in (1, 137), result
    assert result.record["memory_peak_bytes"] <= 32 << 20
    assert host.tenant(host.tier(memory_max="128M")).run(
        ["dd", "if=/dev/zero", "of=/tmp/x", "bs=1M", "count=64"]).status == 0


def test_memory_high_slows_down_without_killing(host):
    eat = host.probe("eat")
    slowed = host.tenant(host.tier(memory_max="256M", memory_high="32M"))
    running = slowed.start([eat, "128"])
    wait_for(lambda: slowed.stat("memory.events", "high") > 0, "memory.high to be met")
    # As long as this takes without it, several times over.
    begin = time.monotonic()
    assert_had_enough(host.tenant(host.tier(memory_max="256M")).run([eat, "128"]))
    time.sleep(2 * (time.monotonic() - begin))
    assert running.poll() is None
    assert running.out() == b""
    assert running.stat("memory.current") < 128 << 20
    assert slowed.stat("memory.events", "oom_kill") == 0
    host.ctl("kill", running.id)
    record = running.wait().record
    assert (record["reason"], record["oom_kills"]) == ("killed", 0)
    assert record["stall_memory_usec"] > 0


@pytest.fixture
def swap():
    """256 MiB of swap space, of which the guest has none. Named before host: it goes last."""
    assert len(Path("/proc/swaps").read_text("ascii").splitlines()) == 1
    subprocess.run(["dd", "if=/dev/zero", f"of={SWAP_FILE}", "bs=1M", "count=256"],
                   check=True, stderr=subprocess.DEVNULL)
    SWAP_FILE.chmod(0o600)
    subprocess.run(["mkswap", SWAP_FILE], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", SWAP_FILE], check=True)
    yield
    subprocess.run(["swapoff", SWAP_FILE], check=True)
    SWAP_FILE.unlink()


def test_memory_swap_max_gives_as_much_swap_and_no_more(swap, host):
    eat = host.probe("eat")
    for swap_max, written in (0, "0"), ("16M", str(16 << 20)):
        tier = host.tier(memory_max="32M", memory_swap_max=swap_max)
        tenant = host.tenant(tier)
        assert tenant.read("memory.swap.max") == written
        assert_out_of_memory(tenant.run([eat, "64"]), "killed by memory_max 32M")
    for swap_max, written in ("128M", str(128 << 20)), ("max", "max"):
        tenant = host.tenant(host.tier(memory_max="32M", memory_swap_max=swap_max))
        assert tenant.read("memory.swap.max") == written
        running = tenant.start([eat, "64", "hold"])
        running.wait_out(b"full", timeout=60)
        assert tenant.stat("memory.swap.current") >= 30 << 20
        assert tenant.stat("memory.current") <= 32 << 20


def test_oom_group_ends_the_whole_execution(host):
    tenant = host.tenant(host.tier(memory_max="32M", oom="group"))
    result = tenant.run([host.probe("eat"), "64", "child"])
    assert_out_of_memory(result, "killed by memory_max 32M")
    assert result.out == b""


def test_oom_process_ends_the_one_process_and_the_others_go_on(host):
    tenant = host.tenant(host.tier(memory_max="32M", oom="process"))
    result = tenant.run([host.probe("eat"), "64", "child"])
    assert result.out == b"the child was ended by signal 9\n"
    assert (result.status, result.record["reason"]) == (0, "exited")
    assert result.record["oom_kills"] == 1


def test_reload_changes_the_memory_limit_of_what_runs(host):
    tier = host.tier(memory_max="64M")
    tenant = host.tenant(tier)
    running = tenant.start(["sleep", "60"])
    assert tenant.stat("memory.max") == 64 << 20 and running.id
    host.tier(tier, memory_max="96M")
    wait_for(lambda: tenant.stat("memory.max") == 96 << 20, "the new limit")
    assert running.poll() is None
