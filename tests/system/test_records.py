# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records: why an execution ended, the same wherever it is asked for."""

import os
import re
import signal

import pytest

from product import wait_for


def small_tier(host):
    return host.tier(memory_max="64M", execution_memory_max="32M", runtime_max="2s",
                     tasks_max=20)


def assert_row_equals_report(tenant, record):
    row, = [row for row in tenant.ps() if row["id"] == record["id"]]
    assert row == record
    used, = [r for r in tenant.usage()["executions"] if r["id"] == record["id"]]
    assert used == record


ENDINGS = {
    # reason: command, options, status, exit code, signal
    "exited": (["sh", "-c", "exit 3"], [], 3, 3, None),
    "signaled": (["sh", "-c", "kill -USR1 $$"], [], 138, 138, signal.SIGUSR1),
    "seccomp": (["{foreign}"], [], 159, 159, signal.SIGSYS),
    "timeout": (["sleep", "60"], [], 124, 124, signal.SIGTERM),
    "runtime": (["/nonexistent"], [], 127, 127, None),
}


@pytest.mark.parametrize("reason", ENDINGS)
def test_the_reason_is_the_same_in_report_and_list(host, reason):
    argv, opts, status, exit_code, by_signal = ENDINGS[reason]
    argv = [host.probe(word[1:-1]) if word[0] == "{" else word for word in argv]
    tenant = host.tenant(small_tier(host))
    result = tenant.run(argv, *opts)
    record = result.record
    assert (result.status, record["reason"]) == (status, reason), result
    assert (record["state"], record["exit_code"]) == ("exited", exit_code)
    assert record["signal"] == by_signal
    assert_row_equals_report(tenant, record)


def test_a_probe_of_the_foreign_abi_works_outside(host):
    assert os.system(host.probe("foreign")) == 0


def test_the_reason_of_out_of_memory_is_oom(host):
    tenant = host.tenant(small_tier(host))
    result = tenant.run([host.probe("eat"), "48"])
    assert (result.status, result.record["reason"]) == (137, "oom")
    assert_row_equals_report(tenant, result.record)


def test_the_reason_of_an_administrators_kill_is_killed(host):
    tenant = host.tenant()
    running = tenant.start(["sleep", "60"])
    host.ctl("kill", running.id)
    result = running.wait()
    assert (result.status, result.record["reason"]) == (137, "killed")
    assert b"killed by an administrator" in result.err
    assert_row_equals_report(tenant, result.record)


def test_what_we_did_goes_before_what_the_workload_made_of_it(host):
    tenant = host.tenant(small_tier(host))
    result = tenant.run(["sh", "-c", "trap 'exit 0' TERM; sleep 60"])
    assert (result.status, result.record["reason"]) == (124, "timeout")


def test_a_client_that_dies_takes_its_execution_along(host):
    tenant = host.tenant()
    running = tenant.start(["sh", "-c", "sleep 60 & sleep 60"])
    name, leaf = running.id, running.leaf
    assert leaf.exists()
    running.kill()
    assert running.process.wait() == -signal.SIGKILL
    wait_for(lambda: not leaf.exists(), "the execution's end")
    row, = wait_for(lambda: [row for row in tenant.ps()
                             if row["id"] == name and row["state"] == "exited"], "its record")
    assert (row["reason"], row["exit_code"]) == ("killed", 137)


def test_a_file_that_cannot_be_executed_gives_126(host):
    tenant = host.tenant()
    result = tenant.run(["/etc/passwd"])
    assert (result.status, result.record["reason"]) == (126, "runtime")
    assert b"Permission denied" in result.err
    assert_row_equals_report(tenant, result.record)


def explanations(host):
    tier = small_tier(host)
    return host.tenant(tier), {
        "oom": ([host.probe("eat"), "48"], [],
                f"killed by execution_memory_max 32M "
                f"({host.where(tier, 'execution_memory_max')})"),
        "oom of an option": ([host.probe("eat"), "24"], ["--memory", "8M"],
                             "killed by execution_memory_max 8M (--memory)"),
        "timeout": (["sleep", "60"], [],
                    f"timed out after runtime_max 2s ({host.where(tier, 'runtime_max')})"),
        "timeout of an option": (["sleep", "60"], ["--timeout", "1s"],
                                 "timed out after runtime_max 1s (--timeout)"),
        "signal": (["sh", "-c", "kill -SEGV $$"], [], "terminated by signal 11 (SIGSEGV)"),
        "seccomp": ([host.probe("foreign")], [],
                    "killed by the system call filter (SIGSYS)"),
        "not found": (["/nonexistent"], [],
                      "/nonexistent: cannot execute the command: No such file or directory"),
    }


def test_one_line_on_standard_error_says_why_and_names_limit_and_place(host):
    tenant, table = explanations(host)
    for argv, opts, why in table.values():
        assert tenant.run(argv, *opts).err.decode() == f"tenant-run: {why}\n"


def test_quiet_silences_that_line_and_changes_nothing_else(host):
    tenant, table = explanations(host)
    for argv, opts, _ in table.values():
        loud, quiet = tenant.run(argv, *opts), tenant.run(argv, "-q", *opts)
        assert quiet.err == b""
        assert (quiet.status, quiet.record["reason"]) == (loud.status, loud.record["reason"])


def test_a_command_that_fails_by_itself_is_not_explained(host):
    result = host.tenant().run(["sh", "-c", "echo oops >&2; exit 1"])
    assert (result.status, result.err) == (1, b"oops\n")


def test_a_refusal_is_reported_too_and_leaves_no_record(host):
    tenant = host.tenant(small_tier(host))
    result = tenant.run(["true"], "--memory", "1G")
    assert (result.status, result.record["reason"]) == (125, "runtime")
    assert result.record["tenant"] == tenant.name
    assert re.search(rb"--memory 1G is wider than execution_memory_max 32M", result.err)
    assert tenant.ps() == []


def test_each_record_carries_the_hash_of_the_policy_it_ran_under(host):
    tier = host.tier(tasks_max=20)
    tenant = host.tenant(tier)
    first = tenant.run(["true"]).record["policy_hash"]
    assert first == host.ctl_json("status")["policy_hash"]
    host.tier(tier, tasks_max=21)
    second = tenant.run(["true"]).record["policy_hash"]
    assert second == host.ctl_json("status")["policy_hash"] != first
