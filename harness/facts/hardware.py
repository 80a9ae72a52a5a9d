# SPDX-License-Identifier: BSD-3-Clause
"""What a reader must know of a machine and its network cards to build the same again. Only reads.

Whatever the machine does not tell is null. Knows no run and no wire; what the facts of a run hold beside: facts.py.
"""

from __future__ import annotations

import re
from typing import Any

from harness.host import DEVICES, Host, Nic

_DMI = "/sys/class/dmi/id"
_CPU = "/sys/devices/system/cpu"
_NODES = "/sys/devices/system/node"
_PAUSE = ("Autonegotiate", "RX", "TX")
# of `ethtool -m`: the module in the cage, or the end of a cable that is one with it
_MODULE = {"identifier": "Identifier", "vendor": "Vendor name", "part": "Vendor PN", "connector": "Connector",
           "length": "Length (Copper or Active cable)"}
_PCIE = {"speed": "current_link_speed", "width": "current_link_width", "max_speed": "max_link_speed",
         "max_width": "max_link_width"}


def hardware(host: Host) -> dict[str, Any]:
    """`hardware` of facts.json: the machine, and of its BIOS what shows in the system."""
    cpu = fields(_told(host, "/proc/cpuinfo"))
    return {
        "system": {key: _told(host, f"{_DMI}/{name}") for key, name in (
            ("vendor", "sys_vendor"), ("product", "product_name"), ("version", "product_version"),
            ("board", "board_name"))},
        "bios": {key: _told(host, f"{_DMI}/bios_{key}") for key in ("vendor", "version", "date")},
        "microcode": cpu.get("microcode"),
        "packages": _packages(host),
        "smt": _told(host, f"{_CPU}/smt/control"),
        "turbo": _turbo(host),
        "frequency_driver": _told(host, f"{_CPU}/cpu0/cpufreq/scaling_driver"),
        "c_states": {"driver": _told(host, f"{_CPU}/cpuidle/current_driver"),
                     "governor": _told(host, f"{_CPU}/cpuidle/current_governor"), "enabled": _c_states(host)},
        "numa": [_node(host, name) for name in _numbered(host, _NODES, r"node\d+")],
        "hypervisor": _hypervisor(host, cpu),
        "iommu": host.listing("/sys/class/iommu"),
        "lockdown": chosen(_told(host, "/sys/kernel/security/lockdown")),
    }


def nic_facts(host: Host, nic: Nic, netns: str | None, interface: str) -> dict[str, Any]:
    """What `nic` is and how it is set; with its kernel driver, as `interface` in `netns` ("": it has none now)."""
    at = f"{DEVICES}/{nic.pci}"
    return {
        "pci": nic.pci,
        "name": nic.name,
        "id": f"{nic.vendor}:{nic.device}",
        "subsystem": f"{nic.subsystem_vendor}:{nic.subsystem_device}",
        "numa_node": None if nic.numa_node < 0 else nic.numa_node,
        "iommu_group": nic.iommu_group or None,
        "iommu_group_shared_with": list(nic.group),
        "pcie": {key: _told(host, f"{at}/{name}") for key, name in _PCIE.items()},
        **interface_facts(host, netns, interface),
    }


def interface_facts(host: Host, netns: str | None, interface: str) -> dict[str, Any]:
    """The part of nic_facts() that the kernel's driver tells, of any interface; nulls where there is none."""
    def ask(option: str) -> str | None:
        return output(host, ["ethtool", *option.split(), interface], netns) if interface else None
    link, driver, module = (fields(ask(option)) for option in ("", "-i", "-m"))
    speed = re.match(r"(\d+)Mb/s", link.get("Speed", ""))
    pause = fields(ask("-a"))
    return {
        "interface": interface or None,
        "driver": driver.get("driver") or None,
        "driver_version": driver.get("version") or None,
        "firmware": _known(driver.get("firmware-version")),
        "speed_mbps": int(speed[1]) if speed else None,
        "duplex": _known(link.get("Duplex")),
        "port": _known(link.get("Port")),
        "autonegotiation": link.get("Auto-negotiation"),
        "link": link.get("Link detected"),
        "module": {key: module.get(name) for key, name in _MODULE.items()} if "Identifier" in module else None,
        "rings": _settings(ask("-g")),
        "channels": _settings(ask("-l")),
        "coalescing": _coalescing(ask("-c")),
        "pause": {key.lower(): pause[key] for key in _PAUSE if key in pause} or None,
    }


