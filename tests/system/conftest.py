# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the system tests; README.md says what they are for."""

import os
import shutil

import pytest

import chance
import leaks
from product import Host

MUST_RUN = os.environ.get("TN_MUST_RUN") == "1"
LONG = os.environ.get("TN_LONG") == "1"
# "alone", "1/2", "2/2", or empty for all: what this guest runs of the tests.
PART = os.environ.get("TN_PART", "")

_counted = {}


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures time, so that nothing else may run beside")


def share_of(items, part):
    """What `part` names of the tests; the parts are disjoint and together they are all."""
    if part == "":
        return items
    alone = [item for item in items if item.get_closest_marker("alone")]
    if part == "alone":
        return alone
    number, parts = map(int, part.split("/"))
    return [item for item in items if item not in alone][number - 1::parts]


def pytest_collection_modifyitems(config, items):
    chosen = share_of(items, PART)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_report_header():
    return [f"part: {PART or 'all'}",
            f"counts: {'full' if LONG else 'shortened; TN_LONG=1 takes all'}",
            f"seed: {chance.SEED}; TN_SEED={chance.SEED} repeats what is random"]


def pytest_terminal_summary(terminalreporter):
    """How much was done, by the tests that do it more often with TN_LONG=1."""
    terminalreporter.section("counts")
    for test, counts in sorted(_counted.items()):
        terminalreporter.line(f"{test}: {', '.join(map(str, counts))}")
    terminalreporter.line(f"seed: {chance.SEED}")


def _refuse_skip(report):
    """A test that did not run has shown nothing."""
    if MUST_RUN and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"TN_MUST_RUN=1, but this was skipped: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    _refuse_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    outcome = yield
    _refuse_skip(outcome.get_result())


@pytest.fixture(scope="session", autouse=True)
def product():
    """The installed product, warm: both daemons hold what their first use makes them open."""
    if os.geteuid() != 0 or shutil.which("tenant-run") is None:
        pytest.skip("needs root on a host with tenantd installed and running")
    host = Host()
    warm = host.tenant()
    assert warm.run(["true"]).status == 0
    warm.usage()
    host.ctl("policy", "reload")
    host.close()


@pytest.fixture
def full(request):
    """full(count, short): the full count with TN_LONG=1; what was taken is shown at the end."""
    def take(count, short):
        taken = count if LONG else short
        shown = taken if isinstance(taken, (int, float)) else len(taken)
        _counted.setdefault(request.node.name, []).append(shown)
        return taken

    return take


@pytest.fixture(autouse=True)
def no_leaks(product):
    """Fails a test that leaves behind anything but its tenants and tiers."""
    before = leaks.Snapshot()
    yield
    left = leaks.settle(before)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture
def host(no_leaks):
    """What one test makes of the machine; what it leaves running is ended."""
    made = Host()
    yield made
    made.close()
