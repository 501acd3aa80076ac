# SPDX-License-Identifier: LGPL-2.1-or-later
"""A backup that is made while everything goes on, and a node that is made of one."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

from product import TIERS, Host, Tenant, wait_for

STATE = Path("/var/lib/tenantd")
POLICY = Path("/etc/tenantd")


def systemctl(*argv):
    subprocess.run(["systemctl", *argv], check=True, timeout=120)


def start():
    systemctl("start", "tenantd.service")
    wait_for(lambda: Host.ctl("status", check=False).returncode == 0, "the daemon to serve", 60)


@contextlib.contextmanager
def empty_node(tmp_path):
    """The daemon is stopped and knows nothing; at the end all is as it was. Gives where it is."""
    aside, policy = STATE.with_name("tenantd.aside"), tmp_path / "policy"
    systemctl("stop", "tenantd.service")
    STATE.rename(aside)
    shutil.copytree(POLICY, policy, symlinks=True)
    try:
        yield aside
    finally:
        systemctl("stop", "tenantd.service")
        shutil.rmtree(STATE, ignore_errors=True)
        aside.rename(STATE)
        shutil.rmtree(POLICY)
        shutil.copytree(policy, POLICY, symlinks=True)
        start()


def test_launches_go_on_while_a_backup_is_made(host, tmp_path, full):
    tenant = host.tenant(host.tier(memory_max="64M", executions_max=4))
    count = full(400, 40)
    launches = host.launches(tenant, count, "true", flight=2, stdout=subprocess.PIPE)
    made = 0
    while launches.poll() is None:
        host.ctl("backup", "--force", tmp_path / "backup")
        made += 1
    assert made > 0 and launches.wait() == 0, launches.stdout.read()
    host.ctl("backup", "--force", tmp_path / "backup")
    host.ctl("backup", "--verify", tmp_path / "backup")
    # It is what sqlite3 opens, and whole.
    with contextlib.closing(sqlite3.connect(tmp_path / "backup")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM executions WHERE tenant = ?",
                          (tenant.id,)).fetchone() == (count,)
    # What goes to a pipe is the same.
    piped = host.ctl("backup", "-").stdout
    (tmp_path / "piped").write_bytes(piped)
    assert host.ctl("backup", "--verify", tmp_path / "piped").returncode == 0


def test_an_empty_node_becomes_what_was_backed_up(host, tmp_path):
    tier = host.tier(memory_max="64M", tasks_max=77)
    tenant = host.tenant(tier)
    assert tenant.run(["sh", "-c", "echo kept > /data/file"]).status == 0
    assert tenant.run(["false"]).status == 1
    shown, usage, listed = tenant.show(), tenant.usage(), tenant.ps()
    backup = tmp_path / "backup"
    host.ctl("backup", backup)
    about = json.loads(host.ctl("backup", "--verify", "--json", backup).stdout)
    assert about["tenants"] == host.ctl_json("status")["tenants"]

    # While it runs, nothing is restored.
    refused = host.ctl("restore", backup, check=False)
    assert refused.returncode == 1 and b"systemctl stop tenantd" in refused.stderr
    with empty_node(tmp_path) as aside:
        # A daemon that has run and has had no tenant has an empty store, too.
        start()
        assert host.ctl_json("list") == []
        systemctl("stop", "tenantd.service")
        (TIERS / f"{tier}.yaml").unlink()
        (POLICY / "tenantd.yaml").write_text("commit_window: 7ms\n", encoding="utf-8")
        refused = host.ctl("restore", backup, check=False)
        assert refused.returncode == 1 and b"tenantd.yaml; --force" in refused.stderr
        assert not (TIERS / f"{tier}.yaml").exists()
        (POLICY / "tenantd.yaml").unlink()
        host.ctl("restore", backup)
        shutil.rmtree(STATE / "tenants", ignore_errors=True)
        subprocess.run(["cp", "-a", str(aside / "tenants"), str(STATE / "tenants")], check=True)
        start()

        again = tenant.show()
        for key in ("id", "tier", "uid_first", "storage_path", "created_at"):
            assert again[key] == shown[key]
        meters = tenant.usage()["meters"]
        # What is written back later counts later.
        for meter in ("cpu_time", "executions", "execution_time"):
            assert meters[meter] == usage["meters"][meter]
        assert tenant.ps() == listed
        result = tenant.run(["cat", "/data/file"])
        assert (result.status, result.out) == (0, b"kept\n")
        assert tenant.stat("pids.max") == 77
        # A new tenant gets ids that nobody has.
        host.ctl("create", "newcomer", "--tier", tier)
        other = Tenant(host, "newcomer", tier)
        taken = [row["uid_first"] for row in host.ctl_json("list")]
        assert len(set(taken)) == len(taken) and other.run(["true"]).status == 0
        host.ctl("delete", "--force", other.name)
        # One of whom the backup does not know, and who has stored something.
        host.ctl("create", "later", "--tier", tier)
        later = Tenant(host, "later", tier)
        assert later.run(["touch", "/data/file"]).status == 0
        later_shown = later.show()

        systemctl("stop", "tenantd.service")
        refused = host.ctl("restore", backup, check=False)
        assert refused.returncode == 1 and b"not empty; --force keeps it aside" in refused.stderr
        damaged = tmp_path / "damaged"
        damaged.write_bytes(backup.read_bytes()[:-200] + backup.read_bytes()[-199:])
        refused = host.ctl("restore", damaged, "--force", check=False)
        assert refused.returncode == 2
        host.ctl("restore", "--force", backup)
        assert list((STATE / "store").glob("tenantd.db.before-*"))
        start()
        assert tenant.usage()["meters"]["executions"] == usage["meters"]["executions"]
        # Nobody gets the ids of those files.
        assert "later" not in [row["name"] for row in host.ctl_json("list")]
        host.ctl("create", "newest", "--tier", tier)
        newest = Tenant(host, "newest", tier)
        assert newest.show()["uid_first"] not in (later_shown["uid_first"], shown["uid_first"])
        stored = Path(later_shown["storage_path"]) / "file"
        assert later_shown["uid_first"] <= stored.stat().st_uid < newest.show()["uid_first"]
        host.ctl("delete", "--force", newest.name)
    # And here is again what was here before.
    assert tenant.run(["cat", "/data/file"]).out == b"kept\n"
