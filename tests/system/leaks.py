# SPDX-License-Identifier: LGPL-2.1-or-later
"""What executions must not leave behind, as a snapshot of the machine.

A tenant keeps a cgroup node and, once it has run something, a context: one descriptor of the
node, one of each of five namespaces and one of its message queues in tenantd, and the socket that its
workloads meter themselves on, which the controller has too, with a loop of its own around it. Whatever else a test adds is a leak. All
that tenantd and its controller hold is compared by kind, not by number, so that either may
have been restarted in between. Launchers, which have tenantd's own descriptors and each one of
its, come as they are needed.
"""

import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from product import EXEC_RECORDS, TREE, Host

UID_BASE = 2147483648  # uid_base of bounds.conf
SETTLE_SECONDS = 10
# Of each kind so many; the second user namespace maps what is bound.
CONTEXT_NAMESPACES = {"net": 1, "ipc": 1, "uts": 1, "mnt": 1, "user": 2}

METERS = Path("/run/tenantd/meter")
# How each is called that listens: it was bound before it was put in its place.
_METER = re.compile(r"^\S+ \S+ \S+ 00010000 \S+ \S+ +(\d+) .*/meter\.sock\.new$", re.M)

# As Linux 6.1 calls it.
_PIDFD = "anon_inode:[pidfd]"
_NAMESPACE = re.compile(r"(net|ipc|uts|mnt|user):\[\d+\]")


def _processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(path):
    """None if the process has ended meanwhile."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None


def _links(directory):
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return []
    links = []
    for name in names:
        try:
            links.append(os.readlink(f"{directory}/{name}"))
        except FileNotFoundError:
            pass
    return links


def _fd_kind(target):
    """Inode numbers differ from one start to the next, and so does nothing else."""
    return re.sub(r":\[\d+\]", "", target)


def _nodes():
    return {entry.name for entry in os.scandir(TREE)
            if entry.is_dir() and entry.name != ".holder"}


def _leaves():
    """A node without any has as many links as a directory without directories."""
    return {f"{node}/{entry.name}" for node in _nodes() if os.stat(TREE / node).st_nlink > 2
            for entry in os.scandir(TREE / node) if entry.is_dir()}


def _tenant_processes():
    tree = "/" + str(TREE.relative_to("/sys/fs/cgroup")) + "/"
    found = set()
    for pid in _processes():
        cgroup = _read(f"/proc/{pid}/cgroup")
        status = _read(f"/proc/{pid}/status")
        if cgroup is None or status is None:
            continue
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1))
        inside = tree in cgroup and tree + ".holder" not in cgroup
        if inside or uid >= UID_BASE:
            name = re.search(r"^Name:\s+(.*)", status, re.M).group(1)
            found.add(f"{name} (pid {pid}, uid {uid}, {cgroup.strip()})")
    return found


def _mounts(pid):
    text = _read(f"/proc/{pid}/mountinfo") or ""
    return Counter(line.split()[4] for line in text.splitlines())


def _network_namespaces(without):
    """Held by a process that is none of @without, or by a descriptor of one."""
    found = set()
    for pid in _processes():
        if pid in without:
            continue
        links = _links(f"/proc/{pid}/fd")
        try:
            links.append(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            pass
        found.update(link for link in links if link.startswith("net:["))
    return found


def _meters(links):
    """How many of these descriptors are tenants' own sockets."""
    inodes = _METER.findall(Path("/proc/net/unix").read_text("ascii"))
    return len({f"socket:[{inode}]" for inode in inodes} & set(links))


def _kept():
    """Mount namespaces that tenantd's keeper holds; None without a keeper."""
    keeper = Host.keeper_pid()
    if keeper == 0:
        return None
    return sum(link.startswith("mnt:[") for link in _links(f"/proc/{keeper}/fd"))


