# SPDX-License-Identifier: BSD-3-Clause
"""A contender's life, with small real programs that behave, die, hang and lie."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path
from typing import Any, Iterator, cast

import pytest

from harness.trial import server as contenders
from harness.trial.observe.counters import Counters, counters_of
from harness.trial.server import Running, command, launcher, start
from harness.errors import ContenderError
from harness.host import LocalHost, Process
from harness.plan import load_plan
from harness.provision.provision import Provisioned
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.wires import bare_wire
from harness.plan import Contender

WIRE = bare_wire("tap")
HOST = LocalHost()
PLAN = load_plan("quick", WIRE, HOST.cpus(), {"PORT": "8081"})
COUNTERS = {"server": "epoll", "requests_parsed": 2, "responses_sent": 2, "port": {"mtu": 1500}}
GOOD = f"""
counters() {{ echo '{json.dumps(COUNTERS)}'; }}
trap counters USR1
trap 'counters; exit 0' TERM
echo 'EAL: noise'; echo 'READY 127.0.0.1:8081'
while :; do sleep 0.02; done
"""


class Journal:
    def __init__(self) -> None:
        self.pids: list[int] = []

    def process(self, process: Process) -> None:
        self.pids.append(process.pid)


def provisioned(hugepages: bool = True) -> Provisioned:
    return Provisioned(WIRE, hugepages, "", cast(Any, Journal()))


def script(text: str, **changes: Any) -> Contender:
    """A contender that is a shell script, in the harness's own network namespace."""
    epoll = WIRE.contenders["epoll"]
    end = dataclasses.replace(epoll.endpoint, namespace="", address="127.0.0.1/8")
    arguments = ("-c", text.replace("{", "{{").replace("}", "}}"))
    return dataclasses.replace(epoll, program="/bin/sh", arguments=arguments,
                               end=dataclasses.replace(epoll.end, server=end), **changes)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Any]:
    started: list[Running] = []

    def launch(text: str, **changes: Any) -> Running:
        running = start(HOST, WIRE, script(text, **changes), PLAN, provisioned(), tmp_path)
        started.append(running)
        return running
    yield launch
    for running in started:
        running.close()


def test_a_good_one_is_ready_counts_and_stops(launch: Any) -> None:
    running = launch(GOOD)
    running.wait_ready()
    for _ in range(2):
        assert running.snapshot() == counters_of(json.dumps(COUNTERS))
    assert running.stop()["requests_parsed"] == 2
    assert not os.path.exists(f"/proc/{running.pid}")
    running.close()


def test_it_runs_on_the_server_cpus_and_is_in_the_journal(tmp_path: Path) -> None:
    up = provisioned()
    running = start(HOST, WIRE, script(GOOD), PLAN, up, tmp_path)
    try:
        running.wait_ready()
        assert os.sched_getaffinity(running.pid) == set(PLAN.server_cpus)
        assert cast(Any, up.journal).pids == [running.pid]
    finally:
        running.close()


def test_it_is_ended_when_the_journal_cannot_be_written(tmp_path: Path) -> None:
    up = provisioned()
    pids: list[int] = []

    def full(process: Process) -> None:
        pids.append(process.pid)
        raise OSError(28, "No space left on device")
    cast(Any, up.journal).process = full
    with pytest.raises(OSError):
        start(HOST, WIRE, script(GOOD), PLAN, up, tmp_path)
    assert len(pids) == 1 and not os.path.exists(f"/proc/{pids[0]}")


def test_one_that_is_never_ready_is_given_up(launch: Any) -> None:
    running = launch("echo starting >&2; echo 'NOT READY yet'; printf 'READY without its newline'; sleep 30")
    with pytest.raises(ContenderError, match="'epoll' was not ready after 0.3 s; its last words: starting"):
        running.wait_ready(0.3)
    running.close()
    assert not os.path.exists(f"/proc/{running.pid}")


