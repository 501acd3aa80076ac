# SPDX-License-Identifier: LGPL-2.1-or-later
"""Known ways out of a sandbox, and to the neighbour, as programs that try them from inside.

tests/attack/README.md lists the attacks and which test tries each.
"""

import hashlib
import json
import os
import resource
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from product import Host, wait_for

TENANT_INIT = Path("/usr/libexec/tenantd/tenant-init")
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
# May ask anything of tenantd, and no more of the host than anybody.
ADMIN = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "tenantd-admin"]
REFUSED = {"EACCES", "EROFS", "EPERM"}


@pytest.fixture(scope="module")
def tenant(product):
    made = Host()
    yield made.tenant()
    made.close()


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_the_programs_that_run_a_sandbox_cannot_be_overwritten_from_within(host, tenant):
    overwrite = host.probe("overwrite")
    before = digest(TENANT_INIT), digest(overwrite)
    result = tenant.run([overwrite])
    rows = dict(line.split(": ") for line in result.out.decode().splitlines())
    assert len(rows) == 15 and set(rows.values()) <= REFUSED, rows
    assert (digest(TENANT_INIT), digest(overwrite)) == before
    assert tenant.run(["true"]).status == 0


def test_no_descriptor_of_ours_can_be_the_working_directory(tenant):
    held = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.set_inheritable(held, True)
        for number in range(12):
            done = subprocess.run(
                ["tenant-run", "-w", f"/proc/self/fd/{number}", tenant.name, "--", "pwd"],
                stdin=subprocess.DEVNULL, capture_output=True, close_fds=False, check=False)
            assert (done.returncode, done.stdout) == (125, b""), done
            assert b"working directory" in done.stderr
    finally:
        os.close(held)
    for path in ("/proc/1/root", "/proc/1/cwd"):
        assert tenant.run(["pwd"], "-w", path).status == 125


def test_what_the_floor_refuses_the_default_policy_does_not_give_back(host, tenant):
    # The C library's number for it is newer than Debian's libseccomp.
    unknown = b"open_tree_attr gave -1, ENOSYS\n"
    assert tenant.run([host.probe("floor"), "calls"]).out in (b"all held\n", unknown)


def test_the_size_of_core_dumps_cannot_be_changed_from_a_shell_either(tenant):
    script = "for n in 0 1 unlimited; do ulimit -c $n; ulimit -Sc $n; done; cat /proc/self/limits"
    result = tenant.run(["bash", "-c", script])
    lines = [line for line in result.out.decode().splitlines() if line.startswith("Max core")]
    assert lines[0].split()[4:6] == ["1", "1"]
    assert result.err.count(b"cannot modify limit") == 6


def test_a_storm_of_crashes_starts_no_helper_of_the_hosts(host, tmp_path):
    helper, counted = tmp_path / "helper", tmp_path / "counted"
    helper.write_text(f"#!/bin/sh\necho >>{counted}\n", encoding="ascii")
    helper.chmod(0o755)
    tmp_path.chmod(0o755)
    before = CORE_PATTERN.read_text(encoding="ascii")
    CORE_PATTERN.write_text(f"|{helper}", encoding="ascii")
    try:
        result = host.tenant().run([host.probe("bombs"), "crashes", "0"])
        # The helper does run for one of the host's own.
        subprocess.run(["bash", "-c", "ulimit -c unlimited; sh -c 'kill -ABRT $$'; true"],
                       check=True)
        wait_for(counted.exists, "the helper for a crash of the host's")
    finally:
        CORE_PATTERN.write_text(before, encoding="ascii")
    assert result.out == b"100 ERANGE\n"
    assert counted.read_text(encoding="ascii") == "\n"


BOMBS = {
    "fork": "EAGAIN", "zombies": "EAGAIN", "files": "EMFILE", "ptys": "ENOSPC",
    "inotify": "EMFILE", "queues": "EMFILE", "signals": "EAGAIN", "memory": None, "dirty": "EFBIG", "crashes": "ERANGE",
}


def launch_times(tenant, argv, count):
    times = []
    for _ in range(count):
        begun = time.monotonic()
        result = tenant.run(argv)
        times.append(time.monotonic() - begun)
        assert (result.status, result.out) == (0, b"fine\n"), result
    return times


@pytest.mark.parametrize("kind, error", BOMBS.items())
def test_a_bomb_stays_in_its_tenant_and_the_neighbour_lacks_nothing(host, full, kind, error):
    tier = host.tier(tasks_max=64, memory_max="96M", nofile_max=256, cpu_quota="50%")
    bombs, count = host.probe("bombs"), full(40, 6)
    attacker, neighbour = host.tenant(tier), host.tenant(tier)
    check = [bombs, "check"]
    alone = statistics.median(launch_times(neighbour, check, count))
    bomb = attacker.start([bombs, kind, "300"])
    if error is None:
        # What takes memory does not live to tell.
        result = bomb.wait()
        assert (result.status, result.record["reason"]) == (128 + signal.SIGKILL, "oom")
        bomb = attacker.start([bombs, kind, "300"])
        assert bomb.id
    else:
        said = bomb.wait_out(b"\n", timeout=60)
        assert said.split()[1].decode() == error, said
    beside = statistics.median(launch_times(neighbour, check, count))
    bomb.kill()
    bomb.wait()
    assert neighbour.run(check).out == b"fine\n"
    # Generous: what shares two emulated processors with a bomb of half of one.
    assert beside <= 3 * alone + 0.5, (alone, beside)


