# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cgroup of our own for a benchmark, so that the host stays as it is."""

import ctypes
import os
import sys
from pathlib import Path

from product import CONTROLLERS

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
MS_BIND = 0x1000


def call(name, *args):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def cgroup2_mount():
    """The last mount of a cgroup2: on a hybrid host it lies below a tmpfs."""
    found = None
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, right = line.split(" - ")
        if right.split()[0] == "cgroup2":
            found = left.split()[4]
    if found is None:
        raise SystemExit("this host has no cgroup v2")
    return Path(found)


def own_cgroup():
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        if line.startswith("0::"):
            return line[3:].lstrip("/")
    raise SystemExit("this process is in no cgroup v2")


class Cgroups:
    """A node of our own: below the scope that systemd delegates, else at the top. `present` are
    the controllers it has; nothing above it is changed."""

    def __init__(self, delegated):
        mount = cgroup2_mount()
        self.delegated = delegated
        if delegated:
            self.base = mount / own_cgroup()
            self._enter(self.base / "outer")
        else:
            self.base = mount / f"tenantd-bench-{os.getpid()}"
            self.base.mkdir()
        available = (self.base / "cgroup.controllers").read_text(encoding="ascii").split()
        self.present = [one for one in CONTROLLERS if one in available]
        for one in self.present:
            (self.base / "cgroup.subtree_control").write_text(f"+{one}", encoding="ascii")
        self.tenants = self.base / "tenants"
        self.peers = self.base / "peers"
        self.tenants.mkdir()
        self.peers.mkdir()

    @staticmethod
    def _enter(node):
        node.mkdir(exist_ok=True)
        (node / "cgroup.procs").write_text("0", encoding="ascii")

    def become_peer(self):
        """In a child, before exec. Whatever the host is, crun and runc are to see a pure cgroup
        v2 that begins at a node of ours, so that they touch nothing else."""
        self._enter(self.peers)
        call("unshare", CLONE_NEWCGROUP | CLONE_NEWNS)
        self._enter(self.peers / "driver")
        call("mount", str(self.peers).encode(), b"/sys/fs/cgroup", None, MS_BIND, None)

    def remove(self):
        for path, _, _ in os.walk(self.base, topdown=False):
            if self.delegated and Path(path) in (self.base, self.base / "outer"):
                continue
            try:
                os.rmdir(path)
            except OSError as error:
                print(f"{path} stays: {error.strerror}", file=sys.stderr)
