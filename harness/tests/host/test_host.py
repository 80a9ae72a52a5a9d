# SPDX-License-Identifier: BSD-3-Clause
"""The real host, without root: commands, processes and their end, files, the lock; and the dry run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from harness.errors import MachineError
from harness.host import DryRun, Host, LocalHost, Process, Result, inside, now, stat_fields
from harness.tests.fixtures.fake_host import FakeHost
from harness.host.host import COUNTERS, parse_ethtool, start_time
from harness.provision.steps import ROOT

HOST = LocalHost()


def spawn(tmp_path: Path, *argv: str) -> Process:
    return HOST.spawn(argv, stdout=tmp_path / "out", stderr=tmp_path / "err")


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline, f"{text!r} did not come: {path.read_text()!r}"
        time.sleep(0.01)


def harness_python(script: str) -> "subprocess.Popen[str]":
    """A harness of its own that runs `script`; its stdout is a pipe."""
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_run_gives_what_was_printed() -> None:
    result = HOST.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (result.code, result.stdout, result.stderr, result.complaint) == (3, "out\n", "err\n", "err")


def test_a_failing_command_is_one_line() -> None:
    with pytest.raises(MachineError) as caught:
        HOST.run(["sh", "-c", "echo first >&2; echo 'it broke' >&2; exit 3"])
    assert str(caught.value).endswith("failed (exit 3): it broke")
    assert "\n" not in str(caught.value).replace("\\n", "")


def test_a_missing_program_is_a_machine_error() -> None:
    with pytest.raises(MachineError, match="`no-such-program` failed .*failed to execute"):
        HOST.run(["no-such-program"])


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(MachineError, match="took longer than 0.2 s"):
        HOST.run(["sleep", "60"], timeout=0.2)


def test_run_reads_no_input() -> None:
    assert HOST.run(["cat"], timeout=5).stdout == ""


def test_spawn_keeps_one_pid_on_its_cpu(tmp_path: Path) -> None:
    cpu = HOST.cpus()[-1]
    process = HOST.spawn(["sh", "-c", "echo $$ $SAID; exec sleep 60"], cpus=[cpu], stdout=tmp_path / "out",
                         stderr=tmp_path / "err", env={"SAID": "hello"})
    try:
        wait_for(tmp_path / "out", "\n")
        assert (tmp_path / "out").read_text() == f"{process.pid} hello\n"
        assert os.sched_getaffinity(process.pid) == {cpu}
        assert os.getsid(process.pid) == process.pid, "Ctrl-C on the terminal must not reach it"
        assert process.poll() is None and process.start_time == start_time(process.pid)
    finally:
        assert process.stop() == -signal.SIGTERM
    assert process.poll() == -signal.SIGTERM


def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    process = spawn(tmp_path, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    wait_for(tmp_path / "out", "up")
    with pytest.raises(TimeoutError, match="still runs after 0.01 s"):
        process.wait(0.01)
    assert process.stop(0.2) == -signal.SIGKILL
    process.signal(signal.SIGTERM)  # has ended: nothing to do, no error


def test_children_die_with_the_harness(tmp_path: Path) -> None:
    script = ("from pathlib import Path; from harness.host import LocalHost; import sys, time\n"
              f"p = LocalHost().spawn(['sleep', '60'], stdout=Path('{tmp_path}/o'), stderr=Path('{tmp_path}/e'))\n"
              "time.sleep(0.3); print(p.pid, flush=True); time.sleep(60)")
    with harness_python(script) as harness:
        assert harness.stdout is not None
        pid = int(harness.stdout.readline())
        started = start_time(pid)
        assert started is not None
        harness.kill()
    deadline = time.monotonic() + 30
    while start_time(pid) == started and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]:
        assert time.monotonic() < deadline, "sleep outlived the harness"
        time.sleep(0.01)


def test_kill_waits_for_the_end(tmp_path: Path) -> None:
    process = spawn(tmp_path, "sleep", "60")
    assert HOST.kill(process.pid, process.start_time)
    assert process.poll() == -signal.SIGKILL


def test_kill_spares_a_recycled_pid(tmp_path: Path) -> None:
    process = spawn(tmp_path, "sleep", "60")
    try:
        assert not HOST.kill(process.pid, process.start_time - 1)
        assert process.poll() is None
    finally:
        process.stop()
    assert not HOST.kill(process.pid, process.start_time)


def test_a_process_is_paused_and_goes_on(tmp_path: Path) -> None:
    def state() -> str:
        return stat_fields(Path(f"/proc/{process.pid}/stat").read_text())[0]
    process = HOST.spawn(["sleep", "60"], stdout=tmp_path / "o", stderr=tmp_path / "e")
    try:
        assert not HOST.pause(process.pid, process.start_time - 1) and state() != "T"
        assert HOST.pause(process.pid, process.start_time)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert not HOST.resume(process.pid, process.start_time + 1) and state() == "T"
        assert HOST.resume(process.pid, process.start_time)
        assert state() != "T"
    finally:
        process.stop()
    assert not HOST.pause(process.pid, process.start_time) and not HOST.resume(process.pid, process.start_time)


def test_start_time_of_a_program_with_a_bad_name(tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/usr/bin/sleep")
    process = spawn(tmp_path, str(program), "60")
    try:
        deadline = time.monotonic() + 30
        while "a) b (c" not in Path(f"/proc/{process.pid}/stat").read_text():
            assert time.monotonic() < deadline
        assert start_time(process.pid) == process.start_time > 0
    finally:
        process.stop()
    assert start_time(process.pid) is None


def test_a_shell_gets_the_exit_code_and_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGINT)
    # the shell sends Ctrl-C to itself and to us, as a terminal does
    assert HOST.interactive(["sh", "-c", "trap 'exit 7' INT; kill -INT $PPID $$; sleep 1"]) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_append_is_whole_or_not_at_all(tmp_path: Path) -> None:
    HOST.append(tmp_path / "journal", "one\n")
    HOST.append(tmp_path / "journal", "two\n")
    assert HOST.read(tmp_path / "journal") == "one\ntwo\n"
    with pytest.raises(MachineError, match="cannot write /dev/full: No space left"):
        HOST.append("/dev/full", "three\n")


def test_append_takes_back_what_a_full_disk_cut_short(tmp_path: Path) -> None:
    script = ("import resource\nfrom harness.errors import MachineError\nfrom harness.host import LocalHost\n"
              "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
              f"LocalHost().append('{tmp_path}/journal', 'whole\\n')\n"
              f"try: LocalHost().append('{tmp_path}/journal', 'too long\\n')\n"
              "except MachineError as error: print(error, flush=True)")
    with harness_python(script) as harness:
        assert harness.stdout is not None and "make room" in harness.stdout.readline()
    assert (tmp_path / "journal").read_text() == "whole\n"


def test_files_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    with pytest.raises(MachineError, match="cannot read .*No such file"):
        HOST.read(path)
    with pytest.raises(MachineError, match="cannot write .*No such file"):
        HOST.write(path, "x")
    assert not HOST.unlink(path) and not HOST.remove_directory(path) and not HOST.exists(path)
    assert HOST.listing(path.parent) == []


def test_directories(tmp_path: Path) -> None:
    path = tmp_path / "made"
    HOST.make_directory(path)
    HOST.make_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700
    HOST.write(path / "file", "x")
    assert not HOST.remove_directory(path), "somebody's file is in it"
    assert HOST.listing(path) == ["file"] and HOST.unlink(path / "file") and HOST.remove_directory(path)
    assert not path.exists()


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    with HOST.lock(str(tmp_path)):
        with pytest.raises(MachineError, match=rf"another run \(pid {os.getpid()}\) is using this machine"):
            with HOST.lock(str(tmp_path)):
                pytest.fail("locked twice")
    with HOST.lock(str(tmp_path)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_locked_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot lock .*/none: No such file"):
        with HOST.lock(str(tmp_path / "none")):
            pytest.fail("locked nothing")


def test_the_lock_goes_with_a_killed_holder_and_not_with_its_child(tmp_path: Path) -> None:
    script = ("from harness.host import LocalHost; import subprocess, time\n"
              f"with LocalHost().lock({str(tmp_path)!r}):\n"
              "    child = subprocess.Popen(['sleep', '60'])\n"
              "    print(child.pid, flush=True); time.sleep(60)")
    with harness_python(script) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(MachineError, match=f"pid {holder.pid}"):
                with HOST.lock(str(tmp_path)):
                    pytest.fail("locked twice")
            holder.kill()
            holder.wait()
            with HOST.lock(str(tmp_path)):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_lock_holds_in_another_network_namespace(tmp_path: Path) -> None:
    script = f"from harness.host import LocalHost\nwith LocalHost().lock({str(tmp_path)!r}):\n    print('locked')"
    argv = ["unshare", "--net", "--mount", "/usr/bin/python3", "-c", script]
    with HOST.lock(str(tmp_path)):
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout == "" and f"another run (pid {os.getpid()}) is using this machine" in done.stderr


def test_connect_and_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with HOST.connect(None, "127.0.0.1", port, 5) as connection:
            assert connection.getpeername() == ("127.0.0.1", port) and connection.gettimeout() == 5
    with pytest.raises(OSError):
        HOST.connect(None, "127.0.0.1", port, 5)


def test_a_missing_namespace_is_not_made() -> None:
    with pytest.raises(MachineError, match="cannot enter namespace stackduel-none: No such file"):
        HOST.connect("stackduel-none", "127.0.0.1", 1, 5)
    with pytest.raises(MachineError, match="stackduel-none"):
        HOST.link_counters("stackduel-none")
    assert not HOST.exists("/run/netns/stackduel-none")


def test_link_counters_move_with_traffic() -> None:
    before = HOST.link_counters(None)["lo"]
    assert set(before) == set(COUNTERS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        HOST.connect(None, "127.0.0.1", server.getsockname()[1], 5).close()
    assert HOST.link_counters(None)["lo"]["tx_packets"] > before["tx_packets"]


def test_modules_and_programs() -> None:
    assert HOST.has_module("json") and not HOST.has_module("no_such_module")
    assert HOST.which("sh") and HOST.which("no-such-program") is None


def test_dry_run_prints_and_does_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    dry = DryRun(HOST, said.append)
    file = tmp_path / "file"
    file.write_text("old")
    dry.run(["touch", str(tmp_path / "made")], netns="somewhere")
    dry.write(file, "new")
    dry.append(file, "more\n")
    dry.make_directory(tmp_path / "directory")
    dry.remove_directory(tmp_path)
    dry.unlink(file)
    dry.kill(os.getpid(), start_time(os.getpid()) or 0)
    dry.pause(os.getpid(), start_time(os.getpid()) or 0)
    dry.resume(os.getpid(), start_time(os.getpid()) or 0)
    dry.interactive(["touch", str(tmp_path / "made")])
    with dry.lock(str(tmp_path)), HOST.lock(str(tmp_path)):
        pass
    with pytest.raises(MachineError, match="DryRun does not start programs"):
        dry.spawn(["server"], cpus=[1], stdout=file, stderr=file)
    with pytest.raises(MachineError, match="DryRun does not connect"):
        dry.connect(None, "127.0.0.1", 1, 1)
    assert file.read_text() == "old" and dry.read(file) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert said == [f"ip netns exec somewhere touch {tmp_path}/made",
                    f"echo new > {file}", f"echo more >> {file}",
                    f"mkdir -m 700 {tmp_path}/directory", f"rmdir {tmp_path}", f"rm -f {file}",
                    f"kill -KILL {os.getpid()}", f"kill -STOP {os.getpid()}", f"kill -CONT {os.getpid()}",
                    f"touch {tmp_path}/made"]


@pytest.mark.parametrize("name", [name for name in vars(LocalHost) if not name.startswith("_")])
def test_a_dry_run_has_nothing_of_the_real_host(name: str) -> None:
    assert not issubclass(DryRun, LocalHost) and name in vars(Host)
    own = getattr(DryRun(FakeHost(), print), name)
    assert getattr(own, "__func__", None) is not vars(LocalHost)[name]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_done_inside_a_namespace_leaves_the_caller_where_it_is() -> None:
    mine, name = os.readlink("/proc/self/ns/net"), f"stackduel-test-{os.getpid()}"
    HOST.run(["ip", "netns", "add", name])
    try:
        there = inside(name, lambda: os.readlink("/proc/thread-self/ns/net"))
        assert there != mine and os.readlink("/proc/thread-self/ns/net") == mine
        assert set(HOST.link_counters(name)) == {"lo"} and HOST.neighbour(name, "192.0.2.1") == ""
    finally:
        HOST.run(["ip", "netns", "del", name])


def test_a_link_is_known_by_the_last_name_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "driver").symlink_to("../../bus/pci/drivers/e1000e")
    assert HOST.link_target(tmp_path / "driver") == "e1000e" and HOST.link_target(tmp_path / "none") == ""
    assert HOST.link_target(tmp_path) == ""


ETHTOOL = """NIC statistics:
     rx_packets: 12
     tx queue 0: drops: 3
     hw_name: x540
     rx_missed_errors: 0
