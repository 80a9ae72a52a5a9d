# SPDX-License-Identifier: BSD-3-Clause
"""What to measure and in which order: a plan is a pure value. Knows no machine, no clock and no results.

A plan comes from harness/plan/plans/*.toml or a TOML file of one's own; the command line may override any key. Without
contenders it is for all of the wire, without a workload for the wire's usual one.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import AbstractSet as Set
from typing import Any, Mapping, Sequence

from harness.plan import options as settings
from harness.errors import UsageError
from harness.plan.load_point import AXES, CONNECTIONS, Axis, LoadPoint
from harness.plan.netem import parse
from harness.plan.options import MOST_ATTEMPTS, Option, check_names, check_number, check_percent, check_range
from harness.plan.topology import contender_name
from harness.plan.wire import Wire
from harness.plan.workload import Workload as Workload

PLANS = Path(__file__).resolve().parent / "plans"
SCHEMA = 1
# wrk opens a second set of connections for the measurement while the server may still hold the warm-up's.
ROOM_FOR_CONNECTIONS = 2
# beside the load's own: for connections that are closing
SPARE_CONNECTIONS = 1024
MAX_CONNECTIONS = 1024
# descriptors of a server or of wrk beside its connections
SPARE_FILES = 256


# load points that a plan of ours has beside its own: redis-benchmark's default, at which others publish
_ALSO_AT = {"redis-set": (50,), "redis-get": (50,)}


@dataclass(frozen=True)
class Plan:
    """Durations in whole seconds: wrk knows no smaller unit. The first contender is the baseline.

    `by_contender`: a round goes through all load points with one contender before the next has its turn, as changing
    over takes long. `most_connections`: by contender, of those that are not measured beyond so many. `clients`: by
    machine, as ssh knows it, its CPUs that load; this machine then has no client, and `client_cpus` are none. `tap`: one
    of TAPS, by which driver lwIP has its TAP; "" for net_tap where there was no choice. `netem`: as netem.py has it; ""
    for none. `attempts`: at one trial, in all, while it is disturbed; 1 in runs of before there were more.
    `calibrate`: the client's ceiling is looked for first, where that can be done (calibration.py). `paper`: whose
    figures (results/published/) the run is to be set beside; "" for nobody's. `softirq`: whose cores process the packets of
    kernel contenders, one of SOFTIRQS; "" for the kernel's choice. `not_applicable`: by contender that this machine or
    this plan cannot measure fairly, the reason; those stand last among the contenders.

    `rounds`: exactly so many, or at least where there is a stop rule (stopping.py): until every gain's interval is
    within `precision_percent` of its ratio, 0 for no such rule, or `budget_seconds` are over, 0 for no end. `seed` of
    the order; 0: the contenders alternate, as runs of before there were seeds have it.

    `offered`: rates of requests/s at which the load is offered, whatever the answers do (open loop), at the one number
    of connections that such a plan has; () for a closed loop. `most_offered`: by contender, the highest of them that it
    is measured at, as it can do less.
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
    max_connections: int
    by_contender: bool = False
    most_connections: Mapping[str, int] = field(default_factory=dict)
    clients: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tap: str = ""
    netem: str = ""
    softirq: str = ""
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    offered: tuple[int, ...] = ()
    most_offered: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 1
    seed: int = 0
    precision_percent: float = 0
    budget_seconds: int = 0
    paper: str = ""
    calibrate: bool = False
    server_cores: tuple[int, ...] = ()
    body_sizes: tuple[int, ...] = ()
    impairments: tuple[str, ...] = ()
    most_cores: Mapping[str, int] = field(default_factory=dict)

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
        return tuple(axis for axis in AXES if len(set(map(axis.value, points))) > 1) or (CONNECTIONS,)

    @property
    def most_rounds(self) -> int:
        """What the round of any record is below."""
        return max(self.rounds, MOST_ROUNDS) if self.precision_percent else self.rounds

    def at(self, point: LoadPoint) -> Plan:
        """Return the plan as a trial at this load point has it: nothing is left to vary."""
        return replace(
            self, connections=(point.connections,), server_cpus=self.server_cpus[:point.server_cores],
            offered=(point.offered_per_sec,) if point.offered_per_sec else self.offered[:1],
            workload=replace(self.workload, body_size_bytes=point.body_size_bytes),
            netem=point.impairment, server_cores=(), body_sizes=(), impairments=())

    def follows(self, contender: str, point: LoadPoint) -> bool:
        """Is this contender measured at this load point?"""
        return (contender not in self.not_applicable
                and point.connections <= self.most_connections.get(contender, point.connections)
                and point.server_cores <= self.most_cores.get(contender, point.server_cores)
                and point.offered_per_sec <= self.most_offered.get(contender, point.offered_per_sec))

    def room(self, contender: str) -> int:
        """The limit of connections that this contender is started with: its own end, if it has one, comes first."""
        most = self.most_connections.get(contender)
        return self.max_connections if most is None else min(self.max_connections, most + SPARE_CONNECTIONS)


