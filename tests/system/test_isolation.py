# SPDX-License-Identifier: LGPL-2.1-or-later
"""The walls: what a workload sees of the host, of other tenants and of other executions."""

import contextlib
import os
import pty
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from inside import holding, holding_host, probe, seek, seek_host, status_of
from product import PROBES, Host

ID_COUNT = 65536
WORKLOAD_ID = 1000

LINKS_TO_USR = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
TOP = {"usr", "etc", "proc", "sys", "dev", "tmp", "data", "cache", "run", "var", "home", "media",
       "mnt", "opt", "root", "srv"}
ETC_OWN = {"passwd", "group", "nsswitch.conf", "resolv.conf", "mtab", "hosts", "hostname"}
ETC_OF_HOST = {
    "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "debian_version",
    "fonts", "gai.conf", "host.conf", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "locale.alias", "localtime", "lsb-release", "magic", "mime.types", "networks", "openssl",
    "os-release", "perl", "profile", "profile.d", "protocols", "python3", "python3.11",
    "python3.12", "python3.13", "rpc", "services", "shells", "skel", "ssh", "ssl", "terminfo",
    "timezone",
}
DEVICES = {"/dev/null": "c 1:3", "/dev/zero": "c 1:5", "/dev/full": "c 1:7",
           "/dev/random": "c 1:8", "/dev/urandom": "c 1:9", "/dev/tty": "c 5:0",
           "/dev/pts/ptmx": "c 5:2"}
DEV = set(DEVICES) | {"/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/ptmx",
                      "/dev/pts", "/dev/shm"}
SYS = {"/sys/fs", "/sys/fs/cgroup"} | {
    f"/sys/fs/cgroup/{name}"
    for name in ("cgroup.controllers", "memory.max", "memory.current", "cpu.max", "pids.max")}
RUN = {"/run/empty", "/run/tenant", "/run/tenant/hosts", "/run/tenant/hostname",
       "/run/tenant/meter.sock"}
VAR = {"/var/run", "/var/tmp"}
WRITABLE = ("/data", "/cache", "/tmp", "/dev/shm")

HIDDEN = ("acpi", "asound", "kcore", "keys", "key-users", "latency_stats", "timer_list",
          "timer_stats", "sched_debug", "scsi", "kallsyms", "kmsg", "interrupts", "loadavg",
          "pressure")
READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs")

CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# Where a secret of the host may lie; all of these are world-readable while a test looks.
SECRET_PLACES = ("/root", "/home", "/var", "/var/tmp", "/var/lib", "/var/lib/tenantd",
                 "/var/lib/tenantd/tenants", "/etc", "/etc/tenantd", "/run", "/run/tenantd",
                 "/srv", "/opt", "/mnt", "/media", "/tmp", "/dev/shm", "/dev", "/boot", "/")

ABSENT = {
    "shm": "ENOENT", "sem": "ENOENT", "msg": "ENOENT", "mqueue": "ENOENT",
    "/proc/sysvipc/shm": "ENOENT", "/proc/sysvipc/sem": "ENOENT",
    "/proc/sysvipc/msg": "ENOENT", "abstract socket": "ECONNREFUSED",
    "/proc/net/unix": "ENOENT", "tcp4": "ECONNREFUSED", "tcp6": "ECONNREFUSED",
    "/proc/net/tcp": "ENOENT", "/proc/keys": "ENOENT", "process": "ENOENT",
}
# Kept per tenant, so that its executions find each other.
OF_TENANT = set(ABSENT) - {"/proc/keys", "process"}


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


def absent_in(*directories):
    return ABSENT | {f"{directory} {what}": "ENOENT"
                     for directory in directories for what in ("file", "socket")}


def new_token():
    return f"token-{os.urandom(8).hex()}"


def children(paths, directory):
    """Of a list of paths, those below a directory."""
    return {path for path in paths if path.startswith(directory.rstrip("/") + "/")}


