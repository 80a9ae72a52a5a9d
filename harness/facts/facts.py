# SPDX-License-Identifier: BSD-3-Clause
"""What a reader must know about machine and programs to judge a run. Knows no trials and no files of a run.

Whatever a machine does not tell is null: a fact is never guessed.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any, Iterable, Mapping, Protocol

from harness.plan import ablation as ladder, GENERAL, Plan
from harness.facts.binaries import binaries
from harness.errors import MachineError
from harness.facts.hardware import chosen, fields, hardware, interface_facts, nic_facts, output
from harness.host import Host, SshHost, now
from harness.plan.nic_request import to_settings
from harness.provision import built, Provisioned, ResolvedWire
from harness.plan import Contender

ROOT = Path(__file__).resolve().parents[2]
# of the kernel's command line, what changes figures; the rest is the machine's own business
_BOOT_OPTIONS = ("clocksource", "default_hugepagesz", "hugepages", "hugepagesz", "idle",
                 "intel_idle.max_cstate", "intel_iommu", "intel_pstate", "iommu", "irqaffinity", "isolcpus",
                 "mitigations", "nohz", "nohz_full", "nosmt", "preempt", "processor.max_cstate", "rcu_nocbs",
                 "threadirqs", "transparent_hugepage", "tsc")
_PATCHES = ROOT / "servers" / "stack" / "patches"
TSC_PROGRAM = str(ROOT / "build" / "tsc_hz")
_CPU = "/sys/devices/system/cpu"
_NET = "/sys/class/net"
# of the kernel's TCP at both ends, as a new namespace takes it over
_TCP = ("congestion_control", "timestamps", "sack", "rmem", "wmem")
# of servers and load tools that are not of this project, how each is asked
_SAYS_VERSION = {"redis-server": "--version", "redis-benchmark": "--version", "nginx": "-v"}
_CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


class LoadTool(Protocol):
    """What facts say of a load tool: its name, how its latencies are to be read, and the programs that it needs."""

    name: str
    latency: str
    programs: Mapping[str, str]


def gather(host: Host, wire: ResolvedWire, plan: Plan, provisioned: Provisioned, tool: LoadTool) -> dict[str, Any]:
    """Everything but "schema", "run" and "ports" of facts.json. Read with the wire up, for its offloads."""
    contenders = [wire.contenders[name] for name in plan.contenders]
    programs = [*(name for each in contenders for name in each.packages), *tool.programs]
    return {
        "started_at": now(),
        "machine": {**_machine(host), "tsc_hz": _tsc_hz(host)},
        "hardware": hardware(host),
        "kernel": _kernel(host),
        "hugepages": {"used": provisioned.hugepages, "why": provisioned.why,
                      "size_kib": wire.hugepage_kib, "count": wire.hugepage_count},
        "wire": {"name": wire.name, "title": wire.title, "caveat": wire.caveat, "mtu": wire.mtu,
                 **{key: text for key, text in (("tap", plan.tap), ("netem", plan.netem),
                                                ("softirq", plan.softirq)) if text},
                 "contenders": {name: {**_contender(wire.contenders[name]), **_counts(wire.contenders[name], plan)}
                                for name in plan.contenders},
                 **({"emulated": wire.emulated} if wire.emulated else {}),
                 **({"measures": [[each.name, each.what] for each in ladder.MEASURES]} if wire.ablation else {})},
        "cpus": _cpus(host, plan),
        "versions": _versions(host, programs),
        "binaries": {**binaries(host, [*built(contenders), *programs]),
                     "lwip_patches": {name: host.sha256(_PATCHES / name) for name in _patches(host)}},
        "git": _git(host),
        "offloads": {f"{namespace}/{interface}": _offloads(host, namespace, interface)
                     for namespace in provisioned.namespaces(contenders)
                     for interface in sorted(host.link_counters(namespace)) if interface != "lo"},
        **({"softirq": {place: result.to_json() for place, result in provisioned.softirq().items()}} if plan.softirq else {}),
        "load_tool": {"name": tool.name, "latency": tool.latency},
        **({"clients": {site.destination: _client(site, plan) for site in provisioned.sites}}
           if provisioned.sites else {}),
        **_cable(host, wire, provisioned),
    }


def of_machine(host: Host) -> dict[str, Any]:
    """The facts that need no run: for what would be measured."""
    return {"machine": _machine(host), "hardware": hardware(host), "kernel": _kernel(host)}


def _cable(host: Host, wire: ResolvedWire, provisioned: Provisioned) -> dict[str, Any]:
    """Of a wire with a NIC: both ends of its cable, the machine as its owner can set it up, and what the run has set."""
    cable = wire.nic
    if cable is None:
        return {}
    kernel = next(each.endpoint for each in wire.contenders.values() if each.stack == "kernel")
    return {
        "nic": {"server": nic_facts(host, cable.server, kernel.namespace, kernel.interface),
                "client": nic_facts(host, cable.client, wire.client.namespace, wire.client.interface)
                if cable.client else [{"machine": site.destination, **interface_facts(site, None, site.interface)}
                                      for site in provisioned.sites],
                "binding": {"dpdk": cable.binding.driver or cable.server.driver, "mode": cable.binding.mode,
                            "kernel": cable.server.driver},
                "emulated": wire.emulated, "notes": provisioned.noted(), "order": to_settings(cable.order)},
        "tuning": [result.to_json() for result in provisioned.tuned()],
    }


def _client(site: SshHost, plan: Plan) -> dict[str, Any]:
    """Of another machine that loads; `pinned`: wrk is kept on those CPUs."""
    cpus = list(plan.clients[site.destination])
    return {"machine": {**_machine(site), "architecture": output(site, ["uname", "-m"])}, "kernel": _kernel(site),
            "cpus": cpus, "pinned": site.which("taskset") is not None, "governor": _governors(site, cpus),
            "wrk": _wrk(site), "interface": site.interface,
            "mtu": _number(_read(site, f"{_NET}/{site.interface}/mtu")),
            "speed_mbit": _number(_read(site, f"{_NET}/{site.interface}/speed")),
            "driver": site.link_target(f"{_NET}/{site.interface}/device/driver") or None,
            "offloads": _offloads(site, "", site.interface),
            "clock_ahead_seconds": site.clock_ahead()[0]}


def _number(text: str | None) -> int | None:
    """Of a file that holds one; -1 there says that it is not known."""
    return int(text) if text and text.isdigit() else None


def _contender(contender: Contender) -> dict[str, Any]:
    left_out = {"without": list(contender.without)} if contender.without else {}
    end = {"most_connections": contender.most_connections,
           "most_because": contender.most_because} if contender.most_connections else {}
    return {"label": contender.label, "stack": contender.stack, "link": contender.link, **left_out, **end,
            "program": contender.program, "arguments": list(contender.arguments),
            "eal": list(contender.endpoint.eal),
            "address": contender.endpoint.address, "namespace": contender.endpoint.namespace,
            "client": {"stack": contender.client.stack, "launcher": contender.client.launcher or None,
                       "eal": list(contender.client.endpoint.eal),
                       "address": contender.client.endpoint.address,
                       "namespace": contender.client.endpoint.namespace}}


def _counts(contender: Contender, plan: Plan) -> dict[str, str]:
    """Of a server of other make that is asked as ours are: where it says how many requests it has had, or "nothing"."""
    ours = contender.counters or plan.workload.name not in GENERAL
    return {} if ours else {"counts": contender.counts_at or "nothing"}


def _read(host: Host, path: str) -> str | None:
    try:
        return host.read(path).strip()
    except MachineError:
        return None


def _said(host: Host, argv: list[str]) -> str | None:
    """The first line that a program prints, on whichever of its two ways; None without the program or words."""
    if host.which(argv[0]) is None:
        return None
    result = host.run(argv, check=False)
    return next(iter((result.stdout.strip() or result.stderr.strip()).splitlines()), None)


def _machine(host: Host) -> dict[str, Any]:
    cpu = fields(_read(host, "/proc/cpuinfo"))
    memory = fields(_read(host, "/proc/meminfo")).get("MemTotal", "").split()
    flags = sorted(cpu.get("flags", cpu.get("Features", "")).split())
    return {"cpu_model": cpu.get("model name"), "cpu_flags": flags, "virtual": "hypervisor" in flags,
            "cpus": host.cpus(), "memory_kib": int(memory[0]) if memory else None,
            "architecture": platform.machine()}


def _tsc_hz(host: Host) -> int | None:
    """Of this machine's time stamp counter, measured: neither cpuid nor /proc tells it in every virtual machine."""
    said = _said(host, [TSC_PROGRAM]) if host.exists(TSC_PROGRAM) else None
    try:
        value = json.loads(said or "null")
    except json.JSONDecodeError:
        return None
    return value["tsc_hz"] if isinstance(value, dict) and isinstance(value.get("tsc_hz"), int) else None