MOST_ROUNDS = 1000
# connections: what lwip_server takes, and what wrk may be asked for
MOST, MOST_OF_WRK = 1 << 25, 10_000


_CLIENT_CPUS = Option("client_cpus", "CLIENT_CPUS", 0, 4095, many=True)
_SEED = Option("seed", "SEED", 0, (1 << 32) - 1)
_BUDGET = Option("budget_seconds", "BUDGET", 0, 7 * 86_400, suffixes={"s": 1, "m": 60, "h": 3600})
_NUMBERS = (
    Option("connections", "CONNECTIONS", 1, MOST, many=True),
    Option("rounds", "ROUNDS", 1, MOST_ROUNDS),
    Option("duration_seconds", "DURATION", 1, 3600),
    Option("warmup_seconds", "WARMUP", 0, 600),
    Option("attempts", "ATTEMPTS", 1, MOST_ATTEMPTS),
    Option("body_size_bytes", "BODY_SIZE", 0, 64 << 20, suffixes={"K": 1 << 10, "M": 1 << 20}),
    _CLIENT_CPUS,
    Option("server_cpus", "SERVER_CPUS", 0, 4095, many=True),
    Option("port", "PORT", 1, 65_535),
    Option("max_connections", "MAX_CONNECTIONS", 1, MOST),
    _SEED,
    _BUDGET,
)
# requests/s of an open loop; from the command `latency` only
OFFERED = Option("offered", "RATES", 1, 1_000_000_000, many=True)
# load points up to this one: those of a plan beyond it are left out, and powers of ten lead on to it
_REACH = Option("reach", "MOST_CONNECTIONS", 1, MOST)
_REQUIRED = ("connections", "rounds", "duration_seconds", "warmup_seconds")
# keys of text that a plan need not have, and that its file has only then
_TEXTS = ("tap", "netem", "paper", "softirq")
# keys of the order and of when it ends, which a plan.json has only where they say something
_RULE = ("seed", "precision_percent", "budget_seconds")
NET_TAP, VHOST_NET = "net_tap", "vhost-net"
TAPS = (NET_TAP, VHOST_NET)
SOFTIRQ_DEFAULT = "default"
SOFTIRQS = ("server", "client")
OVERRIDES = ("CONTENDERS", "WORKLOAD", "PRECISION", "CALIBRATE", *map(str.upper, _TEXTS),
             *(option.override for option in (*_NUMBERS, _REACH)))