@pytest.mark.parametrize("text, words", [
    ("echo first >&2; echo 'bind: Address already in use' >&2; exit 1",
     "ended with exit code 1 before it was ready; its last words: bind: Address already in use"),
    ("exit 2", "ended with exit code 2 before it was ready; it said nothing on stderr"),
    ("kill -SEGV $$", "was killed by SIGSEGV before it was ready"),
])
def test_one_that_dies_at_once_says_its_last_words(launch: Any, text: str, words: str) -> None:
    with pytest.raises(ContenderError) as caught:
        launch(text).wait_ready(5)
    message = str(caught.value)
    assert words in message and "epoll.stderr" in message and "\n" not in message


def test_one_that_dies_later_is_noticed_by_whoever_asks(launch: Any) -> None:
    running = launch("echo READY 127.0.0.1:8081; echo 'out of mbufs' >&2; exit 3")
    running.wait_ready()
    with pytest.raises(ContenderError, match="3 when asked for its counters; its last words: out of mbufs"):
        running.snapshot()
    with pytest.raises(ContenderError, match="exit code 3 under load"):
        running.check_alive("under load")
    with pytest.raises(ContenderError, match="exit code 3 before it was stopped"):
        running.stop()
    running.close()


@pytest.mark.parametrize("line", [
    "{", "[]", "READY 1.2.3.4:80", "", '{"requests_parsed": 2}',
    '{"requests_parsed": "2", "responses_sent": 2}'])
def test_bad_counters_are_shown(launch: Any, line: str) -> None:
    running = launch(f"lie() {{ echo '{line}'; }}; trap lie USR1; trap 'echo bye; exit 0' TERM\n"
                     "echo READY 1.2.3.4:80; while :; do sleep 0.02; done")
    running.wait_ready()
    with pytest.raises(ContenderError, match="printed no counters but"):
        running.snapshot()
    with pytest.raises(ContenderError, match="printed no counters but 'bye'"):
        running.stop()


def test_one_that_gives_no_counters_is_not_waited_for_for_ever(launch: Any) -> None:
    running = launch("trap '' USR1; echo READY 1.2.3.4:80; while :; do sleep 0.02; done")
    running.wait_ready()
    with pytest.raises(ContenderError, match="gave no counters within 0.2 s of SIGUSR1"):
        running.snapshot(0.2)


def test_one_that_does_not_stop_is_killed(launch: Any) -> None:
    running = launch("trap '' TERM; echo READY 1.2.3.4:80; while :; do sleep 0.02; done")
    running.wait_ready()
    with pytest.raises(ContenderError, match="did not end within 0.3 s of SIGTERM and was killed"):
        running.stop(0.3)
    assert not os.path.exists(f"/proc/{running.pid}")


def test_one_that_fails_at_its_end_is_an_error(launch: Any) -> None:
    running = launch("trap 'exit 9' TERM; echo READY 1.2.3.4:80; while :; do sleep 0.02; done")
    running.wait_ready()
    with pytest.raises(ContenderError, match="ended with exit code 9 when it was stopped"):
        running.stop()


def test_one_without_counters_has_none_and_may_end_by_the_signal(launch: Any) -> None:
    running = launch("echo READY 1.2.3.4:80; exec sleep 30", counters=False)
    running.wait_ready()
    assert running.snapshot() is None
    assert running.stop() is None


def test_one_that_prints_no_line_is_ready_when_its_port_accepts(launch: Any) -> None:
    running = launch("exec sleep 30", ready="connect", counters=False)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        running.port = listener.getsockname()[1]
        with pytest.raises(ContenderError, match="was not ready after 0.1 s"):
            running.wait_ready(0.1)
        listener.listen()
        running.wait_ready(5)


