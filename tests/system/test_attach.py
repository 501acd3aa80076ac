# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantctl attach: beside a detached execution, until it ends."""

import signal
import subprocess
import time

import pytest

from product import Host

LOOP = "trap 'echo usr; exit 9' USR1; echo old; read x </data/go; echo new; " \
       "while :; do sleep 0.1; done"


def detach(tenant, script):
    done = subprocess.run(["tenant-run", "-d", tenant.name, "--", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60, check=True)
    subprocess.run(["mkfifo", "-m", "666", tenant.storage / "go"], check=False)
    return done.stdout.strip()


def attach(identity, *opts):
    return subprocess.Popen(["tenantctl", "attach", *opts, identity], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def let_go(tenant):
    with open(tenant.storage / "go", "w", encoding="ascii") as go:
        go.write("\n")


def prepared(host):
    tenant = host.tenant()
    tenant.run(["true"])
    subprocess.run(["mkfifo", "-m", "666", tenant.storage / "go"], check=True)
    return tenant, detach(tenant, LOOP)


@pytest.mark.parametrize("disturb", [None, Host.kill_controller, Host.kill_supervisor,
                                     Host.restart],
                         ids=["calm", "kill_controller", "kill_supervisor", "restart"])
def test_it_follows_passes_signals_on_and_ends_alike(host, disturb):
    tenant, identity = prepared(host)
    process = attach(identity, "--logs")
    assert process.stdout.readline() == "old\n"
    if disturb is not None:
        disturb()
    let_go(tenant)
    assert process.stdout.readline() == "new\n"
    process.send_signal(signal.SIGUSR1)
    assert process.wait(90) == 9
    assert process.stdout.read() == "usr\n"


def test_the_way_out_ends_nothing(host):
    tenant, identity = prepared(host)
    for out in (signal.SIGQUIT, signal.SIGHUP):
        process = attach(identity)
        time.sleep(0.5)
        process.send_signal(out)
        assert process.wait(30) == 0
        assert "it goes on" in process.stderr.read()
    process = attach(identity, "--sig-proxy=no")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    assert tenant.leaves() == [identity]
    process = attach(identity)
    time.sleep(0.5)
    let_go(tenant)
    assert process.stdout.readline() == "new\n", "and nothing of before"
    host.ctl("kill", identity)
    assert process.wait(60) == 137
