# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command tests/vm/shell."""

import argparse
import contextlib
import json
import os
import signal
import termios
import tty

import apt
import report
import runfiles
import session
import wire
from image import HOST_PACKAGES
from report import Broken, say

DESCRIPTION = """\
Starts the guest of tests/vm/run with an interactive root shell on this terminal. What --copy
names is in the shell's working directory. The guest is gone when the shell ends."""


def arguments():
    parser = argparse.ArgumentParser(prog="tests/vm/shell", description=DESCRIPTION,
                                     allow_abbrev=False)
    parser.add_argument("--copy", action="append", default=[], metavar="PATH",
                        help="a file or directory to put into the guest")
    chosen = parser.parse_args()
    if not (os.isatty(0) and os.isatty(1)):
        raise Broken("standard input and output must be a terminal; tests/vm/run needs none")
    runfiles.check_job(chosen.copy)
    return chosen


def size():
    columns, rows = os.get_terminal_size(0)
    return [rows, columns]


@contextlib.contextmanager
def raw_terminal():
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


def pass_keys_on(opened):
    def typed():
        data = os.read(0, session.CHUNK)
        if data:
            opened.send(wire.STDIN, data)
        else:
            opened.unwatch(0)

    opened.watch(0, typed)


def pass_sizes_on(opened):
    """A signal handler may run in the middle of sending a frame, so it only wakes the loop."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGWINCH, lambda *_: None)

    def resized():
        os.read(woken, session.CHUNK)
        opened.send(wire.RESIZED, json.dumps(size()).encode())

    opened.watch(woken, resized)


def action():
    chosen = arguments()
    for packages in HOST_PACKAGES:
        apt.install_missing(apt.read_list(packages))
    say("starting the guest")
    with session.opened(chosen.copy) as opened:
        job = {
            "argv": ["bash", "-l"],
            "cwd": runfiles.JOB_DIR,
            "terminal": {"size": size(), "type": os.environ.get("TERM", "dumb")},
            "fetch": {},
        }
        with raw_terminal():
            pass_keys_on(opened)
            pass_sizes_on(opened)
            status, _ = opened.run(job)
    return status


if __name__ == "__main__":
    report.main(action)
