# SPDX-License-Identifier: LGPL-2.1-or-later
"""write.py WRITABLE...: tries to change everything in / but what lies in WRITABLE, in what is
/dev/null and in the directories of processes. Prints an object: "tried", a count; "made", the
directories in which a file could be made; "opened", the files that could be opened for
writing; "changed", what else could be done."""

import json
import os
import stat
import sys

writable = set(sys.argv[1:])
done = {"tried": 0, "made": [], "opened": [], "changed": []}
NULL = os.stat("/dev/null").st_rdev


def make_in(directory):
    path = os.path.join(directory, ".written")
    done["tried"] += 1
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return
    done["made"].append(directory)
    os.unlink(path)


def open_file(path):
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode) or status.st_rdev == NULL:
        return
    done["tried"] += 1
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return
    done["opened"].append(path)


def change(what, function, *args, **kwargs):
    done["tried"] += 1
    try:
        function(*args, **kwargs)
    except OSError:
        return
    done["changed"].append(f"{what} {args}")


for top, directories, files in os.walk("/"):
    make_in(top)
    for name in files:
        open_file(os.path.join(top, name))
    directories[:] = [name for name in directories
                      if os.path.join(top, name) not in writable and
                      not (top == "/proc" and name.isdigit())]

for path in ("/usr/bin/env", "/etc/passwd", "/etc/hosts", "/run/tenant/hostname", "/dev/null",
             "/sys/fs/cgroup/memory.max", "/proc/sys/kernel/hostname", "/usr/lib", "/etc", "/"):
    change("chmod", os.chmod, path, 0o777)
    change("chown", os.chown, path, 1000, 1000)
    change("utime", os.utime, path)
    change("rename", os.rename, path, path + ".old")
    change("remove", os.rmdir if os.path.isdir(path) else os.unlink, path)
    change("setxattr", os.setxattr, path, "user.tenant", b"1")
for path in ("/usr/bin/env", "/etc/passwd", "/run/tenant/hosts", "/sys/fs/cgroup/memory.max"):
    change("truncate", os.truncate, path, 0)
    change("link", os.link, path, "/data/linked")
for directory in ("/", "/usr", "/etc", "/root", "/home", "/run", "/var", "/dev", "/sys"):
    change("mkdir", os.mkdir, directory + "/made")
    change("symlink", os.symlink, "/data", directory + "/made")
print(json.dumps(done))
