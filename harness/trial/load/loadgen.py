# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `loadgen`, and one run of it: connections, warm-up and load are one process. Knows no wire.

Its connections live as long as the process does, and a link of shared memory too. So the server is asked for its
counters while the process lives: at its line MEASURING, and after its last line, the JSON, until which every byte of
every answer has been compared.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from harness.trial.load import openload
from harness.trial.client import Client, Started
from harness.errors import ContenderError
from harness.trial.load.wrk import Load, LoadResult, Tool, tool_for
from harness.plan import Wire
from harness.plan import Workload

ERRORS = ("connect", "reset", "timeout", "content", "status")
# one address has so many ports for connections that stand, and more where ports come again at once
PORTS_PER_ADDRESS, ADDRESSES_TO_CONNECT = 32_768, 16
# EAL's start, and ARP
GRACE_SECONDS = 30.0
# until all connections stand; at 10,000 a second a million take 100 s
LEAST_CONNECTS_PER_SECOND = 10_000
_POLL_SECONDS = 0.005
_TICK_SECONDS = 0.1


@dataclass(frozen=True)
class Account:
    """What loadgen says of one run. `result`: of the measured interval, its CPU times are the caller's.

    `sent`: requests answered whole over the life of the process, `in_flight`: those that were not when it ended.
    `connections_per_sec`: of those opened in the interval, or, where they are opened once, until all stood.
    `busy_share`: 0 to 1, the part of the interval in which it had work. `counters`: the whole JSON.
    """

    result: LoadResult
    sent: int
    in_flight: int
    connects: int
    connections_per_sec: float | None
    busy_share: float
    client_bound: bool
    counters: Mapping[str, Any]


class Loadgen:
    """How loadgen is called. `latency`: how its latencies are to be read."""

    name = "loadgen"
    programs: Mapping[str, str] = {}
    latency = ("counted from when each request was sent, one in flight on a connection: not corrected for coordinated "
               "omission")

    def command(self, load: Load, warmup_seconds: int, launcher: Sequence[str]) -> list[str]:
        """argv; `launcher` is the program with what the wire wants of it."""
        shape, active = load.workload, load.workload.in_turn(load.connections)
        addresses = max(-(-load.connections // PORTS_PER_ADDRESS), ADDRESSES_TO_CONNECT if shape.connect else 1)
        few = ["--active", str(active)] if active < load.connections else []
        mode = ["open", "--rate", str(load.rate)] if load.rate else ["connect" if shape.connect else "closed"]
        return [*launcher, "--mode", *mode, "--connections", str(load.connections),
                *few, *(["--rotate"] if few and shape.rotate else []), "--addresses", str(addresses),
                "--duration", str(load.seconds), "--warmup", str(warmup_seconds),
                "--path", shape.path, "--body-size", str(shape.body_size_bytes), "--linger"]

    def parse(self, line: str, load: Load, proc_stat: tuple[str, str]) -> Account:
        """Raises ContenderError when the line is not loadgen's JSON."""
        try:
            data = json.loads(line)
            result = LoadResult(
                requests=_count(data["requests"]), bytes=_count(data["bytes"]),
                duration_seconds=_number(data["duration_seconds"]),
                errors={kind: _count(data["errors"][kind]) for kind in ERRORS},
                histogram=tuple((_number(value), _count(count)) for value, count in data["latency_us"]),
                proc_stat=proc_stat, open_loop=openload.of_loadgen(data, load) if load.rate else None)
            opening = _number(data["connects_per_sec"]) if load.workload.connect else _rate(
                load.connections, _number(data["connect_seconds"]))
            account = Account(
                result, _count(data["total_requests"]), _count(data["in_flight"]), _count(data["total_connects"]),
                opening, _number(data["busy_share"]), data["client_bound"] is True,
                {key: value for key, value in data.items() if key not in ("latency_us", "errors")})
        except (ValueError, KeyError, TypeError) as error:
            raise ContenderError(f"loadgen printed no usable account: {error!r}") from None
        if result.duration_seconds <= 0:
            raise ContenderError("loadgen printed no usable account: its duration is 0")
        return account


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 2) if seconds > 0 else None


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _number(value: Any) -> float | int:
    """A whole number stays one."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a number of that kind")
    return value


class Loading:
    """A started loadgen. Whoever has one calls end(), or close() when something else went wrong."""

    def __init__(self, started: Started, load: Load, warmup_seconds: int) -> None:
        self._started = started
        self._ticked = 0.0
        self._opening = GRACE_SECONDS + load.connections / LEAST_CONNECTS_PER_SECOND
        self._loading = GRACE_SECONDS + warmup_seconds + load.seconds

    def wait_measuring(self, tick: Callable[[int], None] | None = None) -> None:
        """Returns when its warm-up is over; `tick` is called with its pid meanwhile, some ten times a second.

        ContenderError when it ends first, or takes too long.
        """
        self._wait(lambda lines: any(line.startswith("CONNECTED ") for line in lines) or "MEASURING" in lines,
                   self._opening, "had not opened its connections")
        self._wait(lambda lines: "MEASURING" in lines, self._loading, "did not begin to measure", tick)

    def wait_account(self, tick: Callable[[int], None] | None = None) -> str:
        """Its JSON line, when its interval is over and it lingers; `tick` and ContenderError as above."""
        self._wait(lambda lines: bool(lines) and lines[-1].startswith("{"), self._loading, "gave no account", tick)
        return self._started.lines()[-1]

    def problem(self) -> str:
        """Why its load was cut short, "" if it was not. To be asked after its account: then it lingers only if all was
        well; what it had to say against answers is in the account.
        """
        code = self._started.poll()
        return "" if code is None else str(self._started.failure(code))

    def end(self) -> None:
        """Ends it. ContenderError when it does not end by itself, with 0 or, if its server went first, with 1."""
        code = self._started.stop()
        if code not in (0, 1):
            raise self._started.failure(code)

    def close(self) -> None:
        self._started.close()

    def _wait(self, done: Callable[[list[str]], bool], seconds: float, late: str,
              tick: Callable[[int], None] | None = None) -> None:
        deadline = time.monotonic() + seconds
        while not done(self._started.lines()):
            self._started.check_alive()
            if time.monotonic() > deadline:
                raise ContenderError(f"loadgen {late} within {seconds:.0f} s (see {self._started.stdout})")
            if tick and time.monotonic() - self._ticked >= _TICK_SECONDS:
                self._ticked = time.monotonic()
                tick(self._started.pid)
            time.sleep(_POLL_SECONDS)


LOADGEN = Loadgen()


def load_tool(wire: Wire, workload: Workload, open_loop: bool = False) -> Tool:
    """What makes this load on this wire. UsageError when nothing does."""
    if open_loop:
        return openload.tool(wire.has_loadgen)
    if wire.has_loadgen:
        return LOADGEN
    return tool_for(workload)


def start(client: Client, load: Load, warmup_seconds: int) -> Loading:
    """Starts loadgen at the client's end; <raw>/loadgen.stdout and .stderr get its words."""
    argv: Callable[[Sequence[str]], list[str]] = lambda launcher: LOADGEN.command(load, warmup_seconds, launcher)
    return Loading(client.start(LOADGEN.name, LOADGEN.name, argv), load, warmup_seconds)
