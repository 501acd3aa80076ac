# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenant-run --bind: what a tier allows to be shown, and to be written to."""

import shutil
from pathlib import Path

import pytest

OWNER = 1000  # whom the workload is inside; what belongs to the same id outside is its own


@pytest.fixture
def share():
    """A directory that tests' tiers allow, with one that may be written to."""
    path = Path("/srv/share")
    (path / "inbox").mkdir(parents=True)
    (path / "file").write_text("shared\n", encoding="ascii")
    shutil.chown(path / "inbox", OWNER, OWNER)
    beside = Path("/srv/share-not")
    beside.mkdir()
    (beside / "file").write_text("secret\n", encoding="ascii")
    (path / "way-out").symlink_to(beside)
    yield path
    shutil.rmtree(path)
    shutil.rmtree(beside)


def sharing_tier(host):
    return host.tier(binds={"allow": ["/srv/share"], "rw": ["/srv/share/inbox"]})


def refusal(tenant, *opts):
    result = tenant.run(["true"], *opts)
    assert (result.status, result.record["reason"]) == (125, "runtime"), result
    assert tenant.ps() == []
    return result.err.decode()


def test_an_allowed_path_is_shown_read_only_where_it_is_or_where_it_is_wanted(host, share):
    tenant = host.tenant(sharing_tier(host))
    assert tenant.run(["cat", "/srv/share/file"]).status == 1
    read = tenant.run(["cat", "/srv/share/file"], "--bind", share)
    assert (read.status, read.out) == (0, b"shared\n")
    read = tenant.run(["cat", "/mnt/it"], "--bind", f"{share}/file:/mnt/it:ro")
    assert (read.status, read.out) == (0, b"shared\n")
    # Its own by its owner: only the mount keeps it from writing.
    written = tenant.run(["touch", "/mnt/in/new"], "--bind", f"{share}/inbox:/mnt/in")
    assert written.status == 1
    assert b"Read-only file system" in written.err
    assert list((share / "inbox").iterdir()) == []


def test_a_path_of_rw_can_be_written_to_by_its_owner(host, share):
    tenant = host.tenant(sharing_tier(host))
    bind = ["--bind", f"{share}/inbox:/mnt/in:rw"]
    written = tenant.run(["sh", "-c", "echo mine >/mnt/in/new && stat -c %u /mnt/in/new"], *bind)
    assert (written.status, written.out) == (0, b"1000\n"), written
    new = share / "inbox" / "new"
    assert new.read_text("ascii") == "mine\n"
    assert new.stat().st_uid == OWNER
    (share / "inbox").chmod(0o755)
    shutil.chown(share / "inbox", 0, 0)
    written = tenant.run(["touch", "/mnt/in/other"], *bind)
    assert (written.status, b"Permission denied" in written.err) == (1, True)


def test_nothing_bound_can_bring_in_a_privilege(host, share):
    tenant = host.tenant(sharing_tier(host))
    for mode, bind in ("ro", f"{share}:/mnt/it"), ("rw", f"{share}/inbox:/mnt/it:rw"):
        shown = tenant.run(["findmnt", "-n", "-o", "OPTIONS", "/mnt/it"], "--bind", bind)
        options = shown.out.decode().strip().split(",")
        assert options[0] == mode
        assert {"nosuid", "nodev"} <= set(options)


def test_a_bind_is_of_one_execution(host, share):
    tenant = host.tenant(sharing_tier(host))
    with_it = tenant.start(["sleep", "60"], "--bind", f"{share}:/mnt/it")
    assert with_it.id
    assert tenant.run(["ls", "/mnt"]).out == b""


@pytest.mark.parametrize("bind, named", [
    ("/srv/share-not", "/srv/share-not"),
    ("/srv/share-not/file:/mnt/it", "/srv/share-not/file"),
    ("/srv/share/way-out/file:/mnt/it", "/srv/share-not/file"),
    ("/srv/share/../share-not:/mnt/it", "/srv/share-not"),
    ("/srv:/mnt/it", "/srv"),
    ("/:/mnt/it", "/"),
    ("/etc/shadow:/mnt/it", "/etc/shadow"),
])
def test_a_path_that_the_tier_does_not_allow_is_refused_by_name(host, share, bind, named):
    tier = sharing_tier(host)
    message = refusal(host.tenant(tier), "--bind", bind)
    assert f"--bind {named}: not below a path that tiers/{tier}.yaml allows" in message


