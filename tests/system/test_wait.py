# SPDX-License-Identifier: LGPL-2.1-or-later
"""libtenant's tn_wait(): for the end of what another has started."""

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