def _kernel(host: Host) -> dict[str, Any]:
    holes = f"{_CPU}/vulnerabilities"
    release = fields((_read(host, "/etc/os-release") or "").replace("=", ":"))
    return {"release": _read(host, "/proc/sys/kernel/osrelease"),
            "distribution": release.get("PRETTY_NAME", "").strip('"') or None,
            "boot_options": [word for word in (_read(host, "/proc/cmdline") or "").split()
                             if word.partition("=")[0] in _BOOT_OPTIONS],
            "clocksource": _read(host, _CLOCK),
            "isolated_cpus": _read(host, f"{_CPU}/isolated"), "nohz_full_cpus": _read(host, f"{_CPU}/nohz_full"),
            "transparent_hugepages": chosen(_read(host, "/sys/kernel/mm/transparent_hugepage/enabled")),
            "tcp": {name: _read(host, f"/proc/sys/net/ipv4/tcp_{name}") for name in _TCP},
            "mitigations": {name: _read(host, f"{holes}/{name}") for name in host.listing(holes)}}


def _cpus(host: Host, plan: Plan) -> dict[str, Any]:
    used = sorted({*plan.client_cpus, *plan.server_cpus})
    return {"client": list(plan.client_cpus), "server": list(plan.server_cpus),
            "shared": sorted(set(plan.client_cpus) & set(plan.server_cpus)),
            "governor": _governors(host, used)}


