# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sandbox of which no mount is read-only, by a mistake of ours: Landlock refuses as well."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from product import ATTACK_SOURCES, wait_for
from second import second

WORKLOAD_ID = 1000
# Each way to change a tree; $1 is a directory that everybody may write to.
CHANGES = ("cd $1; echo changed >file; echo new >new; mkdir directory; ln -s x link; "
           "mkfifo fifo; rm file; mv file other; ln file hard; rmdir empty; "
           "mv /data/mine $1/mine; mv file /data/theirs; truncate -s 0 long")


@pytest.fixture
def open_directory():
    """Of the host, shown in every sandbox, its mode no hindrance."""
    path = Path("/usr/local/share/open-to-all")
    (path / "empty").mkdir(parents=True)
    for name in ("file", "long"):
        (path / name).write_text("kept\n", encoding="ascii")
        (path / name).chmod(0o666)
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def content(path):
    return {str(entry.relative_to(path)): entry.read_text("ascii") if entry.is_file() else ""
            for entry in path.rglob("*")}


def compiled(directory):
    library = directory / "writable_root.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library,
                    ATTACK_SOURCES / "writable_root.c"], check=True)
    return library


def mounts_writable(own):
    shown = own.program("tenant-run", "acme", "--", "cat", "/proc/self/mountinfo").stdout
    options = {line.split()[4]: line.split()[5].split(",")[0]
               for line in shown.decode().splitlines()}
    return {options[path] for path in ("/", "/usr", "/run/tenant", "/proc/sys")} == {"rw"}


def test_a_root_that_was_left_writable_is_still_not_written_to(host, open_directory):
    before = content(open_directory)
    # The first wall, as it should be.
    result = host.tenant().run(["sh", "-c", CHANGES, "-", open_directory])
    assert b"Read-only file system" in result.err
    assert content(open_directory) == before
    with second() as own, own.running(LD_PRELOAD=str(compiled(own.place))):
        wait_for(lambda: own.alive() and own.program("tenantctl", "status").returncode == 0,
                 "the second tenantd")
        assert own.program("tenantctl", "create", "acme", "--tier", "free").returncode == 0
        assert mounts_writable(own)
        done = own.program("tenant-run", "acme", "--", "sh", "-c",
                           f"echo >/data/mine; {CHANGES}", "-", open_directory)
        assert done.stderr.count(b"Permission denied") >= 11, done.stderr
        assert b"Read-only" not in done.stderr
        assert content(open_directory) == before
        # The same user in the same mounts, outside Landlock, shows that nothing else refuses.
        shown = json.loads(own.program("tenantctl", "show", "acme", "--json").stdout)
        uid = str(shown["uid_first"] + WORKLOAD_ID)
        inside = subprocess.Popen(
            ["tenant-run", "--socket", own.socket, "acme", "--", "sleep", "100"],
            stdin=subprocess.DEVNULL)
        try:
            pids = wait_for(lambda: [pid for path in own.tree.glob("acme/*/cgroup.procs")
                                     for pid in path.read_text("ascii").split()][1:],
                            "a sandbox to enter")
            subprocess.run(["nsenter", "-t", pids[0], "-m", "setpriv", "--reuid", uid, "--regid",
                            uid, "--clear-groups", "touch", open_directory / "written"],
                           check=True)
        finally:
            inside.terminate()
            inside.wait(timeout=30)
            wait_for(lambda: not list(own.tree.glob("acme/*/cgroup.procs")), "its end")
        assert (open_directory / "written").exists()
