# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers of the control socket that mean harm: others are served, and nothing stays behind."""

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from product import Host, wait_for
from wire import SOCKET, Closed, Wire, message, sealed

NOBODY = 65534
OTHER_UIDS = 20000  # the first of some that are nobody's
PER_USER, FOR_USERS = 32, 992  # connections: of one user, and of all but root
FLOOD_SECONDS = 5
SERVED_SECONDS_MAX = 5


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


@pytest.fixture
def many_files():
    """Descriptors enough for the connections of many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def user(uid):
    """Who connects is who the kernel notes."""
    os.setegid(NOBODY)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def connect(stack, uid, count):
    with user(uid):
        return [stack.enter_context(Wire()) for _ in range(count)]


def served(wire):
    """Whether the connection is one that is answered."""
    try:
        return "parameters" in wire.call("org.varlink.service.GetInfo")
    except Closed:
        return False


def assert_root_is_served(host, tenant):
    with Wire() as wire:
        assert "parameters" in wire.call("io.tenantd.GetStatus")
    host.ctl("status")
    assert tenant.run(["echo", "served"]).out == b"served\n"


def controller_status(host, key):
    status = Path(f"/proc/{host.controller_pid()}/status").read_text(encoding="ascii")
    return int(re.search(rf"^{key}:\s+(\d+) kB", status, re.M).group(1))


def journal(since):
    shown = subprocess.run(["journalctl", "-u", "tenantd", "-o", "json", f"--since=@{since}"],
                           capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in shown.splitlines()]


def refused_connections(since, uid):
    """(how many the journal names, how many it only counts)."""
    rows = journal(since)
    # What went wrong follows in the message.
    named = sum(row.get("MESSAGE", "").startswith("a connection is refused: ")
                and row["UID"] == str(uid) for row in rows)
    counted = sum(int(row["COUNT"]) for row in rows
                  if row.get("MESSAGE") == "further refusals were not logged")
    return named, counted


def test_of_a_thousand_connections_a_user_keeps_his_share_and_others_are_served(
        host, tenant, many_files):
    since = int(time.time())
    with contextlib.ExitStack() as stack:
        mine = connect(stack, NOBODY, 1000)
        kept = [wire for wire in mine if served(wire)]
        assert len(kept) == PER_USER
        assert_root_is_served(host, tenant)
        other, = connect(stack, OTHER_UIDS, 1)
        assert served(other)
        # One that goes makes room for one.
        kept[0].socket.close()
        wait_for(lambda: served(connect(stack, NOBODY, 1)[0]), "a place that is free again", 5)
        assert not served(connect(stack, NOBODY, 1)[0])
        assert all(served(wire) for wire in kept[1:])
    # The journal names some and counts the others, the one after the thousand too.
    refused = 1000 - PER_USER + 1
    named, _ = wait_for(
        lambda: sum(found := refused_connections(since, NOBODY)) >= refused and found,
        lambda: f"{refused} refusals in the journal, not {refused_connections(since, NOBODY)}")
    assert named < refused // 4, "the journal is filled"


def test_when_other_users_have_all_connections_root_is_served(host, tenant, many_files):
    with contextlib.ExitStack() as stack:
        users = range(OTHER_UIDS, OTHER_UIDS + FOR_USERS // PER_USER)
        taken = [wire for uid in users for wire in connect(stack, uid, PER_USER)]
        assert all(served(wire) for wire in taken)
        assert not served(connect(stack, NOBODY, 1)[0])
        assert_root_is_served(host, tenant)
        taken[0].socket.close()
        wait_for(lambda: served(connect(stack, NOBODY, 1)[0]), "a place that is free again", 5)


# Peers that do their worst for some seconds, as user nobody, and tell how often they could.
CONNECTS = """
while time.monotonic() < end:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        n += 1
"""
ASKS = """
peer = socket.socket(socket.AF_UNIX)
peer.connect(path)
call = b'{"method": "io.tenantd.GetStatus"}\\0' * 64
while time.monotonic() < end:
    peer.sendall(call)
    answers = 0
    while answers < 64:
        answers += peer.recv(1 << 20).count(b"\\0")
    n += 64
