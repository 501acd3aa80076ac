#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's hand in the guest: waits for tenantd.service, runs one job, reports.

systemd starts it once the machine is up. It talks over a virtio port (see wire.py) and never
ends by itself: the host takes the machine away when it has what it came for. If the agent dies,
its unit powers the machine off, so that the host notices.
"""

import fcntl
import glob
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import wire

UNIT = "tenantd.service"
UNIT_WAIT_SECONDS = 60
UNIT_STEADY_SECONDS = 1
UNIT_RESTARTS_MAX = 5
CHUNK = 64 * 1024
OUTPUT_PIPE_SIZE = 1 << 20
# What systemd tells a service about itself does not hold for the job.
NOT_THE_JOBS = ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "TERM")


class Host:
    """The virtio port: frames out, frames in."""

    def __init__(self):
        self.fd = os.open(self._device(), os.O_RDWR | os.O_CLOEXEC)
        self._unpacker = wire.Unpacker()

    @staticmethod
    def _device():
        for path in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(path, encoding="ascii") as name:
                if name.read().strip() == wire.PORT_NAME:
                    return "/dev/" + path.split("/")[-2]
        raise SystemExit(f"there is no virtio port {wire.PORT_NAME}")

    def send(self, kind, payload=b""):
        data = memoryview(wire.frame(kind, payload))
        while data:
            data = data[os.write(self.fd, data) :]

    def receive(self):
        """Waits for bytes; gives the frames that they complete, which may be none."""
        data = os.read(self.fd, CHUNK)
        if not data:
            raise SystemExit("the host closed the port")
        return self._unpacker.feed(data)


def unit_state():
    """Its state, how often systemd restarted it, and how many seconds ago it got active."""
    names = ("ActiveState", "NRestarts", "ActiveEnterTimestampMonotonic")
    shown = subprocess.run(
        ["systemctl", "show", *(f"--property={name}" for name in names), UNIT],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout
    state, restarts, entered_usec = map(
        dict(line.split("=", 1) for line in shown.splitlines()).get, names)
    return state, int(restarts), time.monotonic() - int(entered_usec) / 1e6


def unit_is_up():
    """Waits until the unit is active and stays so.

    One that is restarted for ever is active now and then and never fails; the count tells.
    """
    deadline = time.monotonic() + UNIT_WAIT_SECONDS
    while time.monotonic() < deadline:
        state, restarts, seconds = unit_state()
        if state == "active" and seconds >= UNIT_STEADY_SECONDS:
            return True
        if state in ("failed", "inactive") or restarts >= UNIT_RESTARTS_MAX:
            return False
        time.sleep(0.2)
    return False


def unit_report():
    """What a person wants to see when the unit is not up."""
    report = [f"{UNIT} is not active in the guest:\n".encode()]
    for command in (
        ["systemctl", "status", "--no-pager", "--full", "--lines=0", UNIT],
        ["journalctl", "--no-pager", "--boot", "--lines=200", "--unit=tenantd*"],
    ):
        report.append(subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout)
    return b"".join(report)[-wire.PAYLOAD_MAX :]


def enter_job():
    """Between fork and exec: the agent is protected from the OOM killer, the job is not."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("0")


def enter_terminal_job():
    enter_job()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def job_environment(**more):
    kept = {name: os.environ[name] for name in os.environ if name not in NOT_THE_JOBS}
    return {**kept, **more}


def exit_status(returncode):
    return 128 - returncode if returncode < 0 else returncode


def drain(host, fd, kind):
    """Passes on what is in a pipe now. A daemon that the script left behind may hold the other
    end open for ever, so the end of file is not waited for."""
    os.set_blocking(fd, False)
    while True:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            return
        host.send(kind, data)


def run_script(host, job):
    process = subprocess.Popen(
        job["argv"], cwd=job["cwd"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True, preexec_fn=enter_job,
        env=job_environment(),
    )
    kinds = {process.stdout.fileno(): wire.STDOUT, process.stderr.fileno(): wire.STDERR}
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    for fd in kinds:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, OUTPUT_PIPE_SIZE)
        poll.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if ended in ready:
            break
        for fd in ready:
            data = os.read(fd, CHUNK)
            if data:
                host.send(kinds[fd], data)
            else:
                poll.unregister(fd)
    for fd, kind in kinds.items():
        drain(host, fd, kind)
    return exit_status(process.wait())


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def to_terminal(host, master):
    for kind, payload in host.receive():
        if kind == wire.STDIN:
            os.write(master, payload)
        elif kind == wire.RESIZED:
            set_size(master, *json.loads(payload))


def run_terminal(host, job):
    master, slave = pty.openpty()
    set_size(master, *job["terminal"]["size"])
    process = subprocess.Popen(
        job["argv"], cwd=job["cwd"], stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=enter_terminal_job,
        env=job_environment(TERM=job["terminal"]["type"]),
    )
    os.close(slave)
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    for fd in (ended, master, host.fd):
        poll.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if ended in ready:
            break
        if host.fd in ready:
            to_terminal(host, master)
        if master in ready:
            try:
                host.send(wire.STDOUT, os.read(master, CHUNK))
            except OSError:  # every process has closed the terminal
                poll.unregister(master)
    try:
        drain(host, master, wire.STDOUT)
    except OSError:  # the same
        pass
    return exit_status(process.wait())


def fetch(host, paths):
    errors = {}
    for index, path in enumerate(paths):
        prefix = struct.pack(">I", index)
        try:
            with open(path, "rb") as source:
                host.send(wire.FETCHED, prefix)
                while data := source.read(CHUNK):
                    host.send(wire.FETCHED, prefix + data)
        except OSError as error:
            errors[index] = f"{path}: {error.strerror}"
    return errors


def wait_for_job(host):
    while True:
        for kind, payload in host.receive():
            if kind == wire.JOB:
                return json.loads(payload)


def main():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    host = Host()
    if not unit_is_up():
        host.send(wire.FAILED, unit_report())
        signal.pause()
    host.send(wire.READY)
    job = wait_for_job(host)
    run = run_terminal if job["terminal"] else run_script
    status = run(host, job)
    errors = fetch(host, job["fetch"])
    host.send(wire.EXITED, json.dumps({"status": status, "fetch_errors": errors}).encode())
    signal.pause()


if __name__ == "__main__":
    sys.exit(main())
