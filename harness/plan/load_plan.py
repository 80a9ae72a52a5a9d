# SPDX-License-Identifier: BSD-3-Clause
"""Make a plan of a file and a command line, for a wire and a machine's CPUs.

The file is harness/plan/plans/<name>.toml or one of one's own; the command line may override any
key. Without contenders the plan is for all of the wire, without a workload for its usual one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.errors import UsageError
from harness.plan.load import GENERAL, MOST_CONNECTIONS, SWEPT, WORKLOADS, Workload
from harness.plan.netem import parse, with_amount
from harness.plan.options import (
    BY_KEY, BY_VARIABLE, MOST_ATTEMPTS, OVERRIDES, RESTART_ROUND, RESTART_TRIAL, SOFTIRQ_DEFAULT,
    TURN_MS, Kind)
from harness.plan.plan import SPARE_CONNECTIONS, SPARE_FILES, Plan, Reason, check_names
from harness.plan.topology import contender_name, with_devices
from harness.plan.wire import PRELOAD, Contender, Wire
from harness.structure import read_toml

PLANS = Path(__file__).resolve().parent / "plans"
MOST_OF_WRK = 10_000
# the load tool of ours that can be stopped and continued (harness/trial/load/)
PAUSABLE = "wrk"
_OF_PAUSABLE = (*GENERAL, "nginx-get")
# bytes of one answer on every connection: the slowest wire carries them in a small part of a turn
_MOST_UNDER_WAY = 4 << 20
# the one number of connections of a sweep over another axis
USUAL_CONNECTIONS = 64
MOST_AXES = 2
# wrk opens a second set of connections for the measurement while the server may still hold the
# warm-up's.
_ROOM_FOR_CONNECTIONS = 2
_LEAST_ROOM = 1024
# load points that a plan of ours has beside its own: redis-benchmark's default, at which others
# publish
_ALSO_AT = {"redis-set": (50,), "redis-get": (50,)}
_REQUIRED = ("connections", "rounds", "duration_seconds", "warmup_seconds")
# of Plan, without another rule
_AS_GIVEN = (*_REQUIRED[1:], "seed", "precision_percent", "budget_seconds", "tap", "paper",
             "softirq", "load_tool", "netem")


@dataclass
class _Request:
    """What a plan is made of: values by key, where each stands, and which were given beside it."""

    where: str
    values: dict[str, Any]
    given: dict[str, str] = field(default_factory=dict)

    def place(self, key: str) -> str:
        return self.given.get(key, f"{self.where}: {key}")


def load_plan(name_or_path: str, wire: Wire, cpus: Sequence[int], overrides: Mapping[str, str],
              files: int | None = None, clients: Mapping[str, Sequence[int]] = {}) -> Plan:
    """Return the plan of that name or path for `wire` on a machine with `cpus`.

    A wire may have plans of its own by the same names, in harness/plan/plans/<wire>/.

    overrides: text by variable of options.OVERRIDES; empty text is not given
    files: how many a process may have open, beyond which a server on the kernel's sockets cannot
        follow; None for no limit
    clients: CPUs by machine that loads it; none: this one does. Load points of ours that cannot
        be shared among them are left out

    UsageError on an unknown plan or key and on every value that makes no sense.
    """
    request = _read(name_or_path, wire.name)
    for name, text in overrides.items():
        if name not in OVERRIDES:
            raise UsageError(f"unknown setting '{name}'; there are: {', '.join(OVERRIDES)}")
        if text.strip():
            option = BY_VARIABLE[name]
            value = option.parse(text.strip())
            if option.kind is Kind.NAMES:
                value = [contender_name(word) for word in value]
            request.values[option.key or "sweep"] = value
            request.given[option.key or "sweep"] = f"{name}={text.strip()}"
    for key in _REQUIRED:
        if key not in request.values:
            raise UsageError(f"{request.where}: '{key}' is missing")
    request.values.setdefault("contenders", list(wire.contenders))
    for key, value in request.values.items():
        if key in BY_KEY:
            BY_KEY[key].check(value, request.place(key))
    _settle_rule(request)
    shape = _workload(request, wire)
    sweeps = _sweeps(request)
    _settle_connections(request, shape, sweeps, not name_or_path.endswith(".toml"), len(clients))
    server_cores = int(max(sweeps.get("cores", [1])))
    client, server = _cpus(request, tuple(cpus), clients, server_cores)
    plan = _build(request, Path(name_or_path).stem, wire, shape, client, server, clients)
    plan = _limits_last(_limited(_swept(plan, sweeps), wire, files), wire, request)
    plan = _taking_turns(_restarting(plan, request, wire), request, wire)
    check_names(plan)
    return without(plan, {name: reason for name in plan.contenders
                          if (reason := _why_not(wire.contenders[name], plan))})


def without(plan: Plan, reasons: Mapping[str, Reason]) -> Plan:
    """Return the plan without the trials of those contenders. They stand last, so that the first,
    the baseline, has some."""
    known = {**plan.not_applicable, **reasons}
    measured = [name for name in plan.contenders if name not in known]
    aside = [name for name in plan.contenders if name in known]
    return replace(plan, contenders=(*measured, *aside),
                   not_applicable={name: known[name] for name in aside})


def _read(name_or_path: str, wire: str) -> _Request:
    path = Path(name_or_path)
    if not name_or_path.endswith(".toml"):
        own = PLANS / wire / f"{name_or_path}.toml"
        path = own if own.is_file() else PLANS / f"{name_or_path}.toml"
    try:
        values = read_toml(path)
    except OSError:
        known = ", ".join(sorted(file.stem for file in PLANS.glob("*.toml")))
        raise UsageError(
            f"no plan '{name_or_path}'; there are: {known}, or a .toml file's path") from None
    known_keys = sorted({*BY_KEY, "max_connections"} - {"reach"})
    for key in values:
        if key not in known_keys:
            raise UsageError(f"{path}: unknown key '{key}'; there are: {', '.join(known_keys)}")
    if "max_connections" in values:
        values["server_max_connections"] = values.pop("max_connections")
    return _Request(str(path), values)


def _settle_rule(request: _Request) -> None:
    """Settle the rule by which rounds end. UsageError on a budget for nothing.

    Who asks for so many ROUNDS and names no rule gets just these, and a plan whose PRECISION is
    taken away has no budget either.
    """
    values, given = request.values, set(request.given)
    if "rounds" in given and not given & {"precision_percent", "budget_seconds"}:
        values["precision_percent"] = 0
    if values.get("precision_percent"):
        return
    if "budget_seconds" not in given and {"rounds", "precision_percent"} & given:
        values.pop("budget_seconds", None)
    if values.get("budget_seconds"):
        raise UsageError(f"{request.place('budget_seconds')}: a budget ends the search for a "
                         "precision, and there is none: give PRECISION=3 too")


def _workload(request: _Request, wire: Wire) -> Workload:
    """Return the workload. UsageError where the wire's contenders or its client cannot do it."""
    usual = wire.workloads[0]
    name = request.values.get("workload", usual)
    place = request.place("workload") if "workload" in request.values else wire.name
    known = [word for word in dict.fromkeys((*wire.workloads, *(GENERAL * (usual in GENERAL))))
             if word in WORKLOADS and not needs_loadgen(WORKLOADS[word], wire)]
    if name in GENERAL and name not in known and usual in GENERAL:
        raise UsageError(f"{place}: {needs_loadgen(WORKLOADS[name], wire)}; workload '{name}' "
                         "needs loadgen: wire shm-loadgen")
    if name not in known:
        raise UsageError(f"{place}: wire '{wire.name}' has no workload {name!r}; "
                         f"there are: {', '.join(known)}")
    return WORKLOADS[name]