def load_plan(name_or_path: str, wire: Wire, cpus: Sequence[int], overrides: Mapping[str, str],
              files: int | None = None, clients: Mapping[str, Sequence[int]] = {}) -> Plan:
    """The plan harness/plan/plans/<name>.toml (or the file at a path) for `wire` on a machine with `cpus`.

    A wire may have plans of its own by the same names, in harness/plan/plans/<wire>/.

    `overrides` maps the names of OVERRIDES to text; empty text means not given. `files`: how many a process may have
    open there, which is where a server on the kernel's sockets cannot follow any more; None: as many as it wants.
    `clients`: the machines that load it, and their CPUs; none: this one does. Load points of ours that cannot be shared
    among them are left out.
    Raises UsageError on an unknown plan or key and on every value that makes no sense.
    """
    values, where = _read(name_or_path, wire.name)
    ours = "connections" in values and not name_or_path.endswith(".toml")
    places = {key: f"{where}: {key}" for key in values}
    for name, text in overrides.items():
        if name not in OVERRIDES:
            raise UsageError(f"unknown setting '{name}'; there are: {', '.join(OVERRIDES)}")
        if text.strip():
            key, value = _override(name, text.strip())
            values[key] = value
            places[key] = f"{name}={text.strip()}"
            ours &= key != "connections"
    for key in _REQUIRED:
        if key not in values:
            raise UsageError(f"{where}: '{key}' is missing")
    values.setdefault("contenders", list(wire.contenders))
    places.setdefault("contenders", where)
    _settle_rule(values, places, {name for name, text in overrides.items() if text.strip()})
    shape = settings.workload(values, places, wire)
    if ours:
        values["connections"] = sorted({*values["connections"], *_ALSO_AT.get(shape.name, ())})
    if ours:
        values["connections"] = [point for point in values["connections"] if point >= len(clients)]
    if "reach" in values:
        check_range(_REACH, values["reach"], places["reach"])
        values["connections"] = _reaching(values["connections"], values.pop("reach"))
    plan = _build(values, places, Path(name_or_path).stem, wire, shape, tuple(cpus), clients)
    return plan if files is None else replace(plan, most_connections={
        name: min(most, max(1, files - SPARE_FILES - SPARE_CONNECTIONS))
        if wire.contenders[name].stack == "kernel" else most for name, most in plan.most_connections.items()})


def _reaching(connections: Sequence[int], most: int) -> list[int]:
    """Those up to `most`, and from the last of them powers of ten up to it."""
    points = sorted(point for point in connections if point <= most) or [1]
    while points[-1] * 10 <= most:
        points.append(10 ** len(str(points[-1])))
    return points


def to_json(plan: Plan) -> dict[str, Any]:
    """What plan.json holds."""
    empty = ("server_cores", "body_sizes", "impairments", "most_cores", "clients", "by_contender", "calibrate", "not_applicable", "offered", "most_offered", *_RULE, *_TEXTS)
    return {"schema": SCHEMA, **{key: value for key, value in asdict(plan).items() if value or key not in empty}}


