# SPDX-License-Identifier: BSD-3-Clause
"""What the analysis reads of a run: its contenders among the facts, and each line of trials.jsonl as a Trial.

Knows the schemas of facts.json and trials.jsonl (results/README.md), and no figure that is made of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from harness.analyse import bottleneck as verdict
from harness.analyse.cost import Cost
from harness.errors import UsageError
from harness.analyse.link_stats import Moved
from harness.plan import Plan
from harness.analyse.stats import quantile

# of trials.jsonl
SCHEMA = 1
INTERRUPTS, OTHER = ("irq", "softirq"), "other"
ROLES = ("client", "server")
# CPU time is either waiting, taken away by the hypervisor, or burned.
_IDLE = ("idle", "iowait")
_STOLEN = "steal"


@dataclass(frozen=True)
class Contender:
    """What the summary says of a contender beside its figures; `client`: the stack at its client's end.

    `because`: why it is not measured beyond a number of connections, "" if it is. `link`: as wire.LINKS, "" if unknown.
    """

    name: str
    label: str
    stack: str
    client: str
    because: str
    link: str = ""

    @property
    def polls(self) -> bool:
        return self.stack != "kernel"

    @property
    def client_polls(self) -> bool:
        return self.client != "kernel"

    @property
    def client_is_compared(self) -> bool:
        """Is the client part of what is compared? Our load generator is the same for all, as the kernel's wrk is."""
        return self.client in ("lwip", "preload")


@dataclass(frozen=True)
class Trial:
    """The part of a record that the analysis stands on; units as the names say.

    `burned_seconds`: by role; of CPUs without a part ("other") interrupts alone, as counted().
    `elsewhere_share`: what those burned beside them, as a share of all that counts.
    """

    contender: str
    connections: int
    round: int
    attempt: int
    valid: bool
    requests_per_sec: float
    latency_us: tuple[tuple[float, int], ...]
    errors: int
    cpu_us_per_request: float | None
    burned_seconds: Mapping[str, float]
    steal_share: float
    cycles_per_request: float | None
    connections_per_sec: float | None
    memory_bytes: float | None
    bytes_per_connection: Mapping[str, int]
    use: verdict.TrialUse
    unsettled: str
    cost: Cost
    elsewhere_share: float
    offered: int = 0


def contender(name: str, facts: Mapping[str, Any]) -> Contender:
    """A contender of the run as its facts have it. UsageError where they do not."""
    entry = table(table(table(facts, "wire"), "contenders"), name)
    client = entry.get("client")
    return Contender(name, text(entry, "label"), text(entry, "stack"),
                     # runs of before there were others have one client for all
                     "kernel" if client is None else text(table(entry, "client"), "stack"),
                     text(entry, "most_because") if "most_because" in entry else "",
                     text(entry, "link") if "link" in entry else "")