def test_writing_is_refused_where_the_tier_allows_only_to_read(host, share):
    tier = sharing_tier(host)
    tenant = host.tenant(tier)
    for path in share, share / "file":
        message = refusal(tenant, "--bind", f"{path}:/mnt/it:rw")
        assert f"--bind {path}: tiers/{tier}.yaml does not allow it to be writable" in message


def test_a_tier_that_says_nothing_of_binds_allows_none(host, share):
    assert "--bind /srv/share: not below" in refusal(host.tenant(host.tier()), "--bind", share)


@pytest.mark.parametrize("target", ["/usr/x", "/etc/passwd", "/data/x", "/proc/x", "/", "/mnt"])
def test_no_part_of_the_sandbox_can_be_covered(host, share, target):
    tenant = host.tenant(sharing_tier(host))
    assert target in refusal(tenant, "--bind", f"{share}:{target}")


@pytest.mark.parametrize("binds, key", [
    ({"allow": ["/"]}, "/"), ({"allow": ["/proc/sys"]}, "/proc"), ({"allow": ["etc"]}, "etc"),
    ({"allow": ["/srv/a"], "rw": ["/srv/b"]}, "/srv/b"), ({"allowed": []}, "allowed"),
])
def test_a_tier_that_allows_what_nothing_may_is_refused(host, binds, key):
    assert key in host.tier_refused("bad-binds", binds=binds)


# An execution of a tenant hands what it has bound to another one, which is another user. They
# share their network namespace, and so abstract sockets.
HAND_OVER = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind("\\0hand-over")
    listener.listen()
    print("up", flush=True)
    while True:
        peer, _ = listener.accept()
        socket.send_fds(peer, [b"x"], [os.open("/mnt/in", os.O_RDONLY)])
"""
TAKE_OVER = """
import errno, os, socket
peer = socket.socket(socket.AF_UNIX)
peer.connect("\\0hand-over")
_, (directory,), _, _ = socket.recv_fds(peer, 1, 1)
def attempt(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
print(attempt(os.open, "set-id", os.O_CREAT | os.O_WRONLY, 0o4755, dir_fd=directory),
      attempt(os.open, "new", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=directory),
      attempt(os.mkdir, "dir", dir_fd=directory),
      attempt(os.open, "secret", os.O_RDONLY, dir_fd=directory),
      attempt(os.chmod, "secret", 0o4755, dir_fd=directory),
      attempt(os.open, "everyones", os.O_RDONLY, dir_fd=directory))
"""


@pytest.mark.parametrize("user", ["root", "7:0", "0:1000", "65535"])
def test_options_make_no_other_user_of_a_sandbox_anybody_on_the_host(host, share, user):
    inbox = share / "inbox"
    inbox.chmod(0o777)
    for name, mode in ("secret", 0o600), ("everyones", 0o644):
        (inbox / name).write_text("x\n", encoding="ascii")
        (inbox / name).chmod(mode)
    tenant = host.tenant(sharing_tier(host))
    bind = ["--bind", f"{inbox}:/mnt/in:rw"]
    holder = tenant.start(["python3", "-I", "-c", HAND_OVER], *bind)
    holder.wait_out(b"up")
    # With a bind of its own the floor filter comes first for set-id bits, and the map for the
    # rest; without one, Landlock.
    for options, made in (bind, b"EPERM EOVERFLOW EOVERFLOW"), ([], b"EACCES EACCES EACCES"):
        taken = tenant.run(["python3", "-I", "-c", TAKE_OVER], "-u", user, *options)
        assert (taken.status, taken.out) == (0, made + b" EACCES EPERM done\n"), taken
    script = "cat /mnt/in/secret; touch /mnt/in/new; cat /mnt/in/everyones"
    own = tenant.run(["sh", "-c", script], "-u", user, *bind)
    assert own.out == b"x\n" and b"Permission denied" in own.err, own
    assert sorted(path.name for path in inbox.iterdir()) == ["everyones", "secret"]
    assert (inbox / "secret").stat().st_mode & 0o7777 == 0o600


def test_bind_options_leave_to_everyone_what_is_everyones(host, share):
    inbox = share / "inbox"
    shutil.chown(inbox, OWNER, 0)
    tenant = host.tenant(sharing_tier(host))
    bind = ["--bind", f"{inbox}:/mnt/in:rw"]
    assert tenant.run(["touch", "/mnt/in/of-owner"], *bind).status == 0
    shutil.chown(inbox, 0, 0)
    inbox.chmod(0o777)
    assert tenant.run(["touch", "/mnt/in/of-everyone"], *bind).status == 0
    for name in "of-owner", "of-everyone":
        made = (inbox / name).stat()
        assert (made.st_uid, made.st_gid) == (OWNER, OWNER)