@contextlib.contextmanager
def setuid_copies():
    """whoami with setuid and setgid root, and with a file capability, in the shared /usr."""
    setuid, capable = PROBES / "whoami-setuid", PROBES / "whoami-capable"
    try:
        for copy in (setuid, capable):
            shutil.copy(PROBES / "whoami", copy)
        setuid.chmod(0o6755)
        subprocess.run(["setcap", "cap_net_admin,cap_sys_admin+ep", capable], check=True)
        yield str(setuid), str(capable)
    finally:
        setuid.unlink()
        capable.unlink()


def test_the_tree_holds_what_is_on_the_list_and_nothing_else(host):
    found = probe(host.tenant(), "tree")
    paths = found["paths"]
    of_host = {name for name in LINKS_TO_USR if os.path.lexists(f"/{name}")}
    top = {path[1:] for path in paths if path.count("/") == 1}
    assert top == TOP | of_host
    assert children(paths, "/dev") == DEV
    assert children(paths, "/sys") == SYS
    assert children(paths, "/run") == RUN
    assert children(paths, "/var") == VAR
    for empty in ("/data", "/cache", "/tmp", "/home", "/media", "/mnt", "/opt", "/root", "/srv"):
        assert children(paths, empty) == set(), empty
    assert found["devices"] == DEVICES
    assert found["others"] == ["/run/tenant/meter.sock"]
    assert found["unreadable"] == []


def test_etc_holds_its_own_accounts_and_of_the_host_only_what_is_on_the_list(tenant):
    found = probe(tenant, "tree")
    etc = children(found["paths"], "/etc")
    of_host = {name for name in ETC_OF_HOST if os.path.exists(f"/etc/{name}")}
    assert {path.split("/")[2] for path in etc} == ETC_OWN | of_host
    assert "/etc/shadow" not in etc and "/etc/machine-id" not in etc
    # Whatever lies deeper is what everybody on the host may read.
    for path in etc:
        if path.split("/")[2] in of_host and not os.path.islink(path):
            assert os.stat(path).st_mode & 0o004, path
    shown = tenant.run(["cat", "/etc/passwd", "/etc/group"]).out.decode().split("\n")
    names = [line.split(":")[0] for line in shown if line]
    assert names == ["root", "tenant", "nobody", "root", "tty", "tenant", "nogroup"]


def test_no_file_of_the_host_is_visible(host):
    token = new_token()
    planted = [Path(place, token) for place in SECRET_PLACES]
    tenant = host.tenant()
    try:
        for path in planted:
            path.write_text(token, encoding="ascii")
            path.chmod(0o666)
        paths = [str(path) for path in planted]
        control = subprocess.run(["ls", *paths], capture_output=True, check=True).stdout
        assert control.decode().split() == sorted(paths)
        listed = tenant.run(["ls", *paths])
        assert listed.out == b""
        assert listed.err.count(b"No such file or directory") == len(paths)
        found = probe(tenant, "tree", token[::-1])
        assert found["holding"] == []
        assert [path for path in found["paths"] if token in path] == []
    finally:
        for path in planted:
            path.unlink(missing_ok=True)


NOT_THERE = (
    "/etc/shadow", "/etc/gshadow", "/etc/tenantd", "/etc/tenantd/bounds.conf", "/etc/machine-id",
    "/var/lib/tenantd", "/var/lib/tenantd/slots", "/run/tenantd", "/run/tenantd/control.sock",
    "/run/systemd", "/run/dbus", "/var/log", "/boot", "/sys/class", "/sys/kernel", "/dev/vda",
    "/dev/mem", "/dev/kmsg", "/dev/mqueue", "/dev/console", "/sys/fs/cgroup/tenants.slice")


def test_no_path_that_matters_on_the_host_is_there(tenant):
    assert [path for path in NOT_THERE if not os.path.lexists(path)] == []
    result = tenant.run(["stat", *NOT_THERE])
    assert result.out == b""
    assert result.err.count(b"No such file or directory") == len(NOT_THERE)


