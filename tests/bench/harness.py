# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks of a running tenantd have in common: a build, a cgroup and a directory that
are gone afterwards, mounts that nobody else sees, and how figures become one."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from cgroups import CLONE_NEWNS, Cgroups, call

TOP = Path(__file__).resolve().parents[2]
BUILD = "build-bench"


def median(values):
    return sorted(values)[len(values) // 2]


def p99(values):
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


def add_options(parser):
    """Those that every benchmark has."""
    parser.add_argument("--json", action="store_true", help="the figures; the table on stderr")
    parser.add_argument("--no-bounds", action="store_true",
                        help="judge nothing but that everything is there")
    parser.add_argument("--build", metavar="DIR",
                        help="what is built there already, instead of build-bench")
    parser.add_argument("--scope", action="store_true", help=argparse.SUPPRESS)


def build(options, packages=()):
    packaging = TOP / "tools/packaging"
    subprocess.run([packaging / "install-missing", packaging / "build-packages", *packages],
                   check=True)
    if options.build is not None:
        options.build = os.path.abspath(options.build)
        return
    options.build = str(TOP / BUILD)
    if not os.path.exists(os.path.join(options.build, "build.ninja")):
        subprocess.run(["meson", "setup", "-Dtests=false", "-Dbench=true", options.build, TOP],
                       stdout=sys.stderr, check=True)
    subprocess.run(["meson", "compile", "-C", options.build], stdout=sys.stderr, check=True)


def inner(measure, options, directory, cgroups):
    status = 1
    try:
        # Mounts of ours are nobody else's business.
        call("unshare", CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        status = measure(options, directory, cgroups)
    except SystemExit as stop:
        print(stop, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def run(measure, options, packages=()):
    """Builds, makes the cgroup and the directory, has @measure(options, directory, cgroups) give
    the exit status in a process of its own, and removes them again."""
    script = Path(sys.argv[0])
    if os.geteuid() != 0:
        raise SystemExit(f"{script.name}: it takes root to start tenantd")
    if Path("/run/systemd/system").is_dir() and options.scope is False:
        os.execvp("systemd-run", ["systemd-run", "--scope", "--quiet", "-pDelegate=yes",
                                  sys.executable, script, "--scope", *sys.argv[1:]])
    build(options, packages)
    cgroups = Cgroups(options.scope)
    directory = Path(tempfile.mkdtemp(prefix="tenantd-bench-"))
    directory.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        inner(measure, options, directory, cgroups)
    try:
        _, status = os.waitpid(pid, 0)
    finally:
        cgroups.remove()
        shutil.rmtree(directory)
    return os.waitstatus_to_exitcode(status)
