# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tenant-run is to a caller: streams, arguments, signals, exit status. Programs work."""

import contextlib
import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

from inside import command
from product import RECORD_KEYS, Host, wait_for

MIB = 1 << 20
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
           signal.SIGALRM, signal.SIGCONT, signal.SIGTSTP, signal.SIGTERM, signal.SIGILL,
           signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV,
           signal.SIGSTKFLT, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR,
           signal.SIGXCPU, signal.SIGXFSZ, signal.SIGSYS, 34, 35, 50, 64)
# What tells something to tenant-run itself.
KEPT = (signal.SIGCHLD, signal.SIGURG, signal.SIGPIPE, signal.SIGWINCH, signal.SIGTTIN,
        signal.SIGTTOU)


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


def popen(tenant, argv, **kwargs):
    return subprocess.Popen(["tenant-run", tenant.name, "--", *argv], **kwargs)


def test_every_exit_code_comes_out(tenant, full):
    for code in full(range(256), [0, 1, 2, *range(3, 123, 5), 124, 125, 126, 127, 255]):
        result = tenant.run(["sh", "-c", f"exit {code}"])
        assert result.status == code
        assert (result.record["reason"], result.record["exit_code"]) == ("exited", code)
        assert result.err == b""


def test_what_cannot_be_executed_is_126_and_what_is_not_there_127(tenant):
    tenant.run(["sh", "-c", "echo true >/data/plain; echo true >/data/nothing; "
                            "chmod 755 /data/nothing; mkdir /data/directory"])
    for path, status in (("/data/plain", 126), ("/data/nothing", 126), ("/data/directory", 126),
                         ("/etc/passwd", 126), ("/data/absent", 127), ("absent", 127),
                         ("/etc/passwd/absent", 126), ("", 127)):
        result = tenant.run([path])
        assert result.status == status, path
        assert result.err.startswith(b"tenant-run: "), path
        assert b"cannot execute the command: " in result.err, path
        assert result.record["exit_code"] == status
        assert result.out == b""


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 11, 13, 14, 15, 24, 34, 40, 64])
def test_the_end_by_a_signal_is_128_and_its_number(tenant, number):
    result = tenant.run(["perl", "-e", f"kill {number}, $$; sleep 10"])
    assert result.status == 128 + number
    record = result.record
    assert (record["reason"], record["signal"]) == ("signaled", number)
    assert record["exit_code"] == 128 + number
    assert str(number).encode() in result.err or b"signal" in result.err


def test_a_timeout_is_124_after_term_and_then_kill(tenant):
    loop = "while :; do sleep 0.1; done"
    polite = tenant.run(["bash", "-c", f"trap 'echo term; exit 5' TERM; {loop}"], "--timeout",
                        "1s", "--kill-after", "10s")
    assert (polite.status, polite.out) == (124, b"term\n")
    assert polite.record["reason"] == "timeout"
    assert 900_000 <= polite.record["wall_usec"] < 9_000_000
    rude = tenant.run(["bash", "-c", f"trap 'echo term' TERM; {loop}"], "--timeout", "1s",
                      "--kill-after", "2s")
    assert (rude.status, rude.out) == (124, b"term\n")
    assert rude.record["reason"] == "timeout"
    assert 2_900_000 <= rude.record["wall_usec"] < 20_000_000
    assert b"timed out" in rude.err and b"--timeout" in rude.err


