# SPDX-License-Identifier: LGPL-2.1-or-later
"""A caller with a real terminal: a session of its own in which a command runs on a pty whose
other end the test holds."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from product import wait_for


def _leader(slave):
    """In the child: a session whose controlling terminal is descriptor `slave`."""
    def begin():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return begin


class Session:
    """`argv` on a terminal of `rows` and `cols`. Input and output that are given go to pipes
    instead."""

    def __init__(self, argv, rows=30, cols=100, **streams):
        self.master, self.slave = pty.openpty()
        self.text = b""
        self.resize(rows, cols)
        self.before = self.modes()
        on_terminal = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave}
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            list(map(str, argv)), preexec_fn=_leader(self.slave), **{**on_terminal, **streams})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.close()

    def close(self):
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = -1

    def modes(self):
        return termios.tcgetattr(self.slave)

    def set_modes(self, modes):
        termios.tcsetattr(self.slave, termios.TCSANOW, modes)

    def raw(self):
        """Whether keys are bytes now."""
        return self.modes()[3] & (termios.ICANON | termios.ECHO | termios.ISIG) == 0

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def read(self, seconds=0.0):
        """Takes what is there, or comes within `seconds`; False if nothing."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.text += os.read(self.master, 65536)
        return True

    def expect(self, text, timeout=30):
        """Waits for `text`, and gives all that came up to its end, which is taken away."""
        deadline = time.monotonic() + timeout
        while text not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"waited for {text!r}, got {self.text!r}"
            assert self.read(min(left, 0.2)) or self.process.poll() is None or self.read(1), \
                f"ended with {self.process.poll()} without {text!r}: {self.text!r}"
        got, _, self.text = self.text.partition(text)
        return got + text

    def wait(self, timeout=60):
        """The exit status, and all that was written up to then."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still runs; wrote {self.text[-500:]!r}"
            self.read(0.05)
        while self.read():
            pass
        return self.process.returncode, self.text

    def restored(self):
        return self.modes() == self.before

    def worker(self):
        """The process of tenant-run's that does the work."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return int(wait_for(lambda: children.read_text("ascii").split(), "the worker")[0])

    def kill_worker(self):
        os.kill(self.worker(), signal.SIGKILL)