def needs_loadgen(shape: Workload, wire: Wire) -> str:
    """Return why the client of this wire cannot make that load; "" if it can."""
    if wire.has_loadgen:
        return ""
    if shape.active:
        return f"wrk, the client of wire '{wire.name}', asks every connection that it opens"
    if shape.connect and any(item.client.stack == PRELOAD for item in wire.contenders.values()):
        return (f"each wrk on lwIP, as wire '{wire.name}' has it, begins with the same ports, "
                "which a server that closes first still keeps from the wrk before")
    return ""


def _settle_connections(request: _Request, shape: Workload, sweeps: Mapping[str, Sequence[float]],
                        ours: bool, clients: int) -> None:
    """Settle the numbers of connections: of a plan of ours, of a sweep, up to its end."""
    values = request.values
    if "connections" in sweeps:
        if "connections" in request.given:
            raise UsageError("SWEEP=connections=…: give that or CONNECTIONS, not both")
        values["connections"] = [int(value) for value in sweeps["connections"]]
        request.given["connections"] = "SWEEP"
    if "connections" not in request.given:
        points = values["connections"]
        if sweeps:
            points = [USUAL_CONNECTIONS]
        elif ours:
            points = sorted({*points, *_ALSO_AT.get(shape.name, ())})
        values["connections"] = [point for point in points if point >= clients or not ours]
    if "reach" in values:
        most = values["reach"]
        points = sorted(point for point in values["connections"] if point <= most) or [1]
        while points[-1] * 10 <= most:
            points.append(10 ** len(str(points[-1])))
        values["connections"] = points


