# SPDX-License-Identifier: LGPL-2.1-or-later
"""seek.py NEKOT DIRECTORY...: looks for what hold.py TOKEN made. NEKOT is TOKEN backwards, so
that this process is not itself what it looks for. Prints an object: what was looked for →
"found", or the name of the error that was met instead."""

import ctypes
import errno
import json
import os
import socket
import sys
import zlib

nekot, *directories = sys.argv[1:]
token = nekot[::-1]
key = zlib.crc32(token.encode()) & 0x7FFFFFFF
port = 20000 + key % 20000
libc = ctypes.CDLL(None, use_errno=True)
seen = {}


def note(what, function, *args):
    try:
        seen[what] = "found" if function(*args) is not False else "ENOENT"
    except OSError as error:
        seen[what] = errno.errorcode[error.errno]


def call(function, *args):
    if getattr(libc, function)(*args) == -1:
        raise OSError(ctypes.get_errno(), function)


def connect(family, address):
    with socket.socket(family) as sock:
        sock.connect(address)


def mentions(path, text):
    """Whether a line of this file of /proc has the word."""
    with open(path, "rb") as file:
        return any(text.encode() in line.split() for line in file)


def process():
    """Whether any process has the token among its arguments."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if token.encode() in file.read().split(b"\0"):
                    return True
        except (FileNotFoundError, ProcessLookupError):
            pass
    return False


note("shm", call, "shmget", key, 0, 0)
note("sem", call, "semget", key, 0, 0)
note("msg", call, "msgget", key, 0)
note("mqueue", call, "mq_open", f"/{token}".encode(), os.O_RDWR)
for kind in ("shm", "sem", "msg"):
    note(f"/proc/sysvipc/{kind}", mentions, f"/proc/sysvipc/{kind}", str(key))
note("abstract socket", connect, socket.AF_UNIX, f"\0{token}")
note("/proc/net/unix", mentions, "/proc/net/unix", f"@{token}")
note("tcp4", connect, socket.AF_INET, ("127.0.0.1", port))
note("tcp6", connect, socket.AF_INET6, ("::1", port))
note("/proc/net/tcp", mentions, "/proc/net/tcp", f"0100007F:{port:04X}")
note("/proc/keys", mentions, "/proc/keys", f"{token}:")
note("process", process)
for directory in directories:
    note(f"{directory} file", os.stat, f"{directory}/{token}")
    note(f"{directory} socket", connect, socket.AF_UNIX, f"{directory}/{token}.sock")
print(json.dumps(seen))
