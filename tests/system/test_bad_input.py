# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is malformed is refused in words, leaves nothing behind and disturbs nobody."""

import contextlib
import ctypes
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import chance
from product import TIERS, TREE, Host, wait_for
from wire import Closed, Wire, answer_to, message, sealed

NAME_RULE = "1 to 63 of a-z, 0-9 and '-'"
BAD_NAMES = ("", "a/b", "/", "..", ".", "../../etc", "a..b", "a\nb", "a b", "x" * 64, "x" * 300,
             "Acme", "ACME", "-a", "a-", "-", "ä", "a\tb", "a\x1b[31m", "a_b", ".holder", "%s%n")
INVALID, PARAMETER = "io.tenantd.Invalid", "org.varlink.service.InvalidParameter"
SLOTS = Path("/var/lib/tenantd/slots")
STORAGE = Path("/var/lib/tenantd/tenants")
NOBODY = ("setpriv", "--reuid", "nobody")
NO_GROUPS = ("--regid", "nogroup", "--clear-groups")


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


def tenant_run(*argv, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(["tenant-run", *argv], capture_output=True, timeout=60, check=False,
                          **kwargs)


def everything():
    """All that creating a tenant could leave somewhere."""
    names = [row["name"] for row in Host.ctl_json("list")]
    return names, sorted(os.listdir(TREE)), SLOTS.read_bytes(), sorted(os.listdir(STORAGE))


# What people type


def test_an_unknown_tenant_is_named_in_the_refusal(host):
    for argv in (["show", "absent"], ["usage", "absent"], ["kill", "--all", "absent"],
                 ["ps", "absent"], ["kill", "0192f0c4-0000-4000-8000-000000000000"]):
        done = host.ctl(*argv, check=False)
        assert done.returncode == 3, (argv, done.stderr)
        assert argv[-1].encode() in done.stderr or b"execution" in done.stderr
    done = tenant_run("absent", "--", "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == b"tenant-run: there is no tenant 'absent'\n"


def test_an_unknown_tier_is_named_in_the_refusal_and_no_tenant_is_made(host):
    before = everything()
    done = host.ctl("create", "of-no-tier", "--tier", "absent", check=False)
    assert done.returncode == 3 and b"absent" in done.stderr
    assert everything() == before


def test_a_name_that_breaks_the_rule_is_refused_with_the_rule_and_nothing_is_made(host):
    before = everything()
    for name in BAD_NAMES:
        done = host.ctl("create", "--", name, check=False)
        assert done.returncode == 2, (name, done.stderr)
        assert NAME_RULE in done.stderr.decode(), name
    # By the daemon as well, which no client of ours stands in front of.
    for name in BAD_NAMES:
        with Wire() as wire:
            reply = wire.call("io.tenantd.CreateTenant", {"name": name})
        assert reply["error"] == INVALID, name
        assert NAME_RULE in reply["parameters"]["message"], name
    assert answer_to(message("io.tenantd.CreateTenant", {"name": "a\0b"})) in (
        "closed", INVALID, PARAMETER)
    assert everything() == before
    # The rule's own edges are names.
    assert host.tenant(name="a" + "0" * 61 + "z").run(["true"]).status == 0
    assert host.tenant(name="0-9--z").run(["true"]).status == 0


def test_no_other_call_takes_a_bad_name_either(host):
    for name in ("../x", "", "x" * 300, "a/b"):
        assert host.ctl("show", "--", name, check=False).returncode in (2, 3)
        assert tenant_run("--", name, "true").returncode == 125
        for method in ("GetTenant", "GetUsage", "Kill"):
            with Wire() as wire:
                reply = wire.call(f"io.tenantd.{method}", {"tenant": name}, more=True)
            assert reply["error"] in (INVALID, "io.tenantd.NotFound"), (method, name)


def test_a_name_that_is_taken_is_refused(host, tenant):
    before = everything()
    done = host.ctl("create", tenant.name, "--json", check=False)
    assert done.returncode == 1
    error = json.loads(done.stderr)
    assert error["error"] == "io.tenantd.AlreadyExists" and tenant.name in error["message"]
    assert everything() == before


@pytest.mark.parametrize("option, values", [
    ("--memory", ["0", "-1", "", "x", "1X", "1.5.5G", "64 M B", "99999999999999999999", "0x100",
                  "9223372036854775808", "8388608T", "1K", "nan", "64M\n"]),
    ("--cpus", ["0", "-1", "", "x", "nan", "inf", "1e9", "0.000001", "99999999999999999999"]),
    ("--pids", ["0", "-1", "", "x", "1.5", "99999999999999999999"]),
    ("--timeout", ["0", "-5s", "", "x", "5x", "99999999999999999999h", "s"]),
    ("--cpu-time", ["0", "-5s", "", "x", "5x", "50%", "99999999999999999999h", "s"]),
    ("--kill-after", ["-1s", "", "x", "1h"]),
])
def test_a_malformed_limit_is_refused_by_the_name_of_its_option(tenant, option, values):
    for value in values:
        done = tenant_run(f"{option}={value}", tenant.name, "--", "touch", "/data/ran")
        assert done.returncode == 125, (value, done.stderr)
        assert option.encode() in done.stderr, value
    assert not (tenant.storage / "ran").exists()


def test_a_limit_wider_than_the_tiers_is_refused_with_the_place_of_that(tenant):
    for option, value, key in (("--memory", "100G", "execution_memory_max"),
                               ("--cpus", "64", "cpu_quota"), ("--pids", "100000", "tasks_max"),
                               ("--timeout", "1000d", "runtime_max")):
        done = tenant_run(option, value, tenant.name, "--", "true")
        assert done.returncode == 125
        text = done.stderr.decode()
        assert f"{option} " in text and "is wider than" in text
        assert f"{key} " in text and "(tiers/professional.yaml:" in text


def test_options_that_are_not_understood_are_refused(tenant):
    for argv in (["--absent"], ["-x"], ["--memory"], ["--dry-run=yes"], [], [tenant.name],
                 [tenant.name, "--"], ["--absent", tenant.name, "true"]):
        done = tenant_run(*argv)
        assert done.returncode == 125, argv
        assert b"--help" in done.stderr, argv


def test_variables_without_a_name_are_refused(tenant):
    for value in ("", "=", "=x"):
        done = tenant_run("-e", value, tenant.name, "--", "true")
        assert done.returncode == 125, value
        assert b"--env" in done.stderr
    done = tenant_run("-e", "A==", "-e", "B= c ", "-e", "D=x\ny", tenant.name, "--", "sh", "-c",
                      'printf "%s|%s|%s" "$A" "$B" "$D"')
    assert done.stdout == b"=| c |x\ny"


def test_paths_to_bind_are_refused_unless_they_are_there_and_allowed(host):
    allowed = Path("/srv/allowed")
    allowed.mkdir(exist_ok=True)
    tier = host.tier(binds={"allow": [str(allowed)], "rw": []})
    tenant = host.tenant(tier)
    for bind, word in (("/srv/absent", "No such file"), ("/etc", "not below a path"),
                       ("/srv", "not below a path"), ("/srv/allowed/../../etc", "not below a path"),
                       ("/proc", "not below a path"), ("", "SRC"), (":/x", "SRC"),
                       (f"{allowed}:/x:rx", "SRC"), (f"{allowed}:x", "not an absolute path"),
                       (f"{allowed}:/", "not an absolute path"),
                       (f"{allowed}:/a/../etc", "'..'"),
                       (f"{allowed}:/data/x:rw", "does not allow it to be writable")):
        done = tenant_run("--bind", bind, tenant.name, "--", "true")
        assert done.returncode == 125, (bind, done.stderr)
        assert word in done.stderr.decode(), (bind, done.stderr)
    many = [option for i in range(9) for option in ("--bind", f"{allowed}:/data/{i}")]
    assert tenant_run(*many, tenant.name, "--", "true").returncode == 125


# What people write


BAD_TIERS = (
    ("limits: {}\n", "1:1", "tier"),
    ("tier: NAME\nlimits: {cpu_quota: 50%\n", None, None),
    ("tier: NAME\nlimits:\n\ttasks_max: 5\n", "3:1", None),
    ("tier: NAME\nlimits:\n  tasks_max: 5\n  tasks_max: 6\n", "4:3", "tasks_max"),
    ("tier: NAME\ntier: NAME\n", "2:1", "tier"),
    ("tier: NAME\nlimits:\n  tasks_maxx: 5\n", "3:3", "did you mean 'tasks_max'"),
    ("tier: NAME\nfrobnicate: 1\n", "2:1", "frobnicate"),
    ("tier: NAME\nlimits:\n  memory_max: 0\n", "3:15", "memory_max"),
    ("tier: NAME\nlimits:\n  memory_max: -1\n", "3:15", "memory_max"),
    ("tier: NAME\nlimits:\n  memory_max: 99999999999999999999G\n", "3:15", "memory_max"),
    ("tier: NAME\nlimits:\n  memory_max: 9223372036854775808\n", "3:15", "memory_max"),
    ("tier: NAME\nlimits:\n  memory_max: [1G]\n", "3:15", "memory_max"),
    ("tier: NAME\nlimits:\n  memory_max:\n", None, "memory_max"),
    ("tier: NAME\nlimits:\n  cpu_quota: 0%\n", "3:14", "cpu_quota"),
    ("tier: NAME\nlimits:\n  cpu_quota: 50\n", "3:14", "cpu_quota"),
    ("tier: NAME\nlimits:\n  tasks_max: 1\n", "3:14", "tasks_max"),
    ("tier: NAME\nlimits:\n  tasks_max: 1.5\n", "3:14", "tasks_max"),
    ("tier: NAME\nlimits:\n  executions_max: 0\n", "3:19", "executions_max"),
    ("tier: NAME\nlimits:\n  executions_max: 100001\n", "3:19", "executions_max"),
    ("tier: NAME\nlimits:\n  runtime_max: 0s\n", "3:16", "runtime_max"),
    ("tier: NAME\nlimits:\n  oom: all\n", "3:8", "oom"),
    ("tier: NAME\nlimits:\n  memory_max: 64M\n  execution_memory_max: 65M\n", "4:25",
     "execution_memory_max"),
    ("tier: NAME\nlimits: 5\n", "2:9", "limits"),
    ("tier: NAME\nrootfs: image\n", "2:9", "rootfs"),
    ("tier: NAME\nnetwork: {mode: open}\n", "2:17", "mode"),
    ("tier: other\n", "1:7", "tier"),
    ("- tier: NAME\n", "1:1", None),
    ("tier: NAME\nbinds: {allow: [relative]}\n", "2:17", "allow"),
    ("tier: NAME\nbinds: {allow: [/proc]}\n", "2:17", "allow"),
    ("", None, None),
    ("tier: \x01\n", None, None),
)


def refused_with_place(text, file, place, word):
    """The message names the file, the line and the column, and the key."""
    found = re.search(re.escape(file) + r":(\d+):(\d+): (.*)", text)
    assert found, text
    if place is not None:
        assert f"{found.group(1)}:{found.group(2)}" == place, text
    if word is not None:
        assert word in found.group(3), text


@pytest.mark.parametrize("text, place, word", BAD_TIERS)
def test_a_bad_policy_file_is_refused_with_its_place(tmp_path, text, place, word):
    path = tmp_path / "tried.yaml"
    path.write_text(text.replace("NAME", "tried"), encoding="utf-8")
    done = Host.ctl("policy", "check", path, check=False)
    assert done.returncode == 2, done
    refused_with_place(done.stderr.decode(), str(path), place, word)


def test_a_policy_that_has_an_error_is_not_taken_and_the_old_one_stays(host, tenant):
    before = host.ctl_json("status")["policy_hash"]
    path = TIERS / "tried.yaml"
    try:
        for text, place, word in BAD_TIERS[2:12]:
            path.write_text(text.replace("NAME", "tried"), encoding="utf-8")
            done = host.ctl("policy", "reload", check=False)
            assert done.returncode == 2
            refused_with_place(done.stderr.decode(), "tiers/tried.yaml", place, word)
            assert host.ctl_json("status")["policy_hash"] == before
        assert subprocess.run(["systemctl", "reload", "tenantd"], check=False).returncode != 0
        # The signal has no other place than the journal to say it.
        os.kill(host.supervisor_pid(), signal.SIGHUP)
        time.sleep(1)
        assert host.ctl_json("status")["policy_hash"] == before
        assert tenant.run(["true"]).record["policy_hash"] == before
        path.write_text("tier: tried\nlimits: {tasks_max: 7}\n", encoding="utf-8")
        assert subprocess.run(["systemctl", "reload", "tenantd"], check=False).returncode == 0
        changed = host.ctl_json("status")["policy_hash"]
        assert changed != before
        path.write_text("tier: tried\nlimits: {tasks_max: 8}\n", encoding="utf-8")
        os.kill(host.supervisor_pid(), signal.SIGHUP)
        wait_for(lambda: host.ctl_json("status")["policy_hash"] not in (before, changed),
                 "the policy after SIGHUP")
    finally:
        path.unlink()
        # The signal's may still be bringing tenants to it, and tells nobody when it is done.
    wait_for(lambda: host.ctl("policy", "reload", check=False).returncode == 0,
             "the end of the signal's reload")
    assert host.ctl_json("status")["policy_hash"] == before


def test_a_tier_that_a_tenant_has_cannot_be_taken_away(host):
    tier = host.tier(tasks_max=50)
    tenant = host.tenant(tier)
    path = TIERS / f"{tier}.yaml"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    try:
        done = host.ctl("policy", "reload", check=False)
        assert done.returncode != 0
        assert tier in done.stderr.decode() or tenant.name in done.stderr.decode()
    finally:
        path.write_text(text, encoding="utf-8")
    assert tenant.run(["true"]).status == 0


# Who asks


def refusals(since, uid):
    """What the journal says of refused calls of a uid, as (pid, method)."""
    shown = subprocess.run(["journalctl", "-u", "tenantd", "-o", "json", f"--since=@{since}"],
                           capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in shown.splitlines()]
    return [(int(row["PID"]), row["METHOD"]) for row in rows
            if row.get("MESSAGE") == "a call is refused" and row["UID"] == str(uid)]


def test_a_peer_without_rights_is_refused_and_the_journal_says_who(host, tenant):
    since = int(time.time()) - 1
    before = everything()
    expected = []
    unseen = (3, "io.tenantd.NotFound")
    refused = (4, "io.tenantd.NotPermitted")
    for argv, method, how in ((["show", tenant.name], "GetTenant", unseen),
                              (["create", "of-nobody"], "CreateTenant", refused),
                              (["ps", tenant.name], "ListExecutions", unseen),
                              (["usage", tenant.name], "GetUsage", unseen),
                              (["status"], "GetStatus", refused),
                              (["policy", "reload"], "ReloadPolicy", refused),
                              (["kill", "--all", tenant.name], "Kill", unseen)):
        asked = subprocess.Popen([*NOBODY, *NO_GROUPS, "tenantctl", *argv, "--json"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = asked.communicate(timeout=60)
        assert (asked.returncode, out) == (how[0], b""), argv
        assert json.loads(err)["error"] == how[1], argv
        expected.append((asked.pid, f"io.tenantd.{method}"))
        # Refusals are cheap for who asks, so the log takes 16 a second.
        time.sleep(0.1)
    asked = subprocess.Popen([*NOBODY, *NO_GROUPS, "tenant-run", tenant.name, "--", "id"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    out, err = asked.communicate(timeout=60)
    assert (asked.returncode, out) == (125, b"")
    assert f"there is no tenant '{tenant.name}' that you may use".encode() in err
    expected.append((asked.pid, "io.tenantd.Run"))
    wait_for(lambda: refusals(since, 65534) == expected, f"{expected} in the journal")
    for argv in (["list"], ["ps"]):
        done = subprocess.run([*NOBODY, *NO_GROUPS, "tenantctl", *argv, "--json"],
                              capture_output=True, check=True)
        assert json.loads(done.stdout) == []
    assert everything() == before


def test_a_member_of_the_admin_group_is_not_refused(host, tenant):
    for groups in (["--regid", "nogroup", "--groups", "tenantd-admin"],
                   ["--regid", "tenantd-admin", "--clear-groups"]):
        asked = [*NOBODY, *groups]
        done = subprocess.run([*asked, "tenant-run", tenant.name, "--", "id", "-u"],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"1000\n"), done.stderr
        done = subprocess.run([*asked, "tenantctl", "show", tenant.name], capture_output=True,
                              check=False)
        assert done.returncode == 0
    assert subprocess.run([*NOBODY, "--regid", "nogroup", "--groups", "adm", "tenantctl",
                           "status"], capture_output=True, check=False).returncode == 4


# What arrives on the socket


def garbage():
    """(what, bytes, the answers that will do)."""
    source = chance.source("garbage")
    noise = [source.randbytes(n) for n in (1, 10, 100, 1000, 10000, 65535)]
    close = {"closed"}
    rows = [(f"{len(data)} random bytes", data + b"\0", close) for data in noise]
    rows += [
        ("nothing but an end", b"\0", close),
        ("many ends", b"\0" * 1000, close),
        ("no JSON", b"hello\0", close),
        ("half an object", b'{"method":\0', close),
        ("an array", b"[]\0", close),
        ("a number", b"1\0", close),
        ("no method", b"{}\0", close),
        ("a method that is no string", b'{"method": 1}\0', close),
        ("a method that is null", b'{"method": null}\0', close),
        ("the same key twice", b'{"method": "io.tenantd.GetStatus", "method": "x"}\0', close),
        ("the same parameter twice",
         b'{"method": "io.tenantd.GetTenant", "parameters": {"tenant": "a", "tenant": "b"}}\0',
         close),
        ("deep arrays", b"[" * 60000 + b"]" * 4000 + b"\0", close),
        ("deep objects", b'{"a":' * 10000 + b"1" + b"}" * 10000 + b"\0", close),
        ("a deep parameter", message("io.tenantd.GetTenant", {"tenant": nested(40)}), close),
        ("a mebibyte", b'{"method": "' + b"x" * (1 << 20) + b'"}\0', close),
        ("a mebibyte without an end", b"x" * (1 << 20), close),
        ("broken UTF-8", b'{"method": "\xff\xfe"}\0', close),
        ("a NUL in a string", b'{"method": "io.tenantd.Get\\u0000"}\0',
         close | {"org.varlink.service.MethodNotFound"}),
        ("an unknown method", message("io.tenantd.Absent"),
         {"org.varlink.service.MethodNotFound"}),
        ("an unknown interface", message("com.example.Get"),
         {"org.varlink.service.InterfaceNotFound"}),
        ("a method without an interface", message("Get"),
         {"org.varlink.service.InterfaceNotFound"}),
        ("an empty method", message(""), {"org.varlink.service.InterfaceNotFound"}),
        ("an unknown parameter", message("io.tenantd.GetTenant", {"tenant": "a", "x": 1}),
         {PARAMETER}),
        ("no parameter", message("io.tenantd.GetTenant"), {PARAMETER}),
        ("a list without more", message("io.tenantd.ListTenants"),
         {"org.varlink.service.ExpectedMore"}),
        ("signal 0", message("io.tenantd.Signal", {"id": "0192f0c4-0000-4000-8000-000000000000",
                                                   "signal": 0}), {INVALID}),
        ("an id that is none", message("io.tenantd.Kill", {"id": "../x"}), {INVALID}),
    ]
    for value in (1, -1, 1.5, True, [], {}, 1 << 63):
        rows.append((f"tenant {value}", message("io.tenantd.GetTenant", {"tenant": value}),
                     {PARAMETER, "closed"}))
    for value in ("1", -1, 1.5, True, [], {}, 1 << 63, 1e300):
        rows.append((f"since {value}", message("io.tenantd.GetUsage",
                                               {"tenant": "a", "since": value}, more=True),
                     {PARAMETER, "closed"}))
    for value in (1, "x", True, []):
        rows.append((f"parameters {value}", message("io.tenantd.GetStatus", value),
                     {PARAMETER, "closed"}))
        rows.append((f"metadata {value}", message("io.tenantd.CreateTenant",
                                                  {"name": "bad", "metadata": value}),
                     {PARAMETER}))
    rows.append(("metadata of numbers", message("io.tenantd.CreateTenant",
                                                {"name": "bad", "metadata": {"a": 1}}),
                 {INVALID}))
    return rows


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@contextlib.contextmanager
def somebody_else(tenant):
    """A run that goes on meanwhile and is asked for a sign of life; gives the question."""
    with subprocess.Popen(["tenant-run", tenant.name, "--", "cat"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as cat:
        def alive():
            cat.stdin.write(b"?\n")
            cat.stdin.flush()
            assert select.select([cat.stdout], [], [], 20)[0], "somebody else's run hangs"
            assert cat.stdout.readline() == b"?\n"
        alive()
        yield alive
        cat.stdin.close()
        assert cat.wait(timeout=30) == 0


def controller_fds(host):
    return len(os.listdir(f"/proc/{host.controller_pid()}/fd"))


def test_garbage_on_the_socket_is_answered_or_ends_the_connection(host, tenant):
    before, created = controller_fds(host), everything()
    pids = host.supervisor_pid(), host.controller_pid()
    with somebody_else(tenant) as alive:
        for what, data, expected in garbage():
            assert answer_to(data) in expected, what
        alive()
    assert (host.supervisor_pid(), host.controller_pid()) == pids, "a daemon has been restarted"
    wait_for(lambda: controller_fds(host) <= before, "the controller's descriptors", 10)
    assert everything() == created


def test_a_half_message_is_forgotten_and_a_slow_one_is_given_up(host, tenant):
    before = controller_fds(host)
    with somebody_else(tenant) as alive, contextlib.ExitStack() as stack:
        # 32 at a time are one user's share, root's is larger.
        wires = [stack.enter_context(Wire()) for _ in range(40)]
        for wire in wires:
            wire.send(b'{"method": "io.tenantd.Get')
        alive()
        with Wire() as other:
            assert "parameters" in other.call("io.tenantd.GetStatus")
        for wire in wires[1:]:
            wire.socket.close()
        began = time.monotonic()
        with pytest.raises(Closed):
            wires[0].receive()
        assert time.monotonic() - began < 25
        alive()
    wait_for(lambda: controller_fds(host) <= before, "the controller's descriptors", 10)


def test_a_message_may_come_in_pieces_and_several_in_one(tenant):
    data = message("io.tenantd.GetTenant", {"tenant": tenant.name})
    with Wire() as wire:
        for i in range(len(data)):
            wire.send(data[i:i + 1])
        assert wire.receive()["parameters"]["tenant"]["name"] == tenant.name
        wire.send(data * 20)
        for _ in range(20):
            assert wire.receive()["parameters"]["tenant"]["name"] == tenant.name


def test_descriptors_that_no_parameter_names_are_refused_and_closed(host, tenant):
    before = controller_fds(host)
    null = os.open("/dev/null", os.O_RDWR)
    args = sealed(b"true\0\0")
    calls = [("io.tenantd.GetStatus", None, [null]), ("io.tenantd.GetStatus", None, [null] * 16),
             ("io.tenantd.CreateTenant", {"name": "bad"}, [null])]
    run = {"tenant": tenant.name, "stdin": 0, "stdout": 1, "stderr": 2, "args": 3, "argc": 1,
           "envc": 0}
    four = [null, null, null, args]
    calls += [("io.tenantd.Run", run, four + [null]), ("io.tenantd.Run", run, four[:2]),
              ("io.tenantd.Run", run, []), ("io.tenantd.Run", run | {"stdin": 9}, four),
              ("io.tenantd.Run", run | {"stderr": 1}, four),
              ("io.tenantd.Run", run | {"argc": 0}, four),
              ("io.tenantd.Run", run | {"argc": 1 << 40}, four),
              ("io.tenantd.Run", run, [null, null, null, null]),
              ("io.tenantd.Run", run | {"binds": [{"fd": 0, "target": "/x"}]}, four),
              ("io.tenantd.Run", run | {"binds": [1]}, four),
              ("io.tenantd.Run", run | {"limits": {"memory_max_bytes": -1}}, four)]
    try:
        for method, parameters, fds in calls:
            answer = answer_to(message(method, parameters, more=True), fds)
            assert answer in (INVALID, PARAMETER, "io.tenantd.NotPermitted"), (parameters, answer)
        # Nobody but the sandbox's first process counts the strings, and it has no other word.
        for counts in ({"argc": 2}, {"envc": 1}):
            answer = answer_to(message("io.tenantd.Run", run | counts, more=True), four)
            assert answer in (INVALID, "io.tenantd.System"), counts
        # The kernel sends up to 253; ours takes 16.
        for count in (17, 20, 253):
            data = message("io.tenantd.GetStatus")
            assert answer_to(data, [null] * count) == "closed", count
        with Wire() as wire:
            wire.send(b'{"method": "io.tena')
            wire.send(b'ntd.GetStatus"}\0', [null])
            with pytest.raises(Closed):
                wire.receive()
        # And whole, it runs.
        with Wire() as wire:
            assert wire.call("io.tenantd.Run", run, four, more=True)["parameters"][
                "event"] == "started"
            assert wire.receive()["parameters"]["execution"]["exit_code"] == 0
    finally:
        os.close(null)
        os.close(args)
    wait_for(lambda: controller_fds(host) <= before, "the controller's descriptors", 10)


def test_arguments_that_can_still_change_are_refused(tenant):
    null = os.open("/dev/null", os.O_RDWR)
    fd = os.memfd_create("args", os.MFD_ALLOW_SEALING)
    os.write(fd, b"true\0\0")
    run = {"tenant": tenant.name, "stdin": 0, "stdout": 1, "stderr": 2, "args": 3, "argc": 1,
           "envc": 0}
    try:
        assert answer_to(message("io.tenantd.Run", run, more=True), [null] * 3 + [fd]) == INVALID
    finally:
        os.close(null)
        os.close(fd)


def test_the_service_describes_itself(host):
    with Wire() as wire:
        info = wire.call("org.varlink.service.GetInfo")["parameters"]
        assert info["interfaces"] == ["io.tenantd", "org.varlink.service"] or set(
            info["interfaces"]) == {"io.tenantd", "org.varlink.service"}
        assert info["version"] == host.ctl_json("status")["version"]
        for name in info["interfaces"]:
            reply = wire.call("org.varlink.service.GetInterfaceDescription", {"interface": name})
            assert f"interface {name}\n" in reply["parameters"]["description"]
        reply = wire.call("org.varlink.service.GetInterfaceDescription", {"interface": "x"})
        assert reply["error"] == "org.varlink.service.InterfaceNotFound"
    described = describe_methods()
    assert {"Run", "Signal", "Kill", "CreateTenant", "GetTenant", "ListTenants",
            "ListExecutions", "GetUsage", "ReloadPolicy", "GetStatus"} <= described
    # Each of them is there, not only described.
    for name in described:
        answer = answer_to(message(f"io.tenantd.{name}", {"absent": 1}))
        assert answer == PARAMETER, name


def describe_methods():
    with Wire() as wire:
        reply = wire.call("org.varlink.service.GetInterfaceDescription",
                          {"interface": "io.tenantd"})
    return set(re.findall(r"^method (\w+)", reply["parameters"]["description"], re.M))


# Descriptors that must not enter a sandbox


# By number, since Python names none of them, alike on all architectures: fsopen and
# landlock_create_ruleset. The kernel itself lets no descriptor of io_uring travel.
ANONYMOUS_CALLS = ((430, b"tmpfs", 0), (444, (1).to_bytes(8, "little"), 8, 0))


def refused_descriptors():
    """(what it is, an open descriptor); for reading, since a refusal is written to some."""
    libc = ctypes.CDLL(None, use_errno=True)
    tree = str(TREE / "cgroup.procs")
    yield "a directory", os.open("/", os.O_RDONLY)
    yield "a directory", os.open("/tmp", os.O_RDONLY)
    yield "procfs", os.open("/proc/1/environ", os.O_RDONLY)
    yield "procfs", os.open("/proc/sys/kernel/hostname", os.O_RDONLY)
    yield "sysfs", os.open("/sys/kernel/uevent_seqnum", os.O_RDONLY)
    yield "cgroup2", os.open(tree, os.O_RDONLY)
    yield "nsfs", os.open("/proc/self/ns/net", os.O_RDONLY)
    yield "securityfs", os.open("/sys/kernel/security/lsm", os.O_RDONLY)
    yield "a block device", os.open("/dev/vda", os.O_RDONLY)
    for device in ("kmsg", "mem", "fuse", "net/tun", "loop-control"):
        yield "this device", os.open(f"/dev/{device}", os.O_RDONLY)
    yield "a descriptor of this kind", os.pidfd_open(os.getpid())
    yield "a descriptor of this kind", libc.epoll_create1(0)
    yield "a descriptor of this kind", libc.inotify_init1(0)
    yield "a descriptor of this kind", libc.fanotify_init(0, 0)
    yield "a descriptor of this kind", libc.timerfd_create(0, 0)
    yield "a descriptor of this kind", libc.signalfd(-1, bytes(128), 0)
    for number, *args in ANONYMOUS_CALLS:
        yield "a descriptor of this kind", libc.syscall(number, *args)
    yield "an O_PATH descriptor", os.open("/etc/hostname", os.O_PATH)
    yield "an O_PATH descriptor", os.open("/", os.O_PATH)


def test_descriptors_that_reach_the_host_do_not_enter(tenant):
    for what, fd in refused_descriptors():
        assert fd >= 0, what
        try:
            for place in ("stdin", "stdout", "stderr"):
                streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
                report = f"/tmp/report-{os.getpid()}"
                streams[place] = fd
                done = subprocess.run(["tenant-run", "--report", report, tenant.name, "--",
                                       "touch", "/data/ran"], timeout=60, check=False, **streams)
                record = json.loads(Path(report).read_text(encoding="utf-8"))
                os.unlink(report)
                assert done.returncode == 125, (what, place)
                assert record["reason"] == "runtime", (what, place)
            if what != "an O_PATH descriptor":
                done = tenant_run(tenant.name, "--", "true", stdin=fd)
                assert f"{what} may not be passed into a sandbox" in done.stderr.decode(), what
        finally:
            os.close(fd)
    assert not (tenant.storage / "ran").exists()


def test_descriptors_that_hold_nothing_but_data_do(tenant, tmp_path):
    file = tmp_path / "file"
    file.write_text("text")
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    master, slave = pty.openpty()
    fds = [os.open(file, os.O_RDWR), reader, theirs.fileno(), slave, os.eventfd(0),
           os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDWR),
           os.open("/dev/urandom", os.O_RDONLY), os.memfd_create("m")]
    for fd in fds:
        done = tenant_run(tenant.name, "--", "echo", "in", stdin=fd)
        assert (done.returncode, done.stdout) == (0, b"in\n"), (fd, done.stderr)
    ours.close()
    theirs.detach()
    for fd in (*fds, writer, master):
        os.close(fd)