def test_the_host_name_is_the_tenants_and_the_hosts_is_nowhere(host):
    token = new_token()
    before = socket.gethostname()
    subprocess.run(["hostname", token], check=True)
    try:
        tenant = host.tenant()
        shown = tenant.run(["sh", "-c", "uname -n; cat /proc/sys/kernel/hostname; "
                                        "cat /etc/hostname; echo; uname -a"]).out.decode()
        found = probe(tenant, "tree", token[::-1])
        everything = tenant.run(["sh", "-c", "cat /proc/sys/kernel/* /proc/self/mountinfo "
                                             "/proc/[cmsuv]* /proc/self/environ /etc/hosts "
                                             "2>/dev/null; env"]).out
    finally:
        subprocess.run(["hostname", before], check=True)
    assert shown.split("\n")[:3] == [tenant.name] * 3
    assert token not in shown
    assert found["holding"] == []
    assert len(everything) > 10000 and token.encode() not in everything
    hosts = tenant.run(["cat", "/etc/hosts"]).out.decode()
    assert hosts == f"127.0.0.1 localhost {tenant.name}\n::1 localhost\n"


def test_nothing_that_the_host_holds_is_found_inside(host):
    token = new_token()
    directories = ("/root", "/home", "/tmp", "/dev/shm", "/var/tmp", "/run", "/run/tenantd",
                   "/var/lib/tenantd", "/etc/tenantd", "/srv")
    with holding_host(token, *directories) as made:
        assert made["key"] is not None
        assert set(seek_host(token, *directories).values()) == {"found"}
        assert seek(host.tenant(), token, *directories) == absent_in(*directories)


def test_two_tenants_find_nothing_of_each_other(host):
    token = new_token()
    one, other = host.tenant(), host.tenant()
    with holding(one, token, *WRITABLE) as made:
        assert made["key"] is None, "a workload could make a key"
        assert seek(other, token, *WRITABLE, one.storage) == absent_in(*WRITABLE, one.storage)
        # The other way round, and the host, which sees files only where they are stored.
        assert seek(one, token, "/data")["/data file"] == "found"
        assert (one.storage / token).exists()
        assert not (other.storage / token).exists()


def test_executions_of_a_tenant_share_data_and_cache_but_not_tmp_shm_and_processes(host):
    token = new_token()
    tenant = host.tenant()
    with holding(tenant, token, *WRITABLE):
        seen = seek(tenant, token, *WRITABLE)
    expected = absent_in("/tmp", "/dev/shm") | {what: "found" for what in OF_TENANT}
    expected |= {f"{where} {what}": "found"
                 for where in ("/data", "/cache") for what in ("file", "socket")}
    assert seen == expected


def test_tmp_and_shm_are_empty_again_and_data_and_cache_are_not(host):
    tenant = host.tenant()
    tenant.run(["sh", "-c", "for d in /data /cache /tmp /dev/shm; do echo $d >$d/kept; done"])
    shown = tenant.run(["sh", "-c", "cat /data/kept /cache/kept; ls /tmp /dev/shm /var/tmp"])
    assert shown.out == b"/data\n/cache\n/dev/shm:\n\n/tmp:\n\n/var/tmp:\n"


def test_a_workload_sees_its_own_processes_only(tenant):
    other = tenant.start(["sleep", "1000"])
    assert other.id
    shown = tenant.run(["sh", "-c", "cd /proc; echo [0-9]*; cat 1/comm; kill -0 -1; echo $?; "
                                    "cat self/stat"]).out.decode().split("\n")
    assert shown[0].split() == ["1", "2"]
    other.process.kill()
    other.wait()


def test_pid_1_cannot_be_killed_or_stopped_from_within(tenant):
    result = tenant.run(["sh", "-c", "kill -KILL 1; kill -STOP 1; echo alive; exit 7"])
    assert (result.out, result.status) == (b"alive\n", 7)


