# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenant-run -t, from a real terminal: the one inside, keys, sizes, and the modes afterwards."""

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time

import pytest

from product import Host, wait_for
from terminal import Session

MIB = 1 << 20


@pytest.fixture(scope="module")
def tenant(product):
    """For tests that need nothing of their own."""
    made = Host()
    yield made.tenant()
    made.close()


def session(tenant, argv, *opts, **kwargs):
    return Session(["tenant-run", *opts, "-t", tenant.name, "--", *argv], **kwargs)


def ended(tenant):
    """The record of what ran last, once it has ended."""
    wait_for(lambda: not tenant.leaves(), "the end of the execution")
    return wait_for(lambda: next((row for row in tenant.ps() if row["state"] == "exited"), None),
                    "its record")


def test_the_command_has_a_terminal_of_its_own(tenant):
    script = ("tty; stty size; stat -c '%U %G %a' /dev/pts/0; ls /dev/pts | tr '\\n' ' '; "
              "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; "
              "echo to the terminal >/dev/tty; echo $TERM; ps -o tty= -p $$; exit 7")
    with session(tenant, ["sh", "-c", script], "-q", rows=31, cols=101) as run:
        status, text = run.wait()
        assert run.restored()
    assert status == 7
    lines = text.decode().split("\r\n")
    assert lines[:2] == ["/dev/pts/0", "31 101"]
    assert lines[2] == "tenant tenant 620"
    assert lines[3] == "0 ptmx /dev/pts/0"
    assert lines[4:7] == ["/dev/pts/0", "/dev/pts/0", "to the terminal"]
    assert lines[8].strip() == "pts/0"


@pytest.mark.parametrize("options", [["--no-init"], ["-u", "nobody"], ["--no-init", "-u", "7:7"]])
def test_the_terminal_is_the_commands_own_without_init_and_as_another_user(tenant, options):
    script = "stat -c %u /dev/pts/0; id -u; echo here >/dev/tty; ps -o tty= -p $$; read line"
    with session(tenant, ["sh", "-c", script], *options) as run:
        lines = run.expect(b"pts/0\r\n").decode().split("\r\n")
        run.type(b"\r")
        status, _ = run.wait()
        assert run.restored()
    assert (status, lines[0], lines[2]) == (0, lines[1], "here")


def test_nothing_of_the_callers_streams_enters(tenant):
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader:
        with os.fdopen(write, "wb") as writer:
            done = subprocess.run(
                ["tenant-run", "-it", tenant.name, "--", "sh", "-c", "ls -l /proc/self/fd; "
                 "ls -l /proc/$$/fd"], stdin=subprocess.DEVNULL, stdout=writer, check=True,
                timeout=60)
        shown = reader.read().decode()
    assert done.returncode == 0
    assert "pipe:" not in shown and "socket:" not in shown and "/dev/null" not in shown
    assert shown.count("-> /dev/pts/0") == 6


@pytest.mark.parametrize("term", ["vt220", None])
def test_term_is_the_callers_unless_told(tenant, term, monkeypatch):
    argv = ["sh", "-c", "echo \"[${TERM-unset}]\""]
    monkeypatch.delenv("TERM", raising=False)
    if term:
        monkeypatch.setenv("TERM", term)
    assert tenant.run(argv, "-t").out == f"[{term or 'unset'}]\r\n".encode()
    assert tenant.run(argv, "-t", "-e", "TERM=dumb").out == b"[dumb]\r\n"
    assert tenant.run(argv).out == b"[unset]\n"


def test_without_a_terminal_it_is_24_by_80_and_input_ends(tenant):
    shown = tenant.run(["sh", "-c", "stty size; cat; echo end"], "-t", stdin=b"a line\nhalf")
    assert shown.status == 0
    assert b"24 80\r\n" in shown.out
    # Echoed by the terminal, perhaps before anything else, and written by cat.
    assert shown.out.count(b"a line") == 2 and shown.out.count(b"half") == 2
    assert shown.out.endswith(b"end\r\n")


def test_a_change_of_size_arrives_with_its_signal(tenant):
    # A shell forgets a signal that comes while its trap for it runs; this does not.
    script = ("$| = 1; $SIG{WINCH} = sub { print `stty size` }; print `stty size`, qq(ready\n); "
              "sleep 1 while 1")
    with session(tenant, ["perl", "-e", script]) as run:
        run.expect(b"30 100\r\nready\r\n")
        for rows, cols in ((40, 120), (10, 20)):
            run.resize(rows, cols)
            run.expect(f"{rows} {cols}\r\n".encode())
        run.process.send_signal(signal.SIGTERM)
        assert run.wait()[0] == 128 + signal.SIGTERM
        assert run.restored()


@pytest.mark.parametrize("script, status", [
    ("exit 0", 0), ("exit 3", 3), ("kill -SEGV $$", 139), ("kill -KILL $$", 137),
    ("stty raw -echo; kill -ABRT $$", 134), ("exec /absent/command", 127)])
