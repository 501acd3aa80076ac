# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command tests/power/run."""

import argparse
import json
import os
import random
import secrets
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../../vm/host")

import apt
import image
import project
import report
import runfiles
import session
import wire
from disk import Disk, Server
from judge import Promises, Wrong
from report import say

DESCRIPTION = """\
Takes the power away from a machine in the middle of its work, boots the same disk again and looks
whether what tenantd had promised is there; over and over. Every second time the disk loses what
was in its cache, too."""

CUTS_SHORT, CUTS_LONG = 2, 20
# Of work, before the power goes.
SECONDS_LEAST, SECONDS_MOST = 2, 10
LOOK_SECONDS = 600
# So long is waited for a flush that has something to write: one comes with every commit.
FLUSH_SECONDS = 20
GUEST = f"{HERE}/../guest"
JOBS = (f"{GUEST}/work.py", f"{GUEST}/look.py")


def arguments():
    parser = argparse.ArgumentParser(prog="tests/power/run", description=DESCRIPTION,
                                     allow_abbrev=False)
    parser.add_argument("--long", action="store_true",
                        help=f"{CUTS_LONG} cuts instead of {CUTS_SHORT}")
    parser.add_argument("--cuts", type=int, metavar="N", help="N cuts")
    parser.add_argument("--seed", type=int, metavar="N",
                        default=int(os.environ.get("TN_SEED") or secrets.randbelow(1 << 32)),
                        help="of what is random: when the power goes, and what the disk loses")
    chosen = parser.parse_args()
    if chosen.cuts is None:
        chosen.cuts = CUTS_LONG if chosen.long else CUTS_SHORT
    if chosen.cuts < 1:
        parser.error("at least one cut")
    return chosen


class Lines:
    """Cuts output into JSON values, one a line; the last may be half a line."""

    def __init__(self):
        self._rest = b""

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


LOOK = "python3 -B look.py"


def job(script):
    return {"argv": ["sh", "-c", script], "cwd": runfiles.JOB_DIR, "terminal": None, "fetch": {}}


class Ear:
    """What comes from a job, and where it goes."""

    def __init__(self, opened, promises, script):
        self._opened = opened
        self._promises = promises
        self._lines = Lines()
        self.ready = False  # the work is under way
        self.status = None  # of the job, once it has ended
        opened.begin(job(script))

    def hear(self, frames):
        for kind, payload in frames:
            if kind == wire.STDOUT:
                for line in self._lines.feed(payload):
                    self._take(*line)
            elif kind == wire.STDERR:
                sys.stderr.buffer.write(payload)
                sys.stderr.flush()
            elif kind == wire.EXITED:
                self.status = json.loads(payload)["status"]

    def _take(self, kind, *rest):
        if kind == "seen":
            self._promises.judge(*rest)
        else:
            self._promises.hear([kind, *rest])
        self.ready = self.ready or kind == "ready"

    def hear_until(self, deadline, condition):
        while not condition():
            self.hear(self._opened.receive(deadline))


def look(opened, promises):
    """To the end of it."""
    ear = Ear(opened, promises, LOOK)
    ear.hear_until(time.monotonic() + LOOK_SECONDS, lambda: ear.status is not None)
    if ear.status != 0:
        raise Wrong("the machine cannot be looked at")


def work_until_cut(opened, promises, number, seconds, disk):
    """Looks, has the machine work, and takes its power away so long after all is under way, with
    `disk` at the next flush that then has something to write."""
    ear = Ear(opened, promises, f"{LOOK} && exec python3 -B work.py {number}")
    ear.hear_until(time.monotonic() + LOOK_SECONDS, lambda: ear.ready or ear.status is not None)
    try:
        ear.hear_until(time.monotonic() + seconds, lambda: ear.status is not None)
    except report.TimedOut:
        if disk is not None:
            disk.fail_at_flush().wait(FLUSH_SECONDS)
        ear.hear(opened.cut())
    if ear.status is not None:
        raise Wrong("the work has ended by itself")


