# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantctl kill: at once, by a signal, and politely first."""

import json
import time

from product import wait_for

POLITE = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def begin(tenant, script):
    running = tenant.start(["sh", "-c", script])
    running.wait_out(b"ready")
    return running


def kill(host, *arguments):
    done = host.ctl("kill", *arguments, check=False, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def record(host, running):
    return next(one for one in host.ctl_json("ps", "--all") if one["id"] == running.id)


def test_a_signal_goes_to_the_command_and_nothing_is_killed(host):
    running = begin(host.tenant(), POLITE)
    assert kill(host, "--signal", "TERM", running.id) == (0, "signalled 1\n", "")
    running.wait()
    ended = record(host, running)
    assert (ended["reason"], ended["exit_code"]) == ("exited", 3)
    # What has ended can no longer be told anything.
    status, _, trouble = kill(host, "--signal", "TERM", running.id)
    assert status == 3 and running.id in trouble


def test_with_grace_who_ends_by_itself_is_not_killed_and_who_does_not_is(host):
    tenant = host.tenant()
    polite, deaf = begin(tenant, POLITE), begin(tenant, DEAF)
    begun = time.monotonic()
    assert kill(host, "--grace", "2s", "--all", tenant.name) == (
        0, "signalled 2\nkilled 1\n", "")
    assert time.monotonic() - begun >= 2
    polite.wait()
    deaf.wait()
    assert record(host, polite)["reason"] == "exited"
    assert record(host, deaf)["reason"] == "killed"
    status, words, _ = kill(host, "--grace", "2s", "--json", "--all", tenant.name)
    assert (status, json.loads(words)) == (0, {"signalled": 0, "killed": 0})


def test_it_does_not_wait_longer_than_it_must(host):
    tenant = host.tenant()
    running = begin(tenant, POLITE)
    # Killed by the time-out of the test unless the end is noticed.
    assert kill(host, "--grace", "1h", "--signal", "SIGTERM", running.id) == (
        0, "signalled 1\nkilled 0\n", "")
    running.wait()


def test_signals_that_cannot_be_passed_on_are_refused(host):
    running = begin(host.tenant(), DEAF)
    status, _, trouble = kill(host, "--signal", "STOP", running.id)
    assert status == 2 and "signal 19 is not passed on" in trouble
    status, _, trouble = kill(host, "--signal", "TREM", running.id)
    assert status == 2 and "'TREM' is no signal" in trouble
    assert running.poll() is None
    # KILL is what it does anyway.
    assert kill(host, "-s", "KILL", running.id) == (0, "killed 1\n", "")
    running.wait()
    wait_for(lambda: record(host, running)["reason"] == "killed", "its record")
