# SPDX-License-Identifier: BSD-3-Clause
"""A trial whose client has its own stack: the launcher before every client, and the counters of both ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, cast

import pytest

from harness.errors import ContenderError, MachineError
from harness.plan import load_plan, LoadPoint, TrialSpec
from harness.provision.provision import Provisioned
from harness.tests.fixtures.serving_host import REQUEST_SIZE, REQUESTS, LoadingProcess, ServingHost
from harness.tests.trial.test_trial import Journal
from harness.store import EndCount, Note, Problem
from harness.trial import Outcome, run_trial
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("shm")
PLAN = load_plan("quick", WIRE, (0, 1), {"DURATION": "2"})
LWIP = WIRE.contenders["lwip"]
SERVER, CLIENT = LWIP.endpoint.namespace, LWIP.client.endpoint.namespace


def trial(host: ServingHost, raw: Path, contender: str = "lwip") -> Outcome:
    up = Provisioned(WIRE, True, "", cast(Any, Journal(host)))
    return run_trial(host, WIRE, PLAN, TrialSpec(contender, LoadPoint(8), 0, 1), 1, up, raw)


def problems(host: ServingHost, raw: Path) -> list[tuple[Any, ...]]:
    """The codes, each with its values."""
    record = trial(host, raw).record
    assert record.valid is (not record.problems)
    return [(note.code, *note.values.values()) for note in record.problems]


def test_every_client_goes_by_the_launcher_and_none_by_the_kernel(tmp_path: Path) -> None:
    host = ServingHost()
    trial(host, tmp_path)
    inside = f"spawn ip netns exec {CLIENT} taskset -c 0 "
    clients = [call for call in host.calls if call.startswith(inside)]
    assert ["/probe_protocol.py" in call for call in clients] == [True, False, False, True]
    assert all("/build/on-lwip --address 198.18.0.4 " in call and f" --counters {tmp_path}/" in call
               and "path=/run/stackduel/lwip.sock" in call for call in clients)
    assert not any("ping" in call or call.startswith("connect ") or "neighbour" in call for call in host.calls)
    assert host.calls[0] == "unlink /run/stackduel/lwip.sock", "one that a killed server left"
    assert host.calls[1].startswith(f"spawn ip netns exec {SERVER} taskset -c 1 ") and "net_vhost0" in host.calls[1]
    assert sum(call.startswith("journal ") for call in host.calls) == 5 and host.alive == {}


def test_the_kernels_contender_of_this_wire_is_proved_as_ever(tmp_path: Path) -> None:
    host = ServingHost()
    record = trial(host, tmp_path, "epoll").record
    assert record.valid and (record.ends, record.client, record.client_busy_share) == (None, None, None)
    assert any("ping -c 1 -W 0.05 -n 198.18.0.2" in call for call in host.calls)
    assert not any("on-lwip" in call for call in host.calls)


def idle(ticks: int, cpu: int) -> str:
    """Return /proc/stat a second later, in which that CPU was idle for so long and else busy."""
    return "".join(f"cpu{each} {100 - ticks if each == cpu else 100} 0 0 {ticks if each == cpu else 0} 0 0 0 0 0 0\n"
                   for each in (0, 1))


def test_a_client_that_is_to_poll_runs_under_libspin_and_is_proved_as_ever(tmp_path: Path) -> None:
    host = ServingHost()
    record = trial(host, tmp_path, "epoll-spin-both").record
    assert record.valid and (record.ends, record.client) == (None, None)
    loads = [call for call in host.calls if " wrk --threads" in call]
    assert loads and all("/build/spinning wrk --threads" in call for call in loads)
    assert any("ping -c 1 -W 0.05 -n 198.18.0.2" in call for call in host.calls)
    server = next(call for call in host.calls if "epoll_server" in call)
    assert server.endswith(" --spin") and "spinning" not in server


@pytest.mark.parametrize("cpu, end", [(0, "client"), (1, "server")])
@pytest.mark.parametrize("ticks, slept", [(20, True), (5, False)])
def test_an_end_that_slept_though_it_is_to_poll_makes_the_trial_invalid(
        cpu: int, end: str, ticks: int, slept: bool, tmp_path: Path) -> None:
    host = ServingHost()
    host.report = lambda report: report.update(proc_stat={
        "before": "cpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n", "after": idle(ticks, cpu)})
    record = trial(host, tmp_path / "both", "epoll-spin-both").record
    assert record.problems == ((Note(Problem.NOT_POLLING, {"end": end, "share": 0.8}),) if slept else ())
    assert trial(host, tmp_path / "epoll", "epoll").record.problems == ()


def test_both_ends_are_in_the_record(tmp_path: Path) -> None:
    outcome = trial(ServingHost(), tmp_path)
    assert outcome.ports == {"server": {"driver": "net_tap"}, "client": {"driver": "net_virtio_user"}}
    record = outcome.record
    requests = 2 * REQUESTS + 2
    assert record.ends == {
        "connections": EndCount(20, 20, 0),
        "bytes_to_server": EndCount(requests * REQUEST_SIZE, requests * REQUEST_SIZE, 16 * REQUEST_SIZE),
        "bytes_to_client": EndCount(requests * 39, requests * 39, 16 * 39),
        "packets_to_server": EndCount(2 * requests, 2 * requests, 4096),
        "packets_to_client": EndCount(3 * requests, 3 * requests, 4096)}
    assert record.valid and record.client and record.client["bytes_sent"] == REQUESTS * REQUEST_SIZE
    assert "pid" not in record.client and "tsc_hz" not in record.client
    # between the two samples under load: 90 busy, 50 in the program, 60 waiting
    assert record.client_busy_share == 0.7


def counting(program: str, **changes: int) -> Callable[[str, dict[str, Any]], None]:
    """The library counts so many more, in every process of that program."""
    def change(name: str, counters: dict[str, Any]) -> None:
        for key, more in changes.items() if name == program else ():
            counters[key] += more
    return change


@pytest.mark.parametrize("changes, differ", [
    ({"bytes_sent": -1}, [("bytes_to_server", 74072, 74074, 592)]),
    ({"bytes_sent": 8 * REQUEST_SIZE}, []),
    ({"bytes_sent": 9 * REQUEST_SIZE + 4}, [("bytes_to_server", 74748, 74074, 608)]),
    ({"bytes_received": 1}, [("bytes_to_client", 78078, 78080, 624)]),
    ({"bytes_received": -8 * 39}, []),
    ({"bytes_received": -8 * 39 - 1}, [("bytes_to_client", 78078, 77452, 624)]),
    ({"tx_packets": -1}, [("packets_to_server", 4002, 4004, 4096)]),
    ({"tx_packets": 2048}, []),
    ({"tx_packets": 2049}, [("packets_to_server", 8102, 4004, 4096)]),
    ({"rx_packets": 1}, [("packets_to_client", 6006, 6008, 4096)]),
    ({"rx_packets": -2049}, [("packets_to_client", 6006, 1908, 4096)]),
    ({"rx_packets": -2060, "rx_dropped": 10, "no_mbuf": 2}, []),
    ({"connects": 1}, [("connections", 22, 20, 0)]),
    ({"connects": -1}, [("connections", 18, 20, 0)]),
])
def test_the_counters_of_both_ends_must_agree(tmp_path: Path, changes: dict[str, int],
                                              differ: list[tuple[Any, ...]]) -> None:
    host = ServingHost()
    host.on_count = counting("wrk", **changes)
    assert problems(host, tmp_path) == [(Problem.ENDS_DIFFER, *values) for values in differ]


@pytest.mark.parametrize("changes, words", [
    ({"bytes_sent": -REQUEST_SIZE}, "did not go by the client's library alone: it counted 0 bytes sent of 37"),
    ({"bytes_received": 1}, "40 received of 39"),
    ({"rx_packets": -3}, "2 packets out and 0 in"),
    ({"tx_packets": -2}, "0 packets out and 3 in"),
])
def test_a_proof_that_took_another_way_is_an_error(tmp_path: Path, changes: dict[str, int], words: str) -> None:
    host = ServingHost()
    host.on_count = counting("python3", **changes)
    with pytest.raises(ContenderError, match=words):
        trial(host, tmp_path)
    assert host.alive == {} and not any(" wrk " in call for call in host.calls)


def test_a_server_that_counted_another_proof_is_an_error(tmp_path: Path) -> None:
    host = ServingHost()

    def more(program: str, counters: dict[str, Any]) -> None:
        assert host.serving is not None
        host.serving.counters["bytes_received"] += 5
    host.on_count = more
    with pytest.raises(ContenderError, match="'lwip' counted 42 more bytes_received for a request of 37 .*somebody"):
        trial(host, tmp_path)


def test_a_client_that_did_not_count_is_an_error(tmp_path: Path) -> None:
    host = ServingHost()
    host.on_count = lambda program, counters: counters.clear()
    with pytest.raises(ContenderError, match="proof's client ran under .*/build/on-lwip, but no counters are in"):
        trial(host, tmp_path)
    assert host.alive == {}


def test_a_wrong_byte_makes_a_trial_invalid_here_too(tmp_path: Path) -> None:
    host = ServingHost()
    host.response = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX"
    found = problems(host, tmp_path)
    assert [one[0] for one in found] == [Problem.WRONG_ANSWER] * 2
    assert all("differs from byte 38: b'X' instead of b'0'" in one[2] for one in found)


class Ailing(ServingHost):
    """Clients of a program under the launcher end at once, with a code and last words."""

    def __init__(self, program: str, code: int, said: str) -> None:
        super().__init__()
        self.ailing, self.ends_with, self.said = program, code, said

    def spawn(self, *args: Any, **options: Any) -> Any:
        process = super().spawn(*args, **options)
        if isinstance(process, LoadingProcess) and any(self.ailing in word for word in process.argv):
            process.samples, process.load, process.code = [], None, self.ends_with
            options["stderr"].write_text(self.said)
            self.alive.pop(process.pid, None)
        return process


@pytest.mark.parametrize("code, error", [(3, MachineError), (1, ContenderError), (-11, ContenderError)])
def test_last_words_of_a_proof_that_fails(tmp_path: Path, code: int, error: type[Exception]) -> None:
    host = Ailing("/probe_protocol.py", code, "noise\non-lwip: build/x.so cannot be loaded: no such DPDK\n\n")
    with pytest.raises(error) as caught:
        trial(host, tmp_path)
    assert "on-lwip: build/x.so cannot be loaded: no such DPDK" in str(caught.value)
    assert "\n" not in str(caught.value) and host.alive == {}


def test_a_load_tool_that_crashes_under_the_library_is_an_error(tmp_path: Path) -> None:
    host = Ailing("wrk", -11, "")
    with pytest.raises(ContenderError, match=r"wrk failed \(exit -11\): it said nothing"):
        trial(host, tmp_path)
    assert host.alive == {}


def test_a_server_that_dies_under_load_is_noticed_while_its_client_polls_on(tmp_path: Path) -> None:
    host = ServingHost()

    def die(wrk: LoadingProcess) -> None:
        assert host.serving is not None
        host.serving.code = -9
        wrk.hangs = True
    host.on_load = die
    with pytest.raises(ContenderError, match="'lwip' was killed by SIGKILL under load"):
        trial(host, tmp_path)
    assert host.processes[-1].code is not None


def test_counters_of_every_process_stay(tmp_path: Path) -> None:
    trial(ServingHost(), tmp_path)
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.counters")}
    assert {name: counters["program"] for name, counters in found.items()} == {
        "proof-before": "python3", "warmup": "wrk", "wrk": "wrk", "proof-after": "python3"}


def test_counters_of_an_earlier_attempt_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    trial(ServingHost(), tmp_path)
    host = ServingHost()
    host.on_count = lambda program, counters: counters.clear()
    with pytest.raises(ContenderError, match="no counters are in"):
        trial(host, tmp_path)
