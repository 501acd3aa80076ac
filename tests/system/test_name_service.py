# SPDX-License-Identifier: LGPL-2.1-or-later
"""A name service of the host's that does not answer: who asks for a name is told so in time, and
nobody else notices."""

import contextlib
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from product import PROBE_SOURCES, Host, wait_for

NSSWITCH = Path("/etc/nsswitch.conf")
HANGS = Path("/run/nss-hang")
USER, UID = "op-hang", 61234
SAID = b"the host did not answer within 10 s"


@pytest.fixture(scope="module", autouse=True)
def name_service():
    """probes/nss_hang.c, which the host asks about users it does not find elsewhere."""
    module = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH"), "libnss_hang.so.2")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", module,
                    PROBE_SOURCES / "nss_hang.c"], check=True)
    before = NSSWITCH.read_text("ascii")
    NSSWITCH.write_text("".join(f"{line} hang\n" if line.startswith("passwd:") else f"{line}\n"
                                for line in before.splitlines()), "ascii")
    Host.kill_controller()
    yield
    HANGS.unlink(missing_ok=True)
    NSSWITCH.write_text(before, "ascii")
    module.unlink()
    Host.kill_controller()


@contextlib.contextmanager
def hanging():
    HANGS.touch()
    try:
        yield
    finally:
        HANGS.unlink()


def askers():
    """Processes that ask for the controller."""
    children = Path(f"/proc/{Host.controller_pid()}/task/{Host.controller_pid()}/children")
    return children.read_text("ascii").split()


def degraded():
    done = Host.ctl("status", check=False)
    return done.stdout if done.returncode == 1 else b""


def as_operator(*argv):
    return subprocess.run(["setpriv", "--reuid", str(UID), "--regid", "65534", "--clear-groups",
                           *argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False)


def test_who_names_an_operator_is_told_in_time_and_others_are_served(host):
    tenant = host.tenant()
    with hanging():
        asking = subprocess.Popen(
            ["tenantctl", "create", f"of-{tenant.name}", "--tier", tenant.tier, "--operator",
             f"user:{USER}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for(askers, "somebody who asks")
        assert tenant.run(["true"]).status == 0
        host.ctl("status")
        host.tenant()
        assert asking.poll() is None
        _, said = asking.communicate(timeout=60)
        assert asking.returncode != 0
        assert SAID in said
    assert host.ctl("show", f"of-{tenant.name}", check=False).returncode != 0
    wait_for(lambda: not askers(), "it to be gone")


def test_a_reload_is_refused_in_time(host):
    tenant = host.tenant()
    with hanging():
        assert SAID.decode() in host.tier_refused(operators={"users": [USER]})
    assert tenant.run(["true"]).status == 0
    wait_for(lambda: not askers(), "it to be gone")


def test_a_start_serves_all_but_operators_and_mends_itself(host):
    tenant = host.tenant(host.tier(operators={"users": [USER]}))
    assert as_operator("tenantctl", "show", tenant.name).returncode == 0
    running = tenant.start(["sh", "-c", "echo up; read x; exit 3"], stdin=subprocess.PIPE)
    running.wait_out(b"up")
    with hanging():
        old = host.controller_pid()
        os.kill(old, 9)
        wait_for(lambda: host.controller_pid() not in (0, old), "the next controller")
        assert tenant.run(["true"]).status == 0
        wait_for(lambda: SAID in degraded(), lambda: degraded(), 60)
        done = as_operator("tenantctl", "show", tenant.name)
        assert (done.returncode, done.stdout) == (3, b"")
    # It asks again by itself.
    wait_for(lambda: host.ctl("status", check=False).returncode == 0, "a name that is known", 90)
    assert as_operator("tenantctl", "show", tenant.name).returncode == 0
    running.stdin.close()
    assert running.wait().status == 3