def test_the_only_network_interface_is_a_loopback_that_works(host):
    lines = ["import socket, threading",
             "print(socket.if_nameindex())",
             "for family, address in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):",
             "    with socket.create_server((address, 0), family=family) as server, \\",
             "            socket.create_connection(server.getsockname()[:2]) as client:",
             "        peer = server.accept()[0]",
             "        client.sendall(b'ping')",
             "        print(peer.recv(4))",
             "        peer.close()",
             "try:",
             "    socket.create_connection(('192.0.2.1', 80), timeout=5)",
             "except OSError as error:",
             "    print(error.errno)"]
    result = host.tenant().run(["python3", "-I", "-c", "\n".join(lines)])
    assert result.out.decode().splitlines() == [
        "[(1, 'lo')]", "b'ping'", "b'ping'", str(101)], result.err  # ENETUNREACH
    shown = host.tenant().run(["cat", "/proc/net/dev"]).out.decode().splitlines()
    assert [line.split(":")[0].strip() for line in shown[2:]] == ["lo"]


def test_no_process_inside_has_a_capability_and_all_are_filtered(tenant):
    for path in ("/proc/self/status", "/proc/1/status"):
        status = status_of(tenant.run(["cat", path]).out)
        assert {status[name] for name in CAPABILITY_SETS} == {"0000000000000000"}, path
        assert status["NoNewPrivs"] == "1", path
        assert status["Seccomp"] == "2", path
        assert status["Uid"].split() == [str(WORKLOAD_ID)] * 4, path
        assert status["Gid"].split() == [str(WORKLOAD_ID)] * 4, path
        assert status["Groups"] == "", path


def test_tenantd_itself_has_no_filter_that_workloads_would_inherit(host):
    status = status_of(Path(f"/proc/{host.supervisor_pid()}/status").read_text("ascii"))
    assert (status["Seccomp"], status["Seccomp_filters"]) == ("0", "0")


def test_tenants_have_ids_of_their_own_that_do_not_overlap(host):
    ranges = []
    for _ in range(4):
        tenant = host.tenant()
        shown = tenant.show()
        assert shown["uid_count"] == ID_COUNT
        for which in ("uid_map", "gid_map"):
            parts = tenant.run(["cat", f"/proc/self/{which}"]).out.split()
            assert list(map(int, parts)) == [0, tenant.uid_first, ID_COUNT]
        tenant.run(["touch", "/data/mine"])
        status = (tenant.storage / "mine").stat()
        assert status.st_uid == status.st_gid == tenant.uid_first + WORKLOAD_ID
        ranges.append(range(tenant.uid_first, tenant.uid_first + ID_COUNT))
    for i, one in enumerate(ranges):
        for other in ranges[i + 1:]:
            assert one.stop <= other.start or other.stop <= one.start


def test_a_tenants_storage_is_closed_to_other_users_of_the_host(host):
    tenant = host.tenant()
    tenant.run(["sh", "-c", "echo secret >/data/mine; chmod 777 /data /data/mine"])
    path = tenant.storage / "mine"
    assert path.read_bytes() == b"secret\n"
    other = host.tenant().uid_first + WORKLOAD_ID
    for uid in (65534, other):
        done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid),
                               "--clear-groups", "cat", path], capture_output=True, check=False)
        assert done.returncode == 1 and b"Permission denied" in done.stderr, uid


def test_the_cgroup_namespace_begins_at_the_execution(tenant):
    shown = tenant.run(["cat", "/proc/self/cgroup", "/proc/1/cgroup"]).out
    assert shown == b"0::/\n0::/\n"
    mounts = tenant.run(["cat", "/proc/self/mountinfo"]).out.decode()
    assert "tenants.slice" not in mounts


def test_mounts_name_no_other_tenant(host):
    one, other = host.tenant(), host.tenant()
    assert one.run(["true"]).status == 0
    mounts = other.run(["cat", "/proc/self/mountinfo"]).out.decode()
    assert other.id in mounts  # where /data is stored
    for word in (one.name, one.id):
        assert word not in mounts.replace("/", " ").split(), word


