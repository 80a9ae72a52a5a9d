# SPDX-License-Identifier: BSD-3-Clause
"""Ask a server of a workload once, and compare its answer to the last byte.

Usage: python3 -m harness.trial.probe_protocol JSON, for a client whose sockets are not this
process's; JSON: an Order. Prints an Answer as JSON. Exit code 1, with one line, when no whole
answer comes. Imports little: it is started for every proof.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Mapping, Sequence

from harness.errors import UsageError
from harness.plan import Workload, expected_body

# until an answer begins, and for each MB of its body on a slow path
ANSWER_SECONDS, _SECONDS_PER_MB = 60, 1
_LONGEST_HEAD = 65536
# asked for, as the load does, and said by our servers, where every request has a connection of its
# own
CLOSE = b"Connection: close\r\n"


@dataclass(frozen=True)
class Order:
    """What to ask.

    ours: the server is one of this project
    counts_at: where one of other make says how many requests it has had, "" where ours is asked or
        none does
    """

    address: str
    port: int
    workload: Workload
    ours: bool
    counts_at: str = ""

    @property
    def seconds(self) -> float:
        """Return how long the whole answer may take."""
        return ANSWER_SECONDS + _SECONDS_PER_MB * self.workload.body_size_bytes / 1e6

    def text(self) -> str:
        """Return the argument with which this module, as a program, asks just that."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Answer:
    """Bytes of one request and of its answer.

    wrong: what is not as it must be, "" if every byte is right
    single: bytes of one answer as the load gets it, for a proof may ask for more
    served: requests that the server has counted so far, this proof's in it; None if it was not
        asked
    """

    sent: int
    received: int
    wrong: str
    single: int
    served: int | None


def expected_response(workload: Workload) -> bytes:
    """Return every byte that our servers answer to a GET with."""
    size = workload.body_size_bytes
    closing = CLOSE if workload.connect else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (size, closing)
    return head + expected_body(size)


class Http:
    """A GET, answered as servers/http/http.h says, as far as one request and its answer need it.

    A server of other make must give the same status, length and body.
    asks: requests of a proof that the server counts
    """

    asks = 1

    def request(self, address: str, workload: Workload) -> bytes:
        closing = CLOSE if workload.connect else b""
        return f"GET {workload.path} HTTP/1.1\r\nHost: {address}\r\n".encode() + closing + b"\r\n"

    def size(self, received: bytes | bytearray) -> int | None:
        """Return the bytes of the whole answer that `received` begins.

        None while that cannot be told, OSError if it never can.
        """
        head, end, _ = bytes(received[:_LONGEST_HEAD]).partition(b"\r\n\r\n")
        if not end:
            if len(received) >= _LONGEST_HEAD:
                raise ConnectionError("its answer has no end of head within 64 KiB")
            return None
        length = next(filter(bytes.isdigit, _lengths(head)), b"0")
        return len(head) + len(end) + int(length)

    def compare(self, response: bytes, workload: Workload, ours: bool) -> str:
        """Return what is wrong with a response, "" if nothing.

        Every byte of ours; status, length and body of another's, whose other headers are its own.
        """
        if ours:
            return difference(response, expected_response(workload))
        head, _, body = response.partition(b"\r\n\r\n")
        if head.split(b" ")[1:2] != [b"200"]:
            return f"the answer is not 200 but {head.splitlines()[:1]}"
        lengths = _lengths(head)
        if lengths != [b"%d" % workload.body_size_bytes]:
            said = b", ".join(lengths).decode(errors="replace") or "nothing"
            return (f"the answer's Content-Length says {said} instead of "
                    f"{workload.body_size_bytes}")
        return difference(body, expected_body(workload.body_size_bytes))

    def single(self, response: bytes, workload: Workload) -> int:
        """Return Answer.single of a whole response, right or wrong."""
        return len(response)

    def served(self, response: bytes, workload: Workload) -> int | None:
        """Return Answer.served of a whole response, right or wrong."""
        return None


def _lengths(head: bytes) -> list[bytes]:
    """Return what each Content-Length of a head says."""
    headers = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return [value.strip() for name, _, value in headers
            if name.strip().lower() == b"content-length"]


class Nginx(Http):
    """A GET as the load has it, and one of nginx's own count of requests (stub_status).

    Both on one connection. The count is asked for last, but first where the load's answer closes
    the connection.
    """

    asks = 2

    def __init__(self, counts_at: str = "/status") -> None:
        self._count = Workload("count", counts_at, 0)

    def request(self, address: str, workload: Workload) -> bytes:
        both = [super(Nginx, self).request(address, each) for each in (workload, self._count)]
        return b"".join(both[::-1] if workload.connect else both)

    def size(self, received: bytes | bytearray) -> int | None:
        first = super().size(received)
        if first is None or len(received) < first:
            return None
        second = super().size(received[first:])
        return None if second is None else first + second

    def compare(self, response: bytes, workload: Workload, ours: bool) -> str:
        answer, count = self._parts(response, workload)
        wrong = super().compare(answer, workload, False)
        if not wrong and self.served(response, workload) is None:
            return f"nginx did not count: {count[-80:]!r}"
        return wrong

    def single(self, response: bytes, workload: Workload) -> int:
        return len(self._parts(response, workload)[0])

    def served(self, response: bytes, workload: Workload) -> int | None:
        counted = re.search(rb"\n (\d+) (\d+) (\d+) \n", self._parts(response, workload)[1])
        return int(counted[3]) if counted else None

    def _parts(self, response: bytes, workload: Workload) -> tuple[bytes, bytes]:
        first = super().size(response) or len(response)
        both = response[:first], response[first:]
        return both[::-1] if workload.connect else both


