# SPDX-License-Identifier: LGPL-2.1-or-later
"""Policy that can be trusted: seen before it holds, kept when files are wrong, and taken back."""

import json
import subprocess

from product import TIERS, Host


def in_force():
    return json.loads(Host.ctl("status", "--json", check=False).stdout)["policy_hash"]


def unit_status():
    return subprocess.run(["systemctl", "show", "-P", "StatusText", "tenantd.service"],
                          capture_output=True, text=True, check=True).stdout


def shown(tenant, key):
    rows = Host.ctl_json("policy", "show", tenant.name)["limits"]
    return next((row["value"], row["source"]) for row in rows if row["key"] == key)


def test_a_diff_tells_what_would_change_for_whom_and_what_it_would_hurt(host):
    tier = host.tier(memory_max="64M", tasks_max=64)
    tenant, other = host.tenant(tier), host.tenant(host.tier(memory_max="64M"))
    running = tenant.start([host.probe("eat"), "40", "hold"])
    running.wait_out(b"full")
    assert shown(tenant, "memory_max") == ("64M", host.where(tier, "memory_max"))
    path = TIERS / f"{tier}.yaml"
    before = path.read_text("utf-8")
    path.write_text(before.replace("64M", "32M"), encoding="utf-8")
    changes = host.ctl_json("policy", "diff")
    assert {change["tenant"] for change in changes} == {tenant.name}
    change = next(change for change in changes if change["key"] == "memory_max")
    assert (change["before"], change["after"]) == ("64M", "32M")
    assert change["after_source"] == host.where(tier, "memory_max")
    assert int(change["hurts"].split()[0]) > 32 << 20
    # It was only asked.
    assert tenant.stat("memory.max") == other.stat("memory.max") == 64 << 20
    assert running.poll() is None
    path.write_text(before, encoding="utf-8")
    assert b"nothing would change" in host.ctl("policy", "diff").stdout
    host.ctl("kill", running.id)
    running.wait()


def test_a_rollback_holds_over_a_restart_until_the_files_are_read_again(host):
    tier = host.tier(memory_max="64M")
    tenant = host.tenant(tier)
    assert tenant.run(["true"]).status == 0
    good = in_force()
    path = TIERS / f"{tier}.yaml"
    path.write_text(path.read_text("utf-8").replace("64M", "16M"), encoding="utf-8")
    host.ctl("policy", "reload")
    assert tenant.stat("memory.max") == 16 << 20
    host.ctl("policy", "rollback", good[:12])
    assert tenant.stat("memory.max") == 64 << 20
    history = host.ctl_json("policy", "history")
    assert [row["state"] for row in history].count("in_force") == 1
    assert (history[0]["policy_hash"], history[0]["accepted_by"]) == (good, 0)
    host.restart(status=1)
    assert in_force() == good
    assert tenant.run(["true"]).status == 0
    assert tenant.stat("memory.max") == 64 << 20
    status = host.ctl("status", check=False)
    assert status.returncode == 1 and b"set aside" in status.stdout
    host.ctl("policy", "reload")
    assert host.ctl("status").returncode == 0
    assert tenant.stat("memory.max") == 16 << 20


def test_files_that_are_wrong_at_a_start_stop_nobody(host):
    tier = host.tier(memory_max="64M")
    tenant = host.tenant(tier)
    running = tenant.start(["sleep", "1000"])
    good = in_force()
    path = TIERS / f"{tier}.yaml"
    before = path.read_text("utf-8")
    path.write_text(before + "frob: 1\n", encoding="utf-8")
    try:
        host.restart(status=1)
        status = host.ctl("status", check=False)
        assert status.returncode == 1
        assert f"tiers/{tier}.yaml:4:1: ".encode() in status.stdout
        assert in_force() == good
        assert f"tiers/{tier}.yaml:4:1: " in unit_status()
        assert running.poll() is None
        result = tenant.run(["true"])
        assert (result.status, result.record["policy_hash"]) == (0, good)
        doctor = subprocess.run(["tenantctl", "doctor"], capture_output=True, check=False)
        assert f"{tier}.yaml:4:1".encode() in doctor.stdout
        assert host.ctl("policy", "reload", check=False).returncode == 2
    finally:
        path.write_text(before, encoding="utf-8")
    host.ctl("policy", "reload")
    assert host.ctl("status").returncode == 0
    assert unit_status().startswith("serving, policy ")
    host.ctl("kill", running.id)
    assert running.wait().record["reason"] == "killed"


def test_the_files_of_an_earlier_one_can_be_put_back(host, tmp_path):
    tier = host.tier(memory_max="64M")
    host.tenant(tier)
    good = in_force()
    host.ctl("policy", "export", good, tmp_path / "policy")
    for path in (tmp_path / "policy" / "tiers").glob("*.yaml"):
        assert path.read_bytes() == (TIERS / path.name).read_bytes()
    assert (tmp_path / "policy" / "tiers" / f"{tier}.yaml").exists()
