# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fails every call to the kernel that tenantd makes on a path, each in its turn.

    run.py BUILD [PATH...]

The paths are create, first (a tenant's first launch), launch (with its settlement), settle, exec,
copy and delete (of one that has run something). What a path calls is found
by running it: a call is where it is made and the how manieth there. Then it is run once for each,
with that call failing. Afterwards the tenant is there or it is not, in the store and in the kernel
alike, nothing is left behind, and the same thing done again goes well. A daemon that ends over it
is started again, as systemd would. As root, on a host with a cgroup2."""

import collections
import contextlib
import ctypes
import json
import mmap
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "bench"))
import product  # noqa: E402

SITES_MAX = 2048
RAW = 0x80000000
# What waits or is asked again and again is made a different number of times each time.
ROUNDS = 3
TRIES = 5
NAMES = re.findall(r"^\tX\((\w+), ", (HERE / "calls.h").read_text("ascii"), re.M)


class Site(ctypes.Structure):
    _fields_ = [("at", ctypes.c_uint64), ("call", ctypes.c_uint32), ("n", ctypes.c_uint32)]


class Shared(ctypes.Structure):
    _fields_ = [("armed", ctypes.c_uint32), ("fired", ctypes.c_uint32), ("at", ctypes.c_uint64),
                ("nth", ctypes.c_uint32), ("pad", ctypes.c_uint32), ("sites", Site * SITES_MAX)]


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Daemon(product.Product):
    def __init__(self, build, directory, cgroup):
        super().__init__(build, directory, cgroup)
        self.build = build
        installed = self.root / "usr/sbin/tenantd"
        installed.unlink()
        installed.symlink_to(Path(build, "tests/fault/tenantd-fault").resolve())
        path = directory / "shared"
        path.write_bytes(bytes(ctypes.sizeof(Shared)))
        self._file = open(path, "r+b")
        self.shared = Shared.from_buffer(mmap.mmap(self._file.fileno(), 0))
        os.environ["TN_FAULT"] = str(path)
        self.deaths = 0

    def addr(self, at):
        done = subprocess.run(["addr2line", "-fse", self.root / "usr/sbin/tenantd", hex(at - 1)],
                              capture_output=True, text=True, check=False)
        return " ".join(done.stdout.split())

    @contextlib.contextmanager
    def armed(self, at=0, nth=0):
        shared = self.shared
        ctypes.memset(ctypes.byref(shared.sites), 0, ctypes.sizeof(shared.sites))
        shared.fired, shared.at, shared.nth = 0, at, nth
        shared.armed = 1
        try:
            yield
        finally:
            shared.armed = 0

    def noted(self):
        return {site.at: (site.call, site.n) for site in self.shared.sites if site.at}

    def ctl(self, *args, check=False):
        """Who calls looks at how it ended."""
        return super().ctl(*args, check=check)

    def status_of(self, name):
        """Those of the name that were deleted are shown, too. None: there never was one."""
        shown = self.ctl("show", name, "--json")
        return json.loads(shown.stdout)["status"] if shown.returncode == 0 else None

    def start(self, missing):
        with contextlib.suppress(subprocess.CalledProcessError):
            super().start(missing)

    def revive(self):
        """As Restart=always has it."""
        if self._daemon.poll() is None:
            return False
        self.deaths += 1
        assert self._daemon.returncode >= 0, f"killed by {-self._daemon.returncode}"
        self.start(True)
        self.run_true()
        return True

    def run_true(self, tenant=product.TENANT):
        return subprocess.run(
            [self.program("tenant-run"), "--socket", self.socket, tenant, "--", "true"], env=self.environment, capture_output=True, text=True, timeout=120,
            check=False)

    def children(self):
        pid = self._daemon.pid
        try:
            return Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        except FileNotFoundError:
            return []

    def snapshot(self):
        """What is there: descriptors of tenantd by kind, mounts, control groups, records,
        stored directories, processes."""
        pid = self._daemon.pid
        kinds = collections.Counter()
        for fd in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                kinds[re.sub(r"\d+", "N", os.readlink(fd.path))] += 1
        commands = collections.Counter()
        for child in self.children():
            with contextlib.suppress(OSError):
                commands[Path(f"/proc/{child}/comm").read_text("ascii").strip()] += 1
        # Launchers come as there is need, and stay.
        kinds = {kind: n for kind, n in kinds.items() if "pidfd" not in kind}
        commands.pop("tenantd-launch", None)
        return {
            "descriptors": kinds, "children": dict(commands),
            "mounts": Path(f"/proc/{pid}/mountinfo").read_text("utf-8").count("\n"),
            "cgroups": sorted(str(p.relative_to(self.cgroup)) for p in self.cgroup.rglob("*")
                              if p.is_dir()),
            "meters": sorted(str(p.relative_to(self.run)) for p in (self.run / "meter").rglob("*")),
            "records": sorted(p.name for p in (self.run / "exec").iterdir()),
            "storage": sorted(p.name for p in (self.state / "tenants").iterdir()
                              if p.name != ".deleted"),
            "discarded": sorted(p.name for p in (self.state / "tenants/.deleted").iterdir())
            if (self.state / "tenants/.deleted").exists() else [],
            "slots": sum(any((self.state / "slots").read_bytes()[i:i + 128])
                         for i in range(0, (self.state / "slots").stat().st_size, 128)),
        }


def difference(before, after):
    found = {}
    for key in before:
        was, now = before[key], after[key]
        if isinstance(was, dict):
            was, now = ({kind: n for kind, n in one.items() if other.get(kind, 0) != n}
                        for one, other in ((was, now), (now, was)))
        if was != now:
            found[key] = (was, now)
    return found


class Path_:
    """One of them: how to come to before it, do it, and see whether it has been done."""

    def __init__(self, daemon):
        self.daemon = daemon

    def prepare(self):
        pass

    def clean(self):
        """What is wrong, or ""."""
        return ""


class Create(Path_):
    def act(self):
        return self.daemon.ctl("create", "acme", "--tier", "bench")

    def done(self):
        return self.daemon.status_of("acme") == "active"

    def clean(self):
        return self.daemon.ctl("delete", "--force", "acme").stderr.strip()


class First(Path_):
    """What is made once for a tenant, when it is first of use."""

    def prepare(self):
        done = self.daemon.ctl("create", "acme", "--tier", "bench")
        assert done.returncode == 0, done.stderr

    def act(self):
        return self.daemon.run_true("acme")

    def done(self):
        return True

    def clean(self):
        return self.daemon.ctl("delete", "--force", "acme").stderr.strip()


class Delete(Path_):
    def prepare(self):
        done = self.daemon.ctl("create", "acme", "--tier", "bench")
        assert done.returncode == 0, done.stderr
        done = self.daemon.run_true("acme")
        assert done.returncode == 0, done.stderr
        # Until that is settled.
        time.sleep(0.2)

    def act(self):
        return self.daemon.ctl("delete", "--force", "acme")

    def done(self):
        return self.daemon.status_of("acme") == "deleted"


class Launch(Path_):
    def act(self):
        return self.daemon.run_true()

    def done(self):
        return True


class Settle(Path_):
    """An execution has been launched, and ends."""

    def prepare(self):
        self.process = subprocess.Popen(
            [self.daemon.program("tenant-run"), "--socket", self.daemon.socket,
             product.TENANT, "--", "sh", "-c", "echo up; read x; exit 3"],
            env=self.daemon.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"

    def act(self):
        _, err = self.process.communicate("x\n", timeout=120)
        return subprocess.CompletedProcess([], 0 if self.process.returncode == 3 else
                                           self.process.returncode, "", err)

    def done(self):
        return True


class Copy(Path_):
    """A file to the tenant, in the place of another, and back."""

    def __init__(self, daemon):
        super().__init__(daemon)
        self.directory = daemon.root.parent
        self.text = ""

    def prepare(self):
        self.text = f"{time.monotonic_ns()} " * 1000
        (self.directory / "source").write_text(self.text, encoding="ascii")

    def act(self):
        result = self.daemon.ctl("cp", "-q", str(self.directory / "source"),
                                 f"{product.TENANT}:/data/copied")
        if result.returncode == 0:
            result = self.daemon.ctl("cp", "-q", f"{product.TENANT}:/data/copied",
                                     str(self.directory / "back"))
        return result

    def stored(self):
        return [path for path in (self.daemon.state / "tenants").glob("*/data/*")
                if path.parent.parent.name != ".deleted"]

    def done(self):
        return [path.read_text("ascii") for path in self.stored()] == [self.text] and (
            self.directory / "back").read_text("ascii") == self.text

    def clean(self):
        """Whole, and nothing beside it."""
        stored = [path.name for path in self.stored()]
        return "" if stored == ["copied"] else f"stored is {stored}"


class Exec(Path_):
    """A command joins an execution, and ends."""

    def prepare(self):
        self.process = subprocess.Popen(
            [self.daemon.program("tenant-run"), "-v", "--socket", self.daemon.socket,
             product.TENANT, "--", "sh", "-c", "read x"], env=self.daemon.environment,
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # After what is not enforced on this host.
        said = iter(self.process.stderr.readline, "")
        self.execution = next(found.group(1) for found in map(
            re.compile(r"tenant-run: (\S+): started").match, said) if found)

    def act(self):
        return subprocess.run(
            [self.daemon.program("tenantctl"), "exec", "--socket", self.daemon.socket,
             self.execution, "--", "true"], env=self.daemon.environment, capture_output=True,
            stdin=subprocess.DEVNULL, text=True, timeout=120, check=False)

    def done(self):
        return True

    def clean(self):
        self.process.communicate("x\n", timeout=120)
        return "" if self.process.returncode == 0 else f"ended with {self.process.returncode}"


PATHS = {"create": Create, "first": First, "launch": Launch, "settle": Settle, "exec": Exec, "copy": Copy,
         "delete": Delete}


def settled(daemon, before):
    """Nothing is left but what is in `before`; else what."""
    after = {}

    def same():
        nonlocal after
        after = difference(before, daemon.snapshot())
        return after == {}

    # What could not be removed at once is tried again after a second.
    wait_for(same, 10)
    return after


def one(daemon, path, before, at, nth):
    """One fault. Gives (whether it came to that, what is wrong)."""
    path.prepare()
    time.sleep(0.03)
    with daemon.armed(at, nth):
        result = path.act()
        # What follows the answer: the settlement, the remover.
        wait_for(lambda: daemon.shared.fired, 0.05)
    fired = bool(daemon.shared.fired)
    wrong = []
    revived = daemon.revive()
    if result.returncode != 0 and not result.stderr.strip():
        wrong.append(f"status {result.returncode} and not a word")
    if result.returncode == 0 and not path.done():
        wrong.append("said to be done and is not")
    if not path.done():
        again = path.act()
        if again.returncode != 0:
            wrong.append(f"again: {again.stderr.strip()}")
    elif result.returncode != 0 and isinstance(path, (Create, Delete)):
        wrong.append(f"done, and said: {result.stderr.strip()}")
    unclean = path.clean()
    if unclean:
        wrong.append(f"cleaning up: {unclean}")
    follow = daemon.run_true()
    if follow.returncode != 0:
        wrong.append(f"the next launch: {follow.stderr.strip()}")
    left = settled(daemon, before if not revived else {
        key: value for key, value in before.items() if key not in ("descriptors", "mounts")})
    if left:
        wrong.append(f"left behind: {left}")
    return fired, wrong


def find(daemon, path):
    """Which calls there are: those of some rounds, the most of each."""
    found = {}
    calls = {}
    for _ in range(ROUNDS):
        path.prepare()
        with daemon.armed():
            result = path.act()
            time.sleep(0.1)
        assert result.returncode == 0, result.stderr
        noted = daemon.noted()
        path.clean()
        time.sleep(0.3)
        for at, (call, n) in noted.items():
            calls[at] = call
            found.setdefault(at, []).append(n)
    # What is not made each time is nobody's to make fail: the end of the work before, a wait.
    found = {at: min(counts) for at, counts in found.items() if len(counts) == ROUNDS}
    return [(at, nth, calls[at]) for at in sorted(found) for nth in range(1, found[at] + 1)]


def walk(daemon, name):
    path = PATHS[name](daemon)
    # Warm: what the first use makes the daemon open is there.
    path.prepare()
    assert path.act().returncode == 0
    path.clean()
    daemon.run_true()
    time.sleep(0.3)
    before = daemon.snapshot()
    calls = find(daemon, path)
    failed, bad = 0, []
    for at, nth, call in calls:
        for _ in range(TRIES):
            fired, wrong = one(daemon, path, before, at, nth)
            if wrong:
                called = f"raw {call & ~RAW}" if call & RAW else NAMES[call]
                bad.append(f"{name}: {called} at {daemon.addr(at)}, number {nth}: "
                           f"{'; '.join(wrong)}")
                print(bad[-1], flush=True)
                daemon.stop()
                daemon.start(True)
                daemon.run_true()
                path.clean()
                settled(daemon, before)
                before = daemon.snapshot()
            if fired:
                failed += 1
                break
    print(f"{name}: calls found {len(calls)}, calls failed {failed}, wrong {len(bad)}, "
          f"daemon started again {daemon.deaths} times", flush=True)
    return len(calls) == failed and not bad


def cgroup2():
    for line in reversed(Path("/proc/self/mountinfo").read_text("utf-8").splitlines()):
        left, right = line.split(" - ")
        if right.split()[0] == "cgroup2":
            return Path(left.split()[4])
    sys.exit(77)


def main():
    build, names = sys.argv[1], sys.argv[2:] or list(PATHS)
    if os.geteuid() != 0:
        sys.exit(1 if os.environ.get("TN_MUST_RUN") == "1" else 77)
    tree = cgroup2() / f"tn-fault-{os.getpid()}"
    tree.mkdir()
    good = False
    # Anybody may look into it: the controller is not root.
    with tempfile.TemporaryDirectory(prefix="tn-fault-", dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        daemon = Daemon(build, Path(place), tree)
        try:
            daemon.start(True)
            good = all([walk(daemon, name) for name in names])
        finally:
            daemon.stop()
            print(daemon.log.read_text("utf-8")[-3000:] if not good else "", end="")
            subprocess.run(["umount", daemon.run], check=True)
            for directory, _, _ in os.walk(tree, topdown=False):
                with contextlib.suppress(OSError):
                    Path(directory, "cgroup.kill").write_text("1", "ascii")
                wait_for(lambda: removed(directory), 5)
    sys.exit(0 if good else 1)


def removed(directory):
    try:
        os.rmdir(directory)
    except OSError:
        return not os.path.exists(directory)
    return True


if __name__ == "__main__":
    main()
