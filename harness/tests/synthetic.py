# SPDX-License-Identifier: BSD-3-Clause
"""Made-up runs, the same for the same seed. `python3 -m harness.tests.synthetic` writes the golden run anew.

The figures have the shape of a TAP wire; they were measured nowhere and stand in no report but the tests'.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Collection, Mapping

from harness.twins import original

GOLDEN = Path(__file__).resolve().parent / "data" / "run-golden"
CAVEAT = "The kernel still handles every packet of a TAP: this wire proves function, not the gain."
# requests/s alone at 1 connection, and at saturation
_SHAPE = {"epoll": (12_700, 161_000), "lwip": (18_700, 50_000), "uring": (13_500, 140_000),
          "nginx": (10_100, 121_000), "epoll-busypoll": (15_900, 130_000), "minimal": (12_900, 170_000),
          "epoll-mt": (12_200, 190_000), "nginx-mt": (9_800, 185_000)}
_LABEL = {"epoll": "kernel TCP (epoll)", "lwip": "lwIP on DPDK (net_tap)", "uring": "kernel TCP (io_uring)",
          "nginx": "kernel TCP (nginx)", "epoll-busypoll": "kernel TCP (epoll, busy polling)",
          "minimal": "kernel TCP (a minimal loop)", "epoll-mt": "kernel TCP (epoll, a thread a core)",
          "nginx-mt": "kernel TCP (nginx, a worker a core)"}
# a run with the whole kernel ladder
LADDER = ("epoll", "epoll-busypoll", "uring", "nginx", "epoll-mt", "nginx-mt", "lwip")
ERRORS = {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}


def plan(connections: Collection[int], rounds: int, contenders: Collection[str]) -> dict[str, Any]:
    return {"schema": 1, "name": "quick", "wire": "tap", "contenders": list(contenders),
            "workload": {"name": "rps", "path": "/", "body_size_bytes": 1}, "connections": list(connections),
            "rounds": rounds, "duration_seconds": 2, "warmup_seconds": 1, "client_cpus": [0],
            "server_cpus": [1], "port": 80, "max_connections": 1024}


def facts(run: str, contenders: Collection[str], hugepages: bool = True,
          own_clients: Collection[str] = ()) -> dict[str, Any]:
    """`own_clients`: contenders whose client is on lwIP too; without any, facts as runs of before had them."""
    described: dict[str, dict[str, Any]] = {
        name: {"label": _LABEL[original(name) or name], "stack": "lwip" if name == "lwip" else "kernel",
               "link": "tap" if name == "lwip" else "veth", "program": f"build/{name}_server",
               "arguments": ["--address", "{address}"], "address": f"198.18.0.{number}/24",
               "namespace": "stackduel-bridge" if name == "lwip" else "stackduel-server"}
        for number, name in enumerate(contenders, 2)}
    for name in described if own_clients else ():
        own = name in own_clients
        described[name]["client"] = {
            "stack": "lwip" if own else "kernel", "launcher": "build/on-lwip" if own else None, "arguments": [],
            "address": "198.18.0.9/24" if own else "198.18.0.1/24",
            "namespace": "stackduel-own" if own else "stackduel-client"}
    return {
        "schema": 1, "run": run, "started_at": "2026-01-02T03:04:05Z",
        "machine": {"cpu_model": "A made-up CPU", "cpu_flags": ["fpu", "sse2"], "virtual": True,
                    "cpus": [0, 1], "memory_kib": 16777216, "architecture": "x86_64"},
        "kernel": {"release": "6.1.0", "distribution": "Debian GNU/Linux 12 (bookworm)",
                   "boot_options": "mitigations=off", "clocksource": "tsc",
                   "mitigations": {"meltdown": "Not affected", "spectre_v2": None}},
        "hugepages": {"used": hugepages, "why": "" if hugepages else "the kernel gave 3 of 96 pages",
                      "size_kib": 2048, "count": 96},
        "wire": {"name": "tap", "title": "Linux bridge, DPDK net_tap", "caveat": CAVEAT, "mtu": 1500,
                 "contenders": described},
        "cpus": {"client": [0], "server": [1], "shared": [], "governor": {"0": None, "1": None}},
        "versions": {"wrk": "4.1.0", "dpdk": "22.11.0", "lwip": "2.1.3",
                     "lwip_patches": ["0001-made-up.patch"], "cc": "gcc 12.2.0",
                     "cflags": "-O2", "python": "3.11.2"},
        "git": {"revision": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "offloads": {"stackduel-client/client0": ["rx-checksumming", "generic-receive-offload"],
                     "stackduel-server/server0": ["rx-checksumming", "tcp-segmentation-offload"]},
        "ports": {"lwip": {"driver": "net_tap", "mac": "02:00:00:00:00:03", "offloads_asked": ["ipv4_cksum"],
                           "offloads_granted": ["ipv4_cksum"], "rx_descriptors": 1024, "tx_descriptors": 1024,
                           "mtu": 1500, "hugepages": hugepages}} if "lwip" in contenders else {},
        "load_tool": {"name": "wrk", "latency": "corrected for coordinated omission"},
    }


def trial(dice: random.Random, contender: str, connections: int, round_: int, sequence: int,
          problem: str = "") -> dict[str, Any]:
    alone, most = _SHAPE[original(contender) or contender]
    rate = 1 / (1 / (alone * connections) + 1 / most) * dice.lognormvariate(0, 0.04)
    requests = int(2 * rate)
    latency = 1e6 * connections / rate
    histogram: dict[int, int] = {}
    for _ in range(60):
        value = max(1, int(float(f"{latency * dice.lognormvariate(0, 0.45):.3g}")))
        histogram[value] = histogram.get(value, 0) + requests // 60
    slowest = int(latency * 12)
    histogram[slowest] = histogram.get(slowest, 0) + max(1, requests // 1500)
    client, server = min(0.99, 0.3 + rate / 165_000), min(0.98, 0.4 + rate / 140_000)
    polls = contender.startswith("lwip")

    def core(role: str, share: float, softirq: float) -> dict[str, Any]:
        burned = 2 * share
        return {"role": role, "user": round(0.3 * burned, 2), "nice": 0.0,
                "system": round((0.7 - softirq) * burned, 2), "idle": round(2 - burned, 2), "iowait": 0.0,
                "irq": 0.0, "softirq": round(softirq * burned, 2), "steal": 0.0}

    cpus = {"0": core("client", client, 0.3),
            "1": core("server", 1.0, 0.0) if polls else core("server", server, 0.35)}
    burned = sum(cpu[state] for cpu in cpus.values() for state in ("user", "system", "softirq"))
    busy = min(1.0, 0.25 + rate / 60_000)
    return {
        "schema": 1, "contender": contender, "connections": connections, "round": round_,
        "sequence": sequence, "threads": 1, "valid": not problem, "problems": [problem] if problem else [],
        "started_at": "2026-01-02T03:04:05Z", "duration_seconds": 2.0, "requests": requests,
        "requests_per_sec": requests / 2, "bytes": requests * 64,
        "latency_us": {"p50": int(latency), "p90": int(latency), "p99": int(latency), "p999": int(latency),
                       "max": slowest},
        "latency_histogram_us": [[value, histogram[value]] for value in sorted(histogram)],
        "errors": {**ERRORS, "read": 3 if problem else 0},
        "reconcile": {"sent": requests, "parsed": requests, "answered": requests,
                      "in_flight_limit": connections},
        "cpu_seconds": cpus, "cpu_us_per_request": round(1e6 * burned / requests, 3),
        "cycles_per_request": round(2.5e9 * busy / rate, 1) if polls else None,
        "busy_share": round(busy, 4) if polls else None, "server": None, "dropped": {},
    }


def write(directory: Path, *, run: str = "20260102-030405-tap",
          connections: Collection[int] = (1, 8, 64, 128), rounds: int = 3,
          contenders: Collection[str] = ("epoll", "lwip"), seed: int = 1, hugepages: bool = True,
          problems: Mapping[tuple[str, int, int], str] = {},
          own_clients: Collection[str] = ()) -> Path:
    """A whole run in `directory`. `problems`: what is wrong with trial (contender, connections, round)."""
    dice = random.Random(seed)
    order = [(contender, count, round_) for round_ in range(rounds) for count in connections
             for contender in (tuple(contenders) if round_ % 2 == 0 else tuple(contenders)[::-1])]
    records = [trial(dice, *key, sequence, problems.get(key, "")) for sequence, key in enumerate(order)]
    for record in (record for record in records if record["contender"] in own_clients):
        # such a client spins on its core, whatever it has to do
        record["client_busy_share"] = 0.97 if record["connections"] > 1 else 0.6
        core = record["cpu_seconds"]["0"]
        core["user"], core["idle"] = core["user"] + core["idle"], 0.0
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(json.dumps(plan(connections, rounds, contenders), indent=1) + "\n")
    (directory / "facts.json").write_text(json.dumps(facts(run, contenders, hugepages, own_clients), indent=1) + "\n")
    (directory / "trials.jsonl").write_text(
        "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records))
    return directory


def write_golden(directory: Path) -> Path:
    return write(directory, run="golden", problems={("epoll", 64, 1): "3 reads failed"})


if __name__ == "__main__":
    write_golden(GOLDEN)
