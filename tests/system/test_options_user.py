# SPDX-License-Identifier: LGPL-2.1-or-later
"""--user: who a workload is, and that nobody among them has a privilege."""

import json
import subprocess

import pytest

from inside import status_of
from product import Host

WHO = ["sh", "-c", "echo $(id -u):$(id -g):$(id -G)"]
USERS = (("root", "0:0:0"), ("0", "0:0:0"), ("tenant", "1000:1000:1000"),
         ("nobody", "65534:65534:65534"), ("65535", "65535:65535:65535"), ("7:0", "7:0:0"),
         ("root:tty", "0:5:5"), ("12:nogroup", "12:65534:65534"))
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


@pytest.mark.parametrize("init", [[], ["--no-init"]])
def test_a_workload_runs_as_the_user_and_group_that_were_asked_for(tenant, init):
    for user, who in USERS:
        result = tenant.run(WHO, "-u", user, *init)
        assert (result.status, result.out.decode()) == (0, f"{who}\n"), user
    assert tenant.run(WHO, *init).out == b"1000:1000:1000\n"


@pytest.mark.parametrize("init", [[], ["--no-init"]])
@pytest.mark.parametrize("user", ["root", "nobody", "65535:0"])
def test_nobody_has_a_capability_or_a_way_to_one(tenant, user, init):
    script = "cat /proc/self/status; cat /proc/self/uid_map; cat /etc/shadow"
    result = tenant.run(["sh", "-c", script], "-u", user, *init)
    status = status_of(result.out.decode().rsplit("\n", 2)[0])
    assert {status[name] for name in CAPABILITIES} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert result.status == 1
    for argv in (["mount", "-t", "tmpfs", "x", "/tmp"], ["chown", "1", "/tmp"],
                 ["chroot", "/tmp", "true"], ["unshare", "-Ur", "true"], ["hostname", "x"],
                 ["setpriv", "--reuid", "5", "true"]):
        assert tenant.run(argv, "-u", user, *init).status != 0, argv


def test_an_executable_of_root_with_the_setuid_bit_gives_nothing(tenant):
    assert tenant.run(["sh", "-c", "chmod 777 /data"]).status == 0
    made = tenant.run(["sh", "-c", "cp /usr/bin/id /data/id && chmod 6755 /data/id"], "-u", "0")
    assert made.status == 0, made.err
    assert tenant.run(["/data/id", "-u"]).out == b"1000\n"
    assert tenant.run(["sh", "-c", "rm -f /data/id && chmod 700 /data"]).status == 0


def test_what_a_user_makes_belongs_to_it_within_the_tenants_range(host):
    tenant = host.tenant()
    assert tenant.run(["chmod", "777", "/data"]).status == 0
    for user, uid, gid in (("0", 0, 0), ("65535:5", 65535, 5)):
        result = tenant.run(["sh", "-c", f"touch /data/of-{uid}; stat -c %u:%g /data/of-{uid}"],
                            "-u", user, "-w", "/data")
        assert result.out.decode() == f"{uid}:{gid}\n"
        made = (tenant.storage / f"of-{uid}").stat()
        assert (made.st_uid, made.st_gid) == (tenant.uid_first + uid, tenant.uid_first + gid)


def test_data_is_the_first_users_and_tmp_everyones(host):
    tenant = host.tenant()
    script = "echo $HOME; pwd; touch /tmp/x && touch /dev/shm/x && echo made; ls /data"
    other = tenant.run(["sh", "-c", script], "-u", "nobody")
    assert other.out == b"/data\n/\nmade\n"
    assert b"/data" in other.err and b"Permission denied" in other.err
    assert tenant.run(["pwd"], "-u", "1000:0").out == b"/data\n"
    for init in ([], ["--no-init"]):
        refused = tenant.run(["true"], "-u", "nobody", "-w", "/data", *init)
        assert refused.status == 125
        assert refused.err == (b"tenant-run: enter the working directory as the command's "
                               b"user: Permission denied\n")
        assert refused.record["reason"] == "runtime"
    tenant.run(["chmod", "711", "/data"])
    assert tenant.run(["pwd"], "-u", "nobody", "-w", "/data").out == b"/data\n"


@pytest.mark.parametrize("user, what", [
    ("", "'' is no user"), ("-1", "'-1' is no user"), ("65536", "'65536' is no user"),
    ("4294967296", "'4294967296' is no user"), ("0x10", "'0x10' is no user"),
    ("1 ", "'1 ' is no user"), ("+0", "'+0' is no user"), ("daemon", "'daemon' is no user"),
    (":0", "'' is no user"), ("0:", "'' is no group"), ("0:daemon", "'daemon' is no group"),
    ("0:65536", "'65536' is no group"), ("0:0:0", "'0:0' is no group"),
])
def test_what_is_no_user_is_refused_and_taken_for_none(tenant, user, what):
    result = tenant.run(WHO, f"--user={user}")
    assert (result.status, result.out) == (125, b"")
    assert f"tenant-run: --user: {what} of the sandbox; expected a number from 0 to 65535" in (
        result.err.decode())
    assert result.record["reason"] == "runtime"


def test_a_plan_shows_whom_and_why(tenant):
    def options(*opts):
        done = subprocess.run(["tenant-run", "--dry-run", "--json", *opts, tenant.name],
                              capture_output=True, check=True)
        return {row["key"]: (row["value"], row["source"])
                for row in json.loads(done.stdout)["options"]}

    assert options()["user"] == ("1000:1000", "default")
    assert options("-u", "root:tty")["user"] == ("0:5", "--user")
