# SPDX-License-Identifier: LGPL-2.1-or-later
"""Works tenants for ever and says, line by line, what it begins and what was acknowledged.

work.py ROUND. A line is a JSON array; whoever reads it may lose the last of them:
    ["ready", usec]                         each of the following has been acknowledged once
    ["tick", usec]                          so late is it
    ["begin", [name, op, value]]            a change of a tenant is asked for
    ["durable", [name, op, value]]          and was answered
    ["accepted", usec, record]              an execution's end was answered, before that time
    ["event", row]                          was told
    ["failed", text]                        what must not be
Times are CLOCK_MONOTONIC. Nothing here waits for the disk: what is to be found after the power
has gone is what tenantd has promised.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

RUNNERS = 2
TICK_SECONDS = 0.01
# About as long as a launch takes here.
BURN = "i=0; while [ $i -lt $1 ]; do i=$((i + 1)); done"

_lock = threading.Lock()
_said = set()


def say(*line):
    data = json.dumps(line).encode() + b"\n"
    with _lock:
        _said.add(line[0])
        while data:
            data = data[os.write(1, data):]


def now_usec():
    return time.monotonic_ns() // 1000


def done(argv):
    """Runs a command that must succeed."""
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ended.returncode != 0:
        say("failed", f"{argv}: {ended.returncode}: {ended.stderr.decode(errors='replace')}")
        raise SystemExit(1)
    return ended


def change(name, op, value, *argv):
    say("begin", [name, op, value])
    done(["tenantctl", *argv])
    say("durable", [name, op, value])


def create(name):
    change(name, "create", name, "create", name, "--tier", "professional")


def work_tenants(number):
    """One after the other comes, changes, and every second one goes."""
    count = 0
    while True:
        name = f"c{number}-{count}"
        create(name)
        done(["tenant-run", name, "--", "sh", "-c", "echo kept >/data/kept"])
        change(name, "rename", f"Number {count}", "update", name, "--display-name",
               f"Number {count}")
        change(name, "suspend", None, "suspend", name)
        if count % 2 == 0:
            change(name, "delete", None, "delete", "--force", name)
        elif count % 4 == 1:
            change(name, "resume", None, "resume", name)
        count += 1


def work_executions(name, report):
    count = 0
    while True:
        count += 1
        done(["tenant-run", "--report", report, name, "--", "sh", "-c", BURN, "sh",
              str(500 * (count % 5))])
        with open(report, encoding="utf-8") as file:
            record = json.load(file)
        say("accepted", now_usec(), record)


def follow_events():
    *_, last = done(["tenantctl", "events", "--json"]).stdout.splitlines()
    since = str(json.loads(last)["seq"])
    with subprocess.Popen(["tenantctl", "events", "--follow", "--json", "--since", since],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as follower:
        for line in follower.stdout:
            say("event", json.loads(line))
    say("failed", f"tenantctl events ended with {follower.returncode}")


def main():
    number, = sys.argv[1:]
    directory = tempfile.mkdtemp(dir="/run")
    for runner in range(RUNNERS):
        create(f"r{number}-{runner}")
    threads = [threading.Thread(target=work_tenants, args=(number,)),
               threading.Thread(target=follow_events)]
    threads += [threading.Thread(target=work_executions,
                                 args=(f"r{number}-{runner}", f"{directory}/{runner}"))
                for runner in range(RUNNERS)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    while all(thread.is_alive() for thread in threads):
        if _said >= {"durable", "accepted", "event"} and "ready" not in _said:
            say("ready", now_usec())
        time.sleep(TICK_SECONDS)
        say("tick", now_usec())
    sys.exit("a thread has ended")


if __name__ == "__main__":
    main()
