# SPDX-License-Identifier: LGPL-2.1-or-later
"""Either daemon is killed, again and again, while tenants work: nothing is lost."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

import chance
from product import Host, wait_for

TENANTS = 20
LONG_LIVED = 5
STALL_MSEC = 500
TRIES_MAX = 8
# What a caller is told whose run was lost again and again before it had begun.
UNKNOWN = (b"went away before", b"does not answer")


class Worker(threading.Thread):
    """A customer who starts short jobs, one after the other, and looks at how they end."""

    def __init__(self, tenant, rng):
        super().__init__(daemon=True)
        self.tenant, self.rng = tenant, rng
        self.over = threading.Event()
        self.known, self.unknown, self.wrong = [], [], []

    def once(self):
        code = self.rng.randrange(1, 100)
        seconds = self.rng.choice((0, 0, 0.1, 2))
        result = self.tenant.run(["sh", "-c", f"sleep {seconds}; exit {code}"], timeout=180)
        if result.status == code:
            self.known.append(result.record)
        elif result.status == 125 and any(text in result.err for text in UNKNOWN):
            self.unknown.append(result.err.decode())
        else:
            self.wrong.append((code, result))

    def run(self):
        while not self.over.wait(self.rng.uniform(0.2, 3)):
            self.once()


def longest_msec(said):
    """Of some beats, the longest time between two looks at the clock."""
    return max(int(re.search(rb"longest (\d+)", out).group(1)) for out in said)


class Bystanders:
    """The same program beside all tenants: what holds it up, too, is the machine."""

    def __init__(self, host):
        self.running = [subprocess.Popen([host.probe("beat")], stdout=subprocess.PIPE)
                        for _ in range(LONG_LIVED)]

    def end(self):
        for running in self.running:
            running.terminate()
        return longest_msec([running.communicate(timeout=120)[0] for running in self.running])


class Beats:
    """Long executions that notice when they are held up."""

    def __init__(self, host, tenants):
        self.running = [tenant.start([host.probe("beat")]) for tenant in tenants]
        for running in self.running:
            running.wait_out(b"up")
        self.pids = [running.read("cgroup.procs") for running in self.running]

    def end(self):
        """The longest time in ms between two looks at the clock."""
        assert [running.read("cgroup.procs") for running in self.running] == self.pids
        for running in self.running:
            running.send_signal(signal.SIGTERM)
        results = [running.wait(120) for running in self.running]
        assert [result.status for result in results] == [5] * len(results)
        return longest_msec([result.out for result in results])


def launch(tenant, rng):
    return ["tenant-run", "-q", tenant.name, "--", "sh", "-c", f"exit {rng.randrange(100)}"]


def update(tenant, rng):
    return ["tenantctl", "update", tenant.name, "--display-name", f"Name {rng.randrange(1000)}"]


def begin(what, tenant, rng):
    return subprocess.Popen(what(tenant, rng), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def usual_seconds(what, tenant, rng):
    """The median of some, beside all that goes on."""
    took = []
    for _ in range(9):
        begun = time.monotonic()
        with begin(what, tenant, rng) as process:
            assert process.wait(180) == 0 or what is launch
        took.append(time.monotonic() - begun)
    return sorted(took)[len(took) // 2]


def under_way(what, who, rng):
    """Some work at some moment of it. How long it takes changes with all that goes on: what is
    over by then tells that it takes less, and what is not, that it may take more."""
    for _ in range(TRIES_MAX):
        moment = rng.uniform(0.1, 0.9) * who.usual[what]
        process = begin(what, rng.choice(who.tenants), rng)
        time.sleep(moment)
        if process.poll() is None:
            who.usual[what] *= 1.25
            break
        who.usual[what] = moment
    return process


def shoot(host, who, rng):
    """Kills `who` at some moment of a launch with its settlement, or of a change with its
    commit. Gives back whether that was under way."""
    what = rng.choice((launch, launch, update))
    pids = [find() for find in who.targets(rng)]
    with under_way(what, who, rng) as process:
        inside = process.poll() is None
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        process.wait(180)
    wait_for(lambda: host.supervisor_pid() not in (0, *pids) and
             host.controller_pid() not in (0, *pids) and
             Host.ctl("status", check=False).returncode == 0, "the daemons to serve", 60)
    return inside


class Killer:
    def __init__(self, host, tenants, rng):
        self.tenants = tenants
        self.usual = {what: usual_seconds(what, tenants[0], rng) for what in (launch, update)}
        self._aims = ([host.controller_pid], [host.supervisor_pid],
                      [host.controller_pid, host.supervisor_pid])

    def targets(self, rng):
        return rng.choice(self._aims)


def ended_rows(tenant):
    """All executions of the tenant, or None while one has not ended."""
    rows = tenant.ps()
    return rows if all(row["state"] == "exited" for row in rows) else None


def story(code, result):
    """Of a job that did not end as it should: what was wanted, told, booked and logged."""
    identity = (result.record or {}).get("id")
    logged = subprocess.run(["journalctl", "-o", "short-precise", "--no-pager", "-u", "tenantd"],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    found = [n for n, line in enumerate(logged) if identity is not None and identity in line]
    near = logged[max(0, found[0] - 12):found[-1] + 12] if found else logged[-5:]
    return f"wanted {code}: {result.err!r} {result.record}\n" + "\n".join(near)


def assert_whole(worker):
    """Each job that was seen to end is booked once, and the bill is the kernel's."""
    tenant = worker.tenant
    assert worker.wrong == [], "\n".join(story(*one) for one in worker.wrong)
    wait_for(lambda: tenant.leaves() == [], "the last jobs", 60)
    rows = wait_for(lambda: ended_rows(tenant), "their records")
    booked = {row["id"]: row for row in rows}
    assert len(booked) == len(rows)
    for record in worker.known:
        assert booked[record["id"]] == record
    usage = tenant.usage()
    meters = usage["meters"]
    assert meters["executions"] == len(rows)
    assert meters["cpu_time"] == tenant.stat("cpu.stat", "usage_usec")
    assert (sum(row["cpu_usec"] or 0 for row in rows) + usage["unattributed_usec"] ==
            meters["cpu_time"])


