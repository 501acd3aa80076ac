# SPDX-License-Identifier: LGPL-2.1-or-later
"""libtenant's tn_wait(): for the end of what another has started."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from product import wait_for

SOURCE = Path(__file__).parent / "library" / "wait.c"


@pytest.fixture(scope="module", name="program")
def _program(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "wait"
    subprocess.run(["sh", "-ec", f"cc -Wall -Wextra -Werror -o {path} {SOURCE} "
                    "$(pkg-config --cflags --libs tenant)"], check=True)
    return path


def waiter(program, identity):
    process = subprocess.Popen([program, identity], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "waiting\n"
    # It polls when it has asked; before that, another controller would be asked as well.
    wait_for(lambda: process.poll() is not None or
             "poll" in Path(f"/proc/{process.pid}/wchan").read_text("ascii"), "its question")
    return process


def test_it_ends_when_the_execution_does(program, host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "read line; exit 5"], stdin=subprocess.PIPE)
    several = [waiter(program, running.id) for _ in range(3)]
    # Who leaves ends its wait and nothing else.
    several[0].kill()
    several[0].communicate(timeout=60)
    running.stdin.write(b"\n")
    running.stdin.flush()
    for process in several[1:]:
        assert process.communicate(timeout=60) == ("exited 5\n", "")
        assert process.returncode == 0
    running.wait()
    # What has ended is told at once, by the store.
    assert waiter(program, running.id).communicate(timeout=60) == ("exited 5\n", "")


def test_it_tells_what_ended_it(program, host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "60"])
    process = waiter(program, running.id)
    host.ctl("kill", running.id)
    assert process.communicate(timeout=60) == ("killed 137\n", "")
    process = waiter(program, "11111111-1111-4111-8111-111111111111")
    assert process.communicate(timeout=60) == (
        "", "io.tenantd.NotFound: there is no execution 11111111-1111-4111-8111-111111111111\n")
    assert process.returncode == 1


def test_it_is_told_when_the_daemon_goes_and_may_ask_the_next(program, host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "60"])
    process = waiter(program, running.id)
    controller = host.controller_pid()
    os.kill(controller, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert err.startswith("io.tenantd.Unreachable: ")
    wait_for(lambda: host.controller_pid() not in (0, controller), "another controller")
    wait_for(lambda: host.ctl("status", check=False).returncode == 0, "an answer")
    process = waiter(program, running.id)
    host.ctl("kill", running.id)
    assert process.communicate(timeout=60) == ("killed 137\n", "")
    wait_for(lambda: not tenant.leaves(), "its end")


def ctl_wait(host, *arguments):
    done = host.ctl("wait", *arguments, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_command_ends_with_the_exit_status_of_the_last(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "read line; exit 5"], stdin=subprocess.PIPE)
    killed = tenant.start(["sleep", "60"])
    waiting = subprocess.Popen(["tenantctl", "wait", killed.id, running.id],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    host.ctl("kill", killed.id)
    # Told as it comes to it, not at the end of all.
    assert waiting.stdout.readline().split() == [killed.id, "killed"]
    running.stdin.write(b"\n")
    running.stdin.flush()
    words, trouble = waiting.communicate(timeout=60)
    assert (words.split(), trouble, waiting.returncode) == ([running.id, "exit", "5"], "", 5)
    killed.wait()
    running.wait()
    status, words, _ = ctl_wait(host, "--json", running.id, killed.id)
    assert status == 137
    assert [(one["id"], one["reason"]) for one in json.loads(words)] == [
        (running.id, "exited"), (killed.id, "killed")]


def test_the_command_tells_its_own_failure_from_the_executions(host):
    absent = "11111111-1111-4111-8111-111111111111"
    assert ctl_wait(host, absent) == (
        125, "", f"tenantctl: there is no execution {absent}\n")
    for operands in ([], ["acme"]):
        status, words, trouble = ctl_wait(host, *operands)
        assert (status, words) == (125, "") and trouble.startswith("tenantctl: ")
    status, _, trouble = ctl_wait(host, "--socket", "/absent", absent)
    assert status == 125 and "/absent" in trouble
