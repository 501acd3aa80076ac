# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ended long ago is forgotten, and nobody's usage changes."""

import contextlib
import time
from pathlib import Path

from product import Host, wait_for

FILE = Path("/etc/tenantd/tenantd.yaml")


@contextlib.contextmanager
def said_of_the_node(text):
    before = FILE.read_text("utf-8")
    FILE.write_text(text, encoding="utf-8")
    try:
        Host.ctl("policy", "reload")
        yield
    finally:
        FILE.write_text(before, encoding="utf-8")
        Host.ctl("policy", "reload")


def sleep_until(ended_at_usec, seconds):
    time.sleep(max(0, ended_at_usec / 1e6 + seconds - time.time()))


def test_what_is_past_goes_and_the_totals_stay_even_if_the_controller_dies(host, full):
    tenant = host.tenant(host.tier(memory_max="64M", executions_max=4))
    count = full(500, 150)
    launches = host.launches(tenant, count, "true", flight=2)
    assert launches.wait() == 0
    usage = tenant.usage()
    assert usage["itemized_since"] is None and len(usage["executions"]) == count
    sleep_until(max(row["ended_at"] for row in usage["executions"]), 62)
    kept = tenant.start(["sleep", "1000"])
    assert kept.id
    with said_of_the_node("retention: {executions: 1min}\n"):
        host.kill_controller()
        wait_for(lambda: len(tenant.ps()) == 1, "the past to be forgotten", 150)
        after = tenant.usage()
        assert after["itemized_since"] > usage["until"] - 120_000_000
        assert [row["id"] for row in after["executions"]] == [kept.id]
        for meter in ("executions", "execution_time"):
            assert after["meters"][meter] == usage["meters"][meter]
        since = tenant.usage("--since", f"@{tenant.show()['created_at'] // 1_000_000 - 3600}")
        assert since["meters"]["executions"] == count
        assert b"one by one since" in host.ctl("usage", "--totals", tenant.name).stdout
        assert "executions" not in host.ctl_json("usage", "--totals", tenant.name)
    host.ctl("kill", kept.id)
    kept.wait()
    ended = tenant.usage()
    parts = sum(row["cpu_usec"] for row in ended["executions"])
    assert ended["meters"]["cpu_time"] >= parts + ended["unattributed_usec"]
    assert ended["meters"]["executions"] == count + 1
