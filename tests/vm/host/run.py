# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command tests/vm/run."""

import argparse
import contextlib
import os
import time

import apt
import report
import runfiles
import session
from image import HOST_PACKAGES
from report import Broken, TimedOut, say

DESCRIPTION = """\
Runs `bash SCRIPT` as root in a Debian guest with systemd and pure cgroup v2, in which the
project is installed and tenantd.service is active. SCRIPT and what --copy names are in the
script's working directory under their base names. Standard output and error are the script's
own; standard input is empty. Nothing in the guest outlives the run."""

EPILOG = """\
exit status: the script's own (128+n if signal n ended it); 124 after --timeout; 125 if the
script could not be run or the guest failed, which standard error explains.

environment: TENANTD_VM_MEMORY (2560M), TENANTD_VM_CPUS (2), TENANTD_SOURCE (the source tree to
build and install; by default the one that holds this command), XDG_CACHE_HOME."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Broken(f"{message}; see --help")


def seconds(text):
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def guest_and_host_path(text):
    guest, equals, host = text.partition("=")
    if not (guest and equals and host):
        raise ValueError(text)
    return guest, host


def arguments():
    parser = Parser(prog="tests/vm/run", description=DESCRIPTION, epilog=EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", default=3600,
                        help="for the script, counted from its start (default: 3600)")
    parser.add_argument("--copy", action="append", default=[], metavar="PATH",
                        help="a file or directory to put next to the script")
    parser.add_argument("--fetch", action="append", default=[], type=guest_and_host_path,
                        metavar="GUESTPATH=HOSTPATH",
                        help="a file to take out of the guest after the script; if there is "
                             "none and the script succeeded, the exit status is 125")
    parser.add_argument("script", metavar="SCRIPT")
    chosen = parser.parse_args()
    if not os.path.isfile(chosen.script):
        raise Broken(f"{chosen.script}: no such file")
    runfiles.check_job([chosen.script, *chosen.copy])
    return chosen


def action():
    chosen = arguments()
    for packages in HOST_PACKAGES:
        apt.install_missing(apt.read_list(packages))
    with contextlib.ExitStack() as files, \
            session.opened([chosen.script, *chosen.copy]) as opened:
        job = {
            "argv": ["bash", runfiles.base_name(chosen.script)],
            "cwd": runfiles.JOB_DIR,
            "terminal": None,
            "fetch": {guest: files.enter_context(open(host, "wb"))
                      for guest, host in chosen.fetch},
        }
        try:
            status, errors = opened.run(job, time.monotonic() + chosen.timeout)
        except TimedOut:
            raise TimedOut(f"{chosen.script} was still running after "
                           f"{chosen.timeout:g} s") from None
    for error in errors:
        say(f"could not fetch {error}")
    return report.EXIT_BROKEN if errors and status == 0 else status


if __name__ == "__main__":
    report.main(action)
