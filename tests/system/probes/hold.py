# SPDX-License-Identifier: LGPL-2.1-or-later
"""hold.py TOKEN DIRECTORY...: makes one thing of each kind that somebody else might see, all of
them named by TOKEN and open to everybody, says so in a line and keeps them until its standard
input ends."""

import ctypes
import json
import os
import platform
import socket
import sys
import zlib

ADD_KEY = {"x86_64": 248, "aarch64": 217}[platform.machine()]
KEYCTL = ADD_KEY + 2
KEYCTL_REVOKE, KEYCTL_SETPERM = 3, 5
SESSION_KEYRING = -3
KEY_FOR_ALL = 0x3F3F3F3F
IPC_CREAT, IPC_RMID = 0o1000, 0

token, *directories = sys.argv[1:]
key = zlib.crc32(token.encode()) & 0x7FFFFFFF
port = 20000 + key % 20000
libc = ctypes.CDLL(None, use_errno=True)


def call(function, *args):
    r = getattr(libc, function)(*args)
    if r == -1:
        raise OSError(ctypes.get_errno(), function)
    return r


def listen(family, address):
    sock = socket.socket(family)
    sock.bind(address)
    sock.listen()
    return sock


def add_key():
    """Its serial number, or None where keys are refused."""
    try:
        serial = call("syscall", ADD_KEY, b"user", token.encode(), b"secret", 6,
                      SESSION_KEYRING)
    except PermissionError:
        return None
    call("syscall", KEYCTL, KEYCTL_SETPERM, serial, KEY_FOR_ALL)
    return serial


os.umask(0)
shm = call("shmget", key, 4096, IPC_CREAT | 0o666)
sem = call("semget", key, 1, IPC_CREAT | 0o666)
msg = call("msgget", key, IPC_CREAT | 0o666)
mq = call("mq_open", f"/{token}".encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
sockets = [listen(socket.AF_UNIX, f"\0{token}"), listen(socket.AF_INET, ("127.0.0.1", port)),
           listen(socket.AF_INET6, ("::1", port))]
for directory in directories:
    with open(f"{directory}/{token}", "w", encoding="ascii") as file:
        file.write(token)
    sockets.append(listen(socket.AF_UNIX, f"{directory}/{token}.sock"))
serial = add_key()
print(json.dumps({"key": serial, "directories": directories}), flush=True)

sys.stdin.read()
call("shmctl", shm, IPC_RMID, None)
call("semctl", sem, 0, IPC_RMID)
call("msgctl", msg, IPC_RMID, None)
call("mq_unlink", f"/{token}".encode())
for directory in directories:
    os.unlink(f"{directory}/{token}")
    os.unlink(f"{directory}/{token}.sock")
if serial is not None:
    call("syscall", KEYCTL, KEYCTL_REVOKE, serial)