def _build(request: _Request, name: str, wire: Wire, shape: Workload, client: tuple[int, ...],
           server: tuple[int, ...], clients: Mapping[str, Sequence[int]]) -> Plan:
    values = request.values
    for contender in values["contenders"]:
        if contender not in wire.contenders:
            raise UsageError(f"{request.place('contenders')}: wire '{wire.name}' has no contender "
                             f"'{contender}'; there are: {', '.join(wire.contenders)}")
    size = values.get("body_size_bytes", shape.body_size_bytes)
    if shape.name.startswith("redis-") and not size:
        raise UsageError(f"{request.place('body_size_bytes')}: redis-benchmark sends values of 1 "
                         "byte at least")
    limit = _room(request, wire, shape, len(clients))
    if values.get("softirq") == SOFTIRQ_DEFAULT:
        del values["softirq"]
    if "netem" in values:
        values["netem"] = str(parse(values["netem"], request.place("netem")))
    return Plan(
        name=name, wire=wire.name, contenders=tuple(values["contenders"]),
        workload=replace(shape, body_size_bytes=size), connections=tuple(values["connections"]),
        client_cpus=() if clients else client, server_cpus=server,
        port=values.get("port", wire.port), server_max_connections=limit,
        by_contender=wire.rebinds, calibrate=values.get("calibrate", True),
        clients={machine: tuple(values.get("client_cpus", there))
                 for machine, there in clients.items()},
        attempts=values.get("attempts", MOST_ATTEMPTS),
        **{key: values[key] for key in _AS_GIVEN if key in values})


def _room(request: _Request, wire: Wire, shape: Workload, clients: int) -> int:
    """Return what a server makes room for. UsageError on more than its client can open."""
    points = request.values["connections"]
    most, place = max(points), request.place("connections")
    most_of_wrk = MOST_OF_WRK * max(1, clients)
    if not wire.has_loadgen and most > most_of_wrk:
        raise UsageError(f"{place}: wrk opens {most_of_wrk} connections at most, not {most}; more "
                         "need loadgen: wire shm-loadgen")
    if min(points) < clients:
        raise UsageError(f"{place}: {min(points)} cannot be shared among {clients} clients: each "
                         "needs one")
    one_set = wire.has_loadgen and not shape.connect
    room = most + SPARE_CONNECTIONS if one_set else _ROOM_FOR_CONNECTIONS * most
    limit: int = request.values.get("server_max_connections",
                                    min(MOST_CONNECTIONS, max(_LEAST_ROOM, room)))
    if most > limit:
        raise UsageError(f"{place}: {most} are more than server_max_connections ({limit})")
    return limit