@dataclass
class Snapshot:
    nodes: set = field(default_factory=_nodes)
    leaves: set = field(default_factory=_leaves)
    processes: set = field(default_factory=_tenant_processes)
    records: set = field(default_factory=lambda: set(os.listdir(EXEC_RECORDS)))

    def __post_init__(self):
        supervisor, controller = Host.supervisor_pid(), Host.controller_pid()
        launchers = Host.launcher_pids()
        held = _links(f"/proc/{supervisor}/fd")
        of_tenants = {str(TREE / node) for node in self.nodes}
        self.node_fds = Counter(link for link in held if link in of_tenants)
        self.namespace_fds = Counter(
            link.split(":")[0] for link in held if _NAMESPACE.fullmatch(link))
        # A mount that is nowhere attached has no longer path.
        self.queue_fds = held.count("/")
        self.supervisor_fds = Counter(
            _fd_kind(link) for link in held
            if link not in of_tenants and link != "/" and not _NAMESPACE.fullmatch(link))
        self.supervisor_fds[_PIDFD] -= len(launchers)
        of_controller = _links(f"/proc/{controller}/fd")
        self.controller_fds = Counter(map(_fd_kind, of_controller))
        self.meters = [_meters(held), _meters(of_controller)]
        self.supervisor_fds["socket"] -= self.meters[0]
        self.controller_fds["socket"] -= self.meters[1]
        self.controller_fds["anon_inode:[eventpoll]"] -= self.meters[1]
        self.meter_directories = len(list(METERS.iterdir()))
        self.mounts = {"pid 1": _mounts(1), "tenantd": _mounts(supervisor)}
        self.network_namespaces = _network_namespaces([supervisor, *launchers])
        self.kept = _kept()

    def alive(self):
        return bool(self.supervisor_fds and self.controller_fds)


def _more(what, before, after):
    grown = after - before
    return [f"{what}: {name} ({before[name]}, now {after[name]})" for name in sorted(grown)]


def compare(before, after):
    """What there is after and was not before, or should not be at all; in words."""
    found = [f"cgroup {name}" for name in sorted(after.leaves - before.leaves)]
    found += [f"process {name}" for name in sorted(after.processes - before.processes)]
    found += [f"{EXEC_RECORDS}/{name}" for name in sorted(after.records - before.records)]
    found += [f"network namespace {name}"
              for name in sorted(after.network_namespaces - before.network_namespaces)]
    for where in after.mounts:
        found += _more(f"mount of {where}", before.mounts[where], after.mounts[where])
    found += _more("descriptor of tenantd", before.supervisor_fds, after.supervisor_fds)
    found += _more("descriptor of the controller", before.controller_fds,
                   after.controller_fds)
    found += [f"tenantd holds {n} descriptors of {name}"
              for name, n in after.node_fds.items() if n > 1]
    # One context per tenant at most, and no half of one. What tenantd holds beside those, of
    # its own, is the same at any time.
    contexts = after.namespace_fds["net"]
    own_before = {kind: before.namespace_fds[kind] - n * before.namespace_fds["net"]
                  for kind, n in CONTEXT_NAMESPACES.items()}
    own_after = {kind: after.namespace_fds[kind] - n * contexts
                 for kind, n in CONTEXT_NAMESPACES.items()}
    if own_after != own_before or contexts > len(after.nodes):
        found.append(f"tenantd holds namespaces {dict(after.namespace_fds)} "
                     f"for {len(after.nodes)} tenants")
    if (after.queue_fds - contexts) != (before.queue_fds - before.namespace_fds["net"]):
        found.append(f"tenantd holds message queues {after.queue_fds} of {contexts} tenants")
    if after.meters[0] > len(after.nodes) or after.meters[1] != after.meters[0]:
        found.append(f"{after.meters} sockets of {len(after.nodes)} tenants")
    if after.meter_directories > len(after.nodes):
        found.append(f"{after.meter_directories} directories of {len(after.nodes)} tenants")
    if after.kept is None or after.kept > (before.kept or 0):
        found.append(f"the keeper holds {after.kept} mount namespaces, not {before.kept}")
    if not after.alive():
        found.append("tenantd or its controller does not run")
    return found


def settle(before):
    """Compares until nothing is left or the time is up; gives what is left."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = compare(before, Snapshot())
        if not found or time.monotonic() >= deadline:
            return found
        time.sleep(0.1)