@pytest.mark.alone
def test_kills_at_random_moments_lose_nothing(host, full):
    rng = chance.source("kills")
    tier = host.tier(cpu_quota="max", executions_max=16)
    tenants = [host.tenant(tier) for _ in range(TENANTS)]
    workers = [Worker(tenant, chance.source(tenant.name)) for tenant in tenants]
    for worker in workers:
        worker.start()
    killer = Killer(host, tenants, rng)
    beats, bystanders = Beats(host, tenants[:LONG_LIVED]), Bystanders(host)
    begun = time.monotonic()
    kills = full(200, 12)
    inside = sum(shoot(host, killer, rng) for _ in range(kills))
    seconds = time.monotonic() - begun
    disturbed, beside = beats.end(), bystanders.end()
    # The same work for as long a time, without kills.
    control = Beats(host, tenants[:LONG_LIVED])
    time.sleep(seconds)
    undisturbed = control.end()
    for worker in workers:
        worker.over.set()
    for worker in workers:
        worker.join(240)
        assert not worker.is_alive()
    unknown = [why for worker in workers for why in worker.unknown]
    print(f"{kills} kills, {inside} inside a launch, settlement, update or commit; "
          f"{sum(len(worker.known) for worker in workers)} jobs ended as they should, "
          f"{len(unknown)} that were given up {unknown}; "
          f"longest stall {undisturbed} ms without kills, {disturbed} ms with them and {beside} "
          "ms meanwhile beside the tenants")
    assert 2 * inside >= kills
    assert 10 * len(unknown) <= kills
    assert disturbed <= max(STALL_MSEC, 2 * undisturbed, 2 * beside)
    for worker in workers:
        assert_whole(worker)