def boot(guest, run_disk, disk, directory, action):
    """Calls `action` with a session on the disk, until that has ended the machine."""
    server = Server(disk, f"{directory}/disk")
    try:
        with session.started(guest, run_disk, server.arguments()) as opened:
            action(opened)
    finally:
        server.join()


class Trial:
    """One disk and all that is done to it."""

    def __init__(self, guest, run_disk, disk, directory, chance):
        self._boot_once = lambda action: boot(guest, run_disk, disk, directory, action)
        self._disk = disk
        self._chance = chance
        self.promises = Promises()
        self.lost = 0
        self.hung = 0  # boots that were begun again

    def _boot(self, action):
        """Once more if the machine does not come up at all: what is wrong with its disk is so the
        second time too, and what is wrong with an emulated machine is not."""
        try:
            self._boot_once(action)
        except report.NotUp as failed:
            self.hung += 1
            say(f"{failed}; it is started once more")
            sys.stderr.buffer.write(failed.detail)
            self._boot_once(action)

    def cut(self, number):
        """Boots, judges what the last cut has left, works, and is cut off."""
        seconds = self._chance.uniform(SECONDS_LEAST, SECONDS_MOST)
        before = dict(self.promises.counts)

        disk = None if self._is_kept(number) else self._disk
        self._boot(lambda opened: work_until_cut(opened, self.promises, number, seconds, disk))
        how = self._drop(number)
        durable, accepted = (self.promises.counts[what] - before[what]
                             for what in ("durable", "accepted"))
        say(f"power cut {number} after {seconds:.2f} s, {how}; until then {durable} changes of "
            f"tenants were acknowledged as durable, {accepted} ends of executions as accepted")
        if durable == 0 or accepted == 0:
            raise Wrong("nothing was acknowledged, so that nothing is shown")

    @staticmethod
    def _is_kept(number):
        """Whether the machine alone goes down at that cut, and the disk keeps its cache."""
        return number % 2 == 1

    def _drop(self, number):
        """What becomes of the disk's cache; gives it in words."""
        if self._is_kept(number):
            return f"the disk has written what it had ({self._disk.keep_cache()} blocks)"
        # Every second of these the disk had written nothing of it yet.
        share = self._chance.choice((0, 0.5))
        lost, cached = self._disk.lose_power(lambda: self._chance.random() < share)
        self.lost += lost
        return f"the disk has lost {lost} of {cached} blocks that were not flushed"

    def last_look(self):
        self._boot(lambda opened: look(opened, self.promises))


def run(chosen):
    chance = random.Random(chosen.seed)
    guest = image.ensure()
    with project.installed() as dest:
        run_disk = runfiles.disk(dest, JOBS)
    disk = Disk(guest.disk)
    with run_disk, tempfile.TemporaryDirectory(prefix="tenantd-power-") as directory:
        trial = Trial(guest, run_disk, disk, directory, chance)
        for number in range(1, chosen.cuts + 1):
            trial.cut(number)
        trial.last_look()
    counts = trial.promises.counts
    print(f"{chosen.cuts} power cuts, {disk.flushes} flushes, {trial.lost} unflushed blocks lost: "
          f"of {counts['durable']} durable changes and {counts['events']} events none is missing, "
          f"of {counts['accepted']} accepted ends {counts['missing']}, the oldest of them "
          f"{trial.promises.oldest_missing_usec / 1000:.1f} ms old; {trial.hung} boots hung; seed "
          f"{chosen.seed}")


def action():
    chosen = arguments()
    for packages in image.HOST_PACKAGES:
        apt.install_missing(apt.read_list(packages))
    try:
        run(chosen)
    except Wrong as wrong:
        say(f"FAILED: {wrong}\nseed {chosen.seed}")
        return 1
    return 0


if __name__ == "__main__":
    report.main(action)
