# SPDX-License-Identifier: BSD-3-Clause
"""What to measure and in which order: a plan is a pure value. Knows no machine, no clock and no results.

A plan comes from harness/plans/*.toml or a TOML file of one's own; the command line may override any key. Without
contenders it is for all of the wire, without a workload for the wire's usual one.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from harness.errors import UsageError
from harness.netem import parse
from harness.wire import Wire
from harness.workload import GENERAL, WORKLOADS
from harness.workload import Workload as Workload

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
    for none.
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

    def follows(self, contender: str, connections: int) -> bool:
        """Is this contender measured at this load point?"""
        return connections <= self.most_connections.get(contender, connections)

    def room(self, contender: str) -> int:
        """The limit of connections that this contender is started with: its own end, if it has one, comes first."""
        most = self.most_connections.get(contender)
        return self.max_connections if most is None else min(self.max_connections, most + SPARE_CONNECTIONS)


@dataclass(frozen=True)
class TrialSpec:
    """One contender at one load point in one round (from 0), loaded by `threads` wrk threads."""

    contender: str
    connections: int
    round: int
    threads: int


@dataclass(frozen=True)
class Share:
    """What one of several clients has of a load."""

    machine: str
    connections: int
    threads: int


# connections: what lwip_server takes, and what wrk may be asked for
MOST, MOST_OF_WRK = 1 << 25, 10_000


@dataclass(frozen=True)
class _Option:
    """One key of a plan: its name in TOML and on the command line, its limits, and whether it is a list."""

    key: str
    override: str
    low: int
    high: int
    many: bool = False


_CLIENT_CPUS = _Option("client_cpus", "CLIENT_CPUS", 0, 4095, many=True)
_NUMBERS = (
    _Option("connections", "CONNECTIONS", 1, MOST, many=True),
    _Option("rounds", "ROUNDS", 1, 1000),
    _Option("duration_seconds", "DURATION", 1, 3600),
    _Option("warmup_seconds", "WARMUP", 0, 600),
    _Option("body_size_bytes", "BODY_SIZE", 0, 64 << 20),
    _CLIENT_CPUS,
    _Option("server_cpus", "SERVER_CPUS", 0, 4095, many=True),
    _Option("port", "PORT", 1, 65_535),
    _Option("max_connections", "MAX_CONNECTIONS", 1, MOST),
)
# load points up to this one: those of a plan beyond it are left out, and powers of ten lead on to it
_REACH = _Option("reach", "MOST_CONNECTIONS", 1, MOST)
# of a size, as the servers take it
_SUFFIXES = {"K": 1 << 10, "M": 1 << 20}
_REQUIRED = ("connections", "rounds", "duration_seconds", "warmup_seconds")
# keys of text that a plan need not have, and that its file has only then
_TEXTS = ("tap", "netem")
NET_TAP, VHOST_NET = "net_tap", "vhost-net"
TAPS = (NET_TAP, VHOST_NET)
OVERRIDES = ("CONTENDERS", "WORKLOAD", *map(str.upper, _TEXTS), *(option.override for option in (*_NUMBERS, _REACH)))


def load_plan(name_or_path: str, wire: Wire, cpus: Sequence[int], overrides: Mapping[str, str],
              files: int | None = None, clients: Mapping[str, Sequence[int]] = {}) -> Plan:
    """The plan harness/plans/<name>.toml (or the file at a path) for `wire` on a machine with `cpus`.

    A wire may have plans of its own by the same names, in harness/plans/<wire>/.

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
            key, value = _parse_override(name, text.strip())
            values[key] = value
            places[key] = f"{name}={text.strip()}"
            ours &= key != "connections"
    for key in _REQUIRED:
        if key not in values:
            raise UsageError(f"{where}: '{key}' is missing")
    values.setdefault("contenders", list(wire.contenders))
    places.setdefault("contenders", where)
    shape = _workload(values, places, wire)
    if ours:
        values["connections"] = sorted({*values["connections"], *_ALSO_AT.get(shape.name, ())})
    if ours:
        values["connections"] = [point for point in values["connections"] if point >= len(clients)]
    if "reach" in values:
        _check_range(_REACH, values["reach"], places["reach"])
        values["connections"] = _reaching(values["connections"], values.pop("reach"))
    plan = _build(values, places, Path(name_or_path).stem, wire, shape, tuple(cpus), clients)
    return plan if files is None else replace(plan, most_connections={
        name: min(most, max(1, files - SPARE_FILES - SPARE_CONNECTIONS))
        if wire.contenders[name].stack == "kernel" else most for name, most in plan.most_connections.items()})


