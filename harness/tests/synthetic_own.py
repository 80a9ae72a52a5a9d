# SPDX-License-Identifier: BSD-3-Clause
"""Made-up runs with our own load generator, the same for the same seed: a sweep to a million connections, a ladder.

The figures were measured nowhere and stand in no report but the tests'.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Collection, Mapping

from harness import ladder
from harness.tests import synthetic

TABLE = (ladder.Measure("lookup", "connections found in a table"), ladder.Measure("pools", "memory from pools"),
         ladder.Measure("batch", "packets sent in bursts"))
BECAUSE = "it would never end"
# cycles a request of a server with all measures, and what each of them saves
CYCLES, SAVES = 1000, {"lookup": 700, "pools": 300, "batch": -50}
CONNECTIONS = (1, 1000, 1_000_000)
ORDINARY = {"epoll": ("kernel TCP", "kernel"), "lwip": ("lwIP", "lwip"), "plain": ("lwIP, plain", "lwip")}


def _described(name: str, label: str, stack: str, without: Collection[str] = (), most: int = 0) -> dict[str, Any]:
    return {"label": label, "stack": stack, "link": "shm" if stack == "lwip" else "veth-to-port",
            **({"without": list(without)} if without else {}),
            **({"most_connections": most, "most_because": BECAUSE} if most else {}),
            "program": f"build/{name}_server", "arguments": ["--address", "{address}"], "address": "198.18.0.3/15",
            "namespace": "stackduel-lwip-server",
            "client": {"stack": "loadgen", "launcher": "build/loadgen", "arguments": [], "address": "198.19.0.1/15",
                       "namespace": "stackduel-lwip-client"}}


def _facts(run: str, wire: str, contenders: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    facts = synthetic.facts(run, ())
    return {**facts, "wire": {"name": wire, "title": f"a made-up {wire}", "caveat": synthetic.CAVEAT, "mtu": 1500,
                              "contenders": contenders, **more}, "ports": {},
            "load_tool": {"name": "loadgen", "latency": "counted from when each request was sent"}}


def _plan(wire: str, contenders: Collection[str], connections: Collection[int], workload: Mapping[str, Any],
          most: Mapping[str, int] = {}) -> dict[str, Any]:
    return {**synthetic.plan(connections, 3, contenders), "wire": wire, "workload": workload,
            "max_connections": max(connections) + 1024, "most_connections": most}


def trial(dice: random.Random, contender: str, connections: int, round_: int, sequence: int, cycles: float | None,
          busy: float = 0.97, client: float = 0.25) -> dict[str, Any]:
    """`cycles` None: the kernel's, which counts none; it and the memory of its sockets are slower and larger."""
    rate = 120_000 if cycles is None else 2.3e9 * busy / cycles
    requests = int(2 * rate * dice.lognormvariate(0, 0.02))
    idle = {state: 0.0 for state in ("nice", "system", "idle", "iowait", "irq", "softirq", "steal")}
    kernel = cycles is None
    memory = {"resident_bytes": 2_000_000 + connections * 24, "hugepage_bytes": 0,
              "kernel_bytes": 200_000_000 + connections * 4000} if kernel else {
        "resident_bytes": 70_000_000 + connections * 150, "hugepage_bytes": 52_428_800 + connections * 400}
    return {
        "schema": 1, "contender": contender, "connections": connections, "round": round_, "sequence": sequence,
        "threads": 1, "valid": True, "problems": [], "started_at": "2026-01-02T03:04:05Z", "duration_seconds": 2.0,
        "requests": requests, "requests_per_sec": requests / 2, "bytes": requests * 39,
        "latency_us": {"p50": 1.5, "p90": 1.5, "p99": 1.5, "p999": 40, "max": 40},
        "latency_histogram_us": [[1.5, requests - 10], [40, 10]],
        "errors": {"connect": 0, "reset": 0, "timeout": 0, "content": 0, "status": 0},
        "reconcile": {"sent": requests, "parsed": requests, "answered": requests, "in_flight_limit": 64}, "ends": None,
        "cpu_seconds": {"0": {"role": "client", "user": 2.0, **idle}, "1": {"role": "server", "user": 2.0, **idle}},
        "cpu_us_per_request": round(4e6 / requests, 3),
        "cycles_per_request": None if cycles is None else round(cycles * dice.lognormvariate(0, 0.01), 1),
        "busy_share": None if kernel else busy, "client_busy_share": client, "server": None, "client": None,
        "dropped": {}, "client_bound": client > 1 / 3, "memory": memory,
        "connections_per_sec": (100_000 if kernel else 900_000) * dice.lognormvariate(0, 0.02),
        "bytes_per_connection": None if kernel else {"pcb": 400, "session": 120, "total": 520}}


def scale(directory: Path, client: float = 0.25, busy: float = 0.97) -> Path:
    """The kernel, lwIP, and lwIP as it collapses, up to where it is not measured any more."""
    dice = random.Random(7)
    most = {"plain": 1000}
    records = [trial(dice, name, count, round_, 0, {"epoll": None, "lwip": 1400, "plain": 1500 + 20 * count}[name],
                     busy, client)
               for round_ in range(3) for count in CONNECTIONS for name in ORDINARY if count <= most.get(name, count)]
    contenders = {name: _described(name, *ORDINARY[name], most=most.get(name, 0)) for name in ORDINARY}
    workload = {"name": "turns", "path": "/", "body_size_bytes": 1, "connect": False, "active": 64, "rotate": True}
    return _write(directory, _plan("scale", ORDINARY, CONNECTIONS, workload, most),
                  _facts("scale-golden", "scale", contenders), records)


def climb(directory: Path, leave_out: Collection[tuple[str, int]] = (), rounds: int = 3) -> Path:
    """A ladder of three measures; without the trials (contender, round) of `leave_out`."""
    dice = random.Random(11)
    steps = ladder.steps(TABLE)
    records = [trial(dice, step.name, 64, round_, 0, CYCLES + sum(SAVES[name] for name in step.without))
               for round_ in range(rounds) for step in steps if (step.name, round_) not in leave_out]
    contenders = {step.name: _described("lwip", step.label, "lwip", step.without) for step in steps}
    workload = {"name": "rps", "path": "/", "body_size_bytes": 1}
    return _write(directory, {**_plan("ablate", [step.name for step in steps], (64,), workload), "rounds": rounds},
                  _facts("ablate-golden", "ablate", contenders, measures=[[each.name, each.what] for each in TABLE]),
                  records)


def _write(directory: Path, plan: Mapping[str, Any], facts: Mapping[str, Any],
           records: Collection[dict[str, Any]]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
    (directory / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    (directory / "trials.jsonl").write_text("".join(
        json.dumps({**record, "sequence": place}, separators=(",", ":")) + "\n" for place, record in enumerate(records)))
    return directory