@pytest.mark.parametrize("hugepages, memory", [
    (True, ["--in-memory"]),
    (False, ["--no-huge", "-m", str(WIRE.hugepage_kib * WIRE.hugepage_count // 1024), "--no-shconf"])])
def test_lwip_gets_its_memory_address_and_options(hugepages: bool, memory: list[str]) -> None:
    argv = command(WIRE, WIRE.contenders["lwip"], PLAN, provisioned(hugepages), Path("/raw/c"))
    assert argv[0] == str(contenders.ROOT / "build" / "lwip_server")
    assert argv[1:1 + len(memory)] == memory
    options = argv[argv.index("--") + 1:]
    assert dict(zip(options[::2], options[1::2])) == {
        "--address": "198.18.0.3", "--netmask": "255.255.255.0", "--gateway": "0.0.0.0",
        "--mac": "02:53:44:00:00:03", "--cores": "1",
        "--port": "8081", "--body-size": "1", "--max-connections": "1024"}


def test_a_program_on_the_path_stays_a_name() -> None:
    nginx = dataclasses.replace(WIRE.contenders["epoll"], program="nginx", arguments=("-g", "x"))
    assert command(WIRE, nginx, PLAN, provisioned(), Path("/raw/c")) == ["nginx", "-g", "x"]


COUNTING = """
count() { printf '{"accepts": %d, "bytes_sent": 7}%s\\n' "$1" "$(printf %99s)" > "$0"; }
trap 'count 3; exit 0' TERM
count 2
echo READY 127.0.0.1:8081
while :; do sleep 0.02; done
"""


def counting(text: str) -> Contender:
    """A contender under a launcher whose library counts into a file, here the script's own $0."""
    made = script(text, counters=False)
    return dataclasses.replace(made, arguments=(*made.arguments, "{counters}"))


def test_one_under_the_library_has_the_librarys_counters(tmp_path: Path) -> None:
    (tmp_path / "epoll.counters").write_text('{"accepts": 99}')
    running = start(HOST, WIRE, counting(COUNTING), PLAN, provisioned(), tmp_path)
    try:
        running.wait_ready()
        assert running.snapshot() == Counters({"accepts": 2, "bytes_sent": 7})
        assert running.stop() == Counters({"accepts": 3, "bytes_sent": 7})
    finally:
        running.close()


def test_one_whose_library_has_not_counted_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.trial.observe.counters.READ_SECONDS", 0.05)
    (tmp_path / "epoll.counters").write_text('{"accepts": 99}')
    running = start(HOST, WIRE, counting("echo READY 127.0.0.1:8081; exec sleep 30"), PLAN, provisioned(), tmp_path)
    try:
        running.wait_ready()
        with pytest.raises(ContenderError, match="'epoll' has no counters in .*epoll.counters; it said nothing"):
            running.snapshot()
    finally:
        running.close()


def test_a_stale_socket_is_removed_before_a_server_starts(tmp_path: Path) -> None:
    host = FakeHost()
    wire = bare_wire("shm")
    host.files["/run/stackduel/lwip.sock"] = ""
    start(host, wire, wire.contenders["lwip"], PLAN, provisioned(), tmp_path)
    assert host.calls[0] == "unlink /run/stackduel/lwip.sock" and host.calls[1].startswith("spawn ")
    assert "/run/stackduel/lwip.sock" not in host.files


def test_the_words_before_a_client_of_its_own(tmp_path: Path) -> None:
    wire = bare_wire("shm")
    assert launcher(wire, wire.contenders["epoll"], PLAN, provisioned(), tmp_path / "c") == []
    words = launcher(wire, wire.contenders["lwip"], PLAN, provisioned(), tmp_path / "c")
    assert words[0] == str(contenders.ROOT / "build" / "on-lwip")
    assert words[words.index("--counters") + 1] == str(tmp_path / "c")
    eal = next(word for word in words if word.startswith("--eal=")).removeprefix("--eal=").split()
    assert eal == ["--in-memory", "--file-prefix=stackduel-client", "--no-telemetry", "--single-file-segments", "--no-pci",
                   "--vdev=net_virtio_user0,path=/run/stackduel/lwip.sock,queues=1,queue_size=1024,mac=02:53:44:00:00:04"]
