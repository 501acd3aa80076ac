# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant-controller that has been taken over, on the real channel of a tenantd of its own."""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

from product import ATTACK_SOURCES, wait_for
from second import second

HERE = Path(__file__).parent
# isolate/spec.h and what it includes: beside this directory in the guest, above it in the tree.
HEADERS = next(base for base in (HERE.parent, HERE.parent.parent)
               if (base / "isolate" / "spec.h").exists())


def hostile_controller(path):
    sources = sorted((ATTACK_SOURCES / "controller").glob("*.c"))
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror",
                    "-I", HEADERS, "-I", HEADERS / "include", "-o", path, *sources], check=True)


def is_of_launcher(process, number):
    """Whether it is the pidfd of a launcher: of these there are as many as there was use for."""
    info = Path(f"/proc/{process.pid}/fdinfo/{number}").read_text("ascii")
    pid = re.search(r"^Pid:\t(\d+)$", info, re.M)
    return pid is not None and Path(f"/proc/{pid[1]}/comm").read_text("ascii") == (
        "tenantd-launch\n")


def held_now(process):
    """Its descriptors by kind (numbers of sockets and namespaces differ each time), or None
    when one was closed while they were read."""
    kinds = Counter()
    try:
        for entry in os.scandir(f"/proc/{process.pid}/fd"):
            kind = re.sub(r":\[\d+\]", "", os.readlink(entry.path))
            if not (kind.endswith("[pidfd]") and is_of_launcher(process, entry.name)):
                kinds[kind] += 1
    except FileNotFoundError:
        return None
    return kinds


def held_by(process):
    """What it goes on holding: tenantd works on while it is looked at, so three looks in a row
    have to see the same."""
    looks = [None]

    def steady():
        looks.append(held_now(process))
        return looks[-1] is not None and looks[-3:] == looks[-1:] * 3

    wait_for(steady, lambda: f"descriptors that stay: {looks[-3:]}", timeout=30, every=0.1)
    return looks[-1]


def results_of(report):
    lines = report.read_text("utf-8").splitlines()
    results = {name: (verdict, came)
               for verdict, name, came in (line.split("\t") for line in lines)}
    assert len(results) == len(lines)
    return results


def test_a_controller_that_was_taken_over_stays_within_the_walls(host, full):
    flood = full(10050, 30)
    with second() as own:
        (own.libexec / "tenant-controller").unlink()
        hostile_controller(own.libexec / "tenant-controller")
        report, go, end = (own.store / name for name in ("report", "go", "end"))
        with own.running(TN_ATTACK_PROBE=host.probe("floor"), TN_ATTACK_FLOOD=str(flood)):
            wait_for(lambda: own.alive() and report.exists(), "the first attack", timeout=60)
            before = held_by(own.process)
            go.touch()
            wait_for(lambda: own.alive() and end.exists(),
                     lambda: report.read_text("utf-8"),
                     timeout=360 + flood * 0.2, every=0.2)
            after = held_by(own.process)
            leaves = [leaf for node in own.tree.iterdir() if node.is_dir()
                      for leaf in node.iterdir() if leaf.is_dir()]
            records = list(own.exec.iterdir())
        results = results_of(report)
    assert len(results) == 172
    assert {name: came for name, came in results.items() if came[0] != "held"} == {}
    if flood > 10000:
        assert results["ends that are not settled"][1] == (
            "10000 left: 10000 executions are not settled yet")
    assert after - before == Counter(), "tenantd holds more descriptors than before"
    assert (leaves, records) == ([], [])
