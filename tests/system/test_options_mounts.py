# SPDX-License-Identifier: LGPL-2.1-or-later
"""--tmpfs and --read-only: what of its files an execution may write to."""

import json
import subprocess

import pytest

from product import Host

MIB = 1 << 20


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant(made.tier(memory_max="96M", execution_memory_max="64M"))
    made.close()


def mounted(tenant, path, *opts):
    """Type and options of what is mounted at @path."""
    shown = tenant.run(["findmnt", "-n", "-b", "-o", "FSTYPE,OPTIONS", path], *opts)
    kind, options = shown.out.decode().split()
    return kind, set(options.split(","))


def size_of(tenant, path, *opts):
    result = tenant.run(["stat", "-f", "-c", "%S %b", path], *opts)
    assert result.status == 0, result.err
    block, blocks = map(int, result.out.split())
    return block * blocks


def test_a_tmpfs_is_fresh_for_everyone_and_brings_no_privilege_in(tenant):
    kind, options = mounted(tenant, "/mnt/a/b", "--tmpfs", "/mnt/a/b")
    assert kind == "tmpfs" and {"rw", "nosuid", "nodev"} <= options
    script = "stat -c %a /mnt/a/b; ls -A /mnt/a/b; echo x >/mnt/a/b/x && cat /mnt/a/b/x"
    for _ in range(2):
        result = tenant.run(["sh", "-c", script], "--tmpfs", "/mnt/a/b", "-u", "7")
        assert (result.status, result.out) == (0, b"1777\nx\n"), result.err
    assert tenant.run(["ls", "/mnt"]).out == b""


def test_its_size_is_the_memory_limit_or_less(tenant):
    tmpfs = ["--tmpfs", "/mnt/a"]
    assert size_of(tenant, "/mnt/a", *tmpfs) == 64 * MIB
    assert size_of(tenant, "/mnt/a", *tmpfs, "--memory", "32M") == 32 * MIB
    assert size_of(tenant, "/mnt/a", "--tmpfs", "/mnt/a:64M") == 64 * MIB
    assert size_of(tenant, "/mnt/a", "--tmpfs", "/mnt/a:1M") == MIB
    full = tenant.run(["sh", "-c", "head -c 2000000 /dev/zero >/mnt/a/x; stat -c %s /mnt/a/x"],
                      "--tmpfs", "/mnt/a:1M")
    assert full.out == b"1048576\n" and b"No space left on device" in full.err


def test_what_lies_in_it_is_memory_of_the_execution(tenant):
    result = tenant.run(["sh", "-c", "head -c 20000000 /dev/zero >/mnt/a/x"], "--tmpfs", "/mnt/a")
    assert result.status == 0 and result.record["memory_peak_bytes"] > 20_000_000
    result = tenant.run(["sh", "-c", "head -c 20000000 /dev/zero >/mnt/a/x"], "--tmpfs",
                        "/mnt/a", "--memory", "16M")
    assert result.status != 0


def test_eight_of_them_lie_where_binds_may(tenant):
    targets = ["/home/a", "/media/a", "/mnt/a", "/opt/a", "/srv/a", "/tmp/a", "/mnt/b/c/d",
               "/tmp/b/c"]
    options = [option for target in targets for option in ("--tmpfs", f"{target}:64K")]
    result = tenant.run(["sh", "-c", "for d; do touch $d/x && echo $d; done", "-", *targets],
                        *options)
    assert result.out.decode().split() == targets, result.err
    refused = tenant.run(["true"], *options, "--tmpfs", "/mnt/e")
    assert (refused.status, b"--tmpfs: more than 8 tmpfs" in refused.err) == (125, True)


