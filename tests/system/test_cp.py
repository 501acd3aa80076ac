# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantctl cp: files and directories into what a tenant has stored, and out of it."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from product import Host, wait_for

DISTURBANCES = pytest.mark.parametrize(
    "disturb", [Host.kill_controller, Host.kill_supervisor, Host.restart],
    ids=["kill_controller", "kill_supervisor", "restart"])
BLOCK = bytes(range(256)) * 4096
NOBODY = 65534
GAMES = 5  # of every Debian


def copy(source, target, *opts, user=None, check=True):
    done = subprocess.run(["tenantctl", "cp", *opts, str(source), str(target)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
                          user=user, group=user, extra_groups=None if user is None else [])
    if check:
        assert done.returncode == 0, done.stderr
    return done


def counted(source, target, status=0):
    done = copy(source, target, "--json", check=False)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def stored(tenant):
    """All names in its /data, as the host has them."""
    return sorted(str(path.relative_to(tenant.storage))
                  for path in tenant.storage.rglob("*"))


def test_a_file_goes_in_and_comes_back_as_it_was(host, tmp_path):
    tenant = host.tenant()
    source = tmp_path / "source"
    source.write_bytes(BLOCK)
    os.chmod(source, 0o6751)
    os.utime(source, ns=(1, 1_000_000_000_000_000_007))
    assert counted(source, f"{tenant.name}:/data/in") == {
        "files": 1, "directories": 0, "links": 0, "bytes": len(BLOCK), "left_out": 0}
    inside = tenant.run(["sh", "-c", "stat -c '%a %u:%g %Y' in; sha256sum <in"])
    assert inside.out.decode().split() == [
        "751", "1000:1000", "1000000000", hashlib.sha256(BLOCK).hexdigest(), "-"]
    there = os.stat(tenant.storage / "in")
    assert there.st_uid == tenant.uid_first + 1000
    assert there.st_mtime_ns == 1_000_000_000_000_000_007
    copy(f"{tenant.name}:in", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == BLOCK
    back = os.stat(tmp_path / "back")
    assert (stat.S_IMODE(back.st_mode), back.st_mtime_ns, back.st_uid) == (
        0o751, there.st_mtime_ns, 0)


def test_it_takes_a_tenant_for_which_nothing_runs_or_ever_has(host, tmp_path):
    tenant = host.tenant()
    (tmp_path / "note").write_text("first", "ascii")
    copy(tmp_path / "note", f"{tenant.name}:/data")
    assert tenant.run(["cat", "/data/note"]).out == b"first"
    host.ctl("suspend", tenant.name)
    (tmp_path / "note").write_text("second", "ascii")
    copy(tmp_path / "note", f"{tenant.name}:/data")
    assert copy(f"{tenant.name}:/data/note", "-").stdout == b"second"
    host.ctl("resume", tenant.name)
    assert tenant.run(["cat", "/data/note"]).out == b"second"
    host.ctl("delete", "--force", tenant.name)
    gone = copy(tmp_path / "note", f"{tenant.name}:/data", check=False)
    assert (gone.returncode, b"is deleted" in gone.stderr) == (1, True), gone.stderr


def test_what_other_users_inside_have_kept_comes_out_too(host, tmp_path):
    tenant = host.tenant()
    assert tenant.run(["sh", "-c", "mkdir -m 777 open; chmod 711 ."]).status == 0
    made = tenant.run(["sh", "-c", "umask 077; mkdir /data/open/own; echo mine >/data/open/own/f"],
                      "-u", "7")
    assert made.status == 0, made.err
    copy(f"{tenant.name}:/data/open", tmp_path / "open")
    assert (tmp_path / "open/own/f").read_text("ascii") == "mine\n"
    # But what the workload may not write, nobody writes for it.
    refused = copy(tmp_path / "open/own/f", f"{tenant.name}:/data/open/own/g", check=False)
    assert refused.returncode == 4, refused.stderr


def test_nobody_inside_sees_half_a_file(host, tmp_path):
    tenant = host.tenant()
    whole = {(letter * 4_000_000).encode() for letter in "ab"}
    (tmp_path / "f").write_bytes(min(whole))
    copy(tmp_path / "f", f"{tenant.name}:/data/f")
    reader = tenant.start(["sh", "-c", "echo up; until [ -e stop ]; do "
                           "set -- $(wc -c <f); [ $1 = 4000000 ] || echo half $1; done"])
    reader.wait_out(b"up")
    for turn in range(10):
        (tmp_path / "f").write_bytes(sorted(whole)[turn % 2])
        copy(tmp_path / "f", f"{tenant.name}:/data/f")
        assert set(os.listdir(tenant.storage)) == {"f"}
    (tenant.storage / "stop").touch()
    result = reader.wait()
    assert (result.status, result.out) == (0, b"up\n")


def begin_in(tenant, name="big"):
    """A copy from a pipe, of which half has come."""
    process = subprocess.Popen(["tenantctl", "cp", "-", f"{tenant.name}:/data/{name}"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(BLOCK * 8)
    process.stdin.flush()
    return process


@DISTURBANCES
def test_a_copy_in_outlives_either_daemon(host, disturb):
    tenant = host.tenant()
    process = begin_in(tenant)
    for _ in range(2):
        disturb()
        assert stored(tenant) == []
    out, err = process.communicate(BLOCK * 8, timeout=120)
    assert (process.returncode, err) == (0, b""), out
    assert stored(tenant) == ["big"]
    assert (tenant.storage / "big").read_bytes() == BLOCK * 16
    assert os.stat(tenant.storage / "big").st_uid == tenant.uid_first + 1000


@DISTURBANCES
def test_a_tree_is_copied_both_ways_over_it(host, tmp_path, disturb):
    tenant = host.tenant()
    (tmp_path / "tree").mkdir()
    for number in range(300):
        (tmp_path / f"tree/{number}").write_bytes(BLOCK[:number * 1000])
    for source, target in ((tmp_path / "tree", f"{tenant.name}:/data"),
                           (f"{tenant.name}:/data/tree", tmp_path / "back")):
        process = subprocess.Popen(["tenantctl", "cp", "-v", str(source), str(target)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(20):
            process.stdout.readline()
        # It stands still once the pipe is full, or is done.
        disturb()
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, b"")
    for number in range(300):
        assert (tmp_path / f"back/{number}").read_bytes() == BLOCK[:number * 1000]
    assert len(stored(tenant)) == 301


def test_one_that_is_killed_leaves_nothing(host, tmp_path):
    tenant = host.tenant()
    (tenant.storage / "big").write_bytes(b"as it was")
    for end in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        process = begin_in(tenant)
        process.send_signal(end)
        process.wait(30)
        process.communicate()
    assert stored(tenant) == ["big"]
    assert (tenant.storage / "big").read_bytes() == b"as it was"
    # On the host's side as well, where its file system knows files without a name.
    (tenant.storage / "big").write_bytes(BLOCK * 100)
    (tmp_path / "to").mkdir()
    process = subprocess.Popen(["tenantctl", "cp", f"{tenant.name}:/data/big",
                                str(tmp_path / "to")])
    process.kill()
    process.wait(30)
    assert os.listdir(tmp_path / "to") in ([], ["big"])


def test_a_deletion_ends_what_is_being_copied(host):
    tenant = host.tenant()
    process = begin_in(tenant)
    host.ctl("delete", "--force", tenant.name)
    assert not tenant.storage.exists()
    _, err = process.communicate(BLOCK, timeout=120)
    assert (process.returncode, b"is deleted" in err) == (1, True), err


def test_operators_may_copy_and_others_see_nothing(host):
    tenant = host.tenant()
    tenant.update("--operator", "user:games")
    # pytest's own are root's.
    place = tempfile.TemporaryDirectory(prefix="cp-", dir="/var/tmp")
    tmp_path = Path(place.name)
    os.chmod(tmp_path, 0o777)
    (tmp_path / "note").write_text("theirs", "ascii")
    since = time.time() - 1
    wait_for(lambda: copy(tmp_path / "note", f"{tenant.name}:/data/note", user=GAMES,
                          check=False).returncode == 0, "the operator's copy")
    copy(f"{tenant.name}:/data/note", tmp_path / "back", user=GAMES)
    assert os.stat(tmp_path / "back").st_uid == GAMES
    for way in ((tmp_path / "note", f"{tenant.name}:/data/x"),
                (f"{tenant.name}:/data/note", tmp_path / "y")):
        refused = copy(*way, user=NOBODY, check=False)
        assert refused.returncode == 3, refused.stderr
        assert b"that you may use" in refused.stderr
    assert stored(tenant) == ["note"]
    shown = subprocess.run(["journalctl", "-u", "tenantd", "-o", "json", f"--since=@{since:.0f}"],
                           capture_output=True, text=True, check=True).stdout
    rows = [row for row in map(json.loads, shown.splitlines())
            if row.get("TENANT") == tenant.name and "opened for a copy" in row.get("MESSAGE", "")]
    assert [(row["DIRECTION"], row["PATH"], row["ACTOR_UID"]) for row in rows] == [
        ("in", "/data/note", str(GAMES)), ("out", "/data/note", str(GAMES))]


def test_what_a_workload_plants_leads_nowhere(host, tmp_path):
    tenant = host.tenant(host.tier(fsize_max="2T"))
    planted = tenant.run([host.probe("copied"), "plant"])
    assert planted.out == b"ready\n", planted.err
    done = copy(f"{tenant.name}:/data/planted", tmp_path / "out", "-v", check=False)
    assert done.returncode == 1
    lines = sorted(done.stderr.decode().splitlines())
    assert [line.split(" is ")[1].split(";")[0] for line in lines] == ["a FIFO", "a socket"]
    assert not any(byte < 32 and byte != 10 for byte in done.stdout + done.stderr)
    out = tmp_path / "out"
    assert {os.readlink(out / name) for name in ("shadow", "root", "up", "magic", "loop")} == {
        "/etc/shadow", "/", "../../../../../../..", "/proc/self/root", "loop"}
    assert os.stat(out / "hole").st_size == 1 << 40
    assert os.stat(out / "hole").st_blocks < 1000
    for entry in os.scandir(os.fsencode(out)):
        mode = entry.stat(follow_symlinks=False).st_mode
        assert not stat.S_IMODE(mode) & 0o7022 or stat.S_ISLNK(mode), entry.name
    names = set(os.listdir(os.fsencode(out)))
    assert {b"a\nb", b"\xff\xfe", b"-rf", b"c:d", b"one", b"two"} <= names
    for way in ("root/etc/passwd", "up/etc/passwd", "magic/etc/passwd", "loop/x"):
        refused = copy(f"{tenant.name}:/data/planted/{way}", tmp_path / "x", check=False)
        assert (refused.returncode, b"symbolic link" in refused.stderr) == (1, True), way
        refused = copy(out / "one", f"{tenant.name}:/data/planted/{way}", check=False)
        assert (refused.returncode, b"symbolic link" in refused.stderr) == (1, True), way
    for path in ("/etc/passwd", "../../slots", "/data/../../x", ".."):
        assert copy(f"{tenant.name}:{path}", tmp_path / "x", check=False).returncode == 2, path
    assert not (tmp_path / "x").exists()
    # And in again, with all that can be.
    again = counted(out, f"{tenant.name}:/data/again")
    assert (again["links"], again["left_out"]) == (5, 0)


def test_a_directory_that_becomes_a_link_leads_nowhere(host, tmp_path, full):
    tenant = host.tenant()
    victim = tmp_path / "victim"
    victim.mkdir()
    os.chmod(victim, 0o777)
    os.chmod(tmp_path, 0o755)
    assert tenant.run(["sh", "-c", f"mkdir -p t/way && echo x >t/way/f && "
                       f"ln -s {victim} t/link"]).status == 0
    swapper = tenant.start([host.probe("copied"), "swap", "/data/t/way", "/data/t/link"])
    swapper.wait_out(b"ready")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/way").mkdir()
    (tmp_path / "in/way/planted").write_text("evil", "ascii")
    (tmp_path / "file").write_text("evil", "ascii")
    shadow = os.stat("/etc/shadow")
    for turn in range(full(200, 25)):
        copy(tmp_path / "file", f"{tenant.name}:/data/t/way/planted", check=False)
        copy(f"{tmp_path}/in/.", f"{tenant.name}:/data/t", check=False)
        copy(f"{tenant.name}:/data/t", tmp_path / "out", check=False)
        copy(f"{tenant.name}:/data/t/way/f", tmp_path / f"f{turn}", check=False)
        assert os.listdir(victim) == []
    assert swapper.poll() is None, swapper.err()
    assert os.stat("/etc/shadow") == shadow
    for path in (tmp_path / "out").rglob("*"):
        assert path.resolve().is_relative_to(tmp_path)
    swapper.kill()
    swapper.wait()


def test_a_deep_tree_costs_nobody_anything(host, tmp_path, full):
    tenant = host.tenant()
    nested = tenant.run([host.probe("copied"), "nest", full(10000, 3000)], timeout=300)
    assert nested.out == b"ready\n", nested.err
    (tenant.storage / "beside").write_text("beside", "ascii")
    done = copy(f"{tenant.name}:/data", tmp_path / "out", "--json", check=False)
    assert (done.returncode, json.loads(done.stdout)["left_out"]) == (1, 1), done.stderr
    assert b"256 directories" in done.stderr
    assert (tmp_path / "out/beside").read_text("ascii") == "beside"
    host.ctl("delete", "--force", tenant.name, timeout=300)
    # Its files are put aside at once and go beside all else; these take their time.
    assert not tenant.storage.exists()
    discarded = tenant.storage.parent.parent / ".deleted" / tenant.id
    wait_for(lambda: not discarded.exists(), "the end of what was stored", timeout=300)


def test_a_tenant_that_keeps_its_directory_busy_holds_up_nobody_else(host, tmp_path):
    busy = host.tenant(host.tier(cpu_quota="5%", tasks_max=200))
    other = host.tenant()
    assert busy.run(["true"]).status == 0
    crowd = busy.start(["sh", "-c", "echo up; i=0; while [ $i -lt 60 ]; do i=$((i+1)); "
                        "(while :; do : >f$i; rm f$i; ls >/dev/null; done) & done; wait"])
    crowd.wait_out(b"up", 60)
    (tmp_path / "f").write_bytes(BLOCK)
    copies = [subprocess.Popen(["tenantctl", "cp", "-q", str(tmp_path / "f"),
                                f"{busy.name}:/data/copy{number}"]) for number in range(8)]
    for _ in range(10):
        assert other.run(["true"]).status == 0
    crowd.kill()
    crowd.wait()
    assert [process.wait(120) for process in copies] == [0] * 8
