# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `loadgen`: a stack of its own; connections, warm-up and load are one process.

Its connections live as long as the process does, and a link of shared memory too. So the server is
asked for its counters while the process lives: at its line MEASURING, and after its last line, the
JSON, until which every byte of every answer has been compared.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Sequence

from harness.store import from_json
from harness.trial.client import Started, Tick
from harness.trial.load.base import Load, LoadResult, LoadTool, account_of, load_result
from harness.trial.observe.cpu import ProcStat

ERRORS = ("connect", "reset", "timeout", "content", "status")
# one address has so many ports for connections that stand, and more where ports come again at once
PORTS_PER_ADDRESS, ADDRESSES_TO_CONNECT = 32_768, 16
# EAL's start, and ARP
GRACE_SECONDS = 30.0
# until all connections stand; at 10,000 a second a million take 100 s
LEAST_CONNECTS_PER_SECOND = 10_000


@dataclass(frozen=True)
class Account:
    """What a tool says of its whole life, by the names in its JSON.

    total_requests: answered whole
    in_flight: requests that were not when it ended
    total_connects: connections that it made
    connect_seconds: until all stood, where they are opened once
    connects_per_sec: of those opened in the interval, or until all stood; None where that was too
        short to tell
    busy_share: the part of the interval in which it had work
    """

    total_requests: int
    in_flight: int
    total_connects: int
    connect_seconds: float
    connects_per_sec: float | None
    busy_share: float
    client_bound: bool


class Loadgen(LoadTool):
    """How loadgen is called, and its account.

    It is started at the client's end, where <raw>/loadgen.stdout and .stderr get its words, and
    lingers when its interval is over until it is stopped. Each `tick` gets its pid some ten times a
    second.

    Latencies count from when each request was sent, one in flight on a connection; in an open loop
    from when it was meant to be, at equal distances, each on the connection whose turn it is.
    """

    name = "loadgen"
    workloads = ("rps", "cps", "bandwidth", "conns", "conns-10k", "turns")
    open_loop = True
    has_sockets = False

    def words(self, load: Load, warmup_seconds: int, launcher: Sequence[str]) -> list[str]:
        """Return argv; `launcher` is the program with what the wire wants of it."""
        shape, active = load.workload, load.workload.in_turn(load.connections)
        addresses = max(-(-load.connections // PORTS_PER_ADDRESS),
                        ADDRESSES_TO_CONNECT if shape.connect else 1)
        few = ["--active", str(active)] if active < load.connections else []
        mode = (["open", "--rate", str(load.rate)] if load.rate
                else ["connect" if shape.connect else "closed"])
        return [*launcher, "--mode", *mode, "--connections", str(load.connections), *few,
                *(["--rotate"] if few and shape.rotate else []), "--addresses", str(addresses),
                "--duration", str(load.seconds), "--warmup", str(warmup_seconds),
                "--path", shape.path, "--body-size", str(shape.body_size_bytes), "--stay"]

    def wait_measuring(self, started: Started, load: Load, warmup_seconds: int,
                       tick: Tick) -> None:
        """Return when its warm-up is over; ContenderError when it ends first, or is late."""
        opening = GRACE_SECONDS + load.connections / LEAST_CONNECTS_PER_SECOND
        started.wait(lambda lines: any(line.startswith("CONNECTED ") for line in lines)
                     or "MEASURING" in lines, opening, "had not opened its connections")
        started.wait(lambda lines: "MEASURING" in lines, GRACE_SECONDS + warmup_seconds,
                     "did not begin to measure", tick)

    def wait_account(self, started: Started, load: Load, tick: Tick) -> str:
        """Return its account when its interval is over; errors as above."""
        started.wait(lambda lines: bool(lines) and lines[-1].startswith("{"),
                     GRACE_SECONDS + load.seconds, "gave no account", tick)
        return started.lines()[-1]

    def account(self, text: str, load: Load, proc_stat: ProcStat) -> tuple[LoadResult, Account]:
        """Return what became of its interval and of its whole life; ContenderError for none."""
        with account_of(self.name):
            data = json.loads(text)
            # it knows of its schedule, but not its own delay
            schedule = {**data, "arrivals": "constant", "measured": data["requests"],
                        "intended": round(load.rate * data["duration_seconds"])}
            result = load_result(data, ERRORS, total_requests=None, proc_stat=asdict(proc_stat),
                                 open_loop=schedule if load.rate else None)
            account = from_json(Account, data, self.name)
        if load.workload.connect:
            return result, account
        standing = account.connect_seconds
        return result, replace(account, connects_per_sec=round(load.connections / standing, 2)
                               if standing > 0 else None)

    def stop_seconds(self, load: Load) -> float:
        """Return how much longer than usual its server may take to end after such a load."""
        return load.connections / LEAST_CONNECTS_PER_SECOND


TOOL = Loadgen()
