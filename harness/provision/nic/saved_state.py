# SPDX-License-Identifier: BSD-3-Clause
"""Save and restore the state of a network port: driver, name, addresses, routes and settings.

The state is on disk before the first step, where a reboot keeps it. Knows no wire and no server.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict, dataclass, replace
from typing import Any, Mapping, Sequence

from harness.errors import MachineError
from harness.host import Host, Nic, driver_of, interface_of
from harness.provision.nic.driver import bind_command
from harness.provision.step import STATE_DIR
from harness.provision.tuning import Interface, Settings

APPEAR_SECONDS = 20
# of a route that `ip -j route` shows, what `ip route replace` takes, in an order that it takes
_ROUTE_KEYS = {"gateway": "via", "dev": "dev", "prefsrc": "src", "metric": "metric",
               "scope": "scope", "protocol": "proto", "table": "table"}
# of an address, likewise; one by DHCP or router advertisement lives for a time
_ADDRESS_KEYS = {"broadcast": "broadcast", "label": "label", "valid_life_time": "valid_lft",
                 "preferred_life_time": "preferred_lft"}
_FOREVER = 0xffffffff
# an object that `ip -j` shows
Shown = Mapping[str, Any]


@dataclass(frozen=True)
class SavedNic:
    """What a port was before a run.

    `places`: (namespace, name) of everywhere that a run may put it
    `interface`: its name, "" if it had none; then the rest is empty
    `link`: mtu, txqlen, up, mac
    `addresses`, `routes`: as `ip -j` shows them
    """

    pci: str
    driver: str
    places: Sequence[Sequence[str]]
    interface: str
    link: Shown
    addresses: Sequence[Shown]
    routes: Sequence[Shown]
    settings: Settings


def state_file(pci: str) -> str:
    return f"{STATE_DIR}/{pci}.json"


def save_nic(host: Host, nic: Nic, places: Sequence[tuple[str, str]]) -> None:
    """Save a port's state. MachineError when the disk refuses, with nothing left."""
    name = nic.interface
    state = SavedNic(nic.pci, nic.driver, places, name, {}, [], [], {})
    if name:
        link = host.query_json(["ip", "-j", "link", "show", "dev", name])[0]
        kept = {"mtu": link["mtu"], "txqlen": link.get("txqlen"), "up": "UP" in link["flags"],
                "mac": link["address"]}
        state = replace(state, link=kept, addresses=_addresses(host, name),
                        routes=_routes(host, name),
                        settings=Interface(host, None, name).settings())
    host.make_directory(STATE_DIR)
    host.append(state_file(nic.pci), json.dumps(asdict(state)) + "\n")


def restore_nic(host: Host, path: str) -> bool:
    """Restore the port of a state file, and forget the file. Return False without such a file.

    Does what is still to be done, however a run, a kill or a reboot has left the port. MachineError
    with the command to run by hand when its driver does not take it back; the file then stays.
    """
    if not host.exists(path):
        return False
    # one that was cut short while being written: nothing had been done to the port
    state = _read(host, path) if host.read(path).endswith("\n") else None
    if state and host.exists(f"/sys/bus/pci/devices/{state.pci}"):
        _fetch(host, state)
        if state.driver and driver_of(host, state.pci) != state.driver:
            bind(host, state.driver, state.pci)
        if state.interface and (failed := _settle(host, await_interface(host, state.pci), state)):
            raise MachineError(f"{state.interface} ({state.pci}) is not quite as it was: "
                               f"{'; '.join(failed)}; what it was is in {path}")
    host.unlink(path)
    host.remove_directory(STATE_DIR)
    return True


def bind(host: Host, driver: str, pci: str) -> None:
    """Give a port to a driver. MachineError, with the command to run by hand, when that fails."""
    argv = bind_command(driver, pci)
    result = host.run(argv, check=False, timeout=60)
    # dpdk-devbind.py says "Error:" and ends with 0 when the driver refuses
    if result.code != 0 or driver_of(host, pci) != driver:
        raise MachineError(f"{pci} could not be given to driver {driver} ({result.complaint}); by "
                           f"hand: `{shlex.join(argv)}`, and see `dmesg`")


