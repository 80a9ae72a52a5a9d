# SPDX-License-Identifier: BSD-3-Clause
"""Define a plan: what to measure, as a pure value, and what plan.json holds of it.

Knows no machine, no clock and no results.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from typing import Any, Mapping

from harness.errors import UsageError
from harness.plan.load import AXES, CONNECTIONS, Axis, LoadPoint, Workload
from harness.plan.netem import parse
from harness.plan.nic_request import parse_client
from harness.plan.options import (
    BY_KEY, MOST_ROUNDS, OFFERED_RATES, RESTART_ROUND, RESTART_TRIAL, SOFTIRQ_DEFAULT)
from harness.structure import strict, structured

SCHEMA = 2
# beside the load's own: for connections that are closing
SPARE_CONNECTIONS = 1024
# descriptors of a server or of wrk beside its connections
SPARE_FILES = 256
# offered rates of a plan whose run is to find them
UNKNOWN = (0,)
# what names of a plan are made of: they become parts of paths and of command lines
_WORD = r"[A-Za-z0-9_+-][A-Za-z0-9_.@+#-]{0,99}"
_NAMED = re.compile(rf"{_WORD}(?:/{_WORD})*(?<!\.toml)")


@dataclass(frozen=True)
class Reason:
    """Why a contender is not measured: a code of store's NotMeasured, and its numbers by name."""

    code: str
    values: Mapping[str, str | int | float | tuple[str, ...] | tuple[int, ...]] = field(
        default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to measure, and in which order. The first contender is the baseline.

    duration_seconds, warmup_seconds: whole, as wrk knows no smaller unit
    rounds: exactly so many; at least, where there is a stop rule
    precision_percent: of the stop rule: every gain's interval is within it; 0 for no rule
    budget_seconds: of all trials, which ends the rounds too; 0 for no end
    seed: of the order; 0: the contenders alternate, as in runs of before there were seeds
    by_contender: a round has all load points of one contender before the next one's, as changing
        over takes long
    clients: by machine, as ssh knows it, its CPUs that load; this one then has no client
    server_max_connections: what a server makes room for
    restart: how often a contender is started: for each "trial", as in runs of before, or "round"
    turn_ms: contenders have their loads in turns of so many milliseconds; 0: one whole load after
        the other, as in runs of before
    attempts: at one trial, in all, while it is disturbed
    calibrate: the client's ceiling is looked for first, where that can be done
    paper: whose figures (results/published/) the run is compared with; "" for nobody's
    tap: driver of lwIP's TAP; "" where there was no choice
    netem: in each direction; "" for none
    softirq: whose cores process the packets of kernel contenders; "" for the kernel's choice
    load_tool: "" for the workload's usual one
    offered: rates of an open loop, in requests/s; () for a closed one, UNKNOWN where the run finds
        them
    loads: where it does, percents of what a contender can do
    server_cores, body_sizes, impairments: values of a sweep over these axes; () for the one value
        that server_cpus, workload and netem have
    most_connections, most_cores, most_offered: by contender that can do no more
    not_applicable: by contender that this plan cannot measure fairly, why; those stand last
    limits: those of the contenders that are none but a limit: measured with them, and in no gain
    """

    name: str
    wire: str
    contenders: tuple[str, ...]
    workload: Workload
    connections: tuple[int, ...]
    rounds: int
    duration_seconds: int
    warmup_seconds: int
    client_cpus: tuple[int, ...]
    server_cpus: tuple[int, ...]
    port: int
    server_max_connections: int
    by_contender: bool = False
    clients: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tap: str = ""
    netem: str = ""
    softirq: str = ""
    load_tool: str = ""
    offered: tuple[int, ...] = ()
    loads: tuple[int, ...] = ()
    server_cores: tuple[int, ...] = ()
    body_sizes: tuple[int, ...] = ()
    impairments: tuple[str, ...] = ()
    most_connections: Mapping[str, int] = field(default_factory=dict)
    most_cores: Mapping[str, int] = field(default_factory=dict)
    most_offered: Mapping[str, int] = field(default_factory=dict)
    not_applicable: Mapping[str, Reason] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    attempts: int = 1
    seed: int = 0
    precision_percent: float = 0
    budget_seconds: int = 0
    paper: str = ""
    restart: str = RESTART_TRIAL
    turn_ms: int = 0
    calibrate: bool = False

    @property
    def load_points(self) -> tuple[LoadPoint, ...]:
        """All load points, in the order of the plan's values; the last axis varies fastest."""
        return tuple(LoadPoint(*values) for values in product(
            self.connections, self.offered or (0,), self.server_cores or (len(self.server_cpus),),
            self.body_sizes or (self.workload.body_size_bytes,), self.impairments or (self.netem,)))

    @property
    def sweep(self) -> tuple[Axis, ...]:
        """The axes on which the load points differ; (CONNECTIONS,) where there is one point."""
        points = self.load_points
        return tuple(axis for axis in AXES
                     if len(set(map(axis.value, points))) > 1) or (CONNECTIONS,)

    @property
    def applicable(self) -> tuple[str, ...]:
        """The contenders that are measured."""
        return tuple(name for name in self.contenders if name not in self.not_applicable)

    @property
    def compared(self) -> tuple[str, ...]:
        """The contenders that gains are of; the limits are none."""
        return tuple(name for name in self.contenders if name not in self.limits)

    @property
    def load_seconds(self) -> float:
        """Return what a trial loads, on average: where a contender stays up, one has the warm-up."""
        trials = len(self.load_points) if self.restart == RESTART_ROUND else 1
        return self.duration_seconds + self.warmup_seconds / trials

    @property
    def most_rounds(self) -> int:
        """What the round of any record is below."""
        return max(self.rounds, MOST_ROUNDS) if self.precision_percent else self.rounds

    def at(self, point: LoadPoint) -> Plan:
        """Return the plan as a trial at this load point has it: nothing is left to vary."""
        return replace(
            self, connections=(point.connections,), netem=point.impairment,
            offered=(point.offered_per_sec,) if point.offered_per_sec else self.offered[:1],
            server_cpus=self.server_cpus[:point.server_cores], server_cores=(), body_sizes=(),
            workload=replace(self.workload, body_size_bytes=point.body_size_bytes), impairments=())

    def follows(self, contender: str, point: LoadPoint) -> bool:
        """Tell whether this contender is measured at this load point."""
        return contender not in self.not_applicable and all(
            value <= most.get(contender, value) for value, most in (
                (point.connections, self.most_connections), (point.server_cores, self.most_cores),
                (point.offered_per_sec, self.most_offered)))

    def room(self, contender: str) -> int:
        """Return the limit of connections that this contender is started with."""
        most = self.most_connections.get(contender, self.server_max_connections)
        return min(self.server_max_connections, most + SPARE_CONNECTIONS)


# keys that a plan.json has even where they are empty or as they are by default
_ALWAYS = ("client_cpus", "server_cpus", "warmup_seconds", "most_connections", "attempts")
_RENAMED = {"max_connections": "server_max_connections"}


def to_json(plan: Plan) -> dict[str, Any]:
    """Return what plan.json holds."""
    data = {key: value for key, value in asdict(plan).items() if value or key in _ALWAYS}
    if plan.not_applicable:
        data["not_applicable"] = {name: {"code": reason.code, **reason.values}
                                  for name, reason in plan.not_applicable.items()}
    return {"schema": SCHEMA, **data}


def from_json(data: Any) -> Plan:
    """Return the plan of a plan.json, also of schema 1. UsageError when it is none of ours."""
    if not isinstance(data, dict) or data.get("schema") not in (1, SCHEMA):
        raise UsageError(f"not a plan of schema {SCHEMA}")
    rest = {_RENAMED.get(key, key): value for key, value in data.items() if key != "schema"}
    plan = structured(_CONVERTER, Plan, rest, f"not a plan of schema {SCHEMA}")
    _check(plan)
    return plan


def _reason(value: Any, _: Any) -> Reason:
    if isinstance(value, str) and value:  # of schema 1
        return Reason("other", {"text": value})
    if not isinstance(value, dict) or not isinstance(value.get("code"), str):
        raise TypeError(f"must be a reason with a code, not {value!r}")
    return Reason(value["code"], {key: item for key, item in value.items() if key != "code"})


_CONVERTER = strict(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(Reason, _reason)
# of a sweep: values as those of another key
_LIKE = {"body_sizes": "body_size_bytes", "impairments": "netem"}


def check_names(plan: Plan) -> None:
    """Raise UsageError on a name that could be more than a name, as a path or in a shell."""
    optional = {"paper": plan.paper, "tap": plan.tap, "load_tool": plan.load_tool,
                "softirq": plan.softirq}
    for what, name in (("name", plan.name), ("wire", plan.wire),
                       *(("contenders", name) for name in plan.contenders),
                       *(item for item in optional.items() if item[1])):
        if not _NAMED.fullmatch(name):
            raise UsageError(f"{what}: {name!r} cannot be a name (at most 100 letters, digits and "
                             "- _ . @ + #, parts joined by /)")
    if "/" in plan.wire:
        raise UsageError(f"wire: {plan.wire!r} is a path, not the name of a wire")
    for machine in plan.clients:
        parse_client(f"ssh:{machine}")


def _check(plan: Plan) -> None:
    """Raise UsageError on a value that no plan of ours has."""
    check_names(plan)
    flat = {**{key: getattr(plan, key) for key in (item.name for item in fields(plan))},
            "workload": plan.workload.name, "body_size_bytes": plan.workload.body_size_bytes}
    for key, option in BY_KEY.items():
        if key in flat and flat[key] != "" and not (key == "client_cpus" and plan.clients):
            option.check(flat[key], key)
    for machine, cpus in plan.clients.items():
        BY_KEY["client_cpus"].check(cpus, f"clients: {machine}")
    for key, of in _LIKE.items():
        for value in getattr(plan, key):
            BY_KEY[of].check(value, key)
    if plan.server_cores and not all(1 <= count <= len(plan.server_cpus)
                                     for count in plan.server_cores):
        raise UsageError("server_cores of a plan must be numbers of its server_cpus")
    if plan.offered:
        if plan.offered != UNKNOWN:
            OFFERED_RATES.check(plan.offered, "offered")
        if len(plan.connections) != 1:
            raise UsageError("a plan of offered rates has one number of connections")
    for text in filter(None, (plan.netem, *plan.impairments)):
        if str(parse(text, "netem")) != text:
            raise UsageError(f"netem of a plan must be as stackduel writes it, not {text!r}")
    if plan.softirq == SOFTIRQ_DEFAULT:
        raise UsageError("softirq of a plan is left out where it is the kernel's choice")
    if not set(plan.not_applicable) <= set(plan.contenders):
        raise UsageError("not_applicable of a plan must be about its contenders")
