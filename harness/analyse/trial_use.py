# SPDX-License-Identifier: BSD-3-Clause
"""Derive from one trial's record who was busy, what it cost and what it moved. Pure arithmetic.

Knows no verdict and no other trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Mapping

from harness.store import OTHER, CpuTime, TrialRecord, quantile

ROLES = ("client", "server", OTHER)
_PORT_LOSSES = ("rx_dropped", "tx_dropped", "no_mbuf")


@dataclass(frozen=True)
class CoreUse:
    """One CPU of the plan in one trial; shares, 0 to 1, are of the time it had, steal left out.

    cpu: its number, behind "<machine>/" on another machine
    role: "client", "server", or "client+server" where both share it
    """

    cpu: str
    role: str
    share: float
    user: float = 0.0
    system: float = 0.0
    interrupts: float = 0.0


@dataclass(frozen=True)
class Moved:
    """What a trial moved over its wire.

    bytes: of answers, as the client's program had them
    latency_us: mean of the load tool's histogram; its median (`by_median`) where the tool has added
        samples to correct for coordinated omission, which the mean would take for requests
    packets: through the port of a server that has its own, both ways together
    lost: packets dropped or with errors, by place
    """

    seconds: float
    requests: int
    bytes: int
    latency_us: float | None = None
    packets: int | None = None
    lost: Mapping[str, int] = field(default_factory=dict)
    by_median: bool = False

    @property
    def rate(self) -> float:
        """Return requests a second."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    @property
    def in_flight(self) -> float | None:
        """Return the mean number of requests under way (Little 1961: rate times mean latency)."""
        return None if self.latency_us is None else self.rate * self.latency_us / 1e6

    @property
    def lost_share(self) -> float:
        """Return the least share lost where most was: an answer is a packet at least."""
        lost = max(self.lost.values(), default=0)
        return lost / (lost + max(self.requests, self.packets or 0)) if lost else 0.0


def cores_of(record: TrialRecord) -> list[CoreUse]:
    """Return how busy each CPU of the plan was."""
    return [_core(cpu, spent) for cpu, spent in sorted(record.cpu_seconds.items())
            if spent.role != OTHER]


def moved(record: TrialRecord) -> Moved:
    """Return what a trial moved; a port's own losses stand beside those of the interfaces."""
    server = record.server or {}
    samples = sum(count for _, count in record.latency_histogram_us)
    corrected = samples > record.requests
    lost = {place: sum(ways.values()) for place, ways in record.dropped.items()}
    if "rx_packets" in server:
        lost["server-port"] = sum(server.get(key, 0) for key in _PORT_LOSSES)
    latency = None
    if samples:
        latency = quantile(record.latency_histogram_us, 500) if corrected else math.fsum(
            value * count for value, count in record.latency_histogram_us) / samples
    return Moved(
        seconds=record.duration_seconds, requests=record.requests, bytes=record.bytes,
        latency_us=latency, lost=lost, by_median=corrected,
        packets=server["rx_packets"] + server["tx_packets"] if "rx_packets" in server else None)


def _core(cpu: str, spent: CpuTime) -> CoreUse:
    had = spent.burned + spent.idle + spent.iowait
    parts = (spent.burned, spent.user + spent.nice, spent.system, spent.interrupts)
    return CoreUse(cpu, spent.role, *(part / had if had > 0 else 0.0 for part in parts))


def burned_seconds(record: TrialRecord) -> dict[str, float]:
    """Return by role the CPU seconds that count."""
    found: dict[str, float] = {}
    for spent in record.cpu_seconds.values():
        found[spent.role] = found.get(spent.role, 0.0) + spent.counted
    return found


def core_seconds(record: TrialRecord) -> float:
    """Return the CPU time burned on all cores."""
    return math.fsum(spent.counted for spent in record.cpu_seconds.values())


def server_seconds(record: TrialRecord) -> float | None:
    """Return the CPU time of the server's cores; None where they are the client's too."""
    burned = burned_seconds(record)
    if any("+" in role for role in burned):
        return None
    return math.fsum(burned.get(role, 0.0) for role in ("server", OTHER))


def steal_share(record: TrialRecord) -> float:
    """Return which part of the time of the plan's CPUs the hypervisor took."""
    ours = [spent for spent in record.cpu_seconds.values() if spent.role != OTHER]
    stolen = math.fsum(spent.steal for spent in ours)
    clock = stolen + math.fsum(spent.burned + spent.idle + spent.iowait for spent in ours)
    return stolen / clock if clock > 0 else 0.0


def elsewhere_share(record: TrialRecord) -> float:
    """Return what CPUs without a part burned beside interrupts, by all that counts."""
    beside = math.fsum(spent.burned - spent.counted for spent in record.cpu_seconds.values())
    counted = core_seconds(record)
    return max(0.0, beside) / counted if counted > 0 else 0.0


def cost(record: TrialRecord, polls: bool) -> float | None:
    """Return what the server's cores spend on a request.

    Cycles with work of one that polls, as its core is always busy; CPU seconds of another.
    """
    if polls:
        return record.cycles_per_request
    burned = burned_seconds(record).get("server", 0.0)
    return burned / record.requests if record.requests else None
