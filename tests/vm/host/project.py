# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the project and installs it into a directory, as for a package.

The build directory is one of its own, because the guest gets what an admin would install
(prefix /usr, optimised), whatever the developer's other build directories are set to.
"""

import contextlib
import fcntl
import os
import tempfile

import command
from image import VM_DIR
from report import Broken, say

OPTIONS = ("--prefix=/usr", "--buildtype=debugoptimized")
BUILD_DIR = "build-vm"


def source_dir():
    """TENANTD_SOURCE names another source tree, to try these scripts on; else our own."""
    source = os.path.abspath(os.environ.get("TENANTD_SOURCE") or f"{VM_DIR}/../..")
    if not os.path.exists(f"{source}/meson.build"):
        raise Broken(f"{source} has no meson.build")
    return source


@contextlib.contextmanager
def installed():
    """Gives a directory with the installed files in it, and removes it."""
    source = source_dir()
    build = f"{source}/{BUILD_DIR}"
    os.makedirs(build, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tenantd-vm-") as dest:
        with open(f"{build}/.tests-vm-lock", "wb") as lock, \
                tempfile.TemporaryFile() as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(f"{build}/build.ninja"):
                say(f"building the project in {build}")
                command.run(["meson", "setup", *OPTIONS, build, source], "project", log)
            command.run(["ninja", "-C", build], "project", log)
            command.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet",
                         "--destdir", dest], "project", log)
        yield dest
