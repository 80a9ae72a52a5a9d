# SPDX-License-Identifier: BSD-3-Clause
"""The values of a plan: text of the command line to numbers, limits, and what is taken where a plan leaves it open.

Knows one key at a time and no plan. Everything that makes no sense is a UsageError that names the place it stands in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from harness.errors import UsageError
from harness.plan.wire import PRELOAD, Wire
from harness.plan.workload import GENERAL, WORKLOADS, Workload

# percent: a gain known to within half of itself is hardly known
MOST_PRECISION = 50.0
# At a trial, in all. A disturbance that outlasts three in a row is the machine's usual state, and not repaired by a fourth.
MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Option:
    """One key of a plan: its name in TOML and on the command line, its limits, and whether it is a list.

    `suffixes`: what a number on the command line may end with, and by how much that multiplies it.
    """

    key: str
    override: str
    low: int
    high: int
    many: bool = False
    suffixes: Mapping[str, int] = field(default_factory=dict)


def parse(option: Option, text: str) -> int | list[int]:
    """The value of `text`, which the command line gives this option; limits are check_number()'s."""
    place = f"{option.override}={text}"
    if not option.many:
        scale = option.suffixes.get(text[-1], 1)
        return whole(text[:-1] if text[-1] in option.suffixes else text, place) * scale
    numbers: list[int] = []
    for word in words(text):
        low, dash, high = word.partition("-")
        if dash and low and option.key.endswith("_cpus"):
            first, last = whole(low, place), whole(high, place)
            if not 0 <= first <= last <= option.high:
                raise UsageError(f"{place}: '{word}' is not a range of CPUs")
            numbers += range(first, last + 1)
        else:
            numbers.append(whole(word, place))
    return numbers


def words(text: str) -> list[str]:
    """Those of a list on the command line."""
    return [word.strip() for word in text.split(",")]


def whole(word: str, place: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", word):
        raise UsageError(f"{place}: '{word}' is not a whole number")
    return int(word)


def percent(text: str, place: str) -> float:
    """3, 2.5 or 3% as a number; limits are check_percent()'s."""
    word = text.removesuffix("%").rstrip()
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", word):
        raise UsageError(f"{place}: '{text}' is not a number of percent")
    return float(word)


def check_percent(value: Any, place: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise UsageError(f"{place}: {value!r} is not a number of percent")
    # not a comparison of its opposite: that of NaN is never true
    if not (value == 0 or 0.1 <= value <= MOST_PRECISION):
        raise UsageError(f"{place}: must be 0 (none) or 0.1 to {MOST_PRECISION:g} percent, not {value:g}")


def check_number(option: Option, value: Any, place: str) -> None:
    if not option.many:
        check_range(option, value, place)
        return
    if not isinstance(value, list) or not value:
        raise UsageError(f"{place}: must be a list of whole numbers, at least one")
    for number in value:
        check_range(option, number, place)
    if len(set(value)) != len(value):
        raise UsageError(f"{place}: a number stands there twice")


def check_range(option: Option, value: Any, place: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{place}: {value!r} is not a whole number")
    if not option.low <= value <= option.high:
        raise UsageError(f"{place}: must be {option.low} to {option.high}, not {value}")


def check_names(value: Any, place: str) -> None:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, str) and v for v in value):
        raise UsageError(f"{place}: must be a list of contenders, at least one")
    if len(set(value)) != len(value):
        raise UsageError(f"{place}: a contender stands there twice")


def workload(values: Mapping[str, Any], places: Mapping[str, str], wire: Wire) -> Workload:
    """UsageError on a workload that there is not, that the wire's contenders do not answer or its client cannot make."""
    name = values.get("workload", wire.workloads[0])
    known = [each for each in (*wire.workloads, *(GENERAL if wire.workloads[0] in GENERAL else ()))
             if each in WORKLOADS and not needs_loadgen(WORKLOADS[each], wire)]
    place = places.get("workload", wire.name)
    if name in GENERAL and name not in known and wire.workloads[0] in GENERAL:
        raise UsageError(f"{place}: {needs_loadgen(WORKLOADS[name], wire)}; workload '{name}' needs loadgen: wire "
                         "shm-loadgen")
    if name not in known:
        raise UsageError(f"{place}: wire '{wire.name}' has no workload {name!r}; "
                         f"there are: {', '.join(dict.fromkeys(known))}")
    return WORKLOADS[name]


def needs_loadgen(shape: Workload, wire: Wire) -> str:
    """Why the client of this wire cannot make that load; "" if it can."""
    if wire.has_loadgen:
        return ""
    if shape.active:
        return f"wrk, the client of wire '{wire.name}', asks every connection that it opens"
    if shape.connect and any(contender.client.stack == PRELOAD for contender in wire.contenders.values()):
        return (f"each wrk on lwIP, as wire '{wire.name}' has it, begins with the same ports, which a server that "
                "closes first still keeps from the wrk before")
    return ""


def choose_cpus(values: Mapping[str, Any], places: Mapping[str, str], cpus: tuple[int, ...],
                clients: Mapping[str, Sequence[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(client's, server's). The last CPU serves and the others load it; a machine with one CPU shares it between both
    roles. With clients on other machines all of this one may serve, and CLIENT_CPUS are theirs."""
    for machine, there in clients.items() if clients else [("this machine", cpus)]:
        _check_present(values, places, "client_cpus", machine, there)
    _check_present(values, places, "server_cpus", "this machine", cpus)
    loading = () if clients else values.get("client_cpus", ())
    if "server_cpus" in values:
        server = tuple(values["server_cpus"])
    else:
        server = tuple(cpu for cpu in cpus if cpu not in loading)[-1:] or cpus[-1:]
    client = tuple(values.get("client_cpus", ())) or tuple(cpu for cpu in cpus if cpu not in server)
    return client or cpus[:1], server


def _check_present(values: Mapping[str, Any], places: Mapping[str, str], key: str, machine: str,
                   cpus: Sequence[int]) -> None:
    absent = sorted(set(values.get(key, ())) - set(cpus))
    if absent:
        raise UsageError(f"{places[key]}: {machine} has no CPU {absent[0]}; there are: {', '.join(map(str, cpus))}")