def _workload(values: Mapping[str, Any], places: Mapping[str, str], wire: Wire) -> Workload:
    """UsageError on a workload that there is not, that the wire's contenders do not answer or its client cannot make."""
    name = values.get("workload", wire.workloads[0])
    known = [each for each in (*wire.workloads, *(GENERAL if wire.workloads[0] in GENERAL else ()))
             if each in WORKLOADS and not _needs_loadgen(WORKLOADS[each], wire)]
    place = places.get("workload", wire.name)
    if name in GENERAL and name not in known and wire.workloads[0] in GENERAL:
        raise UsageError(f"{place}: {_needs_loadgen(WORKLOADS[name], wire)}; workload '{name}' needs loadgen: wire "
                         "shm-loadgen")
    if name not in known:
        raise UsageError(f"{place}: wire '{wire.name}' has no workload {name!r}; "
                         f"there are: {', '.join(dict.fromkeys(known))}")
    return WORKLOADS[name]


def _needs_loadgen(workload: Workload, wire: Wire) -> str:
    """Why the client of this wire cannot make that load; "" if it can."""
    if wire.has_loadgen:
        return ""
    if workload.active:
        return f"wrk, the client of wire '{wire.name}', asks every connection that it opens"
    if workload.connect and any(contender.client.stack == "lwip" for contender in wire.contenders.values()):
        return (f"each wrk on lwIP, as wire '{wire.name}' has it, begins with the same ports, which a server that "
                "closes first still keeps from the wrk before")
    return ""


def _reaching(connections: Sequence[int], most: int) -> list[int]:
    """Those up to `most`, and from the last of them powers of ten up to it."""
    points = sorted(point for point in connections if point <= most) or [1]
    while points[-1] * 10 <= most:
        points.append(10 ** len(str(points[-1])))
    return points


def schedule(plan: Plan) -> list[TrialSpec]:
    """All trials in order: every load point is one A B pair, and odd rounds turn it round (B A).

    `by_contender`: it is whole sets of load points that alternate. A contender has none where it cannot follow.
    """
    def order(round_: int) -> Iterator[tuple[str, int]]:
        contenders = plan.contenders if round_ % 2 == 0 else plan.contenders[::-1]
        if plan.by_contender:
            return ((contender, connections) for contender in contenders for connections in plan.connections)
        return ((contender, connections) for connections in plan.connections for contender in contenders)
    return [TrialSpec(contender, connections, round_, _all_threads(plan, connections))
            for round_ in range(plan.rounds) for contender, connections in order(round_)
            if plan.follows(contender, connections)]


def turns(specs: Sequence[TrialSpec]) -> int:
    """How often another contender has its turn, the first included."""
    return sum(1 for place, spec in enumerate(specs) if not place or specs[place - 1].contender != spec.contender)


def shares(plan: Plan, connections: int) -> list[Share]:
    """Of each client over ssh: as many connections as any other, one more where they do not come out even."""
    each, more = divmod(connections, len(plan.clients))
    return [Share(machine, count, _threads(count, len(cpus))) for place, (machine, cpus) in
            enumerate(plan.clients.items()) for count in [each + (place < more)]]


def _all_threads(plan: Plan, connections: int) -> int:
    if plan.clients:
        return sum(share.threads for share in shares(plan, connections))
    return _threads(connections, len(plan.client_cpus))


def _threads(connections: int, cpus: int) -> int:
    """One a client CPU, but such that they divide the connections: wrk would silently drop the remainder."""
    return next(count for count in range(min(connections, cpus), 0, -1) if connections % count == 0)


