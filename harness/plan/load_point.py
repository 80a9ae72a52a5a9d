# SPDX-License-Identifier: BSD-3-Clause
"""Define a load point, and the axes that a plan can sweep. Knows no plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable

from harness.errors import UsageError
from harness.plan.netem import MOST_PERCENT, amount

SIZES = {"K": 1 << 10, "M": 1 << 20}
MOST_CONNECTIONS, MOST_CORES, MOST_BODY, MOST_RATE = 1 << 25, 4096, 64 << 20, 1_000_000_000
MOST_DELAY_MS = 200


@dataclass(frozen=True, order=True)
class LoadPoint:
    """One value on each axis; complete, whichever axes a plan sweeps.

    connections: open at a time
    offered_per_sec: requests/s of an open loop; 0 for a closed one
    server_cores: how many cores of the plan's the server may use
    body_size_bytes: of the response's body, or of the value
    impairment: netem's words, as `delay 5ms loss 1%`; "" for none
    """

    connections: int
    offered_per_sec: int = 0
    server_cores: int = 1
    body_size_bytes: int = 1
    impairment: str = ""


@dataclass(frozen=True)
class Axis:
    """One axis of a sweep.

    key: field of LoadPoint
    word: its name after --sweep; of an impairment also netem's word
    unit: of its values, "" for counts
    label: of a chart's axis
    low, high: of its values
    suffixes: what a value may end with, and by how much that multiplies it
    whole: are its values whole numbers?
    """

    key: str
    word: str
    unit: str
    label: str
    low: float
    high: float
    suffixes: tuple[tuple[str, int], ...] = ()
    whole: bool = True

    def parse(self, text: str) -> float:
        """Return the value of one word of --sweep. UsageError on what is none."""
        place, suffixes = f"--sweep {self.word}", dict(self.suffixes)
        number = text[:-1] if text[-1:] in suffixes else text
        if not re.fullmatch(r"\d{1,12}" if self.whole else r"\d{1,6}(\.\d{1,3})?", number):
            raise UsageError(f"{place}: '{text}' is not a {'whole ' * self.whole}number")
        value = float(number) * suffixes.get(text[-1:], 1)
        if not self.low <= value <= self.high:
            raise UsageError(f"{place}: must be {self.low:g} to {self.high:g}, not {text}")
        return value

    def value(self, point: LoadPoint) -> float:
        """Return where a load point lies on this axis."""
        if self.key == "impairment":
            return amount(point.impairment, self.word)
        return float(getattr(point, self.key))


def _impairment(word: str, unit: str, label: str, most: float) -> Axis:
    return Axis("impairment", word, unit, label, 0, most, whole=False)


CONNECTIONS = Axis("connections", "connections", "", "Connections", 1, MOST_CONNECTIONS)
OFFERED = Axis("offered_per_sec", "rate", "requests/s", "Offered load (requests/s)", 1, MOST_RATE)
AXES = (
    CONNECTIONS,
    OFFERED,
    Axis("server_cores", "cores", "", "Server cores", 1, MOST_CORES),
    Axis("body_size_bytes", "body", "bytes", "Body size (bytes)", 0, MOST_BODY,
         tuple(SIZES.items())),
    _impairment("loss", "%", "Packet loss in each direction (%)", MOST_PERCENT),
    _impairment("duplicate", "%", "Packets duplicated in each direction (%)", MOST_PERCENT),
    _impairment("delay", "ms", "Delay in each direction (ms)", MOST_DELAY_MS),
)
# those that --sweep takes; the rates of an open loop have a command of their own
SWEPT = {axis.word: axis for axis in AXES if axis is not OFFERED}