def from_json(data: Any) -> Plan:
    """The plan of a plan.json. Raises UsageError when it is not one of ours."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"not a plan of schema {SCHEMA}")
    rest = {key: value for key, value in data.items() if key != "schema"}
    try:
        workload = Workload(**rest.pop("workload"))
        rest["clients"] = {str(machine): tuple(cpus) for machine, cpus in rest.get("clients", {}).items()}
        plan = Plan(workload=workload, **{key: tuple(value) if isinstance(value, list) else value
                                          for key, value in rest.items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"not a plan of schema {SCHEMA}: {error}") from None
    flat = {**asdict(plan), **asdict(workload)}
    for machine, cpus in plan.clients.items():
        check_number(_CLIENT_CPUS, list(cpus), f"clients: {machine}")
    for option in _NUMBERS:
        value = flat[option.key]
        if option == _CLIENT_CPUS and plan.clients and not value:
            continue
        check_number(option, list(value) if isinstance(value, tuple) else value, option.key)
    check_percent(plan.precision_percent, "precision_percent")
    _check_offered(plan)
    texts = (plan.name, plan.wire, workload.name, workload.path)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError("name, wire and workload of a plan must be text")
    check_names(plan.contenders, "contenders")
    given = {key: value for key in _TEXTS if (value := getattr(plan, key)) != ""}
    if _texts(given, {}) != given:
        wrong = next(key for key, value in given.items() if _texts(given, {}).get(key) != value)
        raise UsageError(f"{wrong} of a plan must be as stackduel writes it, not {given[wrong]!r}")
    if not isinstance(plan.calibrate, bool):
        raise UsageError("calibrate of a plan must be true or false")
    if not isinstance(plan.not_applicable, dict) or not all(
            name in plan.contenders and isinstance(why, str) and why for name, why in plan.not_applicable.items()):
        raise UsageError("not_applicable of a plan must be a table of its contenders and the reasons")
    if not isinstance(plan.most_connections, dict) or not all(
            isinstance(most, int) for most in plan.most_connections.values()):
        raise UsageError("most_connections of a plan must be a table of numbers")
    return plan


def _check_offered(plan: Plan) -> None:
    """UsageError unless it is a plan of a closed loop, or one of rates at one number of connections."""
    if plan.offered:
        check_number(OFFERED, list(plan.offered), OFFERED.key)
        if len(plan.connections) != 1:
            raise UsageError("a plan of offered rates has one number of connections")
    if not isinstance(plan.most_offered, dict) or not all(isinstance(rate, int) for rate in plan.most_offered.values()):
        raise UsageError("most_offered of a plan must be a table of numbers")


def _read(name_or_path: str, wire: str) -> tuple[dict[str, Any], str]:
    path = Path(name_or_path)
    if not name_or_path.endswith(".toml"):
        own = PLANS / wire / f"{name_or_path}.toml"
        path = own if own.is_file() else PLANS / f"{name_or_path}.toml"
    try:
        values = tomllib.loads(path.read_text())
    except OSError:
        known = ", ".join(sorted(file.stem for file in PLANS.glob("*.toml")))
        raise UsageError(f"no plan '{name_or_path}'; there are: {known}, or a .toml file's path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    known_keys = {"contenders", "workload", "precision_percent", "calibrate", *_TEXTS, *(option.key for option in _NUMBERS)}
    for key in values:
        if key not in known_keys:
            raise UsageError(f"{path}: unknown key '{key}'; there are: {', '.join(sorted(known_keys))}")
    return values, str(path)


def _override(name: str, text: str) -> tuple[str, Any]:
    """(key, value) of a setting of the command line."""
    if name == "CONTENDERS":
        return "contenders", [contender_name(word) for word in settings.words(text)]
    if name == "PRECISION":
        return "precision_percent", settings.percent(text, f"{name}={text}")
    if name == "CALIBRATE":
        if text not in ("yes", "no"):
            raise UsageError(f"{name}={text}: must be yes or no")
        return "calibrate", text == "yes"
    if name in ("WORKLOAD", *map(str.upper, _TEXTS)):
        return name.lower(), text
    option = next(option for option in (*_NUMBERS, _REACH) if option.override == name)
    return option.key, settings.parse(option, text)


def _settle_rule(values: dict[str, Any], places: Mapping[str, str], given: Set[str]) -> None:
    """The rule by which rounds end, settled: who asks for so many ROUNDS and names no rule gets just these, and a plan
    whose PRECISION is taken away has no budget either. UsageError on a budget for nothing."""
    if "ROUNDS" in given and not given & {"PRECISION", "BUDGET"}:
        values.update(precision_percent=0)
    precision = values.get("precision_percent", 0)
    check_percent(precision, places.get("precision_percent", "precision_percent"))
    if not precision and "BUDGET" not in given and {"ROUNDS", "PRECISION"} & given:
        values.pop("budget_seconds", None)
    check_number(_BUDGET, values.get("budget_seconds", 0), places.get("budget_seconds", "budget_seconds"))
    if not precision and values.get("budget_seconds"):
        raise UsageError(f"{places['budget_seconds']}: a budget ends the search for a precision, and there is none: "
                         "give PRECISION=3 too")


def _build(values: dict[str, Any], places: Mapping[str, str], name: str, wire: Wire, shape: Workload,
           cpus: tuple[int, ...], clients: Mapping[str, Sequence[int]]) -> Plan:
    for option in _NUMBERS:
        if option.key in values:
            check_number(option, values[option.key], places[option.key])
    check_names(values["contenders"], places["contenders"])
    for contender in values["contenders"]:
        if contender not in wire.contenders:
            raise UsageError(f"{places['contenders']}: wire '{wire.name}' has no contender '{contender}'; "
                             f"there are: {', '.join(wire.contenders)}")
    if not isinstance(values.get("calibrate", True), bool):
        raise UsageError(f"{places['calibrate']}: must be true or false")
    most = max(values["connections"])
    most_of_wrk = MOST_OF_WRK * max(1, len(clients))
    if not wire.has_loadgen and most > most_of_wrk:
        raise UsageError(f"{places['connections']}: wrk opens {most_of_wrk} connections at most, not {most}; more need "
                         "loadgen: wire shm-loadgen")
    room = most + SPARE_CONNECTIONS if wire.has_loadgen and not shape.connect else ROOM_FOR_CONNECTIONS * most
    limit = values.get("max_connections", min(MOST, max(MAX_CONNECTIONS, room)))
    if most > limit:
        raise UsageError(f"{places['connections']}: {most} are more than max_connections ({limit})")
    size = values.get("body_size_bytes", shape.body_size_bytes)
    if shape.name.startswith("redis-") and not size:
        raise UsageError(f"{places['body_size_bytes']}: redis-benchmark sends values of 1 byte at least")
    client, server = settings.choose_cpus(values, places, cpus, clients)
    least = min(values["connections"])
    if least < len(clients):
        raise UsageError(f"{places['connections']}: {least} cannot be shared among {len(clients)} clients: each needs "
                         "one")
    return Plan(
        name=name, wire=wire.name, contenders=tuple(values["contenders"]),
        workload=replace(shape, body_size_bytes=size),
        connections=tuple(values["connections"]), rounds=values["rounds"],
        duration_seconds=values["duration_seconds"], warmup_seconds=values["warmup_seconds"],
        client_cpus=() if clients else client, server_cpus=server, port=values.get("port", wire.port),
        max_connections=limit, calibrate=values.get("calibrate", True), by_contender=wire.rebinds, not_applicable={},
        seed=values.get("seed", 0), precision_percent=values.get("precision_percent", 0),
        budget_seconds=values.get("budget_seconds", 0),
        most_connections={name: wire.contenders[name].most_connections for name in values["contenders"]
                          if wire.contenders[name].most_connections},
        clients={machine: tuple(values.get("client_cpus", there)) for machine, there in clients.items()},
        # rates are not a plan file's: offered.py
        attempts=values.get("attempts", MOST_ATTEMPTS), offered=(), most_offered={},
        server_cores=tuple(values.get("server_cores", ())), body_sizes=tuple(values.get("body_sizes", ())),
        impairments=tuple(values.get("impairments", ())), most_cores={}, **_texts(values, places))


def _texts(values: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, str]:
    """Those of _TEXTS that are given, netem in its own words."""
    given = {key: values[key] for key in _TEXTS if key in values}
    for key, value in given.items():
        if not isinstance(value, str):
            raise UsageError(f"{places.get(key, key)}: must be text")
    if given.get("tap", NET_TAP) not in TAPS:
        raise UsageError(f"{places.get('tap', 'tap')}: must be one of {', '.join(TAPS)}")
    if "netem" in given:
        given["netem"] = str(parse(given["netem"], places.get("netem", "netem")))
    if given.get("softirq", SOFTIRQ_DEFAULT) not in (SOFTIRQ_DEFAULT, *SOFTIRQS):
        raise UsageError(f"{places.get('softirq', 'softirq')}: must be one of "
                         f"{', '.join((SOFTIRQ_DEFAULT, *SOFTIRQS))}")
    if given.get("softirq") == SOFTIRQ_DEFAULT:
        del given["softirq"]
    return given
