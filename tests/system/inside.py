# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python probes: probes/NAME.py run as a workload, or on the host to compare with."""

import contextlib
import json
import subprocess

from product import PROBE_SOURCES


def command(name, *args):
    """Isolated, so that nothing of the tenant's or ours changes what it does."""
    source = (PROBE_SOURCES / f"{name}.py").read_text(encoding="utf-8")
    return ["python3", "-I", "-c", source, *map(str, args)]


def probe(tenant, name, *args, timeout=120):
    """What the probe printed, which is one JSON value."""
    result = tenant.run(command(name, *args), timeout=timeout)
    assert result.status == 0, result.err.decode(errors="replace")
    return json.loads(result.out)


def probe_host(name, *args):
    done = subprocess.run(command(name, *args), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


@contextlib.contextmanager
def holding(tenant, token, *directories):
    """While probes/hold.py has everything of this token in the tenant."""
    running = tenant.start(command("hold", token, *directories), stdin=subprocess.PIPE)
    try:
        yield json.loads(running.wait_out(b"\n"))
    finally:
        running.stdin.close()
        running.wait()


@contextlib.contextmanager
def holding_host(token, *directories):
    """The same on the host, as root."""
    with subprocess.Popen(command("hold", token, *directories), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as held:
        line = held.stdout.readline()
        assert line, "hold.py has failed on the host"
        try:
            yield json.loads(line)
        finally:
            held.stdin.close()
            held.wait(timeout=30)


def seek(tenant, token, *directories):
    """What of that probes/seek.py finds from inside the tenant; see there."""
    return probe(tenant, "seek", token[::-1], *directories)


def seek_host(token, *directories):
    return probe_host("seek", token[::-1], *directories)


def status_of(text):
    """/proc/PID/status as a dict of its lines."""
    if isinstance(text, bytes):
        text = text.decode()
    return {key: value.strip()
            for key, _, value in (line.partition(":") for line in text.splitlines())}
