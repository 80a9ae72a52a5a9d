# SPDX-License-Identifier: BSD-3-Clause
"""Gather what one must know about machine and programs to judge a run: facts.json.

Whatever a machine does not tell is null: a fact is never guessed. Knows no trial and no file.
"""

from __future__ import annotations

import json
import platform
from typing import Iterable, Mapping, Protocol, Sequence

from harness.facts.binaries import binaries
from harness.facts.hardware import (
    Json, chosen, hardware, interface_facts, nic_facts, output, told)
from harness.host import (
    CYCLE_COUNTERS, INTERFACES, Host, SshHost, cpu_model, energy, fields, is_guest, now)
from harness.plan import GENERAL, KERNEL, Contender, Plan, table_of, to_settings
from harness.provision import ROOT, Provisioned, ResolvedWire, built

# of the kernel's command line, what changes figures; the rest is the machine's own business
_BOOT_OPTIONS = ("clocksource", "default_hugepagesz", "hugepages", "hugepagesz", "idle",
                 "intel_idle.max_cstate", "intel_iommu", "intel_pstate", "iommu", "irqaffinity",
                 "isolcpus", "mitigations", "nohz", "nohz_full", "nosmt", "preempt",
                 "processor.max_cstate", "rcu_nocbs", "threadirqs", "transparent_hugepage", "tsc")
_PATCHES = ROOT / "servers" / "stack" / "patches"
TSC_PROGRAM = str(ROOT / "build" / "tsc_hz")
_CPU = "/sys/devices/system/cpu"
_HUGEPAGES = "/sys/kernel/mm/transparent_hugepage"
# of the kernel's TCP at both ends, as a new namespace takes it over
_TCP = ("congestion_control", "timestamps", "sack", "rmem", "wmem")
# of servers and load tools that are not of this project, how each is asked
_SAYS_VERSION = {"redis-server": "--version", "redis-benchmark": "--version", "nginx": "-v"}
_CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


class LoadTool(Protocol):
    """What facts say of a load tool: its name, how its latencies are to be read, what it needs."""

    name: str
    programs: Mapping[str, str]

    def latency(self, open_loop: bool) -> str:
        """Return the code of what its latencies mean."""
        ...


def gather(host: Host, wire: ResolvedWire, plan: Plan, provisioned: Provisioned,
           tool: LoadTool | None = None) -> Json:
    """Return all but "schema", "run", "ports" of facts.json. Call it with the wire up."""
    contenders = [wire.contenders[name] for name in plan.contenders]
    programs = [*(name for contender in contenders for name in contender.packages), *(tool.programs if tool else ())]
    used = set(plan.client_cpus), set(plan.server_cpus)
    versions = _versions(host, programs)
    found: Json = {
        "started_at": now(),
        **of_machine(host),
        "hugepages": {"used": provisioned.hugepages, "why": provisioned.why,
                      "size_kib": wire.hugepage_kib, "count": wire.hugepage_count},
        "wire": _wire(wire, plan),
        "cpus": {"client": list(plan.client_cpus), "server": list(plan.server_cpus),
                 "shared": sorted(used[0] & used[1]),
                 "governor": _governors(host, sorted(used[0] | used[1]))},
        "versions": versions,
        "binaries": {**binaries(host, [*built(contenders), *programs]),
                     "lwip_patches": {name: host.sha256(_PATCHES / name)
                                      for name in versions["lwip_patches"]}},
        "git": _git(host),
        "offloads": {f"{namespace}/{interface}": _offloads(host, namespace, interface)
                     for namespace in provisioned.namespaces(contenders)
                     for interface in sorted(host.link_counters(namespace)) if interface != "lo"},
    }
    if tool:
        found["load_tool"] = {"name": tool.name, "latency": tool.latency(bool(plan.offered))}
    found["machine"]["cycle_counter"] = CYCLE_COUNTERS.get(platform.machine())
    found["machine"]["tsc_hz"] = _tsc_hz(host)
    if plan.softirq:
        found["softirq"] = {place: result.to_json()
                            for place, result in provisioned.softirq().items()}
    if provisioned.sites:
        found["clients"] = {site.destination: _client(site, plan) for site in provisioned.sites}
    if wire.nic:
        found["nic"] = _nic(host, wire, provisioned)
        found["tuning"] = [result.to_json() for result in provisioned.tuned()]
    return found