def _cpus(request: _Request, cpus: tuple[int, ...], clients: Mapping[str, Sequence[int]],
          server_cores: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (client's, server's).

    The last `server_cores` CPUs serve and the others load them; a machine with one CPU shares it
    between both. With clients on other machines all of this one may serve,
    and CLIENT_CPUS are theirs.
    """
    values = request.values
    for machine, there in clients.items() if clients else [("this machine", cpus)]:
        _check_present(request, "client_cpus", machine, there)
    _check_present(request, "server_cpus", "this machine", cpus)
    loading = () if clients else tuple(values.get("client_cpus", ()))
    server = tuple(values.get("server_cpus", ()))
    if not server:
        server = tuple(cpu for cpu in cpus if cpu not in loading)[-server_cores:] or cpus[-1:]
    client = loading or tuple(cpu for cpu in cpus if cpu not in server)
    return client or cpus[:1], server


def _check_present(request: _Request, key: str, machine: str, cpus: Sequence[int]) -> None:
    absent = sorted(set(request.values.get(key, ())) - set(cpus))
    if absent:
        raise UsageError(f"{request.place(key)}: {machine} has no CPU {absent[0]}; "
                         f"there are: {', '.join(map(str, cpus))}")


def _sweeps(request: _Request) -> dict[str, list[float]]:
    """Return the values by the axis's word, of "cores=1,2,4 loss=0,0.1". UsageError."""
    sweeps: dict[str, list[float]] = {}
    for word in request.values.get("sweep", "").split():
        name, equals, text = word.partition("=")
        if not equals or name not in SWEPT:
            raise UsageError(f"SWEEP: '{word}': must be AXIS=N,N,…; axes: {', '.join(SWEPT)}")
        values = [SWEPT[name].parse(item.strip()) for item in text.split(",")]
        if name in sweeps or len(set(values)) != len(values):
            raise UsageError(f"SWEEP: '{word}': duplicate value or axis")
        sweeps[name] = values
    return sweeps


def _swept(plan: Plan, sweeps: Mapping[str, Sequence[float]]) -> Plan:
    """Return the plan with the values of a sweep. UsageError on more axes than it can have."""
    for name, values in sweeps.items():
        axis = SWEPT[name]
        if axis.key == "impairment":
            texts = (with_amount(text, axis.word, value) for value in values
                     for text in plan.impairments or (plan.netem,))
            plan = replace(plan, impairments=tuple(dict.fromkeys(texts)))
        elif axis.key == "server_cores":
            plan = replace(plan, server_cores=tuple(map(int, values)))
        elif axis.key == "body_size_bytes":
            plan = replace(plan, body_sizes=tuple(map(int, values)))
    if max(plan.server_cores, default=0) > len(plan.server_cpus):
        raise UsageError(f"SWEEP: {max(plan.server_cores)} cores, and the server has CPU "
                         f"{', '.join(map(str, plan.server_cpus))}: give SERVER_CPUS")
    if len(plan.sweep) > MOST_AXES:
        raise UsageError(f"SWEEP: {len(plan.sweep)} axes vary; a plan has {MOST_AXES} at most")
    return plan


def _limited(plan: Plan, wire: Wire, files: int | None) -> Plan:
    """Return the plan with the ends beyond which contenders are not measured."""
    chosen = {name: wire.contenders[name] for name in plan.contenders}
    most = {name: item.most_connections for name, item in chosen.items() if item.most_connections}
    if files is not None:
        room = max(1, files - SPARE_FILES - SPARE_CONNECTIONS)
        most = {name: min(count, room) if chosen[name].stack == "kernel" else count
                for name, count in most.items()}
    cores = {name: 1 for name, item in chosen.items() if item.cores == "one" and plan.server_cores}
    return replace(plan, most_connections=most, most_cores=cores)


def _limits_last(plan: Plan, wire: Wire, request: _Request) -> Plan:
    """Return the plan with its limits named, behind its contenders. UsageError without any of
    these."""
    limits = tuple(name for name in plan.contenders if wire.contenders[name].limit)
    compared = tuple(name for name in plan.contenders if name not in limits)
    if not compared:
        raise UsageError(f"{request.place('contenders')}: {limits[0]} is a limit and no contender: "
                         "name one that is measured beside it")
    return replace(plan, contenders=(*compared, *limits), limits=limits)


def _restarting(plan: Plan, request: _Request, wire: Wire) -> Plan:
    """Return the plan with how often contenders are started: as asked for, else once a round.

    UsageError where they are asked to serve on and cannot.
    """
    why = ("its load generator is one process with each server" if wire.has_loadgen else
           f"workload '{plan.workload.name}' leaves closed connections behind"
           if plan.workload.connect else
           "what netem delays may come in the next trial"
           if any(point.impairment for point in plan.load_points) else "")
    restart = request.values.get("restart", RESTART_TRIAL if why else RESTART_ROUND)
    if why and restart == RESTART_ROUND:
        raise UsageError(f"{request.place('restart')}: on wire '{wire.name}' each trial has a "
                         f"fresh contender: {why}")
    return replace(plan, restart=restart)


def _taking_turns(plan: Plan, request: _Request, wire: Wire) -> Plan:
    """Return the plan with the turns of its loads: as asked for, else TURN_MS where that can be.

    UsageError where they are asked for and cannot be.
    """
    own = with_devices(wire, plan.contenders)
    contenders = [own.contenders[name] for name in plan.contenders]
    alone = next((f"'{one.name}' and '{other.name}' share a device" for one, other in
                  combinations(contenders, 2) if one.excludes(other)), "")
    why = ("contenders are started for each trial" if plan.restart != RESTART_ROUND else
           "there is one contender alone" if len(contenders) < 2 else
           "the clients are on another machine" if plan.clients else
           "the rates are given" if plan.offered else
           f"load tool {plan.load_tool} cannot be paused" if plan.load_tool not in ("", PAUSABLE)
           else "answers are so long that a turn's do not arrive in it"
           if max(point.connections * point.body_size_bytes for point in plan.load_points)
           > _MOST_UNDER_WAY
           else f"workload '{plan.workload.name}' has a load tool that cannot be paused"
           if plan.workload.name not in _OF_PAUSABLE else
           "a program on the library cannot tell a pause from its own work"
           if any(item.stack == PRELOAD for item in contenders) else alone)
    turn = request.values.get("turn_ms", 0 if why else TURN_MS)
    if why and turn:
        raise UsageError(f"{request.place('turn_ms')}: no turns on wire '{wire.name}': {why}")
    return replace(plan, turn_ms=turn)


def _why_not(contender: Contender, plan: Plan) -> Reason | None:
    """Return why this plan cannot measure a contender fairly."""
    points = plan.load_points
    cores = {point.server_cores for point in points}
    if contender.cores == "one" and min(cores) > 1:
        return Reason("does-not-use-all-cores", {"cores": min(cores)})
    if contender.same_on_one_core and cores == {1}:
        return Reason("same-as-on-one-core", {"as": contender.same_on_one_core})
    if contender.only_workload and plan.workload.name != contender.only_workload:
        return Reason("other-workload", {"workload": contender.only_workload})
    size = contender.only_body_size
    if size is not None and any(point.body_size_bytes != size for point in points):
        return Reason("other-body-size", {"body_size_bytes": size})
    most = contender.most_body_size
    if most and any(point.body_size_bytes > most for point in points):
        return Reason("larger-body", {"body_size_bytes": most})
    return None
