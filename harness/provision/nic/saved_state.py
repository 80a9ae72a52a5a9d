# SPDX-License-Identifier: BSD-3-Clause
"""How a network port is brought home: to the driver, name, addresses, routes and settings that it had before a run.

What it had is on disk before the first step, where a reboot keeps it. Knows no wire and no server; what a port's
settings are (rings, channels, …) is tuning.py's business.
"""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, Mapping, Sequence

from harness.provision.nic.driver import bind_command
from harness.errors import MachineError
from harness.provision.step import LASTING
from harness.host import driver_of, Host, interface_of, Nic
from harness.provision.tuning import Interface

APPEAR_SECONDS = 20
# of a route that `ip -j route` shows, the keys that `ip route replace` takes, in an order that it takes
_ROUTE_KEYS = (("gateway", "via"), ("dev", "dev"), ("prefsrc", "src"), ("metric", "metric"), ("scope", "scope"),
               ("protocol", "proto"), ("table", "table"))
# of an address, likewise; one by DHCP or router advertisement lives for a time
_ADDRESS_KEYS = {"broadcast": "broadcast", "label": "label", "valid_life_time": "valid_lft",
                 "preferred_life_time": "preferred_lft"}
_FOREVER = 0xffffffff


def path_of(pci: str) -> str:
    """The file that says where a port belongs."""
    return f"{LASTING}/{pci}.json"


def save(host: Host, nic: Nic, places: Sequence[tuple[str, str]]) -> None:
    """Writes down where the port belongs. `places`: (namespace, name) of everywhere that a run may put it.

    MachineError when the disk refuses, with nothing left.
    """
    interface = nic.interface
    state: dict[str, Any] = {"pci": nic.pci, "driver": nic.driver, "places": [list(place) for place in places],
                             "interface": interface, "link": {}, "addresses": [], "routes": [], "settings": {}}
    if interface:
        link = json.loads(host.query(["ip", "-j", "link", "show", "dev", interface]).stdout)[0]
        state["link"] = {"mtu": link["mtu"], "txqlen": link.get("txqlen"), "up": "UP" in link["flags"],
                         "mac": link["address"]}
        state["addresses"] = _addresses(host, interface)
        state["routes"] = _routes(host, interface)
        state["settings"] = Interface(host, None, interface).settings()
    host.make_directory(LASTING)
    host.append(path_of(nic.pci), json.dumps(state) + "\n")


def bring(host: Host, path: str) -> bool:
    """Brings the port of the file `path` home and forgets the file. False when there is no such file.

    Does what is still to be done, in whatever state a run, a kill or a reboot has left the port. MachineError with the
    command to run by hand when its driver does not take it back; the file then stays.
    """
    if not host.exists(path):
        return False
    if not host.read(path).endswith("\n"):
        # cut short while being written: nothing had been done to the port
        return _forget(host, path)
    state = _read(host, path)
    pci, name = state["pci"], state["interface"]
    failed: list[str] = []
    if host.exists(f"/sys/bus/pci/devices/{pci}"):
        fetch(host, state["places"], name)
        if state["driver"] and driver_of(host, pci) != state["driver"]:
            bind(host, state["driver"], pci)
        if name:
            _settle(host, appeared(host, pci), state, failed)
    if failed:
        raise MachineError(f"{name} ({pci}) is not quite as it was: {'; '.join(failed)}; what it was is in {path}")
    return _forget(host, path)


def _forget(host: Host, path: str) -> bool:
    host.unlink(path)
    host.remove_directory(LASTING)
    return True


def bind(host: Host, driver: str, pci: str) -> None:
    """Gives the port to a driver. MachineError, with the command to run by hand, when that fails."""
    argv = bind_command(driver, pci)
    result = host.run(argv, check=False, timeout=60)
    # dpdk-devbind.py says "Error:" and ends with 0 when the driver refuses
    if result.code != 0 or driver_of(host, pci) != driver:
        raise MachineError(f"{pci} could not be given to driver {driver} ({result.complaint}); by hand: "
                           f"`{shlex.join(argv)}`, and see `dmesg`")


