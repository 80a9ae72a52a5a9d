# SPDX-License-Identifier: BSD-3-Clause
"""The answerer of the calibration under sanitizers, on this machine's loopback: every byte right, every request counted."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Iterator, Sequence

import pytest

from harness.trial.probe_protocol import expected_response
from harness.plan import Workload

ROOT = Path(__file__).resolve().parent.parent.parent.parent
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Canned:
    """A running answerer; end() gives its last counters."""

    def __init__(self, body_size: int, most: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.answer = expected_response(Workload("rps", "/", body_size))
        self.process = subprocess.Popen(
            [str(ROOT / "build" / "checked" / "canned_server"), "--address", "127.0.0.1", "--port", str(self.port),
             "--body-size", str(body_size), "--max-connections", str(most)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"READY 127.0.0.1:{self.port}\n"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def ask(self, pieces: Sequence[bytes], answers: int, slow: bool = False) -> None:
        """All that comes back for `pieces`, sent one by one, must be so many answers. `slow`: read after a while."""
        with self.connect() as connection:
            def send() -> None:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.01)
                connection.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send)
            sender.start()
            time.sleep(0.3 if slow else 0)
            received = bytearray()
            while len(received) < answers * len(self.answer) and (piece := connection.recv(1 << 20)):
                received += piece
            sender.join()
            assert received == self.answer * answers
            assert connection.recv(1) == b""

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        counters: dict[str, Any] = json.loads(out.splitlines()[-1])
        return counters


@pytest.fixture
def canned(request: pytest.FixtureRequest) -> Iterator[Canned]:
    server = Canned(request.param, 3)
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.communicate()


@pytest.mark.parametrize("canned", [0, 1, 3700, 1 << 20], indirect=True)
def test_every_request_is_counted_and_answered_however_it_is_cut(canned: Canned) -> None:
    shapes: list[tuple[list[bytes], int]] = [
        ([GET], 1), ([GET, GET, GET], 3), ([GET[:10], GET[10:]], 1), ([GET[:-1], b"\n" + GET], 2),
        ([GET[:-3], GET[-3:] + GET[:5], GET[5:]], 2), ([GET * 3], 3), ([bytes([byte]) for byte in GET], 1)]
    for pieces, answers in shapes:
        canned.ask(pieces, answers)
    many = 20 if len(canned.answer) > 10_000 else 4000
    canned.ask([GET * many], many, slow=True)
    counters = canned.end()
    answered = many + sum(answers for _, answers in shapes)
    assert counters["requests_parsed"] == counters["responses_sent"] == answered
    assert counters["bytes_sent"] == answered * len(canned.answer) and counters["bytes_received"] == answered * len(GET)
    assert counters["accepts"] == counters["closes"] == len(shapes) + 1 and counters["errors_socket"] == 0


@pytest.mark.parametrize("canned", [1], indirect=True)
def test_more_connections_than_it_is_to_take_are_refused(canned: Canned) -> None:
    standing = [canned.connect() for _ in range(3)]
    with canned.connect() as refused:
        assert refused.recv(1) == b""
    for connection in standing:
        connection.sendall(GET)
        assert connection.recv(4096) == canned.answer
        connection.close()
    canned.process.send_signal(signal.SIGUSR1)
    assert canned.process.stdout is not None
    assert json.loads(canned.process.stdout.readline())["refused"] == 1
    assert canned.end()["accepts"] == 3


def test_the_help_says_what_it_is_not() -> None:
    program = str(ROOT / "build" / "checked" / "canned_server")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "no HTTP server" in done.stdout and "calibration only" in done.stdout
    wrong = subprocess.run([program, "--port", "0"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1


def test_the_time_stamp_counter_has_one_rate() -> None:
    found = [json.loads(subprocess.run([str(ROOT / "build" / "tsc_hz")], capture_output=True, check=True).stdout)["tsc_hz"]
             for _ in range(2)]
    assert found[0] > 100_000_000 and abs(found[0] - found[1]) < 1e-4 * found[0]