def table(facts: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table `key` of the facts. UsageError where there is none."""
    value = facts.get(key)
    if not isinstance(value, Mapping):
        raise UsageError(f"facts.json: '{key}' is missing or not a table: not the facts of such a run")
    return value


def text(facts: Mapping[str, Any], key: str) -> str:
    """The text `key` of the facts. UsageError where there is none."""
    value = facts.get(key)
    if not isinstance(value, str):
        raise UsageError(f"facts.json: '{key}' is missing or not text: not the facts of such a run")
    return value


def read(record: Mapping[str, Any], number: int, plan: Plan, file: str = "trials.jsonl",
         contenders: Sequence[str] = ()) -> Trial:
    """One line of `file`. Raises UsageError naming the line if it is foreign or not of this plan.

    `contenders`: whose it may be, of a file that has others than the plan.
    """
    try:
        trial = _parse(record, plan)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{file}:{number}: not a trial of schema {SCHEMA} ({error!r})") from None
    if (trial.contender not in (contenders or plan.contenders)
            or (trial.connections, trial.offered) not in
            {(point.connections, point.offered_per_sec) for point in plan.load_points}):
        raise UsageError(f"{file}:{number}: {trial.contender} at {trial.connections} connections "
                         f"{f'and {trial.offered} requests/s ' if trial.offered else ''}is not in this run's plan")
    return trial


def _parse(record: Mapping[str, Any], plan: Plan) -> Trial:
    rate = finite(record["requests_per_sec"])
    cores = {str(cpu): states for cpu, states in record["cpu_seconds"].items()}
    burned = {cpu: _burned(states) for cpu, states in cores.items()}
    ours = [states for cpu, states in cores.items() if _role(cpu, plan)]
    clock = math.fsum(finite(value) for states in ours for key, value in states.items() if key != "role")
    stolen = math.fsum(finite(states.get(_STOLEN, 0)) for states in ours)
    by_role = _by_role(cores, burned, plan)
    memory = record.get("memory")
    return Trial(
        contender=record["contender"], connections=int(record["connections"]), round=int(record["round"]),
        attempt=int(record.get("attempt", 0)),
        # Nothing answered is nothing measured: a rate of 0 has no logarithm.
        valid=record["valid"] is True and rate > 0,
        requests_per_sec=rate,
        # whole microseconds stay whole: the summary shows them as they came
        latency_us=tuple((value if isinstance(value, int) else finite(value), int(count))
                         for value, count in record["latency_histogram_us"]),
        errors=sum(int(count) for count in record["errors"].values()),
        cpu_us_per_request=_optional(record["cpu_us_per_request"]),
        burned_seconds=by_role,
        steal_share=stolen / clock if clock > 0 else 0.0,
        cycles_per_request=_optional(record.get("cycles_per_request")),
        use=verdict.TrialUse(
            cores=tuple(verdict.CoreUse(cpu, _role(cpu, plan), _share(states, burned[cpu]), _split(states, burned[cpu]))
                        for cpu, states in sorted(cores.items()) if _role(cpu, plan)),
            own_share=_optional(record.get("busy_share")),
            client_share=_optional(record.get("client_busy_share")),
            client_bound=record.get("client_bound") is True,
            nics={str(end): {str(name): int(count) for name, count in counts.items()}
                  for end, counts in record.get("xstats", {}).items()},
            requests=int(record["requests"]), moved=_moved(record)),
        cost=Cost(int(record["requests"]), math.fsum(by_role.values()),
                  None if any("+" in role for role in by_role)
                  else math.fsum(by_role.get(role, 0.0) for role in ("server", OTHER)),
                  _optional(record.get("cycles_per_request"))),
        elsewhere_share=_elsewhere(cores, burned, by_role, plan),
        connections_per_sec=_optional(record.get("connections_per_sec")),
        memory_bytes=math.fsum(map(finite, memory.values())) if memory else None,
        offered=int(record.get("offered", 0)),
        bytes_per_connection={str(part): int(count)
                              for part, count in (record.get("bytes_per_connection") or {}).items()},
        unsettled=str(record.get("unsettled", "")),
    )


def _role(cpu: str, plan: Plan) -> str:
    """A CPU of another machine has that machine before its number: only clients are elsewhere."""
    machine, _, number = cpu.rpartition("/")
    client, server = (plan.clients.get(machine, ()), ()) if machine else (plan.client_cpus, plan.server_cpus)
    return "+".join(role for role, cpus in zip(ROLES, (client, server)) if int(number) in cpus)


def counted(role: str) -> tuple[str, ...]:
    return INTERRUPTS if role == OTHER else ("user", "nice", "system", "irq", "softirq")


def _burned(states: Mapping[str, Any]) -> float:
    return math.fsum(finite(value) for key, value in states.items() if key not in ("role", _STOLEN, *_IDLE))


def _by_role(cores: Mapping[str, Mapping[str, Any]], burned: Mapping[str, float], plan: Plan) -> dict[str, float]:
    """Seconds that count. Records of before there were others have no CPU without a part."""
    found: dict[str, float] = {}
    for cpu, states in cores.items():
        role = _role(cpu, plan) or OTHER
        seconds = burned[cpu] if role != OTHER else math.fsum(
            finite(states.get(state, 0)) for state in counted(role))
        found[role] = found.get(role, 0.0) + seconds
    return found


def _elsewhere(cores: Mapping[str, Mapping[str, Any]], burned: Mapping[str, float], by_role: Mapping[str, float],
               plan: Plan) -> float:
    everywhere = math.fsum(burned[cpu] for cpu in cores if not _role(cpu, plan))
    counted = math.fsum(by_role.values())
    return max(0.0, everywhere - by_role.get(OTHER, 0.0)) / counted if counted > 0 else 0.0


def _moved(record: Mapping[str, Any]) -> Moved:
    """What a record tells of its wire; a port's own losses stand beside those of the kernel's interfaces."""
    server = record.get("server") or {}
    histogram = [(finite(value), int(count)) for value, count in record["latency_histogram_us"]]
    samples = sum(count for _, count in histogram)
    corrected = samples > int(record["requests"])
    lost = {str(place): sum(int(count) for count in ways.values()) for place, ways in record["dropped"].items()}
    if "rx_packets" in server:
        lost["the server's port"] = sum(int(server.get(key, 0)) for key in ("rx_dropped", "tx_dropped", "no_mbuf"))
    return Moved(
        seconds=finite(record["duration_seconds"]), requests=int(record["requests"]), bytes=int(record["bytes"]),
        latency_us=None if not samples else quantile(histogram, 500) if corrected
        else math.fsum(value * count for value, count in histogram) / samples,
        packets=int(server["rx_packets"]) + int(server["tx_packets"]) if "rx_packets" in server else None,
        lost=lost, by_median=corrected)


def _split(states: Mapping[str, Any], burned: float) -> dict[str, float]:
    """Shares of the time that a CPU had, as _share(), by what it was burned for."""
    had = burned + math.fsum(finite(states.get(key, 0)) for key in _IDLE)
    parts = {"user": ("user", "nice"), "system": ("system",), "interrupts": INTERRUPTS}
    return {name: math.fsum(finite(states.get(key, 0)) for key in keys) / had if had > 0 else 0.0
            for name, keys in parts.items()}


def _share(states: Mapping[str, Any], burned: float) -> float:
    had = burned + math.fsum(finite(states.get(key, 0)) for key in _IDLE)
    return burned / had if had > 0 else 0.0


def finite(value: Any) -> float:
    """A number of a record. ValueError where it is none, or not finite."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _optional(value: Any) -> float | None:
    return None if value is None else finite(value)