def appeared(host: Host, pci: str) -> str:
    """The kernel's name for the port, which it has some time after its driver. MachineError when none comes."""
    if not host.wait_for(lambda: bool(interface_of(host, pci)), APPEAR_SECONDS):
        raise MachineError(f"driver {driver_of(host, pci) or 'none'} made no interface of {pci} within "
                           f"{APPEAR_SECONDS} s; see `dmesg`, and `ip link`")
    return interface_of(host, pci)


def fetch(host: Host, places: Sequence[Sequence[str]], name: str) -> None:
    """Out of whichever of our namespaces holds it, into the harness's own, under its name."""
    for namespace, inside in places:
        if host.query(["ip", "-n", namespace, "link", "show", "dev", inside], check=False).code == 0:
            host.run(["ip", "-n", namespace, "link", "set", "dev", inside, "down"])
            host.run(["ip", "-n", namespace, "link", "set", "dev", inside, "netns", str(os.getpid()), "name", name])


def _settle(host: Host, found: str, state: Mapping[str, Any], failed: list[str]) -> None:
    """Name, MTU, settings, addresses and routes; what does not take is added to `failed`."""
    name, link = state["interface"], state["link"]
    commands = [] if found == name else [["ip", "link", "set", "dev", found, "down"],
                                         ["ip", "link", "set", "dev", found, "name", name]]
    commands.append(["ip", "link", "set", "dev", name, "mtu", str(link["mtu"]),
                     *(["txqueuelen", str(link["txqlen"])] if link["txqlen"] else [])])
    _try(host, commands, failed)
    failed += Interface(host, None, name).restore(state["settings"])
    there = [each["local"] for each in _addresses(host, name)]
    _try(host, [["ip", "link", "set", "dev", name, "up" if link["up"] else "down"],
                *(["ip", "address", "add", *_words(each), "dev", name] for each in state["addresses"]
                  if each["local"] not in there)], failed)
    _try(host, [["ip", *(["-6"] if ":" in route["dst"] + str(route.get("gateway")) else []), "route", "replace",
                 route["dst"], *_route_words(route)] for route in state["routes"] if link["up"]], failed)


def _try(host: Host, commands: Sequence[Sequence[str]], failed: list[str]) -> None:
    for argv in commands:
        result = host.run(argv, check=False)
        if result.code != 0:
            failed.append(f"`{shlex.join(argv)}`: {result.complaint}")


def _addresses(host: Host, interface: str) -> list[dict[str, Any]]:
    """Those that were given to it; the kernel makes link-local ones itself."""
    shown = json.loads(host.query(["ip", "-j", "address", "show", "dev", interface]).stdout or "[{}]")
    return [{key: each[key] for key in ("local", "prefixlen", *_ADDRESS_KEYS) if each.get(key)}
            for each in shown[0].get("addr_info", []) if each["scope"] != "link"]


def _words(address: Mapping[str, Any]) -> list[str]:
    return [f"{address['local']}/{address['prefixlen']}",
            *(word for key, option in _ADDRESS_KEYS.items() if address.get(key, _FOREVER) != _FOREVER
              for word in (option, str(address[key])))]


def _routes(host: Host, interface: str) -> list[dict[str, Any]]:
    """Those that somebody gave; the kernel makes those of addresses itself."""
    found: list[dict[str, Any]] = []
    for family in ("-4", "-6"):
        shown = json.loads(host.query(["ip", family, "-j", "route", "show", "table", "all", "dev",
                                     interface]).stdout or "[]")
        # `ip` does not say "boot" of those that a person gave
        found += [{"dev": interface, **route} for route in shown if route.get("protocol") != "kernel"]
    return found


def _route_words(route: Mapping[str, Any]) -> list[str]:
    return [word for key, option in _ROUTE_KEYS if route.get(key) is not None for word in (option, str(route[key]))]


def _read(host: Host, path: str) -> dict[str, Any]:
    try:
        state = json.loads(host.read(path))
        missing = {"pci", "driver", "places", "interface", "link", "addresses", "routes", "settings"} - set(state)
    except (ValueError, TypeError):
        missing = {"everything"}
    if missing:
        raise MachineError(f"{path} does not say where a port belongs; look into it, then remove it")
    return dict(state)