def to_json(plan: Plan) -> dict[str, Any]:
    """What plan.json holds."""
    empty = ("clients", "by_contender", *_TEXTS)
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
        _check_number(_CLIENT_CPUS, list(cpus), f"clients: {machine}")
    for option in _NUMBERS:
        value = flat[option.key]
        if option == _CLIENT_CPUS and plan.clients and not value:
            continue
        _check_number(option, list(value) if isinstance(value, tuple) else value, option.key)
    texts = (plan.name, plan.wire, workload.name, workload.path)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError("name, wire and workload of a plan must be text")
    _check_names(plan.contenders, "contenders")
    given = {key: value for key in _TEXTS if (value := getattr(plan, key)) != ""}
    if _texts(given, {}) != given:
        raise UsageError(f"netem of a plan must be as stackduel writes it, not {plan.netem!r}")
    if not isinstance(plan.most_connections, dict) or not all(
            isinstance(most, int) for most in plan.most_connections.values()):
        raise UsageError("most_connections of a plan must be a table of numbers")
    return plan


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
    known_keys = {"contenders", "workload", *_TEXTS, *(option.key for option in _NUMBERS)}
    for key in values:
        if key not in known_keys:
            raise UsageError(f"{path}: unknown key '{key}'; there are: {', '.join(sorted(known_keys))}")
    return values, str(path)


def _parse_override(name: str, text: str) -> tuple[str, Any]:
    words = [word.strip() for word in text.split(",")]
    if name == "CONTENDERS":
        return "contenders", words
    if name in ("WORKLOAD", *map(str.upper, _TEXTS)):
        return name.lower(), text
    option = next(option for option in (*_NUMBERS, _REACH) if option.override == name)
    if not option.many:
        scale = _SUFFIXES.get(text[-1], 1) if option.key.endswith("_bytes") else 1
        return option.key, _whole(text[:-1] if scale > 1 else text, f"{name}={text}") * scale
    numbers: list[int] = []
    for word in words:
        low, dash, high = word.partition("-")
        if dash and low and option.key.endswith("_cpus"):
            first, last = _whole(low, f"{name}={text}"), _whole(high, f"{name}={text}")
            if not 0 <= first <= last <= option.high:
                raise UsageError(f"{name}={text}: '{word}' is not a range of CPUs")
            numbers += range(first, last + 1)
        else:
            numbers.append(_whole(word, f"{name}={text}"))
    return option.key, numbers


def _whole(word: str, place: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", word):
        raise UsageError(f"{place}: '{word}' is not a whole number")
    return int(word)


def _build(values: dict[str, Any], places: Mapping[str, str], name: str, wire: Wire, shape: Workload,
           cpus: tuple[int, ...], clients: Mapping[str, Sequence[int]]) -> Plan:
    for option in _NUMBERS:
        if option.key in values:
            _check_number(option, values[option.key], places[option.key])
    _check_names(values["contenders"], places["contenders"])
    for contender in values["contenders"]:
        if contender not in wire.contenders:
            raise UsageError(f"{places['contenders']}: wire '{wire.name}' has no contender '{contender}'; "
                             f"there are: {', '.join(wire.contenders)}")
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
    client, server = _choose_cpus(values, places, cpus, clients)
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
        max_connections=limit, by_contender=wire.rebinds,
        most_connections={name: wire.contenders[name].most_connections for name in values["contenders"]
                          if wire.contenders[name].most_connections},
        clients={machine: tuple(values.get("client_cpus", there)) for machine, there in clients.items()},
        **_texts(values, places))


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
    return given


def _choose_cpus(values: Mapping[str, Any], places: Mapping[str, str], cpus: tuple[int, ...],
                 clients: Mapping[str, Sequence[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The last CPU serves and the others load it; a machine with one CPU shares it between both roles. With clients on
    other machines all of this one may serve, and CLIENT_CPUS are theirs."""
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


def _check_number(option: _Option, value: Any, place: str) -> None:
    if not option.many:
        _check_range(option, value, place)
        return
    if not isinstance(value, list) or not value:
        raise UsageError(f"{place}: must be a list of whole numbers, at least one")
    for number in value:
        _check_range(option, number, place)
    if len(set(value)) != len(value):
        raise UsageError(f"{place}: a number stands there twice")


def _check_range(option: _Option, value: Any, place: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{place}: {value!r} is not a whole number")
    if not option.low <= value <= option.high:
        raise UsageError(f"{place}: must be {option.low} to {option.high}, not {value}")


def _check_names(value: Any, place: str) -> None:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, str) and v for v in value):
        raise UsageError(f"{place}: must be a list of contenders, at least one")
    if len(set(value)) != len(value):
        raise UsageError(f"{place}: a contender stands there twice")