def test_modes_are_raw_during_and_restored_after(tenant, script, status):
    with session(tenant, ["sh", "-c", f"echo ready; read line; {script}"], "-q") as run:
        assert not run.raw()
        run.expect(b"ready\r\n")
        assert run.raw()
        run.type(b"\r")
        assert run.wait()[0] == status
        assert run.restored()


def test_modes_are_restored_when_the_run_is_refused_or_cannot_be_executed(tenant):
    for argv, status in ((["/absent"], 127), (["/etc/passwd"], 126)):
        with session(tenant, argv) as run:
            assert run.wait()[0] == status
            assert run.restored()
    with Session(["tenant-run", "-t", "no-such-tenant", "true"]) as run:
        status, text = run.wait()
        assert (status, run.restored()) == (125, True)
        assert b"no-such-tenant" in text


# The terminal hangs up with its master; the workload leaves it to us to end it.
STAYS = ["sh", "-c", "trap '' HUP; echo ready; sleep 1000"]


def test_modes_are_restored_after_the_death_of_the_working_process(tenant, tmp_path):
    report = tmp_path / "report"
    with session(tenant, STAYS, "--report",
                 str(report)) as run:
        run.expect(b"ready\r\n")
        assert run.raw()
        run.kill_worker()
        status, text = run.wait()
        assert (status, run.restored()) == (125, True)
        assert b"was killed by signal 9, and the run ended with it" in text
    record = ended(tenant)
    assert record["reason"] == "killed"
    assert record["id"] in report.read_text("utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_modes_are_restored_after_the_death_of_the_process_that_watches(tenant):
    with session(tenant, STAYS) as run:
        run.expect(b"ready\r\n")
        worker = run.worker()
        assert run.raw()
        run.process.kill()
        assert run.wait()[0] == -signal.SIGKILL
        wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "the end of the worker")
        assert run.restored()
    assert ended(tenant)["reason"] == "killed"


@pytest.mark.parametrize("daemon", ["controller_pid", "supervisor_pid"])
def test_a_terminal_goes_on_when_a_daemon_goes_away(host, daemon):
    tenant, find = host.tenant(), getattr(host, daemon)
    with session(tenant, ["sh", "-c", "echo ready; read x; echo got $x; exit 6"]) as run:
        run.expect(b"ready\r\n")
        assert run.raw()
        old = find()
        os.kill(old, signal.SIGKILL)
        # What is typed does not go through either of them.
        run.type(b"word\r")
        run.expect(b"got word\r\n")
        status, _ = run.wait()
        assert (status, run.restored()) == (6, True)
    wait_for(lambda: find() not in (0, old) and
             host.ctl("status", check=False).returncode == 0, "another one")
    assert ended(tenant)["exit_code"] == 6


def test_keys_interrupt_and_quit_what_runs_inside(tenant):
    for key, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
        with session(tenant, ["sh", "-c", "echo ready; exec sleep 1000"], "-q") as run:
            run.expect(b"ready\r\n")
            run.type(key)
            assert run.wait()[0] == 128 + number
            assert run.restored()


def test_a_shell_inside_stops_and_continues_its_jobs(tenant):
    with session(tenant, ["bash", "--norc", "--noprofile", "-i"], "-e", "PS1=> ") as run:
        run.expect(b"> ")
        run.type(b"sleep 1000\r")
        # The shell gives the terminal to it, which the key depends on.
        time.sleep(1)
        run.type(b"\x1a")
        run.expect(b"Stopped")
        state = wait_for(lambda: open(f"/proc/{run.process.pid}/stat", encoding="ascii")
                         .read().rpartition(")")[2].split()[0], "its state")
        assert state != "T", "tenant-run itself has been stopped"
        run.expect(b"> ")
        run.type(b"fg\r")
        run.expect(b"sleep 1000\r\n")
        time.sleep(1)
        run.type(b"\x03")
        run.expect(b"> ")
        run.type(b"exit 9\r")
        assert run.wait()[0] == 9
        assert run.restored()


def test_the_key_for_the_end_ends_input(tenant):
    with session(tenant, ["sh", "-c", "cat; echo ended"]) as run:
        wait_for(run.raw, "raw mode")
        run.type(b"typed\r")
        run.expect(b"typed\r\ntyped\r\n")
        run.type(b"\x04")
        run.expect(b"ended\r\n")
        assert run.wait()[0] == 0