def await_interface(host: Host, pci: str) -> str:
    """Return the kernel's name for a port, which comes some time after its driver."""
    if not host.wait_for(lambda: bool(interface_of(host, pci)), APPEAR_SECONDS):
        raise MachineError(f"driver {driver_of(host, pci) or 'none'} made no interface of {pci} "
                           f"within {APPEAR_SECONDS} s; see `dmesg`, and `ip link`")
    return interface_of(host, pci)


def _fetch(host: Host, state: SavedNic) -> None:
    """Take the port out of whichever of our namespaces has it, into the harness's own."""
    for namespace, inside in state.places:
        there = ["ip", "-n", namespace, "link"]
        change = [*there, "set", "dev", inside]
        if host.query([*there, "show", "dev", inside], check=False).code == 0:
            host.run([*change, "down"])
            host.run([*change, "netns", str(os.getpid()), "name", state.interface])


def _settle(host: Host, found: str, state: SavedNic) -> list[str]:
    """Restore name, MTU, settings, addresses and routes. Return what does not take."""
    name, link = state.interface, state.link
    change = ["ip", "link", "set", "dev"]
    renaming = [[*change, found, "down"], [*change, found, "name", name]] if found != name else []
    length = ["txqueuelen", str(link["txqlen"])] if link["txqlen"] else []
    failed = _try(host, [*renaming, [*change, name, "mtu", str(link["mtu"]), *length]])
    failed += Interface(host, None, name).restore(state.settings)
    there = [address["local"] for address in _addresses(host, name)]
    lost = [address for address in state.addresses if address["local"] not in there]
    return failed + _try(host, [
        [*change, name, "up" if link["up"] else "down"],
        *(["ip", "address", "add", *_address_words(address), "dev", name] for address in lost),
        *(_route_command(route) for route in state.routes if link["up"])])


def _try(host: Host, commands: Sequence[Sequence[str]]) -> list[str]:
    results = [(argv, host.run(argv, check=False)) for argv in commands]
    return [f"`{shlex.join(argv)}`: {result.complaint}" for argv, result in results
            if result.code != 0]


def _addresses(host: Host, interface: str) -> list[Shown]:
    """Return those that were given to it; the kernel makes link-local ones itself."""
    shown = host.query_json(["ip", "-j", "address", "show", "dev", interface]) or [{}]
    keys = ("local", "prefixlen", *_ADDRESS_KEYS)
    return [{key: address[key] for key in keys if address.get(key)}
            for address in shown[0].get("addr_info", []) if address["scope"] != "link"]


def _address_words(address: Shown) -> list[str]:
    return [f"{address['local']}/{address['prefixlen']}",
            *(word for key, option in _ADDRESS_KEYS.items()
              if address.get(key, _FOREVER) != _FOREVER
              for word in (option, str(address[key])))]


def _routes(host: Host, interface: str) -> list[Shown]:
    """Return those that somebody gave; the kernel makes those of addresses itself."""
    # `ip` does not say "boot" of those that a person gave
    return [{"dev": interface, **route} for family in ("-4", "-6")
            for route in host.query_json(["ip", family, "-j", "route", "show", "table", "all",
                                          "dev", interface])
            if route.get("protocol") != "kernel"]


def _route_command(route: Shown) -> list[str]:
    words = [word for key, option in _ROUTE_KEYS.items() if route.get(key) is not None
             for word in (option, str(route[key]))]
    family = ["-6"] if ":" in route["dst"] + str(route.get("gateway")) else []
    return ["ip", *family, "route", "replace", route["dst"], *words]


def _read(host: Host, path: str) -> SavedNic:
    try:
        return SavedNic(**json.loads(host.read(path)))
    except (ValueError, TypeError):
        raise MachineError(f"{path} does not say where a port belongs; look into it, then remove"
                           " it") from None