@pytest.mark.parametrize("tmpfs, message", [
    (["/mnt/a:65M"], "--tmpfs /mnt/a:65M is wider than execution_memory_max 64M (tiers/"),
    (["/mnt/a:0"], "--tmpfs /mnt/a:0 is less than the least there can be, 4K"),
    (["/mnt/a:4095"], "--tmpfs /mnt/a:4095 is less than the least there can be, 4K"),
    (["/mnt/a:"], "--tmpfs: empty size"), (["/mnt/a:1Q"], "--tmpfs: '1Q' is not a size"),
    (["mnt"], "--tmpfs: 'mnt' is not DST[:SIZE]"), ([""], "--tmpfs: '' is not DST[:SIZE]"),
    (["/"], "--tmpfs: '/' is not an absolute path"),
    (["/mnt/../usr"], "--tmpfs: '/mnt/../usr' has an empty component, '.' or '..'"),
    (["/mnt"], "cannot mount a tmpfs on /mnt: a path below /home,"),
    (["/usr/bin"], "cannot mount a tmpfs on /usr/bin: a path below /home,"),
    (["/etc/x"], "cannot mount a tmpfs on /etc/x: a path below /home,"),
    (["/data/x"], "cannot mount a tmpfs on /data/x: a path below /home,"),
    (["/mnt/a", "/mnt/a"], "the targets /mnt/a and /mnt/a lie one in the other"),
    (["/mnt/a/b", "/mnt/a"], "the targets /mnt/a and /mnt/a/b lie one in the other"),
])
def test_what_is_no_place_or_size_for_one_is_refused(tenant, tmpfs, message):
    options = [f"--tmpfs={value}" for value in tmpfs]
    result = tenant.run(["true"], *options)
    assert result.status == 125
    assert f"tenant-run: {message}" in result.err.decode()
    # What is no option at all is refused before there is a report.
    assert result.record is None or result.record["reason"] == "runtime"
    assert tenant.leaves() == []


@pytest.mark.parametrize("init", [[], ["--no-init"]])
def test_read_only_keeps_the_tenants_files_as_they_are(tenant, init):
    script = ("for f in /data/new /cache/new /data/old /cache/old /tmp/new /dev/shm/new; do "
              "(echo y >$f) 2>/dev/null && echo $f; done; cat /data/old; rm -f /data/old; true")
    assert tenant.run(["sh", "-c", "echo x >/data/old; echo x >/cache/old"]).status == 0
    result = tenant.run(["sh", "-c", script], "--read-only", *init)
    assert result.out == b"/tmp/new\n/dev/shm/new\nx\n"
    assert b"Read-only file system" in result.err
    for path in "/data", "/cache":
        _, options = mounted(tenant, path, "--read-only")
        assert {"ro", "nosuid", "nodev"} <= options
        assert "rw" in mounted(tenant, path)[1]
    # No other execution is held by it.
    assert tenant.run(["sh", "-c", "echo z >/data/old && cat /data/old"]).out == b"z\n"


def test_read_only_holds_beside_executions_that_may_write(tenant):
    reader = tenant.start(["sh", "-c", "while :; do cat /data/beat 2>&1; echo >/data/beat; "
                           "sleep 0.1; done"], "--read-only")
    assert reader.id
    assert tenant.run(["sh", "-c", "echo written >/data/beat"]).status == 0
    reader.wait_out(b"written\n")
    assert (tenant.storage / "beat").read_text("ascii") == "written\n"
    reader.kill()
    reader.wait()


def test_the_root_is_read_only_always(tenant):
    script = "for d in / /usr /etc /var /home /mnt /run /sys /proc; do touch $d/x 2>&1; done"
    for opts in ([], ["--read-only"], ["--tmpfs", "/mnt/a"], ["-u", "0"]):
        result = tenant.run(["sh", "-c", script], *opts)
        assert result.out.count(b"touch: cannot touch") == 9, result.out


def test_a_plan_shows_them(tenant):
    done = subprocess.run(["tenant-run", "--dry-run", "--json", "--read-only", "--tmpfs",
                           "/mnt/a", "--tmpfs", "/mnt/b:1M", tenant.name],
                          capture_output=True, check=True)
    rows = [(row["key"], row["value"], row["source"])
            for row in json.loads(done.stdout)["options"]]
    assert ("read_only", "yes", "--read-only") in rows
    assert ("tmpfs", "/mnt/a:64M", "--tmpfs") in rows and (
        "tmpfs", "/mnt/b:1M", "--tmpfs") in rows