def test_a_large_stream_comes_out_as_it_went_in(tenant, full):
    blocks = full(100, 20)
    block = os.urandom(MIB)
    sent, received, n = hashlib.sha256(), hashlib.sha256(), 0

    def feed(stream):
        for i in range(blocks):
            piece = i.to_bytes(8, "little") + block[8:]
            sent.update(piece)
            stream.write(piece)
        stream.close()

    with popen(tenant, ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        feeder = threading.Thread(target=feed, args=(cat.stdin,))
        feeder.start()
        while piece := cat.stdout.read(MIB):
            received.update(piece)
            n += len(piece)
        feeder.join()
        assert cat.wait(timeout=60) == 0
    assert n == blocks * MIB
    assert received.digest() == sent.digest()


def test_standard_output_and_error_are_kept_apart(tenant):
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    result = tenant.run(["sh", "-c", script])
    assert result.out == b"out 1\nout 2\nout 3\n"
    assert result.err == b"err 1\nerr 2\nerr 3\n"


def test_the_workload_sees_the_end_of_its_input_and_can_still_answer(tenant):
    ours, theirs = socket.socketpair()
    with ours, popen(tenant, ["sh", "-c", "cat; echo end; sleep 1; echo later"], stdin=theirs,
                     stdout=theirs) as process:
        theirs.close()
        ours.sendall(b"text\n")
        ours.shutdown(socket.SHUT_WR)
        ours.settimeout(30)
        text = b""
        while piece := ours.recv(4096):
            text += piece
        assert process.wait(timeout=30) == 0
    assert text == b"text\nend\nlater\n"


def test_output_goes_on_while_the_end_of_input_is_awaited_and_seen(tenant):
    script = "(while :; do echo tick; sleep 0.02; done) & cat; kill $!; echo end; echo later"
    with popen(tenant, ["sh", "-c", script], stdin=subprocess.PIPE,
               stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"tick\n"
        process.stdin.write(b"text\n")
        process.stdin.flush()
        seen = [process.stdout.readline() for _ in range(50)]
        assert seen.count(b"text\n") == 1 and seen.count(b"tick\n") == 49
        process.stdin.close()
        rest = process.stdout.read().splitlines()
        assert rest[-2:] == [b"end", b"later"] and set(rest[:-2]) <= {b"tick"}
        assert process.wait(timeout=30) == 0


def test_the_writer_sees_that_the_workload_no_longer_reads(tenant):
    with popen(tenant, ["head", "-c", "5"], stdin=subprocess.PIPE,
               stdout=subprocess.PIPE) as process:
        with pytest.raises(BrokenPipeError):
            for _ in range(1000):
                process.stdin.write(b"x" * 65536)
        assert process.stdout.read() == b"xxxxx"
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_a_workload_whose_reader_has_gone_ends_by_sigpipe(tenant):
    with popen(tenant, ["yes"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 128 + signal.SIGPIPE


@pytest.mark.parametrize("slow, other", [("stdout", "stderr"), ("stderr", "stdout")])
def test_a_slow_reader_delays_the_workload_and_loses_nothing(tenant, slow, other):
    script = "head -c 2000000 /dev/zero; echo done >&2; head -c 1000000 /dev/zero"
    if slow == "stderr":
        script = f"({script}) 3>&1 1>&2 2>&3"
    with popen(tenant, ["sh", "-c", script], stdout=subprocess.PIPE,
               stderr=subprocess.PIPE) as process:
        n = 0
        while piece := os.read(getattr(process, slow).fileno(), 30000):
            n += len(piece)
            time.sleep(0.02)
        assert process.wait(timeout=30) == 0
        assert getattr(process, other).read() == b"done\n"
    assert n == 3000000


def test_a_reader_that_waits_for_one_stream_gets_it_while_nobody_reads_the_other(tenant):
    script = "yes >&2 & for i in 1 2 3; do sleep 0.2; echo $i; done; kill $!"
    with popen(tenant, ["sh", "-c", script], stdout=subprocess.PIPE,
               stderr=subprocess.PIPE) as process:
        assert process.stdout.read() == b"1\n2\n3\n"
        # And nobody else waits for him who does not read.
        assert tenant.run(["echo", "served"]).out == b"served\n"
        while os.read(process.stderr.fileno(), 1 << 20):
            pass
        assert process.wait(timeout=30) == 0


def test_both_streams_into_one_file_keep_their_order(tenant, tmp_path):
    script = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    lines = b"".join(b"out %d\nerr %d\n" % (i, i) for i in range(300))
    file = tmp_path / "both"
    file.write_bytes(b"before\n")
    for same in True, False:
        # One description, and two of the same file.
        with open(file, "ab") as out, open(file, "ab") as err:
            popen(tenant, ["sh", "-c", script], stdout=out,
                  stderr=subprocess.STDOUT if same else err).wait(timeout=60)
    assert file.read_bytes() == b"before\n" + lines + lines


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_dev_null(tenant, closed):
    script = "readlink /proc/$$/fd/0 >>/data/streams; cat; echo out; echo err >&2; exit 9"
    done = subprocess.run(
        ["sh", "-c", f'exec tenant-run "$@" {closed}', "-", tenant.name, "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == 9
    assert done.stdout == (b"" if ">&-" in closed.split() else b"out\n")
    assert done.stderr == (b"" if "2>&-" in closed.split() else b"err\n")


def test_large_and_many_arguments_arrive_whole(tenant):
    large = "a" * 50000 + "b" * 52400
    result = tenant.run(["sh", "-c", 'printf %s "$1"', "-", large])
    assert result.out.decode() == large
    many = [str(i) for i in range(20000)]
    result = tenant.run(["sh", "-c", 'echo $#; shift 19999; echo "$@"', "-", *many])
    assert result.out == b"20000\n19999\n"


def large_stack():
    """Of which the kernel lets a fourth be arguments."""
    resource.setrlimit(resource.RLIMIT_STACK, (64 * MIB, resource.RLIM_INFINITY))


def test_too_large_an_argument_is_refused_in_words(tenant):
    variables = [option for i in range(18)
                 for option in ("-e", f"V{i}={'x' * 120000}")]
    assert tenant.run(["true"], *variables[:16]).status == 0
    # A caller with a larger stack may have longer arguments than a workload.
    done = subprocess.run(["tenant-run", *variables, tenant.name, "--", "true"],
                          capture_output=True, check=False, preexec_fn=large_stack)
    assert done.returncode == 125
    assert b"larger than 2 MiB" in done.stderr


def test_a_mebibyte_of_environment_arrives_whole(tenant):
    wanted = {f"V{i}": chr(97 + i) * 104857 for i in range(10)}
    options = [option for name, value in wanted.items() for option in ("-e", f"{name}={value}")]
    result = tenant.run(["cat", "/proc/self/environ"], *options)
    shown = dict(line.split("=", 1) for line in result.out.decode().split("\0") if line)
    assert {name: shown[name] for name in wanted} == wanted
    assert len(result.out) > MIB - 1000


def test_arguments_and_variables_hold_any_byte_but_nul(tenant):
    every = bytes(range(1, 256))
    done = subprocess.run(["tenant-run", tenant.name, "--", "printf", "%s|%s", every, b""],
                          stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert done.stdout == every + b"|"
    done = subprocess.run(["tenant-run", "-e", b"EVERY=" + every, tenant.name, "--", "sh", "-c",
                           'printf %s "$EVERY"'],
                          stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert done.stdout == every


def test_arguments_are_not_parsed_on_the_way(tenant):
    argv = ["printf", "<%s>", "", " ", "a b", "'", '"', "$HOME", "`id`", "*", "\\", "a\nb", "-e",
            "--", "--help", "-v", "é", "🐧"]
    result = tenant.run(argv)
    assert result.out.decode() == "".join(f"<{text}>" for text in argv[2:])


def test_a_double_dash_ends_the_options_and_may_be_left_out(tenant):
    def run(*argv):
        return subprocess.run(["tenant-run", *argv], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False).stdout
    assert run(tenant.name, "echo", "-n", "a") == b"a"
    assert run(tenant.name, "--", "echo", "-n", "a") == b"a"
    assert run("--", tenant.name, "echo", "-n", "a") == b"a"
    assert run(tenant.name, "echo", "--", "a") == b"-- a\n"
    assert run(tenant.name, "--", "echo", "--", "a") == b"-- a\n"
    assert run(tenant.name, "printf", "%s,", "--timeout", "1s") == b"--timeout,1s,"


def test_signals_reach_the_whole_process_group_of_the_workload(tenant):
    numbers = [int(number) for number in SIGNALS]
    running = tenant.start(command("catch", *numbers))
    running.wait_out(b"parent ready;")
    running.wait_out(b"child ready;")
    for number in numbers:
        running.send_signal(number)
        running.wait_out(f"parent {number};".encode())
        running.wait_out(f"child {number};".encode())
    assert running.poll() is None
    said = running.out().decode().split(";")
    assert len(said) == len(set(said)), "a signal came twice"
    running.kill()
    running.wait()


def test_signals_that_mean_tenant_run_do_not_reach_the_workload(tenant):
    running = tenant.start(command("catch", *map(int, KEPT)))
    running.wait_out(b"parent ready;")
    running.wait_out(b"child ready;")
    for number in KEPT:
        running.send_signal(number)
        # Those of a terminal in the background stop it.
        running.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    assert running.poll() is None
    assert running.out().count(b";") == 2, running.out()
    running.kill()
    running.wait()


def test_a_signal_without_a_handler_ends_the_workload(tenant):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, 40):
        running = tenant.start(["sleep", "100"])
        assert running.id
        running.send_signal(number)
        result = running.wait()
        assert result.status == 128 + number
        assert (result.record["reason"], result.record["signal"]) == ("signaled", number)


def test_the_death_of_the_client_ends_the_run_and_frees_its_place(host):
    tenant = host.tenant(host.tier(executions_max=1))
    script = "trap '' HUP INT TERM; (setsid sleep 1000 &); while :; do sleep 1; done"
    running = tenant.start(["bash", "-c", script])
    execution = running.id
    assert tenant.leaves() == [execution]
    assert tenant.run(["true"]).status == 125
    running.kill()
    killed = time.monotonic()
    wait_for(lambda: tenant.leaves() == [], "the end of the leaf", 5)
    assert time.monotonic() - killed < 2
    assert tenant.run(["echo", "free"]).out == b"free\n"
    rows = [row for row in tenant.ps() if row["id"] == execution]
    assert [(row["state"], row["reason"]) for row in rows] == [("exited", "killed")]


def test_the_working_directory_can_be_chosen(tenant):
    for path in ("/tmp", "/", "/usr/bin", "/data"):
        assert tenant.run(["pwd"], "-w", path).out.decode() == f"{path}\n"
    for path, word in (("/absent", b"No such file"), ("/etc/passwd", b"Not a directory"),
                       ("relative", b"not an absolute path"),
                       ("/proc/1/cwd", b"Permission denied")):
        result = tenant.run(["pwd"], "-w", path)
        assert (result.status, result.out) == (125, b"")
        assert word in result.err, path


def test_variables_are_given_with_a_value_or_taken_from_the_caller(tenant, monkeypatch):
    monkeypatch.setenv("FROM_CALLER", "here")
    monkeypatch.delenv("NOT_SET", raising=False)
    result = tenant.run(["sh", "-c", 'echo "$A|$EMPTY|$FROM_CALLER|${NOT_SET-unset}|$TWICE"'],
                        "-e", "A=1=2 3", "--env", "EMPTY=", "-e", "FROM_CALLER", "-e", "NOT_SET",
                        "-e", "TWICE=a", "-e", "TWICE=b")
    fields = result.out.decode().rstrip("\n").split("|")
    assert fields[:4] == ["1=2 3", "", "here", "unset"]
    assert fields[4] in ("a", "b")


def test_variables_come_from_files_and_the_command_line_goes_before(tenant, tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_CALLER", "here")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"# first\n\nA=1\nB=1\nC=1\nFROM_CALLER\n")
    second.write_bytes(b"B=2 \xff#\nC=2\nC=3\n  D=\n")
    show = ["sh", "-c", 'printf "%s|" "$A" "$B" "$C" "${D-unset}" "$FROM_CALLER"']
    result = tenant.run(show, "--env-file", first, "-e", "A=named", "--env-file", second)
    assert result.out == b"named|2 \xff#|3||here|"
    second.write_bytes(b"A=1\nexport B=2\n")
    result = tenant.run(show, "--env-file", second)
    assert (result.status, result.out) == (125, b"")
    assert f"--env-file: {second}:2: a blank in a name; expected NAME=VALUE or NAME" in \
        result.err.decode()


def status_run(tenant, argv, *opts, keep=True):
    """tenant-run with --status-fd: its end, and the events. keep False: nobody reads them."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as events:
        done = subprocess.Popen(["tenant-run", "--status-fd", str(write), *opts, tenant, "--",
                                 *argv], pass_fds=[write], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(write)
        if not keep:
            events.close()
        out, err = done.communicate(timeout=60)
        lines = [json.loads(line) for line in events] if keep else []
    return done.returncode, out, err, lines, write


def test_what_happens_is_told_on_a_descriptor(tenant):
    for opts in ([], ["-t"]):
        status, out, _, events, fd = status_run(
            tenant.name, ["sh", "-c", "ls /proc/$$/fd; exit 4"], *opts)
        assert status == 4
        assert out.split() == [b"0", b"1", b"2"], f"descriptor {fd} is inside"
        started, exited = events
        assert started == {"event": "started", "id": started["id"], "tenant": tenant.name}
        assert set(exited) == {"event", "execution"} and exited["event"] == "exited"
        assert set(exited["execution"]) == set(RECORD_KEYS)
        assert exited["execution"]["id"] == started["id"]
        assert exited["execution"]["exit_code"] == 4
        status, _, _, events, _ = status_run("no-such-tenant", ["true"], *opts)
        assert status == 125
        (refused,) = events
        assert (refused["event"], refused["error"]) == ("refused", "io.tenantd.NotFound")
        assert "no-such-tenant" in refused["message"]
        status, _, _, events, _ = status_run(tenant.name, ["/absent"], *opts)
        assert (status, [event["event"] for event in events]) == (127, ["exited"])


def test_who_reads_what_happens_may_go(tenant):
    for opts in ([], ["-t"]):
        assert status_run(tenant.name, ["sh", "-c", "sleep 0.3; exit 6"], *opts,
                          keep=False)[0] == 6


def test_what_daemonizes_ends_with_the_main_process(tenant):
    script = ("(setsid sh -c 'trap \"\" HUP TERM; while :; do date >>/data/beat; sleep 0.1; "
              "done' >/dev/null 2>&1 </dev/null &); sleep 1; wc -l </data/beat")
    result = tenant.run(["sh", "-c", script])
    assert result.status == 0 and int(result.out) > 0
    assert tenant.leaves() == []
    beat = (tenant.storage / "beat").read_bytes()
    time.sleep(1)
    assert (tenant.storage / "beat").read_bytes() == beat


def test_the_run_ends_although_a_background_process_holds_its_output(tenant):
    result = tenant.run(["sh", "-c", "sleep 1000 & echo started"], timeout=20)
    assert (result.status, result.out) == (0, b"started\n")


def test_orphans_are_reaped(tenant):
    script = ("for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'sleep 0.1 & exit' &); done; sleep 2; "
              "grep -l '^State:.Z' /proc/[0-9]*/status; echo /proc/[0-9]*")
    result = tenant.run(["sh", "-c", script])
    assert result.out == b"/proc/1 /proc/2\n"
    # A zombie would be seen.
    control = tenant.run(["perl", "-e", "fork or exit; sleep 1; "
                          "exec qw(grep -l ^State:.Z), glob('/proc/[0-9]*/status')"])
    assert control.out == b"/proc/3/status\n"


def test_a_c_program_is_compiled_and_runs(tenant):
    source = b'#include <stdio.h>\nint main(void) { return puts("compiled") < 0; }\n'
    for directory in ("/data", "/tmp", "/cache"):
        script = (f"cd {directory} && cat >a.c && gcc -O2 -Wall -Werror -o a a.c && ./a && "
                  "gcc -static -o b a.c && ./b")
        result = tenant.run(["sh", "-c", script], stdin=source, timeout=120)
        assert (result.status, result.out) == (0, b"compiled\ncompiled\n"), result.err


def test_python_multiprocessing_works(tenant):
    source = ("import multiprocessing as m\n"
              "if __name__ == '__main__':\n"
              "    with m.Pool(3) as pool:\n"
              "        print(sum(pool.map(abs, range(-100, 0))))\n"
              "    value = m.Value('i', 0)\n"
              "    with value.get_lock():\n"
              "        value.value += 7\n"
              "    print(value.value)\n")
    result = tenant.run(["sh", "-c", "cat >/data/pool.py && python3 /data/pool.py"],
                        stdin=source.encode(), timeout=120)
    assert (result.status, result.out) == (0, b"5050\n7\n"), result.err


def test_a_python_environment_can_be_made_and_used(tenant):
    script = ("python3 -m venv --without-pip /data/venv && . /data/venv/bin/activate && "
              "python -c 'import sys; print(sys.prefix)'")
    result = tenant.run(["bash", "-c", script], timeout=180)
    assert (result.status, result.out) == (0, b"/data/venv\n"), result.err


def test_git_commits_and_clones(tenant):
    script = ("set -e; git init -q /data/repo; cd /data/repo; git config user.name Tenant; "
              "git config user.email tenant@example.com; echo text >file; git add file; "
              "git commit -qm first; git clone -q /data/repo /tmp/copy; cat /tmp/copy/file; "
              "git log --format=%an:%s")
    result = tenant.run(["bash", "-c", script], timeout=120)
    assert (result.status, result.out) == (0, b"text\nTenant:first\n"), result.err


def test_ssh_runs_and_knows_its_user(tenant):
    assert b"OpenSSH" in tenant.run(["ssh", "-V"]).err
    result = tenant.run(["sh", "-c", "ssh-keygen -q -t ed25519 -N '' -f /data/key && "
                                     "ssh-keygen -l -f /data/key.pub"])
    assert result.status == 0 and f"tenant@{tenant.name}".encode() in result.out, result.err


def test_accounts_and_names_resolve(tenant):
    script = ("import os, pwd, grp, socket\n"
              "me = pwd.getpwuid(os.getuid())\n"
              "print(me.pw_name, me.pw_dir, grp.getgrgid(os.getgid()).gr_name)\n"
              "print(os.path.expanduser('~'), os.path.isfile(me.pw_shell))\n"
              "print(socket.gethostbyname(socket.gethostname()), "
              "socket.gethostbyname('localhost'))\n")
    result = tenant.run(["python3", "-I", "-c", script])
    assert result.out == b"tenant /data tenant\n/data True\n127.0.0.1 127.0.0.1\n", result.err
    shown = tenant.run(["sh", "-c", "id; whoami; hostname; getent ahosts localhost | wc -l"])
    assert shown.out.decode().split("\n")[:3] == [
        "uid=1000(tenant) gid=1000(tenant) groups=1000(tenant)", "tenant", tenant.name]
    assert int(shown.out.split()[-1]) > 0
