# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running programs on the host so that they do not outlive us."""

import os
import shutil
import signal
import subprocess
import sys

from report import Broken

TERMINATE_SECONDS = 20


def output(*argv):
    """What a quick program prints; Broken if it fails."""
    result = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="surrogateescape", check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"})
    if result.returncode != 0:
        raise Broken(f"{argv[0]} failed: {result.stderr.strip() or result.returncode}")
    return result.stdout


def run(argv, what, log=None, env=None):
    """Runs a long program in a process group of its own and ends that group if we are ended.

    Its output goes to the file `log`, shown only if the program fails, or else to our stderr.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=log or sys.stderr, stderr=log or sys.stderr,
        env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        end_group(process)
        raise
    if status != 0:
        if log:
            log.flush()
            log.seek(0)
            shutil.copyfileobj(log, sys.stderr.buffer)
        raise Broken(f"{what}: {argv[0]} failed with {status}")


def end_group(process):
    """Asks the group to end, so that it can clean up, and insists after a while."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(TERMINATE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
