# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `loadgen`: a stack of its own; connections, warm-up and load are one process.

Its connections live as long as the process does, and a link of shared memory too. So the server is
asked for its counters while the process lives: at its line MEASURING, and after its last line, the
JSON, until which every byte of every answer has been compared.
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Mapping, Sequence

from harness.errors import ContenderError
from harness.store import OpenLoop
from harness.trial.client import Client, Started, Tick
from harness.trial.load.base import (
    Account, Load, LoadResult, OneProcessTool, account_of, count, histogram, number)

ERRORS = ("connect", "reset", "timeout", "content", "status")
# one address has so many ports for connections that stand, and more where ports come again at once
PORTS_PER_ADDRESS, ADDRESSES_TO_CONNECT = 32_768, 16
# EAL's start, and ARP
GRACE_SECONDS = 30.0
# until all connections stand; at 10,000 a second a million take 100 s
LEAST_CONNECTS_PER_SECOND = 10_000
_POLL_SECONDS = 0.005
_TICK_SECONDS = 0.1


class Loadgen(OneProcessTool):
    """How loadgen is called, and its account.

    Latencies count from when each request was sent, one in flight on a connection; in an open loop
    from when it was meant to be, at equal distances, each on the connection whose turn it is.
    """

    name = "loadgen"
    workloads = ("rps", "cps", "bandwidth", "conns", "conns-10k", "turns")
    open_loop = True

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

    def account(self, text: str, load: Load, proc_stat: tuple[str, str]) -> Account:
        with account_of(self.name):
            data = json.loads(text)
            result = LoadResult(
                requests=count(data["requests"]), bytes=count(data["bytes"]),
                duration_seconds=number(data["duration_seconds"]),
                errors={kind: count(data["errors"][kind]) for kind in ERRORS},
                histogram=histogram(data["latency_us"]), proc_stat=proc_stat,
                open_loop=_open_loop(data, load) if load.rate else None)
            standing = number(data["connect_seconds"])
            opening = (number(data["connects_per_sec"]) if load.workload.connect else
                       round(load.connections / standing, 2) if standing > 0 else None)
            return Account(
                result, count(data["total_requests"]), count(data["in_flight"]),
                count(data["total_connects"]), opening, number(data["busy_share"]),
                data["client_bound"] is True,
                {key: value for key, value in data.items() if key not in ("latency_us", "errors")})

    def start(self, client: Client, load: Load, warmup_seconds: int) -> "Loading":
        argv: Callable[[Sequence[str]], list[str]] = (
            lambda launcher: self.words(load, warmup_seconds, launcher))
        return Loading(client.start(self.name, self.name, argv), load, warmup_seconds)

    def stop_seconds(self, load: Load) -> float:
        return load.connections / LEAST_CONNECTS_PER_SECOND


def _open_loop(data: Mapping[str, Any], load: Load) -> OpenLoop:
    """Return what loadgen knows of its schedule: not its own delay."""
    return OpenLoop(
        arrivals="constant", intended=round(load.rate * number(data["duration_seconds"])),
        measured=count(data["requests"]), unsent=count(data["unsent"]),
        busy_share=number(data["busy_share"]), client_bound=data["client_bound"] is True)


class Loading:
    """A started loadgen (base.Loading)."""

    def __init__(self, started: Started, load: Load, warmup_seconds: int) -> None:
        self._started = started
        self._ticked = 0.0
        self._opening = GRACE_SECONDS + load.connections / LEAST_CONNECTS_PER_SECOND
        self._loading = GRACE_SECONDS + warmup_seconds + load.seconds

    def wait_measuring(self, tick: Tick | None = None) -> None:
        self._wait(lambda lines: any(line.startswith("CONNECTED ") for line in lines)
                   or "MEASURING" in lines, self._opening, "had not opened its connections")
        self._wait(lambda lines: "MEASURING" in lines, self._loading, "did not begin to measure",
                   tick)

    def wait_account(self, tick: Tick | None = None) -> str:
        self._wait(lambda lines: bool(lines) and lines[-1].startswith("{"), self._loading,
                   "gave no account", tick)
        return self._started.lines()[-1]

    def problem(self) -> str:
        """Return its last words if it has ended: it lingers only if all was well."""
        code = self._started.poll()
        return "" if code is None else str(self._started.failure(code))

    def end(self) -> None:
        """End it; with 0 or, if its server went first, with 1 it has ended well."""
        code = self._started.stop()
        if code not in (0, 1):
            raise self._started.failure(code)

    def close(self) -> None:
        self._started.close()

    def _wait(self, done: Callable[[list[str]], bool], seconds: float, late: str,
              tick: Tick | None = None) -> None:
        deadline = time.monotonic() + seconds
        while not done(self._started.lines()):
            self._started.check_alive()
            if time.monotonic() > deadline:
                raise ContenderError(f"loadgen {late} within {seconds:.0f} s "
                                     f"(see {self._started.stdout})")
            if tick and time.monotonic() - self._ticked >= _TICK_SECONDS:
                self._ticked = time.monotonic()
                tick(self._started.pid)
            time.sleep(_POLL_SECONDS)


TOOL = Loadgen()
