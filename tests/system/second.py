# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second tenantd beside the installed one: the same programs, in places of its own."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
TENANTD = "/usr/sbin/tenantd"
LIBEXEC = Path("/usr/libexec/tenantd")
POLICY = Path("/etc/tenantd")
BOUNDS = """
uid_base = 3000000000
slots_max = 8
executions_max = 50
memory_max = 1073741824
tasks_max = 512
nofile_max = 4096
storage_root = {}/tenants
"""


class Second:
    """Anybody may look into `place`, which is gone in the end, as is the control group."""

    def __init__(self, place, tree):
        self.place = place
        self.tree = tree
        self.store = place / "state/store"
        self.exec = place / "run/exec"
        self.libexec = place / "libexec"
        self.socket = place / "run/control.sock"
        self.process = None

    @contextlib.contextmanager
    def running(self, **environment):
        with open(self.place / "log", "wb") as log:
            self.process = subprocess.Popen(
                [TENANTD, "--config-dir", self.place / "etc", "--state-dir",
                 self.place / "state", "--run-dir", self.place / "run", "--libexec-dir",
                 self.libexec, "--cgroup-root", self.tree],
                env=dict(os.environ, **environment), stdout=log, stderr=log)
        try:
            yield self
        finally:
            self.process.terminate()
            self.process.wait(timeout=30)

    def alive(self):
        assert self.process.poll() is None, (self.place / "log").read_text("utf-8")
        return True

    def program(self, name, *argv, **options):
        """A client of ours, asking this tenantd."""
        return subprocess.run([name, *argv[:1], "--socket", self.socket, *argv[1:]]
                              if name == "tenantctl" else
                              [name, "--socket", self.socket, *argv],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False, **options)


@contextlib.contextmanager
def second():
    (CGROUPS / "cgroup.subtree_control").write_text("+cpu +memory +pids +io", encoding="ascii")
    tree = CGROUPS / "second"
    tree.mkdir()
    place = Path(tempfile.mkdtemp(prefix="second-", dir="/var/tmp"))
    place.chmod(0o755)
    shutil.copytree(POLICY, place / "etc")
    (place / "etc/bounds.conf").write_text(BOUNDS.format(place), encoding="ascii")
    shutil.copytree(LIBEXEC, place / "libexec")
    try:
        yield Second(place, tree)
    finally:
        shutil.rmtree(place)
        for directory, _, _ in os.walk(tree, topdown=False):
            os.rmdir(directory)
