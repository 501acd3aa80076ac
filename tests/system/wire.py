# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket as bytes: what a client that is not ours may send."""

import array
import fcntl
import json
import os
import socket

SOCKET = "/run/tenantd/control.sock"
TIMEOUT_SECONDS = 30


class Closed(Exception):
    """The daemon has ended the connection."""


class Wire:
    """One connection. Bytes and descriptors go out as they are; messages come in parsed."""

    def __init__(self, fd=None):
        """A new one, or that of descriptor `fd`, which somebody else has made."""
        if fd is None:
            self.socket = socket.socket(socket.AF_UNIX)
            # Waits if many connect, which a socket with a timeout does not.
            self.socket.connect(SOCKET)
        else:
            self.socket = socket.socket(fileno=fd)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self._input = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.socket.sendmsg([data], control)
            self.socket.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self):
        while b"\0" not in self._input:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise Closed
            self._input += piece
        message, _, self._input = self._input.partition(b"\0")
        return json.loads(message)

    def call(self, method, parameters=None, fds=(), **flags):
        """One call and its first reply."""
        self.send(message(method, parameters, **flags), fds)
        return self.receive()


def message(method, parameters=None, **flags):
    body = {"method": method, **flags}
    if parameters is not None:
        body["parameters"] = parameters
    return json.dumps(body).encode() + b"\0"


def answer_to(data, fds=()):
    """The error's name if the daemon answers with one, "closed" if it ends the connection,
    "reply" for anything else."""
    try:
        with Wire() as wire:
            wire.send(data, fds)
            return wire.receive().get("error", "reply")
    except Closed:
        return "closed"


def sealed(data):
    """A memfd that holds still."""
    fd = os.memfd_create("args", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW |
                fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return fd
