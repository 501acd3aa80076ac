# SPDX-License-Identifier: LGPL-2.1-or-later
"""One job in a running machine: hands it to the agent and passes on what comes back.

A single loop watches the agent's port and the console, whose end is kept for the case that the
machine fails. Output is passed on as it comes; if our reader is slow, the script waits, and the
job's deadline still holds.
"""

import contextlib
import json
import os
import select
import signal
import struct
import time

import image
import machine
import project
import runfiles
import wire
from report import Broken, NotUp, Signalled, TimedOut

BOOT_SECONDS = 300  # ten to twenty are usual; a loaded machine without KVM is no failure
CONSOLE_TAIL = 16 * 1024
CHUNK = 64 * 1024
FOREVER = float("inf")


def write_all(fd, data, deadline):
    """Writes in pieces that a pipe with room takes at once, so that the deadline is kept."""
    view = memoryview(data)
    while view:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut()
        if select.select([], [fd], [], None if left == FOREVER else left)[1]:
            try:
                view = view[os.write(fd, view[: select.PIPE_BUF]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise Signalled(signal.SIGPIPE) from error


class Session:
    def __init__(self, running):
        self._machine = running
        self._unpacker = wire.Unpacker()
        self._console = bytearray()
        self._poll = select.poll()
        self._inputs = {}
        for watched in (running.port, running.console):
            self._poll.register(watched, select.POLLIN)

    def watch(self, fd, call):
        """Has `call` called whenever `fd` can be read."""
        self._inputs[fd] = call
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd):
        del self._inputs[fd]
        self._poll.unregister(fd)

    def send(self, kind, payload=b""):
        try:
            self._machine.port.sendall(wire.frame(kind, payload))
        except BrokenPipeError:
            pass  # the machine is gone, which the next receive() tells

    def receive(self, deadline):
        """Waits for frames until the deadline; may give none."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut()
        frames = []
        ready = [fd for fd, _ in self._poll.poll(None if left == FOREVER else left * 1000)]
        for fd in ready:
            if fd in self._inputs:
                self._inputs[fd]()
        if self._machine.console.fileno() in ready:
            self._read_console()
        if self._machine.port.fileno() in ready:
            frames = self._unpacker.feed(self._read_port())
        return frames

    def _read_port(self):
        try:
            data = self._machine.port.recv(CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            raise self.broken("the guest went down")
        return data

    def _read_console(self):
        """Gives whether there may be more."""
        try:
            data = self._machine.console.recv(CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self._poll.unregister(self._machine.console)
            return False
        self._console += data
        del self._console[:-CONSOLE_TAIL]
        return True

    def broken(self, message, kind=Broken):
        """The failure of a machine, with the end of its console. Ends the machine, so that the
        console has an end."""
        self._machine.process.kill()
        with contextlib.suppress(KeyError):  # its end was seen before
            while self._read_console():
                pass
        tail = bytes(self._console).replace(b"\r", b"").strip(b"\n")
        return kind(message, b"--- console ---\n%s\n--- end of console ---\n" % tail)

    def cut(self):
        """Takes the machine's power away. Gives the frames that were on their way."""
        self._machine.process.kill()
        self._machine.process.wait()
        frames = []
        with contextlib.suppress(ConnectionResetError):
            while data := self._machine.port.recv(CHUNK):
                frames += self._unpacker.feed(data)
        return frames

    def wait_until_ready(self):
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                frames = self.receive(deadline)
            except TimedOut:
                raise self.broken(f"the guest is not up after {BOOT_SECONDS} s", NotUp) from None
            for kind, payload in frames:
                if kind == wire.READY:
                    return
                if kind == wire.FAILED:
                    raise Broken("the guest came up without the project", payload)

    def begin(self, job):
        """Has a job begun; what comes of it is for receive()."""
        self.send(wire.JOB, json.dumps({**job, "fetch": list(job["fetch"])}).encode())

    def run(self, job, deadline=FOREVER):
        """Runs a job to its end. Gives its exit status and what could not be fetched; fetched
        files go to the binary file objects job["fetch"] maps guest paths to."""
        targets = list(job["fetch"].values())
        self.begin(job)
        while True:
            for kind, payload in self.receive(deadline):
                if kind == wire.STDOUT:
                    write_all(1, payload, deadline)
                elif kind == wire.STDERR:
                    write_all(2, payload, deadline)
                elif kind == wire.FETCHED:
                    (index,) = struct.unpack_from(">I", payload)
                    targets[index].write(payload[4:])
                elif kind == wire.EXITED:
                    result = json.loads(payload)
                    return result["status"], list(result["fetch_errors"].values())


@contextlib.contextmanager
def opened(paths):
    """A session with a fresh machine in which the project is up and `paths` are in JOB_DIR."""
    with project.installed() as dest:
        run_disk = runfiles.disk(dest, paths)
    with run_disk, started(image.ensure(), run_disk) as session:
        yield session


@contextlib.contextmanager
def started(guest, run_disk, root=None):
    """A session with a machine of the image `guest` in which the project is up; `root` as for
    machine.Machine."""
    accelerator = machine.accelerator_for(guest, image.cache_dir())
    with machine.start(guest, accelerator, run_disk, root) as running:
        session = Session(running)
        session.wait_until_ready()
        yield session
