# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of tests/examples, built as their README says from what is installed alone."""

import re
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "examples"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    for name in ("judge", "meter", "onboard"):
        subprocess.run(["sh", "-ec", f"cc -Wall -Wextra -Werror -o {folder}/{name} "
                        f"{SOURCES}/{name}.c $(pkg-config --cflags --libs tenant)"], check=True)
    return folder


def run(program, *argv, stdin=""):
    done = subprocess.run([str(program), *argv], input=stdin, capture_output=True, text=True,
                          timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_they_are_linked_with_the_installed_library(built):
    for name in ("judge", "meter", "onboard"):
        needed = subprocess.run(["readelf", "-d", str(built / name)], capture_output=True,
                                text=True, check=True).stdout
        assert "[libtenant.so.0]" in needed
        assert "jansson" not in needed, "what the library uses is its own affair"


def test_onboard_creates_runs_and_accounts(built, host):
    other = host.tenant(name="ex-other")
    status, out, err = run(built / "onboard", "ex-new", "free")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert re.fullmatch(rf"ex-new \({UUID}\) of tier free lives in /sys/fs/cgroup/\S+/ex-new",
                        lines[0])
    assert lines[1] == "hello from ex-new"
    assert re.fullmatch(r"ex-new has used \d+ ms of CPU time in 1 execution", lines[2])
    assert f"beside it there is {other.name} of tier professional" in lines[3:]
    assert host.ctl_json("show", "ex-new")["metadata"] == {"made-by": "onboard"}
    # A second time it is there.
    status, out, _ = run(built / "onboard", "ex-new", "free")
    assert status == 0
    assert "in 2 executions" in out
    status, _, err = run(built / "onboard", "ex-none", "no-such-tier")
    assert (status, err) == (3, "onboard: there is no tier 'no-such-tier'\n")


@pytest.mark.alone
def test_judge_uses_what_the_program_wrote(built, host):
    tenant = host.tenant(name="ex-judge")
    judge = built / "judge"

    def judged(expected, *argv, stdin=""):
        return run(judge, tenant.name, expected, "--", *argv, stdin=stdin)

    status, out, err = judged("12", "awk", "{ print $1 * $2 }", stdin="3 4")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"accepted in \d+ ms, with \d+ ms of CPU time\n", out)
    assert judged("13", "echo", "12") == (1, "rejected: wrote '12\n'\n", "")
    assert judged("", "sh", "-c", "echo broken >&2; exit 3") == (
        1, "rejected: exit status 3: broken\n\n", "")
    assert judged("", "sleep", "60") == (
        1, "rejected: timed out after runtime_max 2s (--timeout)\n", "")
    assert judged("y", "yes") == (
        1, "rejected: killed because it wrote more than is kept\n", "")
    status, out, _ = judged("", "perl", "-e", "$x = 'a' x 200000000")
    assert (status, out) == (
        1, "rejected: killed by execution_memory_max 64M (--memory)\n")
    assert run(judge, "ex-nobody", "", "--", "true") == (
        125, "", "judge: there is no tenant 'ex-nobody'\n")


def test_meter_holds_a_tenant_to_its_quota(built, host):
    tenant = host.tenant(host.tier(quotas={"tokens": {"limit": 10, "per": "month"}}))
    status, out, err = run(built / "meter", tenant.name, "4", "3", "2")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[:2] == ["answered with 4; 4 are used", "answered with 3; 7 are used"]
    assert re.fullmatch(r"refused: 7 of 10 tokens are used, and so it stays until \d+", lines[2])
    assert run(built / "meter", "ex-nobody", "1") == (
        125, "", "meter: there is no tenant 'ex-nobody'\n")


def test_judges_wait_for_each_other(built, host):
    tenant = host.tenant(host.tier(executions_max=1))
    judges = [subprocess.Popen([str(built / "judge"), tenant.name, "ok", "--", "echo", "ok"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
              for _ in range(6)]
    for judge in judges:
        out, _ = judge.communicate(timeout=120)
        assert judge.returncode == 0
        assert out.startswith(b"accepted")
    assert len(tenant.ps()) == 6
