# SPDX-License-Identifier: LGPL-2.1-or-later
"""tree.py NEEDLE...: walks all of / but /proc. Prints an object: "paths", what there is outside
/usr; "devices" and "others" (sockets and pipes) anywhere; "unreadable" directories; "holding",
the files outside /usr in which a needle stands, given backwards, and which one."""

import json
import os
import stat
import sys

needles = [argument[::-1] for argument in sys.argv[1:]]
found = {"paths": [], "devices": {}, "others": [], "unreadable": [], "holding": []}


def holds(path):
    try:
        with open(path, "rb") as file:
            content = file.read(1 << 20)
    except PermissionError:
        return
    found["holding"] += [[path, needle] for needle in needles if needle.encode() in content]


def visit(path):
    mode = os.lstat(path)
    if not path.startswith("/usr/"):
        found["paths"].append(path)
        if stat.S_ISREG(mode.st_mode):
            holds(path)
    if stat.S_ISCHR(mode.st_mode) or stat.S_ISBLK(mode.st_mode):
        kind = "c" if stat.S_ISCHR(mode.st_mode) else "b"
        found["devices"][path] = f"{kind} {os.major(mode.st_rdev)}:{os.minor(mode.st_rdev)}"
    elif stat.S_ISSOCK(mode.st_mode) or stat.S_ISFIFO(mode.st_mode):
        found["others"].append(path)


for top, directories, files in os.walk(
        "/", onerror=lambda error: found["unreadable"].append(error.filename)):
    for name in directories + files:
        visit(os.path.join(top, name))
    if top == "/":
        directories.remove("proc")
print(json.dumps(found))
