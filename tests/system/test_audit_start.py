# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lies in the kernel, in the slots or on the disk and has no owner any more is removed at the
next start, or left if it may be missed, and the journal is told of each."""

import subprocess
import time
import uuid
from pathlib import Path

from product import EXEC_RECORDS, Host, TREE, wait_for

SLOTS = Path("/var/lib/tenantd/slots")
STORAGE = Path("/var/lib/tenantd/tenants")
SLOT_BYTES = 128
SLOT_MAGIC = 0x746c6f73


def logged(since):
    return subprocess.run(["journalctl", "-o", "json", "--no-pager", "-u", "tenantd",
                           f"--since=@{since}"], capture_output=True, text=True,
                          check=True).stdout


def wait_logged(since, text):
    wait_for(lambda: text in logged(since), lambda: f"{text!r} in {logged(since)[-2000:]}")


def restarted(change):
    """`change` is done while no tenantd is there. Gives the time before."""
    since = int(time.time()) - 1
    subprocess.run(["systemctl", "stop", "tenantd.service"], check=True)
    change()
    subprocess.run(["systemctl", "start", "tenantd.service"], check=True)
    wait_for(lambda: Host.ctl("status", check=False).returncode == 0, "the daemon", 60)
    return since


def slot_put(identity, name):
    """As of a tenantd that died before the controller heard of it."""
    record = (SLOT_MAGIC.to_bytes(4, "little") + bytes(4) + identity.bytes +
              name.encode().ljust(64, b"\0")).ljust(SLOT_BYTES, b"\0")
    text = SLOTS.read_bytes()
    with open(SLOTS, "r+b") as file:
        file.seek(len(text) - len(text) % SLOT_BYTES)
        file.write(record)


def has_slot(identity):
    return identity.bytes in SLOTS.read_bytes()


def test_a_leaf_and_a_control_group_without_an_owner_are_removed(host):
    tenant = host.tenant()
    leaf = tenant.cgroup / str(uuid.uuid4())
    node = TREE / "nobodys"

    def make():
        leaf.mkdir()
        node.mkdir()

    since = restarted(make)
    wait_logged(since, "a leaf that no execution had is removed")
    wait_logged(since, "a control group that no tenant had is removed")
    assert not leaf.exists()
    assert not node.exists()
    assert tenant.run(["true"]).status == 0


def test_a_record_without_a_leaf_is_settled(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "1000"])
    identity = running.id
    leaf = running.leaf

    def end():
        (leaf / "cgroup.kill").write_text("1", "ascii")
        wait_for(lambda: not (leaf / "cgroup.procs").read_text("ascii"), "its end")
        leaf.rmdir()

    restarted(end)
    running.wait(60)
    rows = wait_for(lambda: [row for row in tenant.ps() if row["id"] == identity and
                             row["state"] == "exited"], "its record")
    assert len(rows) == 1
    wait_for(lambda: not (EXEC_RECORDS / identity).exists(), "its settlement")


def test_a_slot_without_a_tenant_is_given_back(host):
    identity = uuid.uuid4()
    since = restarted(lambda: slot_put(identity, "half-made"))
    wait_logged(since, "what no tenant had is removed")
    assert str(identity) in logged(since)
    assert not has_slot(identity)
    # The name can be had.
    host.tenant(name="half-made")


def test_what_a_slot_without_a_tenant_has_stored_is_left_and_told_of(host):
    identity = uuid.uuid4()
    data = STORAGE / str(identity) / "data"

    def make():
        slot_put(identity, "older-store")
        data.mkdir(parents=True)
        (data / "work").write_text("of years", "ascii")

    since = restarted(make)
    wait_logged(since, "what no tenant has cannot be removed")
    assert (data / "work").read_text("ascii") == "of years"
    assert has_slot(identity)
    (data / "work").unlink()
    since = restarted(lambda: None)
    wait_logged(since, "what no tenant had is removed")
    assert not data.parent.exists()


def test_stored_data_without_a_slot_is_left_and_told_of(host):
    directory = STORAGE / str(uuid.uuid4())
    since = restarted(directory.mkdir)
    wait_logged(since, "a directory in storage_root is no tenant's")
    assert directory.exists()
    directory.rmdir()


def test_a_tenant_without_a_control_group_has_one_at_its_next_launch(host):
    tenant = host.tenant()
    limit = tenant.read("memory.max")
    restarted(tenant.cgroup.rmdir)
    assert tenant.run(["true"]).status == 0
    assert tenant.read("memory.max") == limit