def test_a_terminal_in_raw_mode_is_binary_clean_both_ways(tenant):
    data = os.urandom(MIB)
    argv = ["tenant-run", "-t", tenant.name, "--", "sh", "-c",
            f"stty raw -echo; printf ready; exec head -c {MIB}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.read(5) == b"ready"

        def feed():
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(data)
                process.stdin.close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        got = process.stdout.read()
        feeder.join()
        assert process.wait(timeout=60) == 0
    assert len(got) == MIB
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_delays_and_loses_nothing(tenant):
    script = "stty -opost -echo; head -c 300000 /dev/zero | tr '\\0' x; read line; echo $line"
    with session(tenant, ["sh", "-c", script]) as run:
        # Typed while nobody reads: it must not wait for the output.
        time.sleep(2)
        run.type(b"typed\r")
        n = 0
        while b"typed" not in run.text:
            assert run.read(30), f"nothing comes after {n} bytes"
            n += run.text.count(b"x")
            run.text = run.text.replace(b"x", b"")
            time.sleep(0.02)
        assert n == 300000
        assert run.wait()[0] == 0
        assert run.restored()


def test_signals_are_passed_on_while_nobody_reads(tenant):
    with session(tenant, ["yes"], "-q") as run:
        run.expect(b"y\r\n")
        time.sleep(1)
        run.process.send_signal(signal.SIGUSR1)
        record = ended(tenant)
        assert (record["reason"], record["signal"]) == ("signaled", signal.SIGUSR1)
        # What it wrote is kept for the reader; a signal ends the wait.
        time.sleep(0.5)
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGTERM)
        wait_for(lambda: run.process.poll() is not None, "the end of tenant-run")
        assert run.process.returncode == 128 + signal.SIGUSR1
        assert run.restored()


def test_a_hangup_reaches_the_command(tenant):
    script = ("trap 'echo hung up >/data/hup; exit 5' HUP; echo ready; "
              "while :; do sleep 0.1; done")
    with session(tenant, ["bash", "-c", script]) as run:
        run.expect(b"ready\r\n")
        run.close()
        run.process.wait(30)
    wait_for((tenant.storage / "hup").exists, "the hangup")
    assert ended(tenant)["exit_code"] == 5


def test_a_reader_that_goes_hangs_up(tenant):
    with subprocess.Popen(["tenant-run", "-t", tenant.name, "--", "yes"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"y\r\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 128 + signal.SIGHUP


def test_a_command_may_close_its_terminal_and_open_it_again(tenant):
    script = ("exec </dev/null >/dev/null 2>&1; sleep 1; exec </dev/tty >/dev/tty; "
              "echo again; read line; echo \"got $line\"")
    with session(tenant, ["sh", "-c", script]) as run:
        run.expect(b"again\r\n")
        run.type(b"typed\r")
        run.expect(b"got typed\r\n")
        assert run.wait()[0] == 0


def test_terminals_used_up_inside_are_nobody_elses_loss(host):
    first, second = host.tenant(), host.tenant()
    bomb = ("$n++ while open $fd[$n], '+<', '/dev/ptmx'; print \"opened $n\\n\"; <STDIN>; ")
    with session(first, ["perl", "-e", "$| = 1; " + bomb]) as run:
        run.expect(b"opened 63\r\n")
        assert second.run(["tty"], "-t").out == b"/dev/pts/0\r\n"
        assert first.run(["tty"], "-t").out == b"/dev/pts/0\r\n"
        run.type(b"\r")
        assert run.wait()[0] == 0


def test_nothing_can_be_pushed_into_the_terminal(tenant):
    for request in ("0x5412", "0x541C", "0x100005412"):
        probe = (f"$c = 'x'; $r = syscall(16, 0, {request}, $c); "
                 "print $r == 0 ? 'done' : \"refused $!{EPERM}\"")
        shown = tenant.run(["perl", "-e", probe], "-t")
        assert shown.out.startswith(b"refused 1"), (request, shown.out)


@pytest.mark.alone
def test_a_throttled_tenant_with_terminals_holds_nobody_up(host):
    slow, other = host.tenant(host.tier(cpu_quota="1%")), host.tenant()
    started = time.monotonic()
    assert other.run(["true"], "-t").status == 0
    alone = time.monotonic() - started
    waiting = [slow.start(["true"], "-t") for _ in range(3)]
    started = time.monotonic()
    assert other.run(["true"], "-t").status == 0
    assert time.monotonic() - started < 5 * alone + 3
    for running in waiting:
        running.wait(300)


def test_a_frozen_command_with_a_terminal_holds_nobody_up(host):
    tenant, other = host.tenant(), host.tenant()
    with session(tenant, ["cat"], "-q") as run:
        wait_for(run.raw, "raw mode")
        run.type(b"first\r")
        run.expect(b"first\r\nfirst\r\n")
        (leaf,) = tenant.leaves()
        freeze = tenant.cgroup / leaf / "cgroup.freeze"
        freeze.write_text("1", encoding="ascii")
        run.type(b"second\r")
        run.resize(5, 5)
        assert other.run(["tty"], "-t").out == b"/dev/pts/0\r\n"
        freeze.write_text("0", encoding="ascii")
        run.expect(b"second\r\nsecond\r\n")
        run.type(b"\x04")
        assert run.wait()[0] == 0


def test_many_terminals_leave_nothing_behind(tenant, full):
    for _ in range(full(100, 10)):
        assert tenant.run(["true"], "-t").status == 0
