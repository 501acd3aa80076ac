# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events: all that changes is told once, in order and without a gap, whoever dies meanwhile."""

import collections
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from product import TIERS, Host, wait_for
from wire import Wire

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def events(since=None, tenant=None):
    argv = ["events", "--json"] + (["--since", since] if since is not None else [])
    shown = Host.ctl(*argv, *([tenant] if tenant else []))
    assert shown.stderr == b""
    return [json.loads(line) for line in shown.stdout.splitlines()]


def last_seq():
    return events()[-1]["seq"]


def expect_no_gap(rows, since):
    assert [row["seq"] for row in rows] == list(range(since + 1, since + 1 + len(rows)))


def of_kind(rows, kind):
    return [row for row in rows if row["kind"] == kind]


def the_one(rows, kind):
    found = of_kind(rows, kind)
    assert len(found) == 1, (kind, rows)
    return found[0]


def as_login(uid, *argv):
    """tenantctl by somebody whose session was opened as `uid`."""
    subprocess.run(["sh", "-c", f'echo {uid} >/proc/self/loginuid && exec tenantctl "$@"', "sh",
                    *argv], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def test_what_becomes_of_a_tenant_is_told_with_what_was_and_who_wanted_it(host):
    tier, other = host.tier(memory_max="64M"), host.tier(memory_max="32M")
    since = last_seq()
    tenant = host.tenant(tier)
    as_login(1234, "update", tenant.name, "--tier", other, "--meta", "team=blue")
    host.ctl("suspend", tenant.name)
    host.ctl("resume", tenant.name)
    host.ctl("delete", tenant.name, "--force")
    rows = events(since)
    expect_no_gap(rows, since)
    assert [row["kind"] for row in rows] == [
        "created", "updated", "suspended", "resumed", "updated", "deleted"]
    assert {row["tenant"] for row in rows} == {tenant.name}
    assert {row["tenant_id"] for row in rows} == {tenant.id}
    assert {row["actor_uid"] for row in rows} == {0}
    assert all(row["actor_pid"] > 0 for row in rows)
    assert rows[0]["before"] == {} and rows[0]["after"]["tier"] == tier
    assert (rows[1]["before"], rows[1]["after"]) == (
        {"tier": tier}, {"tier": other, "metadata.team": "blue"})
    assert rows[1]["actor_login_uid"] == 1234
    assert (rows[2]["before"], rows[2]["after"]) == (
        {"status": "active"}, {"status": "suspended"})
    assert (rows[5]["before"], rows[5]["after"]) == (
        {"status": "deleting"}, {"status": "deleted"})
    # By its name and its UUID, also when it is gone.
    assert events(since, tenant.name) == events(since, tenant.id) == rows


def connect_as_login(uid):
    """A connection that was made by a process of that login, which is not there any more."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            Path("/proc/self/loginuid").write_text(str(uid), encoding="ascii")
            with Wire() as wire:
                wire.call("io.tenantd.GetStatus")
                socket.send_fds(theirs, [b"."], [wire.socket.fileno()])
        except BaseException:  # noqa: B036 - a copy of this program must not go on
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    theirs.close()
    return Wire(fds[0]), child


def test_who_wanted_it_is_who_connected_though_another_uses_the_connection(host):
    tenant = host.tenant()
    since = last_seq()
    wire, pid = connect_as_login(1234)
    with wire:
        assert "error" not in wire.call("io.tenantd.SuspendTenant", {"tenant": tenant.name})
        assert "error" not in wire.call("io.tenantd.ResumeTenant", {"tenant": tenant.name})
    rows = events(since)
    assert [row["kind"] for row in rows] == ["suspended", "resumed"]
    assert {(row["actor_pid"], row["actor_login_uid"]) for row in rows} == {(pid, 1234)}


def test_a_place_that_no_event_has_reached_is_an_error(host):
    shown = host.ctl("events", "-f", "--since", str(last_seq() + 1000), check=False)
    assert (shown.returncode, shown.stdout) == (2, b"")
    assert b"there is no event" in shown.stderr


def test_what_becomes_of_an_execution_is_told(host):
    tenant = host.tenant(host.tier(memory_max="64M", cpu_quota="20%"))
    since = last_seq()
    ended = tenant.run(["sh", "-c", "exit 3"]).record
    eaten = tenant.run([host.probe("eat"), "200"]).record
    held = tenant.run(["timeout", "1", "sh", "-c", "while :; do :; done"]).record
    killed = tenant.start(["sleep", "1000"])
    as_login(1234, "kill", killed.id)
    killed = killed.wait().record
    assert (eaten["reason"], killed["reason"]) == ("oom", "killed")
    rows = events(since)
    expect_no_gap(rows, since)
    for record in (ended, eaten, held, killed):
        mine = [row for row in rows if row["execution"] == record["id"]]
        kinds = [row["kind"] for row in mine]
        assert (kinds[0], kinds[-1]) == ("started", "exited")
        assert kinds.count("oom") == (1 if record is eaten else 0)
        throttled = bool(record["throttled_usec"] or record["tenant_throttled_usec"])
        assert kinds.count("throttled") == throttled
        assert len(kinds) == len(set(kinds))
        assert (mine[0]["at"], mine[-1]["at"]) == (record["started_at"], record["ended_at"])
        assert mine[0]["actor_uid"] == 0
        assert mine[-1]["reason"] == record["reason"]
        assert mine[-1]["after"]["exit_code"] == str(record["exit_code"])
    assert held["tenant_throttled_usec"] > 0
    assert of_kind(rows, "exited")[-1]["actor_login_uid"] == 1234
    assert of_kind(rows, "exited")[0]["actor_uid"] is None
    oom = the_one(rows, "oom")
    assert oom["after"]["oom_kills"] == str(eaten["oom_kills"])


def test_what_becomes_of_the_node_and_its_policy_is_told(host):
    tier = host.tier(memory_max="64M")
    host.tenant(tier)
    good = json.loads(host.ctl("status", "--json").stdout)["policy_hash"]
    path = TIERS / f"{tier}.yaml"
    text = path.read_text("utf-8")
    since = last_seq()
    host.ctl("drain")
    host.ctl("undrain")
    path.write_text(text.replace("64M", "48M"), encoding="utf-8")
    host.ctl("policy", "reload")
    host.ctl("policy", "rollback", good)
    rows = events(since)
    expect_no_gap(rows, since)
    assert [row["kind"] for row in rows] == [
        "drained", "undrained", "policy_reloaded", "policy_rolled_back"]
    assert rows[2]["before"]["policy_hash"] == rows[3]["after"]["policy_hash"] == good
    path.write_text(text + "frob: 1\n", encoding="utf-8")
    try:
        host.restart(status=1)
        begun = events(rows[-1]["seq"])
        assert [row["kind"] for row in begun] == ["restarted", "policy_degraded"]
        assert begun[0]["reason"] == "tenantd"
        assert f"{tier}.yaml:4:1" in begun[1]["reason"]
        assert {row["actor_uid"] for row in begun} == {None}
    finally:
        path.write_text(text, encoding="utf-8")
    # SIGHUP is nobody's.
    os.kill(host.controller_pid(), signal.SIGHUP)
    wait_for(lambda: host.ctl("status", check=False).returncode == 0, "the files to hold")
    assert the_one(events(begun[-1]["seq"]), "policy_reloaded")["actor_uid"] is None


def test_refusals_are_told_and_cannot_fill_the_disk(host):
    tenant = host.tenant()
    since = last_seq()
    for _ in range(30):
        done = subprocess.run([*NOBODY, "tenantctl", "delete", tenant.name, "--force"],
                              capture_output=True, check=False)
        assert done.returncode == 4
    # And nobody's are told of none.
    done = subprocess.run([*NOBODY, "tenantctl", "events"], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    wait_for(lambda: of_kind(events(since), "refused"), "the refusal")
    refused = of_kind(events(since), "refused")
    # A minute may have begun meanwhile: then the rest of the one before is told, too.
    assert 1 <= len(refused) <= 3
    assert {row["actor_uid"] for row in refused} == {65534}
    assert refused[0]["after"]["count"] == "1"
    assert refused[0]["after"]["error"] == "io.tenantd.NotPermitted"
    host.kill_controller()
    tenant.run(["true"])
    host.restart()
    expect_no_gap(events(since), since)


@pytest.mark.parametrize("kill", [Host.kill_controller, Host.kill_supervisor],
                         ids=["controller", "tenantd"])
def test_no_event_is_lost_or_told_twice_by_a_death(host, tmp_path, kill):
    tenant = host.tenant()
    tenant.run(["true"])
    since = last_seq()
    seen = tmp_path / "seen"
    with open(seen, "wb") as out:
        follower = subprocess.Popen(["tenantctl", "events", "-f", "--since", str(since), "--json"],
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)
    running = [tenant.start(["sh", "-c", f"sleep {n}; exit {n}"]) for n in (1, 2, 3)]
    assert all(run.id for run in running)
    kill()
    statuses = [run.wait().status for run in running]
    assert statuses == [1, 2, 3]
    done = tenant.run(["true"]).record

    def followed():
        rows = [json.loads(line) for line in seen.read_bytes().splitlines()]
        return rows if any(row["execution"] == done["id"] and row["kind"] == "exited"
                           for row in rows) else None

    rows = wait_for(followed, lambda: f"the last event after {seen.read_bytes()[-500:]!r}")
    follower.send_signal(signal.SIGTERM)
    follower.wait(30)
    assert follower.stderr.read() == b""
    expect_no_gap(rows, since)
    assert rows == events(since)[:len(rows)]
    told = collections.Counter((row["execution"], row["kind"]) for row in rows
                               if row["execution"])
    ids = [run.id for run in running] + [done["id"]]
    assert told == {(id, kind): 1 for id in ids for kind in ("started", "exited")} | {
        key: 1 for key in told if key[1] == "throttled"}
    what = "controller" if kill == Host.kill_controller else "tenantd"
    assert [row["reason"] for row in of_kind(rows, "restarted")] == [what]


def test_the_journal_has_them_and_explains_them(host):
    since = last_seq()
    tenant = host.tenant()
    tenant.run(["true"])
    host.ctl("suspend", tenant.name)
    host.ctl("resume", tenant.name)
    told = {str(row["seq"]): row for row in events(since) if row["tenant"] == tenant.name}
    assert {"created", "started", "exited", "suspended", "resumed"} <= {
        row["kind"] for row in told.values()}

    def journal():
        shown = subprocess.run(["journalctl", "-o", "json", "-u", "tenantd",
                                f"TENANT_ID={tenant.id}"],
                               capture_output=True, text=True, check=True).stdout
        rows = [json.loads(line) for line in shown.splitlines()]
        rows = {row["EVENT_SEQ"]: row for row in rows if "EVENT_SEQ" in row}
        return rows if rows.keys() == told.keys() else None

    rows = wait_for(journal, f"{told.keys()} in the journal")
    for seq, event in told.items():
        row = rows[seq]
        assert row["EVENT"] == event["kind"] and row["MESSAGE"] == event["message"]
        assert row["TENANT"] == tenant.name
        assert row.get("EXECUTION") == event["execution"]
        assert row.get("ACTOR_UID") == (None if event["actor_uid"] is None
                                        else str(event["actor_uid"]))
        explained = subprocess.run(["journalctl", "-x", f"MESSAGE_ID={row['MESSAGE_ID']}",
                                    f"EVENT_SEQ={seq}"],
                                   capture_output=True, text=True, check=True).stdout
        assert "Subject: " in explained and tenant.name in explained, explained
        assert "Defined-By: tenantd" in explained
    created = next(row for row in rows.values() if row["EVENT"] == "created")
    assert f"Subject: Tenant {tenant.name} was created" in subprocess.run(
        ["journalctl", "-x", f"MESSAGE_ID={created['MESSAGE_ID']}", f"TENANT={tenant.name}"],
        capture_output=True, text=True, check=True).stdout


def test_whoever_follows_ends_when_nobody_reads(host):
    tenant = host.tenant()
    read, write = os.pipe()
    follower = subprocess.Popen(["tenantctl", "events", "-f", tenant.name], stdout=write,
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    assert os.read(read, 64)
    os.close(read)
    host.ctl("suspend", tenant.name)
    host.ctl("resume", tenant.name)
    wait_for(lambda: follower.poll() is not None, "the follower's end")
