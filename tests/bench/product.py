# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenantd as it is installed, under a directory of its own and with a cgroup of its own, so that
the host stays as it is."""

import json
import os
import pwd
import subprocess
import time
from pathlib import Path

TENANT = "bench"
# What the benchmark changes of a tier's defaults.
TIER = "tier: bench\nlimits:\n  executions_max: 4096\n"
CONTROLLERS = ("cpu", "memory", "pids", "io")


class Product:
    """A running tenantd with one tenant. `executions` counts what that tenant has run."""

    def __init__(self, build, directory, cgroup):
        self.root = directory / "root"
        self.run = directory / "run"
        self.state = directory / "state"
        self.socket = str(self.run / "control.sock")
        self.cgroup = cgroup
        self.executions = 0
        self.log = directory / "tenantd.log"
        self._daemon = None
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet"],
                       env={**os.environ, "DESTDIR": str(self.root)}, check=True)
        self.run.mkdir()
        # /run is a tmpfs where tenantd is installed.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "bench", self.run], check=True)
        self.config = self.root / "etc/tenantd"
        (self.config / "tiers/bench.yaml").write_text(TIER, encoding="ascii")
        self.bounds()

    def bounds(self, **keys):
        """What of bounds.conf is to be another than by default, before it is started."""
        lines = [f"{key} = {value}\n" for key, value in
                 {"storage_root": f"{self.state}/tenants", **keys}.items()]
        (self.config / "bounds.conf").write_text("".join(lines), encoding="ascii")

    def program(self, name):
        return str(self.root / "usr/bin" / name)

    @property
    def environment(self):
        """libtenant is not where the loader looks."""
        return {**os.environ, "LD_LIBRARY_PATH": str(self.root / "usr/lib")}

    def spawn(self, missing):
        """Begin to start it."""
        try:
            user = pwd.getpwnam("tenantd").pw_name
        except KeyError:
            user = "nobody"
        argv = [self.root / "usr/sbin/tenantd", "--config-dir", self.config,
                "--state-dir", self.state, "--run-dir", self.run,
                "--libexec-dir", self.root / "usr/libexec/tenantd",
                "--cgroup-root", self.cgroup, "--user", user]
        if missing:
            argv.append("--allow-missing-controllers")
        environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        with open(self.log, "ab") as log:
            self._daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment)

    @property
    def pid(self):
        return self._daemon.pid

    def controller_pid(self):
        """The one child of tenantd's with that name."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        for pid in children.split():
            if Path(f"/proc/{pid}/comm").read_text("ascii").startswith("tenant-contro"):
                return int(pid)
        raise RuntimeError("there is no controller")

    def check_alive(self):
        if self._daemon.poll() is not None:
            raise RuntimeError(f"tenantd does not serve:\n{self.log.read_text()}")

    def start(self, missing):
        self.start_again(missing)
        self.ctl("create", TENANT, "--tier", "bench")

    def start_again(self, missing):
        self.spawn(missing)
        deadline = time.monotonic() + 20
        # 1 is a daemon that serves and misses a controller, as asked for above.
        while self.ctl("status", check=False).returncode not in (0, 1):
            self.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"tenantd does not serve:\n{self.log.read_text()}")
            time.sleep(0.05)

    def stop(self):
        if self._daemon is None:
            return
        self._daemon.terminate()
        try:
            self._daemon.wait(20)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()

    def ctl(self, *args, check=True):
        return subprocess.run([self.program("tenantctl"), *args, "--socket", self.socket],
                              env=self.environment, check=check, capture_output=True, text=True)

    def execute(self, *command, tenant=TENANT, **kwargs):
        """One execution, which counts if it is the usual tenant's."""
        self.executions += tenant == TENANT
        return subprocess.run([self.program("tenant-run"), "--socket", self.socket, "-q", tenant,
                               "--", *command], env=self.environment, check=True, **kwargs)

    def listed(self):
        """How many executions `tenantctl usage` lists."""
        return len(json.loads(self.ctl("usage", TENANT, "--json").stdout)["executions"])