def of_machine(host: Host) -> Json:
    """Return the facts that need no run: for what would be measured."""
    return {"machine": _machine(host), "hardware": hardware(host), "kernel": _kernel(host)}


def _wire(wire: ResolvedWire, plan: Plan) -> Json:
    table = [[item.name, item.what] for item in table_of(wire.ablation)]
    optional: Json = {"tap": plan.tap, "netem": plan.netem, "softirq": plan.softirq,
                "emulated": wire.emulated,
                **({wire.ablation: table} if wire.ablation else {})}
    return {"name": wire.name, "title": wire.title, "caveat": wire.caveat, "mtu": wire.mtu,
            **{key: value for key, value in optional.items() if value},
            "contenders": {name: _contender(wire.contenders[name], plan)
                           for name in plan.contenders}}


def _contender(contender: Contender, plan: Plan) -> Json:
    end, client = contender.endpoint, contender.client
    found: Json = {
        "label": contender.label, "stack": contender.stack, "polls": contender.polls,
        "link": contender.link,
        "program": contender.program, "arguments": list(contender.arguments), "eal": list(end.eal),
        "address": end.address, "namespace": end.namespace,
        "client": {"stack": client.stack, "launcher": client.launcher or None,
                   "polls": client.polls or client.stack != KERNEL,
                   "eal": list(client.endpoint.eal), "address": client.endpoint.address,
                   "namespace": client.endpoint.namespace}}
    for key, names in (("without", contender.without), ("waived", contender.waived)):
        if names:
            found[key] = list(names)
    if contender.most_connections:
        found["most_connections"] = contender.most_connections
        found["most_because"] = contender.most_because
    if not contender.counters and plan.workload.name in GENERAL:
        # of other make and asked as ours are: where it tells how many requests it has had
        found["counts"] = contender.counts_at or "nothing"
    return found


def _nic(host: Host, wire: ResolvedWire, provisioned: Provisioned) -> Json:
    """Return both ends of a wire with a NIC, and how the run uses them."""
    pair = wire.nic
    assert pair is not None
    kernel = next(contender.endpoint for contender in wire.contenders.values()
                  if contender.stack == KERNEL)
    client = (nic_facts(host, pair.client, wire.client.namespace, wire.client.interface)
              if pair.client else
              [{"machine": site.destination, **interface_facts(site, None, site.interface)}
                    for site in provisioned.sites])
    return {
        "server": nic_facts(host, pair.server, kernel.namespace, kernel.interface),
        "client": client,
        "binding": {"dpdk": pair.binding.driver or pair.server.driver, "mode": pair.binding.mode,
                    "kernel": pair.server.driver},
        "emulated": wire.emulated, "notes": provisioned.noted(), "order": to_settings(pair.order)}


def _client(site: SshHost, plan: Plan) -> Json:
    """Return what another machine that loads is; `pinned`: its load tool is kept on those CPUs."""
    cpus, at = list(plan.clients[site.destination]), f"{INTERFACES}/{site.interface}"
    return {"machine": {**_machine(site), "architecture": output(site, ["uname", "-m"])},
            "kernel": _kernel(site), "cpus": cpus, "pinned": site.which("taskset") is not None,
            "governor": _governors(site, cpus), "wrk": _wrk(site), "interface": site.interface,
            "mtu": _number(site.text(f"{at}/mtu")), "speed_mbit": _number(site.text(f"{at}/speed")),
            "driver": site.link_target(f"{at}/device/driver") or None,
            "offloads": _offloads(site, "", site.interface),
            "clock_ahead_seconds": site.clock_ahead()[0]}


def _number(text: str) -> int | None:
    """Read a file that holds a number; -1 there says that it is not known."""
    return int(text) if text.isdigit() else None


def _version(host: Host, argv: Sequence[str]) -> str | None:
    """Return the first line that a program prints, on stdout or stderr; None without it."""
    if host.which(argv[0]) is None:
        return None
    result = host.run(argv, check=False)
    return next(iter((result.stdout.strip() or result.stderr.strip()).splitlines()), None)