class Redis(Http):
    """SET and GET of the key that redis-benchmark uses, and redis's own count of calls, in one go.

    An error of any command so far is wrong as well.
    """

    key = b"key:__rand_int__"

    def request(self, address: str, workload: Workload) -> bytes:
        value = expected_body(workload.body_size_bytes)
        commands = ([b"SET", self.key, value], [b"GET", self.key], [b"INFO", b"commandstats"])
        return b"".join(b"*%d\r\n" % len(words) + b"".join(map(_bulk, words))
                        for words in commands)

    def size(self, received: bytes | bytearray) -> int | None:
        end = 0
        for _ in range(3):
            line = received.find(b"\r\n", end)
            if line < 0:
                return None
            bulk = re.fullmatch(rb"\$(\d+)", received[end:line])
            end = line + 2 + (int(bulk[1]) + 2 if bulk else 0)
        return end

    def compare(self, response: bytes, workload: Workload, ours: bool) -> str:
        expected = self._first(workload)
        failed = re.search(rb"cmdstat_(\S+):.*(?:rejected_calls=[1-9]|failed_calls=[1-9]).*",
                           response)
        if failed:
            return f"commands failed: {failed[0].decode(errors='replace').strip()}"
        return difference(response[:len(expected)], expected)

    def single(self, response: bytes, workload: Workload) -> int:
        value = _bulk(expected_body(workload.body_size_bytes))
        return len(b"+OK\r\n" if workload.name == "redis-set" else value)

    def served(self, response: bytes, workload: Workload) -> int | None:
        command = workload.name.removeprefix("redis-").encode()
        counted = re.search(rb"^cmdstat_%s:calls=(\d+)," % command,
                            response[len(self._first(workload)):], re.M)
        return int(counted[1]) if counted else None

    def _first(self, workload: Workload) -> bytes:
        return b"+OK\r\n" + _bulk(expected_body(workload.body_size_bytes))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word), word)


# by workload
EXCHANGES: Mapping[str, Http] = {
    **dict.fromkeys(("rps", "cps", "bandwidth"), Http()), "nginx-get": Nginx(),
    **dict.fromkeys(("redis-set", "redis-get"), Redis())}


def exchange_for(workload: Workload, counts_at: str = "") -> Http:
    """Return how a workload is asked; `counts_at` as in Order. UsageError where it has none."""
    if workload.name not in EXCHANGES:
        raise UsageError(f"no proof for workload '{workload.name}'; there are some for: "
                         f"{', '.join(EXCHANGES)}")
    return Nginx(counts_at) if counts_at else EXCHANGES[workload.name]


def difference(response: bytes, expected: bytes) -> str:
    """Return where and how the two differ; "" if they do not."""
    if response == expected:
        return ""
    common = min(len(response), len(expected))
    at = next((i for i in range(common) if response[i] != expected[i]), common)
    return (f"the response differs from byte {at}: {response[at:at + 16]!r} instead of "
            f"{expected[at:at + 16]!r} ({len(response)} bytes, expected {len(expected)})")


def ask(connection: socket.socket, order: Order) -> Answer:
    """Ask once on a connection that is up. OSError when no whole answer comes."""
    workload = order.workload
    exchange = exchange_for(workload, order.counts_at)
    request = exchange.request(order.address, workload)
    connection.sendall(request)
    response = _receive(connection, exchange, order.seconds)
    return Answer(len(request), len(response), exchange.compare(response, workload, order.ours),
                  exchange.single(response, workload), exchange.served(response, workload))


def _receive(connection: socket.socket, exchange: Http, seconds: float) -> bytes:
    """Return one answer, as long as it says it is, with whatever more is there already."""
    deadline = time.monotonic() + seconds
    received = bytearray()
    size = None
    while size is None or len(received) < size:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(received)} bytes came within {seconds:.0f} s; a smaller "
                               "BODY_SIZE comes sooner")
        piece = connection.recv(1 << 18)
        if not piece:
            raise ConnectionError(f"it closed the connection after {len(received)} bytes")
        received += piece
        if size is None:
            size = exchange.size(received)
    return bytes(received)


def main(argv: Sequence[str]) -> int:
    given = json.loads(argv[0])
    given["workload"] = Workload(**given["workload"])
    order = Order(**given)
    try:
        with socket.create_connection((order.address, order.port), ANSWER_SECONDS) as connection:
            answer = ask(connection, order)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(answer)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
