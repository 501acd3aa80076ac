# SPDX-License-Identifier: LGPL-2.1-or-later
"""Open files, sizes of files and core dumps; and what a tier file may say."""

import re
import subprocess
from pathlib import Path

import pytest

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
HELPER_RAN = Path("/run/tenantd-test-core-helper")


def rlimit(tenant, title):
    """Soft and hard limit, as the workload's /proc/self/limits shows them."""
    text = tenant.run(["cat", "/proc/self/limits"]).out.decode()
    return re.search(rf"^{title}\s+(\S+)\s+(\S+)", text, re.M).groups()


@pytest.mark.parametrize("nofile_max", [16, 64])
def test_open_fails_at_nofile_max(host, nofile_max):
    tenant = host.tenant(host.tier(nofile_max=nofile_max))
    assert tenant.run(["sh", "-c", "ulimit -n; ulimit -Hn"]).out == b"%d\n%d\n" % (
        nofile_max, nofile_max)
    assert tenant.run([host.probe("openfiles")]).out == b"%d EMFILE\n" % nofile_max


@pytest.mark.parametrize("kib", [64, 128])
def test_a_file_ends_at_fsize_max_with_sigxfsz(host, kib):
    tenant = host.tenant(host.tier(fsize_max=f"{kib}K"))
    result = tenant.run([host.probe("grow"), "/data/file", "1"])
    assert (result.status, result.record["reason"]) == (128 + 25, "signaled")
    assert result.record["signal"] == 25
    assert (tenant.storage / "file").stat().st_size == kib << 10


def test_a_file_ends_at_fsize_max_with_efbig_if_sigxfsz_is_ignored(host):
    tenant = host.tenant(host.tier(fsize_max="64K"))
    result = tenant.run([host.probe("grow"), "/data/file", "1", "ignore"])
    assert (result.status, result.out) == (0, b"65536 EFBIG\n")


def test_without_fsize_max_the_same_file_is_whole(host):
    tenant = host.tenant(host.tier())
    assert tenant.run([host.probe("grow"), "/data/file", "1"]).status == 0
    assert (tenant.storage / "file").stat().st_size >= 1 << 20


@pytest.fixture
def core_pattern():
    """Sets kernel.core_pattern for a test."""
    before = CORE_PATTERN.read_text("utf-8")
    yield CORE_PATTERN.write_text
    CORE_PATTERN.write_text(before)
    HELPER_RAN.unlink(missing_ok=True)


def cores(tenant):
    """Bytes of content: holes, which count for the size of a file, are not dumped."""
    return [path.stat().st_blocks * 512 for path in tenant.storage.glob("core*")]


def crash(host, tenant):
    result = tenant.run([host.probe("crash"), "8"])
    assert (result.status, result.record["reason"]) == (128 + 11, "signaled")


def test_a_crash_writes_a_core_of_at_most_core_max(host, core_pattern):
    core_pattern("core")
    cut, whole = (host.tenant(host.tier(core_max=size)) for size in ("1M", "64M"))
    for tenant in cut, whole:
        crash(host, tenant)
    assert [0 < size <= 1 << 20 for size in cores(cut)] == [True]
    assert [8 << 20 <= size <= 64 << 20 for size in cores(whole)] == [True]
    assert rlimit(cut, "Max core file size") == (str(1 << 20), str(1 << 20))


def test_core_max_of_nothing_writes_no_core(host, core_pattern):
    core_pattern("core")
    tenant = host.tenant(host.tier(core_max=0))
    crash(host, tenant)
    assert cores(tenant) == []
    assert tenant.run(["sh", "-c", "ulimit -c; ulimit -Hc"]).out == b"0\n0\n"


def test_where_core_pattern_is_a_pipe_no_helper_runs_for_a_tenant(host, core_pattern):
    helper = Path(host.probe("crash")).with_name("core-helper")
    helper.write_text(f"#!/bin/sh\necho \"$1\" >>{HELPER_RAN}\n", encoding="ascii")
    helper.chmod(0o755)
    core_pattern(f"|{helper} %P")
    for size in 0, "64M", "1G":
        tenant = host.tenant(host.tier(core_max=size))
        crash(host, tenant)
        assert rlimit(tenant, "Max core file size") == ("1", "1")
        assert cores(tenant) == []
    assert not HELPER_RAN.exists()
    # Outside a sandbox it does: the pattern works.
    subprocess.run(["sh", "-c", f"ulimit -c 0; {host.probe('crash')} 1"], check=False)
    assert HELPER_RAN.exists()


@pytest.mark.parametrize("key, value, expected", [
    ("rootfs", "/srv/image", "host"),
    ("seccomp", "strict", "default"),
    ("network", {"mode": "open"}, "none"),
    ("network", {"mode": "egress"}, "none"),
    ("storage", {"max": "1G"}, "storage"),
    ("quotas", {"throttled_time": {"limit": 5, "per": "day"}}, "throttled_time"),
    ("cpu_quota_", "50%", "cpu_quota_"),
])
def test_what_this_version_does_not_enforce_is_refused_by_name(host, key, value, expected):
    name = f"refused-{key.replace('_', '')}"
    message = host.tier_refused(name, **{key: value})
    assert f"tiers/{name}.yaml:" in message
    assert key in message
    assert expected in message


@pytest.mark.parametrize("key, value", [
    ("memory_max", "1M"), ("memory_max", "lots"), ("tasks_max", 3), ("executions_max", 0),
    ("cpu_quota", "0%"), ("nofile_max", 2), ("oom", "all"), ("runtime_max", "-1s"),
    ("fsize_max", 10), ("cpu_weight", 0), ("memory_swap_max", "-1"), ("core_max", "x"),
])
def test_a_limit_out_of_range_is_refused_with_file_and_line(host, key, value):
    message = host.tier_refused("bad-limit", **{key: value})
    assert re.search(rf"tiers/bad-limit\.yaml:3:\d+: {key}: ", message)


def test_the_default_values_are_taken(host):
    assert host.tier(rootfs="host", seccomp="default", network={"mode": "none"})


def test_a_refused_tier_leaves_the_others_as_they_are(host):
    tier = host.tier(tasks_max=20)
    tenant = host.tenant(tier)
    hash_before = host.ctl_json("status")["policy_hash"]
    host.tier_refused("bad-limit", tasks_max=1)
    assert host.ctl_json("status")["policy_hash"] == hash_before
    assert tenant.stat("pids.max") == 20