def fields(text: str | None) -> dict[str, str]:
    """`key : value` lines; the first of equal keys counts."""
    found: dict[str, str] = {}
    for line in (text or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def output(host: Host, argv: list[str], netns: str | None = None) -> str | None:
    """What a program prints, whatever its exit code (`wrk -v` says 1); None without the program or words."""
    if host.which(argv[0]) is None:
        return None
    return host.run(argv, netns=netns, check=False).stdout.strip() or None


def _told(host: Host, path: str) -> str | None:
    return host.text(path) or None


def _known(text: str | None) -> str | None:
    """None for what ethtool says where a driver has no answer."""
    return None if text is None or text.split("!")[0] in ("", "N/A", "n/a", "Unknown", "Other") else text


def _numbered(host: Host, directory: str, pattern: str) -> list[str]:
    """Names of that pattern, in the order of the number at their end."""
    names = [name for name in host.listing(directory) if re.fullmatch(pattern, name)]
    return sorted(names, key=lambda name: int(re.sub(r"\D", "", name)))


def _packages(host: Host) -> int | None:
    """How many processors, as they are plugged in."""
    found = {_told(host, f"{_CPU}/{name}/topology/physical_package_id") for name in _numbered(host, _CPU, r"cpu\d+")}
    return len(found - {None}) or None


def _turbo(host: Host) -> bool | None:
    refused = _told(host, f"{_CPU}/intel_pstate/no_turbo")
    if refused is not None:
        return refused == "0"
    boost = _told(host, f"{_CPU}/cpufreq/boost")
    return None if boost is None else boost == "1"


def _c_states(host: Host) -> list[str] | None:
    """Of the first CPU, those that the kernel may use; None where it has no say."""
    at = f"{_CPU}/cpu0/cpuidle"
    states = _numbered(host, at, r"state\d+")
    named = [(host.text(f"{at}/{state}/name"), host.text(f"{at}/{state}/disable")) for state in states]
    return [name for name, disabled in named if disabled != "1"] if named else None


def _node(host: Host, name: str) -> dict[str, Any]:
    at = f"{_NODES}/{name}"
    memory = re.search(r"MemTotal:\s+(\d+) kB", host.text(f"{at}/meminfo"))
    pages = {int(re.sub(r"\D", "", size)): _told(host, f"{at}/hugepages/{size}/nr_hugepages")
             for size in host.listing(f"{at}/hugepages")}
    return {"node": int(name.removeprefix("node")), "cpus": _told(host, f"{at}/cpulist"),
            "memory_kib": int(memory[1]) if memory else None,
            "hugepages": {f"{kib} KiB": int(count) if count else None for kib, count in sorted(pages.items())}}


def _hypervisor(host: Host, cpu: dict[str, str]) -> str | None:
    """"none" on hardware; None where the CPU has no flag for it, or nothing says whose guest this is."""
    if "flags" not in cpu:
        return None
    if "hypervisor" not in cpu["flags"].split():
        return "none"
    # software emulation has no name that lscpu knows, but the board has
    return fields(output(host, ["lscpu"])).get("Hypervisor vendor") or _told(host, f"{_DMI}/sys_vendor")


def chosen(text: str | None) -> str | None:
    """The word in brackets among those that a sysfs file offers."""
    match = re.search(r"\[(\w+)\]", text or "")
    return match[1] if match else None


def _settings(text: str | None) -> dict[str, dict[str, int]] | None:
    """Rings or channels: `now` and `most`, by ethtool's names; None where the driver has none."""
    limits, _, current = (text or "").partition("Current hardware settings:")
    found = {when: {key.lower(): int(value) for key, value in fields(part).items() if value.isdigit()}
             for when, part in (("now", current), ("most", limits))}
    return found if found["now"] else None


def _coalescing(text: str | None) -> dict[str, int | str] | None:
    """By ethtool's names, without those that the driver does not know."""
    adaptive = re.search(r"Adaptive RX: (\S+)\s+TX: (\S+)", text or "")
    found: dict[str, int | str] = {key: int(value) for key, value in fields(text).items() if value.isdigit()}
    if adaptive:
        found |= {f"adaptive-{way}": word for way, word in zip(("rx", "tx"), adaptive.groups()) if word != "n/a"}
    return found or None
