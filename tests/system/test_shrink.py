# SPDX-License-Identifier: LGPL-2.1-or-later
"""A lower limit never kills by surprise: it waits for memory in use, or is refused."""

import json
import os
import signal
import subprocess
import threading
import time

from product import TIERS, wait_for

MIB = 1 << 20
# What its pages are: some that the kernel can take back at once, and some that it cannot.
CACHE = "dd if=/dev/zero of=/data/big bs=1M count=80 2>/dev/null; sync; echo full; exec sleep 1000"


def eat(tenant, mib):
    """Something that has so much memory, which nobody can take back, until it is ended."""
    running = tenant.start([tenant.host.probe("eat"), str(mib), "hold"])
    running.wait_out(b"full")
    return running


def update(tenant, *opts):
    return subprocess.Popen(["tenantctl", "update", tenant.name, *opts, "--json"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(asked):
    out, err = asked.communicate(timeout=60)
    return asked.returncode, json.loads(out if asked.returncode == 0 else err)


def end(running):
    running.tenant.host.ctl("kill", running.id)
    running.wait()


def tenant_of(host, **keys):
    return host.tenant(host.tier(memory_max="256M", **keys))


def test_memory_that_can_be_spared_is_taken_back_and_nobody_dies(host):
    tenant = tenant_of(host)
    running = tenant.start(["sh", "-c", CACHE])
    running.wait_out(b"full")
    assert tenant.stat("memory.current") > 64 * MIB
    tenant.update("--set", "limits.memory_max=48M")
    assert tenant.stat("memory.max") == 48 * MIB
    assert tenant.read("memory.high") == "max"
    assert tenant.stat("memory.events", "oom_kill") == 0
    assert running.poll() is None
    end(running)


def test_what_does_not_shrink_is_refused_with_the_figures_and_keeps_all(host):
    tenant, other = tenant_of(host), tenant_of(host)
    running = eat(tenant, 120)
    before = tenant.show()
    begun = time.monotonic()
    asked = update(tenant, "--set", "limits.memory_max=64M", "--set", "limits.shrink_grace=3s")
    wait_for(lambda: tenant.read("memory.high") != "max", "the squeeze")
    # Nobody else waits, and neither does this tenant's other business.
    assert other.run(["true"]).status == 0
    assert tenant.show() == before
    status, error = ended(asked)
    assert time.monotonic() - begun >= 3
    assert (status, error["error"]) == (1, "io.tenantd.InvalidState")
    assert f"override: tenant '{tenant.name}': memory_max 64M is below the 12" in error["message"]
    assert "in use; that was not given back within shrink_grace 3s. --force" in error["message"]
    assert tenant.show() == before
    assert (tenant.stat("memory.max"), tenant.read("memory.high")) == (256 * MIB, "max")
    assert running.poll() is None and tenant.stat("memory.events", "oom_kill") == 0
    end(running)


def test_by_force_it_holds_and_the_kernel_kills(host):
    tenant = tenant_of(host)
    running = eat(tenant, 120)
    tenant.update("--set", "limits.memory_max=64M", "--force")
    assert tenant.stat("memory.max") == 64 * MIB
    assert running.wait().record["reason"] == "oom"


def test_what_ends_in_time_makes_room_and_changes_are_ordered(host):
    tenant = tenant_of(host)
    running = eat(tenant, 120)
    first = update(tenant, "--set", "limits.memory_max=64M", "--set", "limits.shrink_grace=1h")
    wait_for(lambda: tenant.read("memory.high") != "max", "the squeeze")
    second = update(tenant, "--set", "limits.memory_max=128M", "--display-name", "Second")
    time.sleep(0.5)
    assert first.poll() is None and second.poll() is None
    end(running)
    status, shown = ended(first)
    assert (status, shown["overrides"]["limits.memory_max"]) == (0, "64M")
    status, shown = ended(second)
    assert (status, shown["overrides"]["limits.memory_max"]) == (0, "128M")
    assert shown["overrides"]["limits.shrink_grace"] == "1h"
    assert (tenant.stat("memory.max"), tenant.read("memory.high")) == (128 * MIB, "max")


def test_whoever_dies_in_the_middle_leaves_the_old_limits(host):
    tenant = tenant_of(host)
    running = eat(tenant, 120)
    for kill in (host.kill_controller, host.kill_supervisor):
        asked = update(tenant, "--set", "limits.memory_max=64M", "--set",
                       "limits.shrink_grace=1h")
        wait_for(lambda: tenant.read("memory.high") != "max", "the squeeze")
        kill()
        assert ended(asked)[0] != 0
        wait_for(lambda: tenant.read("memory.high") == "max", "memory.high as it was")
        assert tenant.stat("memory.max") == 256 * MIB
        assert "limits.memory_max" not in tenant.show()["overrides"]
        assert running.poll() is None
    end(running)


def test_a_policy_is_refused_with_tenant_figures_and_line_or_waits_or_kills(host):
    tier = host.tier(memory_max="256M", shrink_grace="2s")
    tenant, spare = host.tenant(tier), host.tenant(tier)
    running = eat(tenant, 120)
    cache = spare.start(["sh", "-c", CACHE])
    cache.wait_out(b"full")
    path = TIERS / f"{tier}.yaml"
    before = path.read_text("utf-8")
    old = host.ctl_json("status")["policy_hash"]
    path.write_text(before.replace("256M", "64M"), encoding="utf-8")
    try:
        done = host.ctl("policy", "reload", check=False)
        assert done.returncode == 1
        said = done.stderr.decode()
        assert f"{host.where(tier, 'memory_max')}:3: tenant '{tenant.name}': memory_max 64M is " \
            "below the 12" in said, said
        assert host.ctl_json("status")["policy_hash"] == old
        for one in (tenant, spare):
            assert (one.stat("memory.max"), one.read("memory.high")) == (256 * MIB, "max")
        assert running.poll() is None and cache.poll() is None
        # By the signal, too.
        os.kill(host.supervisor_pid(), signal.SIGHUP)
        time.sleep(4)
        assert host.ctl_json("status")["policy_hash"] == old and running.poll() is None

        killer = threading.Timer(1, lambda: host.ctl("kill", running.id))
        killer.start()
        host.ctl("policy", "reload")
        killer.join()
        for one in (tenant, spare):
            assert (one.stat("memory.max"), one.read("memory.high")) == (64 * MIB, "max")
        assert cache.poll() is None and spare.stat("memory.events", "oom_kill") == 0
        assert running.wait().record["reason"] == "killed"
        again = eat(spare, 20)
        path.write_text(before.replace("256M", "16M"), encoding="utf-8")
        host.ctl("policy", "reload", "--force")
        assert spare.stat("memory.max") == 16 * MIB
        assert again.wait().record["reason"] == "oom"
    finally:
        path.write_text(before, encoding="utf-8")
        host.ctl("policy", "reload")
    host.ctl("kill", "--all", spare.name)
    cache.wait()


def test_another_tier_waits_as_well(host):
    tenant = tenant_of(host)
    running = eat(tenant, 120)
    small = host.tier(memory_max="64M", shrink_grace="1s")
    done = tenant.update("--tier", small, check=False)
    assert done.returncode == 1
    assert f"{host.where(small, 'memory_max')}:3: tenant".encode() in done.stderr
    assert tenant.show()["tier"] != small and running.poll() is None
    end(running)
    tenant.update("--tier", small)
    assert tenant.stat("memory.max") == 64 * MIB