def test_a_frozen_tenant_holds_up_nobody_else(host):
    frozen, other = host.tenant(), host.tenant()
    running = frozen.start(["sleep", "100"])
    assert running.id
    (frozen.cgroup / "cgroup.freeze").write_text("1", encoding="ascii")
    try:
        wait_for(lambda: frozen.stat("cgroup.events", "frozen") == 1, "the freezer")
        begun = time.monotonic()
        assert other.run(["true"]).status == 0
        assert "suspended" in frozen.run(["true"]).err.decode()
        assert time.monotonic() - begun < 5
    finally:
        (frozen.cgroup / "cgroup.freeze").write_text("0", encoding="ascii")
    running.kill()
    running.wait()


def test_files_are_opened_with_the_rights_of_who_asks(host):
    secret = Path("/srv/secret-of-root")
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("secret\n", encoding="ascii")
    tier = host.tier(binds={"allow": [str(secret)], "rw": []})
    tenant = host.tenant(tier)
    bind = f"{secret}/file:/mnt/file"
    command = ["tenant-run", "--bind", bind, tenant.name, "--", "cat", "/mnt/file"]
    try:
        allowed = subprocess.run([*ADMIN, "tenant-run", tenant.name, "--", "true"],
                                 stdin=subprocess.DEVNULL, check=False)
        assert allowed.returncode == 0
        done = subprocess.run([*ADMIN, *command], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (125, b"")
        assert b"Permission denied" in done.stderr
        # It does not lie below where root opens it.
        shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        assert shown.stdout == b"secret\n"
    finally:
        (secret / "file").unlink()
        secret.rmdir()


def test_nothing_outside_bind_root_is_shown_whatever_a_tier_allows(host):
    tenant = host.tenant(host.tier(binds={"allow": ["/etc", "/home"], "rw": ["/etc"]}))
    for source, mode in (("/etc", ":rw"), ("/etc/shadow", ""), ("/home", "")):
        result = tenant.run(["ls", "/mnt/it"], "--bind", f"{source}:/mnt/it{mode}")
        assert (result.status, result.out) == (125, b"")
        assert f"{source} does not lie below /srv, the bind_root of bounds.conf" in (
            result.err.decode())


SET_ID = """
import os, stat
os.chdir("/mnt/in")
def tried(what, do):
    try:
        do()
        print(what, "done")
    except OSError as error:
        print(what, error.strerror)
tried("make", lambda: os.close(os.open("made", os.O_WRONLY | os.O_CREAT, 0o755)))
for bit in stat.S_ISUID, stat.S_ISGID:
    tried("chmod", lambda: os.chmod("made", 0o755 | bit))
    tried("fchmod", lambda: os.chmod(os.open("made", os.O_RDONLY), 0o755 | bit))
    tried("open", lambda: os.open("other", os.O_WRONLY | os.O_CREAT, 0o755 | bit))
    tried("unnamed", lambda: os.open(".", os.O_WRONLY | os.O_TMPFILE, 0o755 | bit))
    tried("mknod", lambda: os.mknod("node", 0o755 | bit | stat.S_IFREG))
tried("sticky", lambda: os.chmod("made", 0o1755))
"""


def test_no_workload_leaves_a_program_on_the_host_that_gives_its_owners_rights(host):
    inbox = Path("/srv/inbox-of-all")
    inbox.mkdir()
    inbox.chmod(0o777)
    tier = host.tier(binds={"allow": [str(inbox)], "rw": [str(inbox)]})
    try:
        result = host.tenant(tier).run(["python3", "-I", "-c", SET_ID], "--bind",
                                       f"{inbox}:/mnt/in:rw")
        lines = result.out.decode().splitlines()
        assert lines[0] == "make done" and lines[-1] == "sticky done", result
        assert len(lines) == 12
        assert all(line.endswith("Operation not permitted") for line in lines[1:-1])
        assert [path.name for path in inbox.iterdir()] == ["made"]
        assert (inbox / "made").stat().st_mode & 0o6000 == 0
    finally:
        for path in inbox.iterdir():
            path.unlink()
        inbox.rmdir()


def test_doctor_speaks_of_what_tenants_share_in_the_processor(host):
    done = host.ctl("doctor", "--json", check=False)
    checks = {row["check"] for row in json.loads(done.stdout)}
    assert {"smt", "mitigations", "landlock", "core_dumps"} <= checks


def test_a_workload_that_raises_its_limits_gets_no_more_than_it_had(tenant):
    script = ("import resource\n"
              "for limit in resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE:\n"
              "    soft, hard = resource.getrlimit(limit)\n"
              "    if hard == resource.RLIM_INFINITY: continue\n"
              "    try: resource.setrlimit(limit, (hard, hard + 1)); print('raised')\n"
              "    except (ValueError, OSError): print('kept')\n")
    assert set(tenant.run(["python3", "-I", "-c", script]).out.split()) == {b"kept"}
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 256