def test_nothing_can_be_written_but_data_cache_tmp_and_shm(tenant):
    done = probe(tenant, "write", *WRITABLE, timeout=300)
    assert done["tried"] > 2000
    assert done["made"] == []
    assert set(done["opened"]) <= set(DEVICES)
    assert done["changed"] == []
    control = tenant.run(["sh", "-c", "for d in /data /cache /tmp /dev/shm /var/tmp; do "
                                      "echo $d >$d/x && cat $d/x; done"])
    assert control.out.split() == [b"/data", b"/cache", b"/tmp", b"/dev/shm", b"/var/tmp"]


def test_setuid_and_file_capabilities_give_nothing(host):
    tenant = host.tenant()
    whoami = host.probe("whoami")
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    nothing = " ".join([str(WORKLOAD_ID)] * 6 + ["000000000"]) + "\n"
    with setuid_copies() as copies:
        # They do work, on the host.
        asked = [subprocess.run([*nobody, path], capture_output=True, text=True,
                                check=True).stdout.split() for path in copies]
        assert asked[0][1] == asked[0][4] == "0"
        assert int(asked[1][6], 16) != 0
        for path in copies:
            assert tenant.run([path]).out.decode() == nothing
    # Of the host's root and of the tenant's own, in the one place where files can be put.
    for owner in (0, tenant.uid_first):
        path = tenant.storage / f"whoami-{owner}"
        shutil.copy(whoami, path)
        os.chown(path, owner, owner)
        path.chmod(0o6755)
        assert tenant.run([f"/data/{path.name}"]).out.decode() == nothing
    result = tenant.run(["su", "-c", "id -u"])
    assert result.status != 0 and b"0" not in result.out.split()


def test_what_administers_a_host_is_refused(host, tenant):
    result = tenant.run([host.probe("refused")], timeout=120)
    rows = dict(line.rsplit(" ", 1) for line in result.out.decode().splitlines())
    assert result.status == 0, result.err
    controls = {what: rows.pop(what) for what in list(rows) if what.startswith("control:")}
    assert len(controls) == 6 and set(controls.values()) == {"0"}
    assert len(rows) > 90
    expected = dict.fromkeys(rows, "EPERM")
    expected |= {what: "EACCES" for what in rows
                 if what.startswith(("/proc/1/", "/proc/sys", "/sys/fs/cgroup"))}
    expected |= {"clone3": "ENOSYS", "/dev/tty": "ENXIO", "nice": "EACCES",
                 "/proc/1/timerslack_ns": "EPERM",
                 "/proc/self/oom_score_adj": "EACCES"}
    assert rows == expected


@pytest.mark.parametrize("abi", ["i386", "x32"])
def test_a_system_call_of_another_abi_ends_the_program(host, tenant, abi):
    result = tenant.run([host.probe("other_abi"), abi])
    assert (result.status, result.out) == (128 + 31, b"")
    assert result.record["reason"] == "seccomp"


def test_no_user_namespace_can_be_made(tenant):
    assert tenant.run(["cat", "/proc/sys/user/max_user_namespaces"]).out == b"0\n"
    result = tenant.run(["unshare", "--user", "true"])
    assert result.status != 0 and b"Operation not permitted" in result.err


def test_oom_score_adj_can_be_raised_but_not_lowered(tenant):
    script = ("a=$(cat /proc/self/oom_score_adj); echo $a; echo 1000 >/proc/self/oom_score_adj; "
              "cat /proc/self/oom_score_adj; echo $((a - 1)) >/proc/self/oom_score_adj; "
              "echo -1000 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj")
    result = tenant.run(["bash", "-c", script.replace("self", "$$")])
    first, *others = result.out.decode().split()
    assert int(first) >= 0
    assert others == ["1000", "1000"]
    assert result.err.count(b"Permission denied") == 2


def test_masked_parts_of_proc_are_empty(tenant):
    there = [name for name in HIDDEN if os.path.exists(f"/proc/{name}")]
    assert {"kcore", "keys", "kallsyms", "loadavg", "interrupts", "pressure"} <= set(there)
    script = "for f; do test -d /proc/$f && ls -A /proc/$f || cat /proc/$f; done; echo end"
    shown = tenant.run(["sh", "-c", script, "-", *there])
    assert (shown.out, shown.err) == (b"end\n", b"")