"""


def test_ethtools_lines_are_read() -> None:
    assert parse_ethtool(ETHTOOL) == {"rx_packets": 12, "tx queue 0: drops": 3, "rx_missed_errors": 0}
    assert parse_ethtool("no stats available\n") == {}


def test_the_kernel_is_asked_in_the_interfaces_namespace() -> None:
    host = FakeHost()
    host.answers[("ip", "netns", "exec", "there", "ethtool", "-S", "server0")] = Result(0, ETHTOOL, "")
    assert host.nic_statistics("there", "server0")["rx_packets"] == 12
    host.answers[("ip", "netns", "exec", "there", "ethtool", "-S", "lo")] = Result(94, "", "no stats available\n")
    assert host.nic_statistics("there", "lo") == {}


def test_the_times_of_a_run_do_not_jump_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Earlier(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Earlier:
            return cls(2001, 1, 1, tzinfo=timezone.utc)
    before = now()
    monkeypatch.setattr("harness.host.host.datetime", Earlier)
    assert "2001-01-01T00:00:00Z" < before <= now()


def test_a_signal_to_the_main_thread_is_no_other_threads(tmp_path: Path) -> None:
    """The main thread blocks it, another one does not: only one that is sent to the process ends that."""
    program = ("import signal, threading, time\n"
               "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
               "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
               "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
               "print('up', flush=True)\ntime.sleep(60)\n")
    process = HOST.spawn([sys.executable, "-c", program], stdout=tmp_path / "out", stderr=tmp_path / "err")
    try:
        while not (tmp_path / "out").read_text():
            assert process.poll() is None
            time.sleep(0.01)
        process.signal_main(signal.SIGINT)
        with pytest.raises(TimeoutError):
            process.wait(0.2)
        process.signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
    finally:
        process.stop(0)
    process.signal_main(signal.SIGINT)