def _machine(host: Host) -> Json:
    cpu = fields(host.text("/proc/cpuinfo"))
    memory = fields(host.text("/proc/meminfo")).get("MemTotal", "").split()
    flags = sorted(cpu.get("flags", cpu.get("Features", "")).split())
    return {"cpu_model": cpu_model(host), "cpu_flags": flags,
            "energy": list(energy(host)),
            "virtual": is_guest(host), "cpus": host.cpus(),
            "memory_kib": int(memory[0]) if memory else None,
            "architecture": platform.machine()}


def _tsc_hz(host: Host) -> int | None:
    """Measure the counter of cycles, whose rate not every virtual machine tells."""
    printed = _version(host, [TSC_PROGRAM]) if host.exists(TSC_PROGRAM) else None
    try:
        value = json.loads(printed or "null")
    except json.JSONDecodeError:
        return None
    rate = value.get("tsc_hz") if isinstance(value, dict) else None
    return rate if isinstance(rate, int) else None


def _kernel(host: Host) -> Json:
    holes = f"{_CPU}/vulnerabilities"
    release = fields(host.text("/etc/os-release").replace("=", ":"))
    return {"release": told(host, "/proc/sys/kernel/osrelease"),
            "distribution": release.get("PRETTY_NAME", "").strip('"') or None,
            "boot_options": [word for word in host.text("/proc/cmdline").split()
                             if word.partition("=")[0] in _BOOT_OPTIONS],
            "clocksource": told(host, _CLOCK),
            "isolated_cpus": _text(host, f"{_CPU}/isolated"),
            "nohz_full_cpus": _text(host, f"{_CPU}/nohz_full"),
            "transparent_hugepages": chosen(host.text(f"{_HUGEPAGES}/enabled")),
            "tcp": {name: told(host, f"/proc/sys/net/ipv4/tcp_{name}") for name in _TCP},
            "mitigations": {name: told(host, f"{holes}/{name}") for name in host.listing(holes)}}


def _text(host: Host, path: str) -> str | None:
    """Return a file that may be empty ("" is no CPU); None where the kernel does not have it."""
    return host.text(path) if host.exists(path) else None


def _governors(host: Host, cpus: Iterable[int]) -> dict[str, str | None]:
    return {str(cpu): told(host, f"{_CPU}/cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus}


def _wrk(host: Host) -> str | None:
    words = (output(host, ["wrk", "-v"]) or "").split()
    return words[1] if len(words) > 1 else None


def _versions(host: Host, programs: Iterable[str]) -> Json:
    build = json.loads(host.text(ROOT / "build" / "build-info.json") or "{}")
    return {"wrk": _wrk(host),
            "dpdk": build.get("dpdk") or output(host, ["pkg-config", "--modversion", "libdpdk"]),
            "lwip": build.get("lwip"),
            "lwip_patches": _patches(host, build.get("lwip") or "."),
            "cc": build.get("cc"), "cflags": build.get("cflags"),
            "python": platform.python_version(),
            "programs": {name: _version(host, [name, _SAYS_VERSION[name]]) for name in programs
                         if name in _SAYS_VERSION}}


def _patches(host: Host, release: str) -> list[str]:
    """Return paths below _PATCHES, in the order in which the build applies them."""
    return [f"{folder}/{name}" for folder in (release, "fixes", "scale", "fastpath", "obligations")
            for name in host.listing(_PATCHES / folder) if name.endswith(".patch")]


def _git(host: Host) -> Json | None:
    # root may read a user's clone: git would call that dubious,
    # and in a guest, where each file has another inode, read them all
    git = ["git", "-c", f"safe.directory={ROOT}", "-c", "core.checkStat=minimal", "-C",
           str(ROOT)]
    revision = output(host, [*git, "rev-parse", "HEAD"])
    if revision is None:
        return None
    return {"revision": revision,
            "dirty": output(host, [*git, "status", "--porcelain"]) is not None}


def _offloads(host: Host, namespace: str, interface: str) -> list[str]:
    features = fields(output(host, ["ethtool", "-k", interface], namespace))
    return [name for name, state in features.items() if state.split()[:1] == ["on"]]
