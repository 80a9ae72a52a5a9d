# SPDX-License-Identifier: BSD-3-Clause
"""Register the cases of the battery: one function each, which a decorator describes.

A case talks to the server through its peer, and returns if the obligation is kept.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Callable, Mapping

from harness.conformance import cases
from harness.store import Obligation, Severity

# bytes of the body that the server answers with
SMALL, LARGE = 1, 65_536
BODIES = (SMALL, LARGE)
SECONDS = 15.0
# of all servers of ours: keep-alive that a case has the time for
KEEPALIVE = ("--keepalive-idle", "2", "--keepalive-interval", "1", "--keepalive-count", "3")


class NotTestable(Exception):
    """The obligation cannot be tested with this server: says why."""


@dataclass(frozen=True)
class Case:
    """One case.

    run: takes the peer, and where the case steers also the server's process
    body: bytes of the server's answer
    alone: no other case runs beside it
    steers: it stops or restarts the server, and is alone
    seconds: within which it ends
    options: with which a server of ours is started for it
    """

    obligation: Obligation
    run: Callable[..., None]
    body: int
    alone: bool
    steers: bool
    seconds: float
    options: tuple[str, ...] = ()


_CASES: dict[str, Case] = {}


def case(*, rfc: str, severity: str, body: int = SMALL, alone: bool = False,
         steers: bool = False, seconds: float = SECONDS,
         options: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Register a function as a case. Its name is the case's, the first line of its docstring the
    obligation."""
    def register(run: Callable[..., None]) -> Callable[..., None]:
        name = run.__name__.replace("_", "-")
        assert name not in _CASES and run.__doc__ and body in BODIES, name
        text = run.__doc__.strip().splitlines()[0]
        _CASES[name] = Case(Obligation(name, text, rfc, Severity(severity)), run, body,
                           alone or steers, steers, seconds, options)
        return run
    return register


@lru_cache(maxsize=None)
def all_cases() -> Mapping[str, Case]:
    """Return every case by its name."""
    for found in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}."):
        importlib.import_module(found.name)
    return _CASES
