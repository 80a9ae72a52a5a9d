# SPDX-License-Identifier: BSD-3-Clause
"""The open-loop client against epoll_server on the loopback, and against servers that stall, are wrong or go away.

Sanitized builds, so that a wrong access ends them. What takes how long is told by counts of requests, not by this
machine's speed.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from itertools import count, cycle, islice
from typing import Any, Iterable, Iterator, Mapping

import pytest

from harness.tests.system.conftest import ROOT

OPENLOAD, EPOLL = str(ROOT / "build/checked/openload"), str(ROOT / "build/checked/epoll_server")
ADDRESS = "127.0.0.1"
STALL_SECONDS = 0.2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"


@contextmanager
def serving(*options: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server, at a port of the loopback."""
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([EPOLL, "--address", ADDRESS, "--port", str(port), *options], stdout=subprocess.PIPE,
                               text=True)
    try:
        assert process.stdout is not None and process.stdout.readline().startswith("READY ")
        yield port, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(10)


def start(port: int, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen([OPENLOAD, "--address", ADDRESS, "--port", str(port), *options], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def account(process: subprocess.Popen[str]) -> Mapping[str, Any]:
    """What a load that ended well says."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    said = json.loads(out.splitlines()[-1])
    assert isinstance(said, dict) and said["program"] == "openload"
    assert said["measured"] == sum(count for _, count in said["latency_us"])
    return said


def load(port: int, *options: str) -> Mapping[str, Any]:
    return account(start(port, *options))


def stalled(*options: str) -> Mapping[str, Any]:
    """A load of 1.5 s whose server stands still for STALL_SECONDS in its middle."""
    with serving() as (port, server):
        client = start(port, "--connections", "8", "--warmup", "0.1", "--duration", "1.5", *options)
        assert client.stdout is not None and client.stdout.readline() == "MEASURING\n"
        time.sleep(0.5)
        server.send_signal(signal.SIGSTOP)
        time.sleep(STALL_SECONDS)
        server.send_signal(signal.SIGCONT)
        return account(client)


def slower_than(said: Mapping[str, Any], us: float) -> int:
    return sum(count for value, count in said["latency_us"] if value > us)


def quantile(said: Mapping[str, Any], share: float) -> float:
    seen = 0
    for value, count in said["latency_us"]:
        seen += count
        if seen >= share * said["measured"]:
            return float(value)
    raise AssertionError("no latencies")


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_a_stall_is_seen_by_every_request_that_was_meant_to_be_sent_in_it(arrivals: str) -> None:
    rate = 2000
    said = stalled("--rate", str(rate), "--arrivals", arrivals)
    assert said["unsent"] == 0 and said["measured"] == said["intended"]
    assert quantile(said, 0.999) > 0.9e6 * STALL_SECONDS
    # those of the first half of the stall wait for its second half at least
    half = 1e6 * STALL_SECONDS / 2
    assert slower_than(said, half) > 0.75 * rate * STALL_SECONDS / 2
    assert said["waited"] > 0.75 * rate * STALL_SECONDS, "eight connections hold eight of them"


def test_a_closed_loop_hides_the_stall() -> None:
    said = stalled("--rate", "0")
    assert 1 <= slower_than(said, 1e6 * STALL_SECONDS / 2) <= 8, "one request a connection was under way"
    assert quantile(said, 0.999) < 1e6 * STALL_SECONDS / 2


def test_every_request_is_accounted_for() -> None:
    with serving("--body-size", "100000") as (port, server):
        said = load(port, "--connections", "16", "--rate", "1500", "--duration", "1", "--warmup", "0.2",
                    "--body-size", "100000", "--threads", "2", "--arrivals", "poisson")
        server.terminate()
        assert server.stdout is not None
        counters = json.loads(server.stdout.read().splitlines()[-1])
    assert said["intended"] == said["measured"] + said["unsent"]
    assert (counters["requests_parsed"], counters["accepts"]) == (said["total_requests"], 16)
    assert said["total_connects"] == 16 and said["in_flight"] == 0
    assert 1300 < said["intended"] < 1700 and said["duration_seconds"] == 1
    assert said["waited"] + sum(count for _, count in said["send_lag_us"]) == said["intended"] - said["unsent"]
    assert not any(said["errors"].values())
    assert "cpu0 " in said["proc_stat"]["before"] and said["proc_stat"]["after"].endswith("\n")


def test_the_seed_decides_what_is_asked_and_when() -> None:
    with serving() as (port, _):
        options = ("--connections", "4", "--rate", "3000", "--duration", "0.5", "--warmup", "0")
        counts = [load(port, *options, "--arrivals", "poisson", "--seed", seed)["intended"] for seed in "112"]
        assert load(port, *options)["intended"] == 1500
    assert counts[0] == counts[1] != counts[2]


def test_more_than_the_server_can_do_is_unsent_and_not_dropped() -> None:
    with serving() as (port, _):
        said = load(port, "--connections", "2", "--rate", "2000000", "--duration", "0.5", "--warmup", "0.2")
    assert said["intended"] == 1_000_000 and said["unsent"] > 500_000
    assert said["intended"] == said["measured"] + said["unsent"]
    assert said["unsent_oldest_us"] > 100_000 and 0 < said["backlog_middle"] < said["backlog_end"]


@contextmanager
def answering(answers: Iterable[bytes], then: bytes = b"", each: int | None = None) -> Iterator[int]:
    """A server that gives these answers, one a request on whichever connection, and after them `then`, or closes.

    `each`: so many on one connection, which it then closes.
    """
    left = iter(answers)

    def serve(peer: socket.socket) -> None:
        with peer, suppress(ConnectionError):
            for _ in count() if each is None else range(each):
                if not peer.recv(4096) or not (answer := next(left, then)):
                    return
                peer.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],)).start()

    with socket.create_server((ADDRESS, 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


WRONG_LATER = [HEAD + b"0"] * 5


@pytest.mark.parametrize("wrong, kind", [(HEAD + b"1", "content"), (HEAD.replace(b"200", b"500") + b"0", "status"),
                                         (HEAD + b"0" + HEAD + b"0", "content")])
def test_an_answer_that_is_wrong_is_counted_and_its_connection_ends(wrong: bytes, kind: str) -> None:
    with answering([*WRONG_LATER, wrong], then=HEAD + b"0") as port:
        said = load(port, "--connections", "2", "--rate", "200", "--duration", "0.5", "--warmup", "0")
    assert said["errors"] == {**dict.fromkeys(said["errors"], 0), kind: 1}
    assert said["measured"] >= said["intended"] - 2, "the other connection goes on"


@pytest.mark.parametrize("answers, word", [
    (WRONG_LATER, "no connection is left: the server closed the last one before its answer was whole"),
    ([*WRONG_LATER, HEAD + b"1"], "no connection is left: an answer on the last one differed from the first"),
    ([HEAD.replace(b": 1", b": 2") + b"00"], "the first answer has a body of 2 bytes, and --body-size is 1"),
    ([HEAD.replace(b"200", b"404") + b"0"], "the first answer has status 404"),
    ([HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"0"],
     "the server closes after each answer: it needs connections that stay"),
])
def test_without_a_server_that_answers_there_is_no_account(answers: list[bytes], word: str) -> None:
    with answering(answers) as port:
        process = start(port, "--rate", "100", "--duration", "5")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, f"openload: {word}\n")
    assert "{" not in out


LAST = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"0"


def test_an_answer_has_the_time_of_its_own() -> None:
    dated = (HEAD.replace(b"\r\n\r\n", b"\r\nDate: Mon, 30 Nov 2026 08:%02d:%02d GMT\r\n\r\n") % divmod(i % 3600, 60) + b"0"
             for i in count())
    with answering(dated) as port:
        said = load(port, "--connections", "2", "--rate", "200", "--duration", "0.5", "--warmup", "0")
    assert not any(said["errors"].values()) and said["measured"] == said["intended"]
    assert said["reconnects"] == 0


@pytest.mark.parametrize("rate", [0, 200])
@pytest.mark.parametrize("answers", [(HEAD + b"0" for _ in count()), (HEAD + b"0", HEAD + b"0", LAST)])
def test_a_connection_that_the_server_closes_between_answers_is_opened_again(answers: Iterable[bytes], rate: int) -> None:
    with answering(cycle(islice(answers, 3)), each=3) as port:
        said = load(port, "--connections", "1", "--rate", str(rate), "--duration", "0.5", "--warmup", "0")
    # on a busy machine a few are not sent in time, and told
    assert not any(said["errors"].values()) and said["intended"] == said["measured"] + said["unsent"]
    assert said["measured"] >= 50
    # what is asked at the moment of the end is asked again on the next one
    assert said["total_requests"] // 3 - 1 <= said["reconnects"] <= said["total_requests"] // 3
    assert said["total_connects"] == said["reconnects"] + 1


def test_a_server_that_goes_away_between_answers_is_one_line() -> None:
    with serving() as (port, server):
        client = start(port, "--connections", "4", "--rate", "500", "--warmup", "0", "--duration", "20")
        assert client.stdout is not None and client.stdout.readline() == "MEASURING\n"
        server.terminate()
        server.wait(10)
        out, err = client.communicate(timeout=30)
    assert client.returncode == 1
    # one that was opened just before the listener went ends without an answer
    assert err in {f"openload: no connection is left: the server {how}\n" for how in (
        "cannot be connected to again: Connection refused", "closed the last one before its answer was whole")}
    assert "{" not in out


def test_no_server_is_one_line() -> None:
    process = start(1)
    assert process.communicate(timeout=30)[1] == "openload: connection 1 of 1 cannot be opened: Connection refused\n"
    assert process.returncode == 1


@pytest.mark.parametrize("options, word", [
    (("--threads", "2"), "--threads: more than --connections: each thread needs one"),
    (("--duration", "0"), "--duration: must be more than 0"),
    (("--path", "x"), "--path: must begin with '/' and have at most 4096 bytes"),
    (("--arrivals", "none"), "--arrivals: 'none' is none of constant|poisson"),
])
def test_a_wrong_option_is_one_line(options: tuple[str, ...], word: str) -> None:
    process = start(80, *options)
    assert process.communicate(timeout=30)[1] == f"openload: {word}\n"
    assert process.returncode == 2
