# SPDX-License-Identifier: LGPL-2.1-or-later
"""Policy that can be trusted: seen before it holds, kept when files are wrong, and taken back."""

import json
import os
import subprocess
from pathlib import Path

from product import TIERS, Host

BOOK = Path("/etc/tenantd/prices/test-nok.yaml")


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


def edit(what, editor, answer):
    """`tenantctl policy edit` with an editor that is a shell command, whose $1 is the copy."""
    return subprocess.run(["tenantctl", "policy", "edit", what], input=answer, text=True,
                          capture_output=True, timeout=60, check=False,
                          env=os.environ | {"EDITOR": editor, "VISUAL": ""})


def test_a_price_book_is_made_by_editing_and_a_diff_tells_of_its_prices(host):
    text = "currency: NOK\\nvalid_from: 2020-01-01\\nprices: {tokens: {price: 2}}\\n"
    write = f"printf '{text}' >>"
    shown_before = host.ctl_json("policy", "diff")
    assert edit("prices/test-nok.yaml", write, "n\n").returncode == 1
    assert not BOOK.exists() and host.ctl_json("policy", "diff") == shown_before
    try:
        done = edit("prices/test-nok.yaml", write, "y\n")
        assert done.returncode == 0 and f"{BOOK} is made" in done.stdout, done
        changes = {change["key"]: change for change in host.ctl_json("policy", "diff")}
        assert changes["book.test-nok"]["before"] == "none"
        assert changes["book.test-nok"]["after"] == "NOK from 2020-01-01 until never"
        assert changes["book.test-nok.prices.tokens"]["after"] == "2 per 1"
        # Who has been there for no ended period has no bill of one.
        assert changes["book.test-nok"]["hurts"] is None
        host.ctl("policy", "reload")
        assert edit("prices/test-nok.yaml", "sed -i s/2}}/3}}/", "y\n").returncode == 0
        (change,) = host.ctl_json("policy", "diff")
        assert (change["tenant"], change["key"]) == (None, "book.test-nok.prices.tokens")
        assert (change["before"], change["after"]) == ("2 per 1", "3 per 1")
        line = BOOK.read_text("utf-8").splitlines().index("prices: {tokens: {price: 3}}") + 1
        assert change["before_source"] == change["after_source"] == f"prices/{BOOK.name}:{line}"
    finally:
        BOOK.unlink(missing_ok=True)
        host.ctl("policy", "reload")
