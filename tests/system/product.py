# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed programs as tests use them: tiers, tenants, executions. No test logic."""

import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TIERS = Path("/etc/tenantd/tiers")
EXEC_RECORDS = Path("/run/tenantd/exec")
TREE = Path("/sys/fs/cgroup/tenants.slice/tenantd-tenants.service")
SERVICE = Path("/sys/fs/cgroup/system.slice/tenantd.service")
# Within /usr, which every sandbox shows.
PROBES = Path("/usr/local/libexec/tenantd-probes")
PROBE_SOURCES = Path(__file__).parent / "probes"
# Hostile ones. They lie beside this directory, in the guest too.
ATTACK_SOURCES = Path(__file__).parent.parent / "attack" / "programs"

LIMIT_KEYS = (
    "cpu_quota", "cpu_weight", "memory_max", "memory_high", "memory_swap_max",
    "execution_memory_max", "tasks_max", "executions_max", "runtime_max",
    "cpu_time_max", "nofile_max", "core_max", "fsize_max", "oom", "log_max",
    "shrink_grace",
)
RECORD_KEYS = (
    "id", "tenant", "name", "state", "reason", "exit_code", "signal", "started_at", "ended_at",
    "wall_usec", "cpu_usec", "cpu_user_usec", "cpu_system_usec", "throttled_usec",
    "tenant_throttled_usec", "memory_peak_bytes", "memory_mib_msec", "io_read_bytes",
    "io_write_bytes", "pids_peak", "overhead_usec", "oom_kills", "pids_refused",
    "stall_cpu_usec", "stall_memory_usec", "stall_io_usec", "policy_hash",
    "joins", "asked_uid", "asked_pid",
)

_numbers = itertools.count(1)


def wait_for(condition, what, timeout=20.0, every=0.02):
    """Gives what `condition` gives once that is true; fails naming `what`, a text or a function
    that gives one, after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s for {what() if callable(what) else what}")
        time.sleep(every)


def stat_value(path, key):
    """The integer after `key` in a file of `key value` lines; `key` None: the whole file."""
    text = Path(path).read_text(encoding="ascii")
    if key is None:
        return int(text)
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    raise KeyError(f"{key} in {path}: {text!r}")


@dataclass
class Result:
    """How a tenant-run ended."""

    status: int
    out: bytes
    err: bytes
    record: dict | None  # of --report


class Running:
    """A tenant-run under way. It was started with -v, so `err` tells the execution's id."""

    def __init__(self, tenant, argv, opts, stdin):
        self.tenant = tenant
        self._dir = tempfile.TemporaryDirectory(prefix="run-")
        base = Path(self._dir.name)
        self._report, self._out, self._err = (base / n for n in ("report", "out", "err"))
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                ["tenant-run", "-v", "--report", str(self._report), *map(str, opts),
                 tenant.name, "--", *map(str, argv)],
                stdin=stdin, stdout=out, stderr=err)
        self.pid = self.process.pid
        self.stdin = self.process.stdin

    def out(self):
        return self._out.read_bytes()

    def err(self):
        return self._err.read_bytes()

    def poll(self):
        return self.process.poll()

    def send_signal(self, signal):
        self.process.send_signal(signal)

    def kill(self):
        self.process.kill()

    def _started(self):
        found = re.search(rb"^tenant-run: ([0-9a-f-]{36}): started", self.err(), re.M)
        if found:
            return found.group(1).decode()
        if self.poll() is not None:
            raise AssertionError(f"ended before it started: {self.err()!r}")
        return None

    def _plight(self):
        leaves = {leaf: (self.tenant.cgroup / leaf / "cgroup.procs").read_text("ascii").split()
                  for leaf in self.tenant.leaves()}
        stacks = {pid: Path(f"/proc/{pid}/wchan").read_text("ascii")
                  for pid in sum(leaves.values(), [str(self.pid)])}
        return (f"the start of {self.process.args}, which said {self.err()!r}; leaves {leaves}, "
                f"waiting in {stacks}, listed {self.tenant.ps()}")

    @property
    def id(self):
        """Waits until the workload has been executed."""
        return wait_for(self._started, self._plight)

    @property
    def leaf(self):
        """The execution's cgroup."""
        return self.tenant.cgroup / self.id

    def read(self, name):
        return (self.leaf / name).read_text(encoding="ascii").strip()

    def stat(self, name, key=None):
        return stat_value(self.leaf / name, key)

    def wait_out(self, text, timeout=30):
        """Waits until the workload has written `text`, gives all that it has."""

        def written():
            ended = self.poll() is not None
            if text in self.out():
                return self.out()
            assert not ended, f"ended without {text!r}: {self.out()!r} {self.err()!r}"
            return None

        return wait_for(written, f"{text!r} in the output", timeout)

    def wait(self, timeout=60):
        status = self.process.wait(timeout)
        record = json.loads(self._report.read_bytes()) if self._report.exists() else None
        return Result(status, self.out(), self.err(), record)


