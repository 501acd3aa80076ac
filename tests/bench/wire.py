# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket, spoken by hand."""

import json
import socket
import time


class Wire:
    """One connection, one call at a time: nothing of a client's own is in the figures."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._input = b""

    def close(self):
        self._socket.close()

    def _message(self):
        while b"\0" not in self._input:
            some = self._socket.recv(1 << 16)
            if not some:
                raise ConnectionError("tenantd closed the connection")
            self._input += some
        message, _, self._input = self._input.partition(b"\0")
        answer = json.loads(message)
        if "error" in answer:
            raise SystemExit(f"tenantd answers {answer}")
        return answer

    def send(self, method, more=False, **parameters):
        text = json.dumps({"method": f"io.tenantd.{method}", "parameters": parameters,
                           **({"more": True} if more else {})})
        self._socket.sendall(text.encode() + b"\0")

    def take(self):
        return self._message()["parameters"]

    def ask(self, method, **parameters):
        self.send(method, **parameters)
        return self.take()

    def timed(self, method, **parameters):
        """Milliseconds."""
        begun = time.perf_counter()
        self.ask(method, **parameters)
        return (time.perf_counter() - begun) * 1e3

    def all(self, method, **parameters):
        """What each message of a list says."""
        self.send(method, more=True, **parameters)
        said, continues = [], True
        while continues:
            answer = self._message()
            said.append(answer["parameters"])
            continues = answer.get("continues", False)
        return said

    def count(self, method, member, **parameters):
        """How many members a list has."""
        return sum(one.get(member) is not None for one in self.all(method, **parameters))

    def timed_count(self, method, member, **parameters):
        """Milliseconds, and how many members it has."""
        begun = time.perf_counter()
        n = self.count(method, member, **parameters)
        return (time.perf_counter() - begun) * 1e3, n
