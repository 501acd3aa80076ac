# SPDX-License-Identifier: LGPL-2.1-or-later
"""What counts usage elsewhere, started in a directory of its own and on a UNIX socket there alone:
redis and PostgreSQL. What cannot be had raises Absent, which says why."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

PATIENCE_SECONDS = 30
# No limit that the benchmark reaches, but one that is checked.
LIMIT = 1 << 53
TABLE = ("CREATE TABLE quotas (id int PRIMARY KEY, used bigint NOT NULL, max bigint NOT NULL) "
         "WITH (fillfactor = 50)")


class Absent(Exception):
    pass


def user_for(*names):
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise Absent(f"there is no user {' or '.join(names)}")


class Server:
    """A program that was started in @directory, which is its user's. `stop` ends it by its pid."""

    def __init__(self, directory, user):
        self.directory, self.user = directory, user
        self.log = directory / "log"
        self._process = None
        directory.mkdir(mode=0o700)
        os.chown(directory, user.pw_uid, user.pw_gid)

    @property
    def pid(self):
        return self._process.pid

    def _as_user(self, argv, **kwargs):
        with open(self.log, "ab") as log:
            return subprocess.Popen(argv, cwd=self.directory, user=self.user.pw_uid,
                                    group=self.user.pw_gid, extra_groups=[], stdout=log,
                                    stderr=log, stdin=subprocess.DEVNULL, **kwargs)

    def _start(self, argv, serves):
        self._process = self._as_user(argv)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Absent(f"{argv[0]} does not serve: {self.log.read_text()[-400:]}")
            time.sleep(0.05)

    def stop(self):
        if self._process is None or self._process.poll() is not None:
            return
        # PostgreSQL ends its clients then, redis writes what it has.
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Redis(Server):
    """With an append-only file that is written at each turn and synced once a second."""

    def __init__(self, directory):
        program = shutil.which("redis-server")
        if program is None:
            raise Absent("redis-server is not installed")
        super().__init__(directory, user_for("redis", "nobody"))
        self.address = str(directory / "redis.sock")
        self._start([program, "--port", "0", "--unixsocket", self.address, "--dir",
                     str(directory), "--appendonly", "yes", "--appendfsync", "everysec",
                     "--save", ""], lambda: os.path.exists(self.address))
        self.version = subprocess.run([program, "--version"], check=True, capture_output=True,
                                      text=True).stdout.split()[2].removeprefix("v=")


class Postgres(Server):
    """With the defaults of a new cluster, and a table of quotas with @rows rows."""

    def __init__(self, directory, rows):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"),
                       key=lambda path: float(Path(path).parent.name))
        if not found:
            raise Absent("postgresql is not installed")
        programs = Path(found[-1])
        super().__init__(directory, user_for("postgres", "nobody"))
        data = str(directory / "data")
        made = self._as_user([programs / "initdb", "-D", data, "-U", "bench", "-A", "trust",
                              "--no-sync", "--no-locale", "-E", "UTF8"])
        if made.wait() != 0:
            raise Absent(f"initdb fails: {self.log.read_text()[-400:]}")
        self.address = f"host={directory} user=bench dbname=postgres"
        self._psql = [programs / "psql", "-XqAt", "-d", self.address]
        self._start([programs / "postgres", "-D", data, "-k", str(directory), "-h", ""],
                    lambda: self.ask("SELECT 1").returncode == 0)
        done = self.ask(f"{TABLE}; INSERT INTO quotas SELECT n, 0, {LIMIT} FROM "
                        f"generate_series(1, {rows}) AS n")
        if done.returncode != 0:
            self.stop()
            raise Absent(f"there is no table: {done.stderr}")
        self.version = self.ask("SHOW server_version").stdout.split()[0]

    def ask(self, text):
        return subprocess.run([*self._psql, "-c", text], check=False, capture_output=True,
                              text=True)

    def with_commit(self, synchronous):
        """The address of connections that wait for the disk, or do not."""
        return f"{self.address} options='-c synchronous_commit={synchronous}'"