"""


def start_flood(body):
    code = ("import contextlib, os, socket, time\nos.setgroups([])\n"
            f"os.setresgid(*[{NOBODY}] * 3)\nos.setresuid(*[{NOBODY}] * 3)\n"
            f"path, end, n = {SOCKET!r}, time.monotonic() + {FLOOD_SECONDS}, 0\n"
            f"print('begun', flush=True)\n{body}\nprint(n)\n")
    return subprocess.Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE,
                            text=True)


@pytest.mark.parametrize("body", [CONNECTS, ASKS], ids=["connections", "calls"])
def test_a_flood_delays_others_a_little(host, tenant, body):
    floods = [start_flood(body) for _ in range(2)]
    took = []
    for flood in floods:
        assert flood.stdout.readline() == "begun\n"
    while any(flood.poll() is None for flood in floods):
        began = time.monotonic()
        with Wire() as wire:
            assert "parameters" in wire.call("io.tenantd.GetStatus")
        assert tenant.run(["true"]).status == 0
        took.append(time.monotonic() - began)
    counts = [int(flood.communicate()[0]) for flood in floods]
    print(f"{counts} by peers; {len(took)} calls and runs beside, at most {max(took):.2f} s")
    assert [flood.returncode for flood in floods] == [0, 0]
    assert min(counts) > 100
    assert max(took) < SERVED_SECONDS_MAX


def test_a_message_that_comes_for_ever_is_given_up(host, tenant):
    """Byte by byte, so that something always comes."""
    null = os.open("/dev/null", os.O_RDWR)
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, null)
        kinds = [(b'{"method": "', b"x", []), (b" ", b" ", []), (b"{", b'"', [null] * 16)]
        wires = []
        for first, _, fds in kinds:
            wires += connect(stack, NOBODY, 1)
            wires[-1].send(first, fds)
        ended = [None] * len(kinds)
        while None in ended and time.monotonic() - begun < 30:
            for i, (_, byte, _) in enumerate(kinds):
                try:
                    if ended[i] is None:
                        wires[i].send(byte)
                except Closed:
                    ended[i] = time.monotonic() - begun
            time.sleep(0.1)
        assert None not in ended
        assert all(8 < seconds < 20 for seconds in ended), ended
        assert_root_is_served(host, tenant)


def test_a_peer_that_does_not_read_its_answers_is_dropped(host, tenant):
    before = controller_status(host, "VmRSS")
    ask = message("org.varlink.service.GetInterfaceDescription", {"interface": "io.tenantd"})
    with contextlib.ExitStack() as stack:
        wires = connect(stack, NOBODY, 8)
        for wire in wires:
            with pytest.raises(Closed):
                for _ in range(2000):
                    wire.send(ask)
        # 1 MiB for each and no more.
        assert controller_status(host, "VmRSS") - before < 16 << 10
        assert_root_is_served(host, tenant)


def test_a_peer_that_does_not_read_holds_up_nobody_while_it_sends(host, tenant):
    """Calls that are refused at once, as many as the sockets hold."""
    stop = threading.Event()
    sent = []

    def send(wire):
        with contextlib.suppress(Closed, TimeoutError):
            while not stop.is_set():
                wire.send(message("io.tenantd.GetStatus") * 16)
                sent.append(16)

    with contextlib.ExitStack() as stack:
        wires = connect(stack, NOBODY, 8)
        for wire in wires:
            wire.socket.settimeout(2)
        threads = [threading.Thread(target=send, args=(wire,)) for wire in wires]
        for thread in threads:
            thread.start()
        for _ in range(5):
            began = time.monotonic()
            assert_root_is_served(host, tenant)
            assert time.monotonic() - began < 2 * SERVED_SECONDS_MAX
        stop.set()
        for thread in threads:
            thread.join()
    assert sum(sent) > 1000


def run_message(tenant, *argv):
    data = b"".join(arg.encode() + b"\0" for arg in argv) + b"\0"
    call = message("io.tenantd.Run", {"tenant": tenant.name, "stdin": 0, "stdout": 1,
                                      "stderr": 2, "args": 3, "argc": len(argv), "envc": 0},
                   more=True)
    return call, sealed(data)


@pytest.mark.parametrize("wait_for_start", [False, True], ids=["unanswered", "started"])
def test_a_run_whose_caller_hangs_up_ends_and_is_in_the_books(host, wait_for_start):
    tenant = host.tenant(host.tier(executions_max=20, cpu_quota="max"))
    call, args = run_message(tenant, "sleep", "1000")
    null = os.open("/dev/null", os.O_RDWR)
    try:
        for _ in range(20):
            with Wire() as wire:
                wire.send(call, [null] * 3 + [args])
                if wait_for_start:
                    assert wire.receive()["parameters"]["event"] == "started"
    finally:
        os.close(null)
        os.close(args)
    # Once these are answered, all that was sent before has been taken.
    wait_for(lambda: host.ctl_json("status")["executions"] == 0 and tenant.leaves() == [],
             "the runs to end", 10)
    usage = tenant.usage()
    reasons = [record["reason"] for record in usage["executions"]]
    assert set(reasons) <= {"killed"} and len(reasons) == usage["meters"]["executions"]
    assert not wait_for_start or len(reasons) == 20
    assert usage["meters"]["cpu_time"] == tenant.stat("cpu.stat", "usage_usec")


def test_a_caller_that_stops_reading_does_not_keep_his_run_from_ending(host, tenant):
    """His connection is full of answers to other calls."""
    call, args = run_message(tenant, "sleep", "1000")
    null = os.open("/dev/null", os.O_RDWR)
    try:
        with Wire() as wire:
            wire.send(call, [null] * 3 + [args])
            execution = wire.receive()["parameters"]["id"]
            # They wait behind the run, and fill what there is for waiting.
            wire.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                while True:
                    wire.send(message("io.tenantd.GetStatus") * 100)
            assert_root_is_served(host, tenant)
            host.ctl("kill", execution)
            wait_for(lambda: tenant.leaves() == [], "the run to end", 10)
    finally:
        os.close(null)
        os.close(args)
