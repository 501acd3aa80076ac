# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at a machine that has just come up, uses every tenant on it, and says what it saw, as one
line ["seen", {...}]. It judges nothing but whether it could look."""

import json
import os
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

STATE = Path("/var/lib/tenantd")
DATABASE = STATE / "store/tenantd.db"
SLOT = struct.Struct("<II16s64s")
SLOT_BYTES = 128
SLOT_TAKEN = 0x746c6f73
SETTLE_SECONDS = 60
USE = "i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo used >/data/used && cat /data/used"


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)


def output(*argv):
    ended = run(*argv)
    if ended.returncode != 0:
        sys.exit(f"{argv}: {ended.returncode}: {ended.stderr}")
    return ended.stdout


def shown(*argv):
    return json.loads(output("tenantctl", *argv, "--json"))


def lines(*argv):
    return [json.loads(line) for line in output(*argv).splitlines()]


def slots():
    """Whose they are, {id: name}."""
    table = (STATE / "slots").read_bytes()
    found = {}
    for at in range(0, len(table) - len(table) % SLOT_BYTES, SLOT_BYTES):
        magic, _, identity, name = SLOT.unpack_from(table, at)
        if magic == SLOT_TAKEN:
            found[str(uuid.UUID(bytes=identity))] = name.rstrip(b"\0").decode()
    return found


def stored():
    """Whose files there are; those that are on their way out count."""
    names = os.listdir(STATE / "tenants")
    if ".deleted" in names:
        names.remove(".deleted")
        names += os.listdir(STATE / "tenants/.deleted")
    return names


def settled():
    """Whether nothing is on its way any more, as far as may be told by looking."""
    tenants = shown("list")
    ids = {tenant["id"] for tenant in tenants}
    return (all(tenant["status"] in ("active", "suspended") for tenant in tenants) and
            set(slots()) <= ids and set(stored()) <= ids and
            all(row["state"] == "exited" for row in shown("ps", "--all")))


def wait_until_settled():
    """What is not then will be seen."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not settled() and time.monotonic() < deadline:
        time.sleep(0.2)


def kernel_usec(tenant):
    """What this boot's kernel has counted for it: nothing before its first launch."""
    try:
        text = Path(tenant["cgroup"], "cpu.stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0
    return int(text.split("usage_usec ")[1].split()[0])


def books(tenant):
    usage = shown("usage", tenant["name"])
    return {"cpu_time": usage["meters"].get("cpu_time", 0), "executions": usage["meters"]["executions"],
            "unattributed": usage["unattributed_usec"] or 0, "kernel": kernel_usec(tenant),
            "attributed": sum(record["cpu_usec"] or 0 for record in usage["executions"]),
            "records": len(usage["executions"]),
            "negative": [record for record in usage["executions"]
                         if any(isinstance(value, int) and value < 0
                                for value in record.values())]}


def used(tenant):
    """What it says before and after something has run for it."""
    name = tenant["name"]
    before = books(tenant)
    if tenant["status"] == "suspended":
        output("tenantctl", "resume", name)
    ran = run("tenant-run", name, "--", "sh", "-c", USE)
    return {"before": before, "after": books(tenant),
            "ran": [ran.returncode, ran.stdout, ran.stderr]}


def main():
    wait_until_settled()
    status = run("tenantctl", "status", "--json")
    tenants = shown("list")
    seen = {
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "status": [status.returncode, status.stdout],
        "integrity": output("sqlite3", "-readonly", DATABASE, "PRAGMA integrity_check",
                            "PRAGMA foreign_key_check"),
        "tenants": tenants,
        "executions": shown("ps", "--all"),
        "events": lines("tenantctl", "events", "--json", "--since", "0"),
        "slots": slots(),
        "stored": stored(),
        "used": {tenant["name"]: used(tenant) for tenant in tenants},
        "epochs": output("sqlite3", "-readonly", DATABASE,
                         "SELECT boot_id FROM accounts WHERE boot_id IS NOT NULL "
                         "UNION SELECT boot_id FROM epochs").split(),
        "errors": lines("journalctl", "--boot", "--no-pager", "--priority", "err", "--output",
                        "json", "--output-fields", "MESSAGE,ERROR", "--unit", "tenantd.service"),
    }
    print(json.dumps(["seen", seen]))


if __name__ == "__main__":
    main()