def test_protected_parts_of_proc_are_read_only(tenant):
    shown = tenant.run(["cat", "/proc/self/mountinfo"]).out.decode().splitlines()
    options = {line.split()[4]: line.split()[5].split(",") for line in shown}
    for name in READ_ONLY:
        assert options[f"/proc/{name}"][0] == "ro", name


def test_no_descriptor_but_the_three_standard_ones_is_inherited(tenant):
    held = [os.open("/etc/shadow", os.O_RDONLY) for _ in range(40)]
    try:
        for fd in held:
            os.set_inheritable(fd, True)
        control = ["sh", "-c", "ls /proc/$$/fd; true"]
        def run(argv):
            return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                                  close_fds=False, check=True).stdout.split()
        assert len(run(control)) >= 43
        assert run(["tenant-run", tenant.name, "--", *control]) == [b"0", b"1", b"2"]
    finally:
        for fd in held:
            os.close(fd)


def test_the_environment_is_the_documented_one_and_what_is_asked_for(host, monkeypatch):
    tenant = host.tenant(host.tier(memory_max="64M", cpu_quota="150%"))
    monkeypatch.setenv("OF_CALLER", "not asked for")
    monkeypatch.setenv("PASSED", "from the caller")
    result = tenant.run(["cat", "/proc/self/environ"], "-e", "GIVEN=a=b", "-e", "PASSED",
                        "-e", "NOT_SET", "-e", "LANG=C", "-e", "TENANT=other")
    lines = result.out.decode().split("\0")
    assert lines.pop() == ""
    assert sorted(lines) == sorted([
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/data",
        "LANG=C", f"TENANT={tenant.name}", f"TENANT_EXECUTION={result.record['id']}",
        f"TENANT_MEMORY_MAX={64 << 20}", "TENANT_CPUS=1.5", "GIVEN=a=b",
        "PASSED=from the caller"])


def test_a_workload_begins_in_its_home_with_the_umask_of_a_user(tenant):
    previous = os.umask(0o077)
    try:
        result = tenant.run(["sh", "-c", 'umask; pwd; readlink /proc/self/cwd; echo "$HOME"'])
    finally:
        os.umask(previous)
    assert result.out.split() == [b"0022", b"/data", b"/data", b"/data"]


def test_a_workload_leads_a_session_without_a_terminal_even_if_the_caller_has_one(tenant):
    report = "cat /proc/$$/stat; : </dev/tty"
    shown = tenant.run(["sh", "-c", report])
    pid, pgid, sid, tty = _ids(shown.out)
    assert pid == pgid == sid
    assert tty == 0
    assert b"No such device or address" in shown.err
    # From a terminal, which then is standard input, output and error.
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp("tenant-run", ["tenant-run", tenant.name, "--", "sh", "-c", report])
    text = b""
    with contextlib.suppress(OSError):
        while block := os.read(fd, 4096):
            text += block
    os.close(fd)
    os.waitpid(pid, 0)
    assert _ids(text)[3] == 0
    assert b"No such device or address" in text


def _ids(stat):
    """pid, process group, session and terminal of a line of /proc/PID/stat."""
    match = re.search(rb"(\d+) \(.*?\) \w (\d+) (\d+) (\d+) (-?\d+) ", stat)
    pid, _, pgid, sid, tty = map(int, match.groups())
    return pid, pgid, sid, tty


def test_every_signal_is_at_its_default_and_none_is_blocked(tenant):
    # Whatever the caller has ignored or blocked.
    script = "trap '' PIPE INT USR1 RTMIN; exec tenant-run \"$1\" -- cat /proc/self/status"
    for command in (["tenant-run", tenant.name, "--", "cat", "/proc/self/status"],
                    ["bash", "-c", script, "-", tenant.name]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        status = status_of(done.stdout)
        assert {status[name] for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")} == {
            "0000000000000000"}
