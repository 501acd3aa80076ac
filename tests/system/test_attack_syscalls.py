# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every system call there is, tried in a sandbox and compared with tests/attack/syscalls.txt."""

import subprocess

import pytest

from product import ATTACK_SOURCES, Host

TABLE = ATTACK_SOURCES.parent / "syscalls.txt"
NUMBERS = 1024
NUMBERS_I386 = 512


def table():
    """Number to name and the results that are as they should be."""
    expected = {}
    for line in TABLE.read_text("ascii").splitlines():
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        numbers, name, results = fields
        first, _, last = numbers.partition("-")
        for number in range(int(first), int(last or first) + 1):
            assert number not in expected, f"{number} stands there twice"
            expected[number] = (name, set(results.split("/")))
    return expected


def results_of(text):
    return {int(number): result for number, result in
            (line.split() for line in text.decode().splitlines())}


@pytest.fixture(scope="module")
def tenant(product):
    made = Host()
    yield made.tenant()
    made.close()


def tried(tenant, abi):
    result = tenant.run([Host.probe("syscalls"), abi], timeout=300)
    assert result.status == 0, result.err
    return results_of(result.out)


def unconfined():
    """What the kernel says of each to a program without a privilege and without a filter."""
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    return results_of(subprocess.run([*nobody, Host.probe("syscalls"), "native"],
                                     capture_output=True, check=True).stdout)


def test_the_table_has_every_number_once():
    assert sorted(table()) == list(range(NUMBERS))


def test_each_call_is_allowed_or_refused_as_the_table_says(tenant):
    expected, kernel = table(), unconfined()
    # The probe tells one from the other: most of what is refused inside is not refused outside.
    outside = [number for number, (_, results) in expected.items()
               if results == {"EPERM"} and kernel[number] == "allowed"]
    assert len(outside) >= 20
    wrong = {}
    for number, result in tried(tenant, "native").items():
        name, results = expected[number]
        missing = result == kernel[number] == "ENOSYS" and "allowed" in results
        if result not in results and not missing:
            wrong[number] = (name, results, result)
    assert wrong == {}


@pytest.mark.parametrize("abi, numbers", [("x32", NUMBERS), ("i386", NUMBERS_I386)])
def test_a_call_of_another_abi_ends_the_program_whatever_its_number(tenant, abi, numbers):
    results = tried(tenant, abi)
    assert len(results) == numbers
    assert set(results.values()) == {"killed"}