class Tenant:
    def __init__(self, host, name, tier):
        self.host = host
        self.name = name
        self.tier = tier
        shown = self.show()
        self.id = shown["id"]
        self.cgroup = Path(shown["cgroup"])
        self.uid_first = shown["uid_first"]
        self.storage = Path(shown["storage_path"])  # /data inside

    def show(self):
        return self.host.ctl_json("show", self.name)

    def update(self, *opts, check=True):
        return self.host.ctl("update", self.name, *opts, check=check)

    def usage(self, *opts):
        return self.host.ctl_json("usage", *opts, self.name)

    def ps(self):
        """Every execution of this tenant, newest first, those that have ended too."""
        return [row for row in self.host.ctl_json("ps", "--all") if row["tenant"] == self.name]

    def read(self, name):
        return (self.cgroup / name).read_text(encoding="ascii").strip()

    def stat(self, name, key=None):
        return stat_value(self.cgroup / name, key)

    def leaves(self):
        return sorted(entry.name for entry in os.scandir(self.cgroup) if entry.is_dir())

    def run(self, argv, *opts, stdin=None, timeout=60):
        """Runs to the end. stdin: bytes, or None for an empty one."""
        with tempfile.TemporaryDirectory(prefix="run-") as directory:
            report = Path(directory, "report")
            done = subprocess.run(
                ["tenant-run", "--report", str(report), *map(str, opts), self.name, "--",
                 *map(str, argv)],
                input=b"" if stdin is None else stdin, capture_output=True, timeout=timeout,
                check=False)
            record = json.loads(report.read_bytes()) if report.exists() else None
        return Result(done.returncode, done.stdout, done.stderr, record)

    def start(self, argv, *opts, stdin=subprocess.DEVNULL):
        running = Running(self, argv, opts, stdin)
        self.host.running.append(running)
        return running


