# SPDX-License-Identifier: LGPL-2.1-or-later
"""spite.py KIND SECONDS: a workload that means harm on its tenant's own socket. Prints "up" when it
has begun, and at the end how often it did what KIND says:

  flood        calls, as many as go, on all connections that there are, and no answer is read
  garbage      what is no call
  deep         nested far too deep
  connections  a thousand of them, each with half a call
  deaf         long answers are asked for, and not read
  descriptors  with each call one of /dev/zero
"""

import array
import json
import socket
import sys
import time

PATH = "/run/tenant/meter.sock"
CONSUME = json.dumps({"method": "io.tenantd.ConsumeQuota",
                      "parameters": {"meter": "tokens", "amount": 1}}).encode() + b"\0"
DESCRIBE = json.dumps({"method": "org.varlink.service.GetInterfaceDescription",
                       "parameters": {"interface": "io.tenantd"}}).encode() + b"\0"
DEEP = b'{"method":"io.tenantd.ConsumeQuota","parameters":' + b"[" * 1500 + b"]" * 1500 + b"}\0"
kind, seconds = sys.argv[1], float(sys.argv[2])


def connect():
    end = socket.socket(socket.AF_UNIX)
    end.setblocking(False)
    end.connect(PATH)
    return end


def send(end, data):
    """Whether it was taken; None if the connection has ended."""
    try:
        if kind == "descriptors":
            with open("/dev/zero", "rb") as zero:
                control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                            array.array("i", [zero.fileno()]))]
                return end.sendmsg([data], control) == len(data)
        return end.send(data) == len(data)
    except BlockingIOError:
        return False
    except PermissionError:
        # Since Linux 6.16 they cannot even be sent.
        return None
    except (BrokenPipeError, ConnectionResetError):
        return None


def fill(data, most):
    """`most` connections at a time, each sent `data` for as long as it is taken."""
    ends, done = [], 0
    while time.monotonic() < deadline:
        while len(ends) < most:
            try:
                ends.append(connect())
            except BlockingIOError:
                break
        for end in list(ends):
            taken = send(end, data)
            if taken is None:
                end.close()
                ends.remove(end)
            done += bool(taken)
        if not ends:
            time.sleep(0.001)
    return done


print("up", flush=True)
deadline = time.monotonic() + seconds
if kind == "connections":
    DONE = fill(b"{", 1000)
elif kind == "garbage":
    DONE = fill(b"GET / HTTP/1.1\r\n\r\n\0", 64)
elif kind == "deep":
    DONE = fill(DEEP, 64)
elif kind == "deaf":
    DONE = fill(DESCRIBE, 64)
else:
    DONE = fill(CONSUME, 64)
print(DONE)
