# SPDX-License-Identifier: BSD-3-Clause
"""Define what passes between a battery and whoever starts it: JSON, a line each."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.store import Outcome, from_json, to_json


@dataclass(frozen=True)
class Order:
    """Which cases to run, and against whom.

    interface: the client's, whose network is `network`
    taken: addresses there that others have
    server: its address
    """

    interface: str
    network: str
    taken: tuple[str, ...]
    server: str
    port: int
    cases: tuple[str, ...]

    def text(self) -> str:
        return json.dumps(to_json(self))

    @staticmethod
    def read(text: str) -> Order:
        return from_json(Order, json.loads(text), "order")


@dataclass(frozen=True)
class Report:
    """What became of a case."""

    case: str
    outcome: Outcome


@dataclass(frozen=True)
class Wish:
    """What a case wants of the server's process: pause, resume or restart."""

    wish: str


def message(line: str) -> Report | Wish:
    """Read a line of a battery."""
    data = json.loads(line)
    if "wish" in data:
        return from_json(Wish, data, "battery")
    return from_json(Report, data, "battery")