class Host:
    """What one test makes of the machine."""

    def __init__(self):
        self.running = []
        self._tiers = []
        self._tenants = []

    @staticmethod
    def ctl(*argv, check=True, timeout=60):
        done = subprocess.run(["tenantctl", *map(str, argv)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"tenantctl {argv}: {done.returncode}: {done.stderr!r}")
        return done

    @classmethod
    def ctl_json(cls, *argv):
        return json.loads(cls.ctl(*argv, "--json").stdout)

    @staticmethod
    def _tier_text(name, keys):
        lines = [f"tier: {name}", "limits:"]
        lines += [f"  {key}: {json.dumps(keys[key])}" for key in keys if key in LIMIT_KEYS]
        if len(lines) == 2:
            lines[1] = "limits: {}"
        lines += [f"{key}: {json.dumps(keys[key])}" for key in keys if key not in LIMIT_KEYS]
        return "\n".join(lines) + "\n"

    def _tier_write(self, name, keys):
        name = name or f"tier-{next(_numbers)}"
        path = TIERS / f"{name}.yaml"
        path.write_text(self._tier_text(name, keys), encoding="utf-8")
        return name, path

    def tier(self, name=None, /, **keys):
        """Makes a tier of these keys, of `limits` or of the file, and gives its name."""
        name, path = self._tier_write(name, keys)
        try:
            self.ctl("policy", "reload")
        except AssertionError:
            path.unlink()
            raise
        self._tiers.append(name)
        return name

    def tier_refused(self, name=None, /, **keys):
        """What `policy reload` says to such a tier, which must not be taken."""
        name, path = self._tier_write(name, keys)
        try:
            done = self.ctl("policy", "reload", check=False)
        finally:
            path.unlink()
        assert done.returncode != 0, f"{keys} was taken"
        return done.stderr.decode()

    @staticmethod
    def where(tier, key):
        """The place that messages name: tiers/NAME.yaml:LINE."""
        path = TIERS / f"{tier}.yaml"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.split(":")[0].strip() == key:
                return f"tiers/{tier}.yaml:{number}"
        raise KeyError(f"{key} in {path}")

    def tenant(self, tier="professional", name=None):
        name = name or f"t{next(_numbers)}"
        self.ctl("create", name, "--tier", tier)
        self._tenants.append(name)
        return Tenant(self, name, tier)

    @staticmethod
    def probe(name, *link):
        """The path of probes/NAME.c, or tests/attack/programs/NAME.c, compiled once, as seen
        inside and outside."""
        path = PROBES / name
        source = next(directory / f"{name}.c" for directory in (PROBE_SOURCES, ATTACK_SOURCES)
                      if (directory / f"{name}.c").exists())
        if not path.exists():
            PROBES.mkdir(parents=True, exist_ok=True)
            # Not on PATH before it is whole.
            unfinished = path.with_suffix(".new")
            subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", str(unfinished),
                            str(source), *(link or ("-static", "-lpthread"))], check=True)
            unfinished.rename(path)
        return str(path)

    @classmethod
    def launches(cls, tenant, count, *argv, flight=1, seconds=3600, **kwargs):
        """A client of libtenant that runs `argv` over and over: see probes/launches.c."""
        return subprocess.Popen(
            [cls.probe("launches", "-ltenant"), tenant.name, str(count), str(flight),
             str(seconds), *map(str, argv)], stdin=subprocess.DEVNULL, text=True, **kwargs)

    @staticmethod
    def supervisor_pid():
        """Of tenantd itself, 0 while there is none. Not by systemctl: each test asks often."""
        try:
            pids = SERVICE.joinpath("cgroup.procs").read_text("ascii").split()
        except OSError:
            return 0
        for pid in pids:
            try:
                status = Path(f"/proc/{pid}/status").read_text("utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if re.search(r"^Name:\ttenantd$", status, re.M) and "\nPPid:\t1\n" in status:
                return int(pid)
        return 0

    @classmethod
    def controller_pid(cls):
        """Of tenant-controller, 0 while there is none."""
        return cls._child_pid("tenant-contro")

    @classmethod
    def keeper_pid(cls):
        """Of tenantd-keeper, 0 while there is none."""
        return cls._child_pid("tenantd-keeper")

    @classmethod
    def launcher_pids(cls):
        """Of tenantd's launchers, without the children that have the name of theirs still."""
        return cls._child_pids("tenantd-launch")

    @classmethod
    def _child_pid(cls, name):
        return next(iter(cls._child_pids(name)), 0)

    @classmethod
    def _child_pids(cls, name):
        """Children of tenantd that are in no sandbox."""
        supervisor = cls.supervisor_pid()
        found = []
        try:
            children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text("ascii")
        except FileNotFoundError:
            return found
        for pid in map(int, children.split()):
            try:
                status = Path(f"/proc/{pid}/status").read_text("utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue
            inside = len(re.search(r"^NSpid:(.*)", status, re.M).group(1).split()) > 1
            if not inside and re.search(rf"^Name:\s{re.escape(name)}", status, re.M):
                found.append(pid)
        return found

    @classmethod
    def wait_served(cls, find, old, status=0):
        """Until what `find` gives the pid of is another than `old`, and serves."""
        wait_for(lambda: find() not in (0, old) and
                 cls.ctl("status", check=False).returncode == status,
                 "a new daemon to serve", 60)

    @classmethod
    def kill_supervisor(cls):
        """kill -9; gives back once another tenantd serves."""
        old = cls.supervisor_pid()
        os.kill(old, signal.SIGKILL)
        cls.wait_served(cls.supervisor_pid, old)

    @classmethod
    def kill_controller(cls):
        """The same of the other daemon."""
        old = cls.controller_pid()
        os.kill(old, signal.SIGKILL)
        cls.wait_served(cls.controller_pid, old)

    @classmethod
    def restart(cls, status=0):
        """As after an upgrade; gives back once it serves with that status."""
        old = cls.supervisor_pid()
        subprocess.run(["systemctl", "restart", "tenantd.service"], check=True, timeout=120)
        cls.wait_served(cls.supervisor_pid, old, status)

    def _delete(self, name):
        done = self.ctl("delete", "--force", name, check=False)
        if done.returncode != 0 and self.ctl_json("show", name)["status"] != "deleted":
            raise AssertionError(f"tenantctl delete {name}: {done.stderr!r}")

    def close(self):
        """Ends what the test left running, deletes its tenants and takes its tiers away."""
        for running in self.running:
            if running.poll() is None:
                running.process.kill()
                running.process.wait()
        for name in self._tenants:
            self._delete(name)
        for name in self._tiers:
            (TIERS / f"{name}.yaml").unlink(missing_ok=True)
        if self._tiers:
            self.ctl("policy", "reload")
