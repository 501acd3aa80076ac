# SPDX-License-Identifier: LGPL-2.1-or-later
"""Operators: who may run and look, and sees nobody else's; by real users and groups."""

import json
import os
import subprocess
import time

import pytest

from product import TIERS, wait_for

# One of each way to be an operator, and one who is none.
USERS = {"op-user": "nogroup", "op-main": "op-builders", "op-other": "nogroup",
         "op-stranger": "nogroup"}
GROUP = "op-builders"


@pytest.fixture(scope="module", autouse=True)
def accounts():
    subprocess.run(["groupadd", GROUP], check=True)
    for name, group in USERS.items():
        subprocess.run(["useradd", "--no-create-home", "-g", group, name], check=True)
    subprocess.run(["usermod", "-aG", GROUP, "op-other"], check=True)
    yield
    for name in USERS:
        subprocess.run(["userdel", name], check=False)
    subprocess.run(["groupdel", GROUP], check=False)


def as_user(name, *argv, timeout=60):
    """With the groups that a login of this user has."""
    return subprocess.run(["setpriv", "--reuid", name, "--regid", USERS[name], "--init-groups",
                           *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, check=False)


def asked(name, *argv):
    """tenantctl as that user: status, and what it shows, or its error."""
    done = as_user(name, "tenantctl", *argv, "--json")
    return done.returncode, json.loads(done.stdout if done.returncode == 0 else done.stderr)


def refused(name, *argv):
    status, error = asked(name, *argv)
    return status, error["error"].removeprefix("io.tenantd."), error["message"]


def refusals(since, uid):
    """What the journal says, as (pid, method, tenant)."""
    shown = subprocess.run(["journalctl", "-u", "tenantd", "-o", "json", f"--since=@{since}"],
                           capture_output=True, text=True, check=True).stdout
    return [(row["GID"], row["METHOD"], row["TENANT"])
            for row in map(json.loads, shown.splitlines())
            if row.get("MESSAGE") == "a call is refused" and row["UID"] == str(uid)]


def test_users_and_groups_of_a_tier_may_run_and_look(host):
    tenant = host.tenant(host.tier(operators={"users": ["op-user"], "groups": [GROUP]}))
    for user in ("op-user", "op-main", "op-other"):
        done = as_user(user, "tenant-run", tenant.name, "--", "id", "-u")
        assert (done.returncode, done.stdout) == (0, b"1000\n"), (user, done.stderr)
        assert asked(user, "show", tenant.name)[1]["name"] == tenant.name
        assert [one["name"] for one in asked(user, "list")[1]] == [tenant.name]
        assert {one["tenant"] for one in asked(user, "ps", "--all")[1]} == {tenant.name}
        assert asked(user, "usage", tenant.name)[1]["tenant"] == tenant.name
        rows = asked(user, "policy", "show", tenant.name)[1]["limits"]
        assert [row["value"] for row in rows if row["key"] == "operators.users"] == ["op-user"]
        told = as_user(user, "tenantctl", "events", "--json").stdout.splitlines()
        assert {json.loads(event)["tenant"] for event in told} == {tenant.name}
    assert refused("op-stranger", "show", tenant.name)[:2] == (3, "NotFound")
    assert asked("op-stranger", "list") == (0, [])
    done = as_user("op-stranger", "tenantctl", "events", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_su_takes_the_groups_that_a_user_has(host):
    tenant = host.tenant(host.tier(operators={"groups": [GROUP]}))
    done = subprocess.run(["su", "-s", "/bin/sh", "op-other", "-c",
                           f"tenant-run {tenant.name} -- echo in"],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    # And without them it is nobody.
    done = subprocess.run(["setpriv", "--reuid", "op-other", "--regid", "nogroup",
                           "--clear-groups", "tenant-run", tenant.name, "--", "true"],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 125 and b"that you may use" in done.stderr


def test_operators_end_wait_for_and_read_what_runs(host):
    tenant = host.tenant(host.tier(operators={"groups": [GROUP]}))
    done = as_user("op-main", "tenant-run", "-d", tenant.name, "--", "sh", "-c",
                   "echo said; sleep 1000")
    assert done.returncode == 0, done.stderr
    name = done.stdout.decode().strip()
    wait_for(lambda: as_user("op-other", "tenantctl", "logs", name).stdout == b"said\n", "its log")
    for argv in (["logs", name], ["wait", name], ["kill", name]):
        assert refused("op-stranger", *argv)[1:] == (
            "NotFound", f"there is no execution '{name}' that you may use")
    assert asked("op-other", "kill", name) == (0, {"killed": 1})
    done = as_user("op-main", "tenantctl", "wait", name)
    assert done.returncode == 137


def test_only_admins_change_anything(host):
    tenant = host.tenant(host.tier(operators={"users": ["op-user"]}))
    before = tenant.show()
    for argv in (["create", "of-op-user"], ["update", tenant.name, "--display-name", "X"],
                 ["suspend", tenant.name], ["resume", tenant.name], ["delete", tenant.name],
                 ["policy", "reload"], ["policy", "history"], ["policy", "diff"], ["drain"],
                 ["undrain"], ["status"]):
        assert refused("op-user", *argv) == (
            4, "NotPermitted",
            "only root and members of group tenantd-admin may do this"), argv
    assert tenant.show() == before


def test_what_may_not_be_seen_is_as_what_is_not_there(host):
    tenant = host.tenant(host.tier(operators={"users": ["op-user"]}))
    hidden = host.tenant()
    running = hidden.start(["sleep", "1000"])
    since = int(time.time()) - 1
    for name in (hidden.name, "no-such", hidden.id):
        for argv in (["show", name], ["usage", name], ["ps", name], ["kill", "--all", name],
                     ["policy", "show", name]):
            assert refused("op-user", *argv) == (
                3, "NotFound", f"there is no tenant '{name}' that you may use"), argv
        time.sleep(1.1)  # so much is logged in a second
    for execution in (running.id, "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"):
        for argv in (["wait", execution], ["kill", execution], ["logs", execution]):
            assert refused("op-user", *argv)[1:] == (
                "NotFound", f"there is no execution '{execution}' that you may use"), argv
    assert [one["name"] for one in asked("op-user", "list")[1]] == [tenant.name]
    assert running.poll() is None
    uid = int(subprocess.run(["id", "-u", "op-user"], capture_output=True, check=True).stdout)
    found = wait_for(lambda: refusals(since, uid), "the refusals in the journal")
    assert ("65534", "io.tenantd.GetTenant", hidden.name) in found
    assert ("65534", "io.tenantd.Kill", hidden.name) in found
    host.ctl("kill", running.id)
    running.wait()


def test_refusals_do_not_fill_the_journal(host):
    since = int(time.time()) - 1
    for _ in range(60):
        as_user("op-stranger", "tenantctl", "status")
    uid = int(subprocess.run(["id", "-u", "op-stranger"], capture_output=True,
                             check=True).stdout)
    seconds = time.time() - since
    assert 0 < len(refusals(since, uid)) <= 16 * (seconds + 2)


def test_a_tenant_has_operators_of_its_own(host):
    tenant = host.tenant()
    assert refused("op-user", "show", tenant.name)[1] == "NotFound"
    tenant.update("--operator", "user:op-user", "--operator", f"group:{GROUP}")
    shown = tenant.show()
    assert shown["operators"] == [f"group:{GROUP}", "user:op-user"]
    assert b"operator       user:op-user\n" in host.ctl("show", tenant.name).stdout
    assert all(asked(user, "show", tenant.name)[0] == 0 for user in ("op-user", "op-main"))
    done = host.ctl("update", tenant.name, "--no-operator", "user:op-user", "--if-version",
                    shown["version"] - 1, check=False)
    assert done.returncode == 5
    tenant.update("--no-operator", "user:op-user", "--if-version", shown["version"])
    assert refused("op-user", "show", tenant.name)[1] == "NotFound"
    # Over restarts of both daemons.
    host.kill_controller()
    assert asked("op-main", "show", tenant.name)[0] == 0
    host.restart()
    assert asked("op-main", "show", tenant.name)[0] == 0
    done = host.ctl("update", tenant.name, "--operator", "user:no-such-user", check=False)
    assert done.returncode == 2 and b"this host has no user 'no-such-user'" in done.stderr


def test_an_operators_execution_survives_both_daemons(host):
    tenant = host.tenant(host.tier(operators={"users": ["op-user"]}))
    argv = ["setpriv", "--reuid", "op-user", "--regid", "nogroup", "--clear-groups", "tenant-run",
            tenant.name, "--", "sh", "-c", "echo up; read x; echo $x"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"up\n"
        host.kill_controller()
        host.kill_supervisor()
        running.stdin.write(b"word\n")
        running.stdin.close()
        assert running.stdout.read() == b"word\n"
        assert running.wait(60) == 0


def test_names_that_the_host_does_not_know_are_told_with_their_place(host):
    said = host.tier_refused(operators={"users": ["op-user", "no-such-user"]})
    assert ":3:34: operators: this host has no user 'no-such-user'; expected one that it knows" \
        in said
    path = TIERS / "op-check.yaml"
    path.write_text("tier: op-check\noperators:\n  groups: [no-such-group]\n", encoding="utf-8")
    try:
        for argv in (["policy", "check"], ["policy", "check", path]):
            done = host.ctl(*argv, check=False)
            assert done.returncode == 2
            assert b"op-check.yaml:3:12: operators: this host has no group 'no-such-group'" in \
                done.stderr
    finally:
        path.unlink()


def test_a_name_that_vanishes_gives_nobody_a_right_from_the_next_load_on(host):
    subprocess.run(["useradd", "--no-create-home", "-g", "nogroup", "op-vanishes"], check=True)
    tier = host.tier(operators={"users": ["op-vanishes", "op-user"]})
    tenant = host.tenant(tier)
    uid = int(subprocess.run(["id", "-u", "op-vanishes"], capture_output=True,
                             check=True).stdout)

    def served():
        return subprocess.run(["setpriv", "--reuid", str(uid), "--regid", "nogroup",
                               "--clear-groups", "tenantctl", "show", tenant.name],
                              capture_output=True, check=False).returncode == 0

    assert served()
    subprocess.run(["userdel", "op-vanishes"], check=True)
    # What was found holds until the policy is loaded again.
    assert served()
    place = host.where(tier, "operators")
    done = host.ctl("policy", "reload", check=False)
    assert done.returncode == 2 and f"{place}:".encode() in done.stderr
    host.restart(status=1)
    assert not served()
    status = host.ctl("status", check=False)
    assert status.returncode == 1 and b"this host has no user 'op-vanishes'" in status.stdout
    assert asked("op-user", "show", tenant.name)[0] == 0
    path = TIERS / f"{tier}.yaml"
    path.write_text(path.read_text("utf-8").replace('"op-vanishes", ', ""), encoding="utf-8")
    host.ctl("policy", "reload")
    assert host.ctl("status").returncode == 0


def test_lists_filter_by_metadata_among_an_operators_own(host):
    tier = host.tier(operators={"users": ["op-user"]})
    mine = [host.tenant(tier) for _ in range(2)]
    other = host.tenant()
    for tenant in (*mine, other):
        tenant.update("--meta", f"mark={os.getpid()}")
    mine[0].update("--meta", "plan=trial")
    host.ctl("suspend", mine[1].name)

    def names(*opts):
        return {one["name"] for one in asked("op-user", "list", "--meta",
                                             f"mark={os.getpid()}", *opts)[1]}

    assert names() == {one.name for one in mine}
    assert names("--status", "suspended") == {mine[1].name}
    assert names("--status", "active", "--tier", tier, "--meta", "plan") == {mine[0].name}
    assert names("--tier", "professional") == set()
    host.ctl("resume", mine[1].name)
