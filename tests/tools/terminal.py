# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenant-run -t on a real terminal, against a stand-in for the daemon:

  terminal.py SOURCE-TREE FAKE-TENANTD TENANT-RUN

Each test_ function is called with a function that starts tenant-run. Prints one line per
failure and exits 1 if there is any. tests/system/test_tty.py does the same and more with the
real daemon.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(sys.argv[1], "tests/system"))

from terminal import Session  # pylint: disable=wrong-import-position
from product import wait_for  # pylint: disable=wrong-import-position

READY = ["sh", "-c", "echo ready; sleep 60"]


def test_size_and_end(start):
    with start(["sh", "-c", "stty size; exit 3"], rows=11, cols=22) as run:
        status, text = run.wait()
        assert (status, text, run.restored()) == (3, b"11 22\r\n", True), (status, text)


def test_resize(start):
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done"
    with start(["sh", "-c", script]) as run:
        run.expect(b"ready\r\n")
        run.resize(40, 120)
        run.expect(b"40 120\r\n")
        run.process.send_signal(signal.SIGTERM)
        assert run.wait()[0] == 128 + signal.SIGTERM
        assert run.restored()


def test_keys(start):
    for key, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
        with start(["sh", "-c", "ulimit -c 0; echo ready; exec sleep 60"]) as run:
            run.expect(b"ready\r\n")
            assert run.raw()
            run.type(key)
            assert run.wait()[0] == 128 + number
            assert run.restored()


def test_worker_killed(start):
    for number in (signal.SIGKILL, signal.SIGSEGV):
        with start(READY) as run:
            run.expect(b"ready\r\n")
            assert run.raw()
            os.kill(run.worker(), number)
            if number != signal.SIGKILL:
                # Kept blocked like all: only a fault of its own would end it.
                time.sleep(0.3)
                assert run.process.poll() is None
                run.kill_worker()
            status, text = run.wait()
            assert (status, run.restored()) == (125, True)
            assert b"was killed by signal 9, and the run ended with it" in text, text


def test_worker_killed_is_told(start):
    read, write = os.pipe()
    with tempfile.TemporaryDirectory() as directory, os.fdopen(read, "rb") as events:
        report = os.path.join(directory, "report")
        with start(READY, "--status-fd", str(write), "--report", report,
                   pass_fds=[write]) as run:
            os.close(write)
            run.expect(b"ready\r\n")
            run.kill_worker()
            assert run.wait()[0] == 125
        started, exited = [json.loads(line) for line in events]
        with open(report, encoding="utf-8") as file:
            record = json.load(file)
        assert (started["event"], exited["event"]) == ("started", "exited")
        assert record == exited["execution"]
        assert (record["id"], record["state"]) == (started["id"], "unknown")
        assert "killed by signal 9" in record["message"]
        assert os.listdir(directory) == ["report"]


def test_keys_before_the_start(start):
    with start(["true"], tenant="silent") as run:
        time.sleep(0.5)
        assert not run.raw()
        run.type(b"\x03")
        status, text = run.wait()
        assert (status, run.restored()) == (128 + signal.SIGINT, True), text


def test_refusal(start):
    with start(["true"], tenant="nobody") as run:
        status, text = run.wait()
        assert (status, run.restored()) == (125, True)
        assert b"about nobody" in text


def test_guard_killed(start):
    with start(READY) as run:
        run.expect(b"ready\r\n")
        worker = run.worker()
        run.process.kill()
        run.wait()
        wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "the end of the worker")
        assert run.restored()


def test_signals_once(start):
    script = ("trap 'echo got' USR1; echo ready; while :; do sleep 0.05; done")
    with start(["sh", "-c", script]) as run:
        run.expect(b"ready\r\n")
        # To both of tenant-run's processes.
        os.killpg(run.process.pid, signal.SIGUSR1)
        run.expect(b"got\r\n")
        time.sleep(0.5)
        run.read()
        assert run.text == b"", run.text
        run.process.send_signal(signal.SIGKILL)


def test_hangup(start):
    """The leader of the session, which tenant-run is here, gets SIGCONT with the SIGHUP."""
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "hup")
        script = f"trap 'echo x >{file}; exit 5' HUP; echo ready; while :; do sleep 0.05; done"
        with start(["bash", "-c", script]) as run:
            run.expect(b"ready\r\n")
            run.close()
            assert run.process.wait(30) == 5, run.process.returncode
        wait_for(lambda: os.path.exists(file), "the hangup")


def test_modes_after_stop(start):
    """A shell that takes the terminal back while tenant-run is stopped sets its own modes."""
    with start(["cat"]) as run:
        wait_for(run.raw, "raw mode")
        worker = run.worker()
        for pid in (run.process.pid, worker):
            os.kill(pid, signal.SIGSTOP)
        run.set_modes(run.before)
        for pid in (worker, run.process.pid):
            os.kill(pid, signal.SIGCONT)
        wait_for(run.raw, "raw mode again")
        run.type(b"x\r\x04")
        assert run.wait()[0] == 0
        assert run.restored()


def test_background(start):
    """From the background it stops as anything does, and leaves the terminal alone."""
    with Session(["sh", "-c", "set -m; \"$@\" & wait; jobs; sleep 60", "sh",
                  *start.argv(["cat"])]) as run:
        run.expect(b"Stopped")
        assert run.restored()
        run.process.kill()


def test_slow_reader(start):
    with start(["sh", "-c", "stty -opost -echo; head -c 200000 /dev/zero | tr '\\0' x; "
                            "read l; echo $l"]) as run:
        time.sleep(0.5)
        run.type(b"typed\r")
        n = 0
        while b"typed" not in run.text:
            assert run.read(10), n
            n += run.text.count(b"x")
            run.text = run.text.replace(b"x", b"")
        assert n == 200000
        assert run.wait()[0] == 0


class Start:
    def __init__(self, program, path):
        self.program, self.path = program, path

    def argv(self, command, *opts, tenant="acme"):
        return [self.program, "--socket", self.path, "-t", "-q", *opts, tenant, "--", *command]

    def __call__(self, command, *opts, tenant="acme", **kwargs):
        return Session(self.argv(command, *opts, tenant=tenant), **kwargs)


def listens(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def signals_default():
    """Whoever runs us may ignore some, which a program that is executed keeps."""
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP:
        signal.signal(number, signal.SIG_DFL)


def main():
    _, _, fake, program = sys.argv
    signals_default()
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        with subprocess.Popen([fake, path, "cat"], stdin=subprocess.PIPE) as daemon:
            wait_for(lambda: listens(path), "the daemon")
            for name, test in list(globals().items()):
                if not name.startswith("test_"):
                    continue
                try:
                    test(Start(program, path))
                except AssertionError as error:
                    print(f"{name}: {error!r}")
                    failed = 1
            with contextlib.suppress(BrokenPipeError):
                daemon.stdin.close()
    return failed


if __name__ == "__main__":
    sys.exit(main())