def _governors(host: Host, cpus: Iterable[int]) -> dict[str, str | None]:
    return {str(cpu): _read(host, f"{_CPU}/cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus}


def _wrk(host: Host) -> str | None:
    """What it says of its version."""
    words = (output(host, ["wrk", "-v"]) or "").split()
    return words[1] if len(words) > 1 else None


def _versions(host: Host, programs: Iterable[str]) -> dict[str, Any]:
    build_info = _read(host, str(ROOT / "build" / "build-info.json"))
    build = json.loads(build_info) if build_info else {}
    return {"wrk": _wrk(host),
            "dpdk": build.get("dpdk") or output(host, ["pkg-config", "--modversion", "libdpdk"]),
            "lwip": build.get("lwip"),
            "lwip_patches": _patches(host),
            "cc": build.get("cc"), "cflags": build.get("cflags"),
            "python": platform.python_version(),
            "programs": {name: _said(host, [name, _SAYS_VERSION[name]]) for name in programs if name in _SAYS_VERSION}}


def _patches(host: Host) -> list[str]:
    """Paths below `_PATCHES`, in the order in which the build applies them."""
    return [f"{folder}/{name}" for folder in ("fixes", "scale", "fastpath")
            for name in host.listing(_PATCHES / folder) if name.endswith(".patch")]


def _git(host: Host) -> dict[str, Any] | None:
    # root may read a user's clone: git would call that dubious
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    revision = output(host, [*git, "rev-parse", "HEAD"])
    if revision is None:
        return None
    return {"revision": revision, "dirty": output(host, [*git, "status", "--porcelain"]) is not None}


def _offloads(host: Host, namespace: str, interface: str) -> list[str]:
    features = fields(output(host, ["ethtool", "-k", interface], namespace))
    return [name for name, state in features.items() if state.split()[:1] == ["on"]]
