# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantctl stats on a real terminal, against a stand-in for the daemon:

  screen.py SOURCE-TREE FAKE-TENANTD TENANTCTL

Each test_ function is called with a function that starts it. Prints one line per failure and
exits 1 if there is any.
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(sys.argv[1], "tests/system"))

from terminal import Session  # pylint: disable=wrong-import-position
from product import wait_for  # pylint: disable=wrong-import-position

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"


def left(run, status):
    """It has ended so, and the terminal is as it was."""
    got, text = run.wait()
    assert got == status, (got, text)
    assert text.endswith(LEAVE) and text.count(LEAVE) == text.count(ENTER) + 1, text
    assert run.restored()


def test_key_quits(start):
    for key in b"q", b"xQ":
        with start() as run:
            run.expect(ENTER)
            run.expect(b"50.0%")
            assert not run.restored()
            run.type(key)
            left(run, 0)


def test_signals_restore(start):
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT:
        with start() as run:
            run.expect(ENTER)
            run.expect(b"50.0%")
            if number == signal.SIGINT:
                run.type(b"\x03")
            else:
                run.process.send_signal(number)
            left(run, -number)


def test_keys_while_the_daemon_is_silent(start):
    with start("silent") as run:
        run.expect(ENTER)
        run.type(b"q")
        left(run, 0)


def test_refusal_restores(start):
    with start("nobody") as run:
        status, text = run.wait()
        assert status == 3 and text.startswith(ENTER + LEAVE), (status, text)
        assert b"tenantctl: about nobody" in text and run.restored()


def test_fits(start):
    with start(rows=3, cols=24) as run:
        run.expect(ENTER)
        run.expect(b"\x1b[H")
        drawn = run.expect(b"\x1b[J")
        lines = re.sub(rb"\x1b\[[0-9?]*[A-Za-z]", b"", drawn).split(b"\r\n")
        assert len(lines) == 3 and max(map(len, lines)) <= 24, lines
        run.resize(30, 200)
        run.process.send_signal(signal.SIGWINCH)
        run.expect(b"PSI-IO")
        run.type(b"q")
        left(run, 0)


def test_stop(start):
    """By a shell with jobs: what is nobody's job does not stop by a key."""
    line = shlex.join(start.argv())
    with Session(["bash", "-mc", f"{line}; echo stopped; fg >/dev/null"], cols=160) as run:
        run.expect(ENTER)
        run.expect(b"50.0%")
        run.type(b"\x1a")
        run.expect(LEAVE)
        run.expect(b"stopped\r\n")
        run.expect(ENTER)
        run.expect(b"50.0%")
        run.type(b"q")
        status, text = run.wait()
        assert (status, LEAVE in text, run.restored()) == (0, True, True), (status, text)


def test_one_look_is_drawn_on_no_screen(start):
    with start("--no-stream") as run:
        status, text = run.wait()
        assert status == 0 and b"\x1b" not in text and b"50.0%" in text, text
        assert run.restored()


def test_without_keys(start):
    with start(stdin=subprocess.DEVNULL) as run:
        run.expect(ENTER)
        run.expect(b"50.0%")
        run.process.send_signal(signal.SIGTERM)
        left(run, -signal.SIGTERM)


def test_another_daemon(start):
    with start() as run:
        run.expect(b"50.0%")
        start.daemon_stop()
        run.expect(b"; no daemon listens")
        start.daemon_start()
        run.expect(b"q quits\x1b[K")
        run.type(b"q")
        left(run, 0)


class Start:
    def __init__(self, fake, program, path):
        self.fake, self.program, self.path = fake, program, path
        self.daemon = None

    def daemon_start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.daemon = subprocess.Popen(  # pylint: disable=consider-using-with
            [self.fake, self.path, "cat"], stdin=subprocess.PIPE)
        wait_for(self.listens, "the daemon")

    def daemon_stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.daemon.stdin.close()
        self.daemon.wait(30)

    def listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(self.path) == 0

    def argv(self, *words):
        return [self.program, "stats", "--socket", self.path, "--interval", "200ms", *words]

    def __call__(self, *words, cols=160, **kwargs):
        return Session(self.argv(*words), cols=cols, **kwargs)


def main():
    _, _, fake, program = sys.argv
    # Whoever runs us may ignore some, which a program that is executed keeps.
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP:
        signal.signal(number, signal.SIG_DFL)
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        start = Start(fake, program, os.path.join(directory, "socket"))
        start.daemon_start()
        for name, test in list(globals().items()):
            if not name.startswith("test_"):
                continue
            try:
                test(start)
            except AssertionError as error:
                print(f"{name}: {error!r}")
                failed = 1
        start.daemon_stop()
    return failed


if __name__ == "__main__":
    sys.exit(main())
