# SPDX-License-Identifier: BSD-3-Clause
"""The open-loop client `build/openload`, how it is called and what it says; and loadgen's open loop in the same words.

An open loop sends each request when its time has come, whatever became of those before, and latency is counted from
that time: so a server that stalls delays everything that was meant to be asked meanwhile (Gil Tene's coordinated
omission; Schroeder, Wierman and Harchol-Balter, "Open Versus Closed", NSDI 2006).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.errors import ContenderError
from harness.trial.load.wrk import Load, LoadResult, Tool, rounded

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "build" / "openload"
ERRORS = ("connect", "reset", "timeout", "content", "status")
# what openload's account has of its schedule, as it stands there
_COUNTS = ("intended", "measured", "unsent", "waited", "backlog_middle", "backlog_end", "backlog_longest")
# under the preload library a wait has milliseconds only, so it does not sleep at all: its longest
_SPIN_US = 1_000_000


class Openload:
    """The open-loop client of kernel sockets, with sockets of the library where it has a launcher.

    With rate 0 it is a closed loop, by which saturation is found with the same client.
    """

    name = "openload"
    programs: Mapping[str, str] = {str(PROGRAM.relative_to(ROOT)): ""}
    # the last answers, and those that do not come
    grace_seconds = 40.0
    extra_connections = 0
    # it compares every byte itself
    same_answers = False
    calibrates = False
    latency = ("open loop at a fixed rate, Poisson arrivals: counted from when each request was meant to be sent to "
               "the last byte of its answer, so that waiting for a free connection and the client's own delay in "
               "sending are in it; nothing is corrected afterwards")

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """argv. It asks once on each connection before its schedule begins, and so needs no warm-up of its own."""
        return [*launcher, str(PROGRAM), "--address", load.address, "--port", str(load.port),
                "--connections", str(load.connections), "--threads", str(load.threads), "--rate", str(load.rate),
                "--arrivals", "poisson", "--seed", str(load.seed), "--warmup", "0", "--duration", str(load.seconds),
                "--path", load.workload.path, "--body-size", str(load.workload.body_size_bytes),
                *(["--spin", str(_SPIN_US)] if launcher else []), "--output", str(report)]

    def in_flight(self, load: Load) -> int:
        """It waits for every answer, or counts an error."""
        return 0

    def environment(self, report: Path) -> dict[str, str]:
        return {}

    def parse(self, text: str) -> LoadResult:
        """Raises ContenderError when it is not what openload writes."""
        try:
            data = json.loads(text)
            result = LoadResult(
                requests=_count(data["requests"]), bytes=_count(data["bytes"]),
                duration_seconds=_number(data["duration_seconds"]),
                errors={kind: _count(data["errors"][kind]) for kind in ERRORS},
                histogram=_histogram(data["latency_us"]),
                proc_stat=(str(data["proc_stat"]["before"]), str(data["proc_stat"]["after"])),
                answered=_count(data["total_requests"]),
                open_loop={"arrivals": str(data["arrivals"]), **{key: _count(data[key]) for key in _COUNTS},
                           "unsent_oldest_us": _number(data["unsent_oldest_us"]),
                           "send_lag_us": rounded(_histogram(data["send_lag_us"])),
                           "busy_share": _number(data["busy_share"]), "client_bound": data["client_bound"] is True})
        except (ValueError, KeyError, TypeError) as error:
            raise ContenderError(f"openload wrote no usable account: {error!r}") from None
        if result.duration_seconds <= 0:
            raise ContenderError("openload wrote no usable account: its duration is 0")
        return result


class _OnLoadgen:
    """loadgen in its open loop, as a tool among the facts."""

    name = "loadgen"
    programs: Mapping[str, str] = {}
    latency = ("open loop at a fixed rate, requests at equal distances, each on the connection whose turn it is: "
               "counted from when each request was meant to be sent to the last byte of its answer; nothing is "
               "corrected afterwards")


OPENLOAD, _ON_LOADGEN = Openload(), _OnLoadgen()


def tool(on_loadgen: bool) -> Tool:
    """What makes an open loop on a wire: loadgen on its own."""
    if on_loadgen:
        return _ON_LOADGEN
    return OPENLOAD


def of_loadgen(data: Mapping[str, Any], load: Load) -> dict[str, Any]:
    """`open_loop` of loadgen's account: it knows its schedule, and not its own delay. ValueError, KeyError or TypeError
    where it is none.
    """
    return {"arrivals": "constant", "intended": round(load.rate * _number(data["duration_seconds"])),
            "measured": _count(data["requests"]), "unsent": _count(data["unsent"]),
            "busy_share": _number(data["busy_share"]), "client_bound": data["client_bound"] is True}


def _histogram(pairs: Any) -> tuple[tuple[float, int], ...]:
    return tuple((_number(value), _count(count)) for value, count in pairs)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a number of that kind")
    return value
