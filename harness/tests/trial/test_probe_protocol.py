# SPDX-License-Identifier: BSD-3-Clause
"""A proof's client as the program that runs under a launcher: against a real socket that answers by script."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Iterator

import pytest

from harness.errors import UsageError
from harness.trial import probe_protocol
from harness.trial.probe_protocol import Order, difference, exchange_for, expected_response
from harness.plan import Workload, WORKLOADS

ROOT = Path(__file__).resolve().parents[3]
RPS = Workload("rps", "/", 3)
GOOD = expected_response(RPS)


class Server:
    """Answers one connection: `answer`, then the end of the connection. `asked`: what came."""

    def __init__(self) -> None:
        self.answer = GOOD
        self.asked = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.asked = connection.recv(4096)
            connection.sendall(self.answer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def asked(port: int, ours: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, probe_protocol.__file__, Order("127.0.0.1", port, RPS, ours).text()],
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                          timeout=60)


@pytest.mark.parametrize("answer, ours, wrong", [
    (GOOD, True, ""),
    (GOOD.replace(b"OK", b"ok"), True, "the response differs from byte 13"),
    (GOOD.replace(b"OK", b"ok"), False, ""),
    (GOOD[:-1] + b"x", False, "the response differs from byte 2"),
    (GOOD + b"more", True, "the response differs from byte 41"),
])
def test_it_says_how_much_went_and_what_is_wrong(server: Server, answer: bytes, ours: bool, wrong: str) -> None:
    server.answer = answer
    server.start()
    done = asked(server.port, ours)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert (said["sent"], said["received"]) == (len(server.asked), len(answer))
    assert said["wrong"].startswith(wrong) and bool(said["wrong"]) == bool(wrong)
    assert server.asked == b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("answer, words", [(b"", "closed the connection after 0 bytes"),
                                           (GOOD[:-1], "closed the connection after 40 bytes"),
                                           (b"x" * 70000, "no end of head")])
def test_no_whole_answer_is_one_line_and_code_1(server: Server, answer: bytes, words: str) -> None:
    server.answer = answer
    server.start()
    done = asked(server.port)
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and len(done.stderr.splitlines()) == 1


def test_nobody_there_is_one_line_and_code_1(server: Server) -> None:
    server.close()
    done = asked(server.port)
    assert done.returncode == 1 and "refused" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_workload_without_a_proof() -> None:
    with pytest.raises(UsageError, match="no proof for workload 'x'; there are some for: rps"):
        exchange_for(Workload("x", "/", 1))


def test_difference() -> None:
    assert difference(b"abc", b"abc") == ""
    assert difference(b"abX", b"abc") == ("the response differs from byte 2: b'X' instead of b'c' "
                                          "(3 bytes, expected 3)")
    assert "differs from byte 2: b'' instead of b'c'" in difference(b"ab", b"abc")


def test_a_proof_asks_as_the_load_does() -> None:
    cps = WORKLOADS["cps"]
    http = exchange_for(cps)
    assert b"\r\nConnection: close\r\n\r\n" in http.request("198.18.0.2", cps)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\nConnection: close\r\n\r\n"
    assert expected_response(cps).startswith(answer) and len(expected_response(cps)) == len(answer) + 600
    assert http.compare(expected_response(cps), cps, True) == ""
    assert "differs" in http.compare(expected_response(cps).replace(b"close", b"never"), cps, True)
    assert b"Connection" not in http.request("198.18.0.2", RPS) + expected_response(RPS)
