# SPDX-License-Identifier: BSD-3-Clause
"""A wire and its contenders, read from topologies/*.toml. Pure: no root, no clock, no machine."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping

from harness.errors import UsageError

TOPOLOGIES = Path(__file__).resolve().parent.parent / "topologies"
# how a contender hangs on the bridge: by the kernel's end of a veth; by a TAP; by a veth whose end has no address,
# for a user-space driver to open
LINKS = ("veth", "tap", "veth-port")
BRIDGE_PORTS = ("veth", "veth-port")
DEEPEST_BASE = 4
STACKS = ("kernel", "lwip")
PLACEHOLDERS = ("address", "prefix", "netmask", "port", "mac", "interface", "body_size", "max_connections",
                "eal_memory")


@dataclass(frozen=True)
class Endpoint:
    """One IPv4 end of a link: `address` with prefix length, `mac` as aa:bb:…, both fixed for the run."""

    namespace: str
    interface: str
    mac: str
    address: str

    @property
    def ip(self) -> str:
        return str(ipaddress.ip_interface(self.address).ip)

    @property
    def netmask(self) -> str:
        return str(ipaddress.ip_interface(self.address).network.netmask)


@dataclass(frozen=True)
class Contender:
    """One server under test and the link that leads to it.

    `ready` says how the harness knows that it serves: "line" (prints READY) or "connect" (the port accepts).
    `counters`: SIGUSR1 and its end print a JSON line of counters (../servers/options.h).
    """

    name: str
    label: str
    stack: str
    program: str
    arguments: tuple[str, ...]
    link: str
    endpoint: Endpoint
    bridge_port: str
    ready: str
    counters: bool

    def command(self, values: Mapping[str, str]) -> list[str]:
        """argv with the placeholders filled; a value with spaces becomes several words."""
        words = [self.program]
        for argument in self.arguments:
            if argument.startswith("{") and argument.endswith("}") and argument.count("{") == 1:
                words += values[argument[1:-1]].split()
            else:
                words.append(argument.format_map(values))
        return words


@dataclass(frozen=True)
class Wire:
    """What lies between client and server. MTU in bytes; hugepages as a count of pages of `hugepage_kib`."""

    name: str
    title: str
    caveat: str
    mtu: int
    port: int
    client: Endpoint
    client_port: str
    bridge_namespace: str
    bridge: str
    hugepage_kib: int
    hugepage_count: int
    contenders: Mapping[str, Contender]


class _Table:
    """A TOML table that insists on types, and on being read to the last key."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data = dict(data)
        self._where = where

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self._data:
            if default is None:
                raise UsageError(f"{self._where}: '{key}' is missing")
            return default
        value = self._data.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UsageError(f"{self._where}: '{key}' must be {kind.__name__}, not {value!r}")
        return value

    def table(self, key: str, where: str = "") -> "_Table":
        return _Table(self.take(key, dict), where or f"{self._where} [{key}]")

    def keys(self) -> list[str]:
        return list(self._data)

    def done(self) -> None:
        if self._data:
            raise UsageError(f"{self._where}: unknown key '{sorted(self._data)[0]}'")


def _choice(table: _Table, where: str, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value: str = table.take(key, str, default)
    if value not in allowed:
        raise UsageError(f"{where}: '{key}' must be one of {', '.join(allowed)}, not '{value}'")
    return value


def _endpoint(table: _Table, where: str) -> Endpoint:
    endpoint = Endpoint(table.take("namespace", str), table.take("interface", str), table.take("mac", str),
                        table.take("address", str))
    try:
        ipaddress.IPv4Interface(endpoint.address)
    except ValueError as error:
        raise UsageError(f"{where}: address: {error}") from None
    if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", endpoint.mac):
        raise UsageError(f"{where}: mac: '{endpoint.mac}' is not a unicast address in lower case")
    return endpoint


def _contender(name: str, table: _Table, where: str) -> Contender:
    contender = Contender(
        name=name,
        label=table.take("label", str),
        stack=_choice(table, where, "stack", STACKS),
        program=table.take("program", str),
        arguments=tuple(str(word) for word in table.take("arguments", list)),
        link=_choice(table, where, "link", LINKS),
        endpoint=_endpoint(table, where),
        bridge_port=table.take("bridge_port", str, ""),
        ready=_choice(table, where, "ready", ("line", "connect"), "line"),
        counters=table.take("counters", bool, True),
    )
    table.done()
    _check_arguments(contender, where)
    return contender


def _check_arguments(contender: Contender, where: str) -> None:
    """UsageError unless every argument can be filled in with the PLACEHOLDERS."""
    values = dict.fromkeys(PLACEHOLDERS, "7")
    for argument in contender.arguments:
        try:
            replace(contender, arguments=(argument,)).command(values)
        except KeyError as error:
            raise UsageError(f"{where}: argument '{argument}': no placeholder {error}; there are: "
                             f"{', '.join(PLACEHOLDERS)}") from None
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise UsageError(f"{where}: argument '{argument}' is not one with placeholders: {error}") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`; tables merge, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _path(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else TOPOLOGIES / f"{name}.toml"


def _read(name: str, depth: int = 0) -> dict[str, Any]:
    """The file's tables over those of the wire it names as its `base`."""
    path = _path(name)
    try:
        data = tomllib.loads(path.read_text())
    except OSError:
        known = ", ".join(sorted(file.stem for file in TOPOLOGIES.glob("*.toml")))
        raise UsageError(f"no wire '{name}'; there are: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str) or depth == DEEPEST_BASE:
        raise UsageError(f"{path}: 'base' must name a wire, and no chain of them may be longer than {DEEPEST_BASE}")
    return _merged(_read(base, depth + 1), data)


def load_wire(name: str) -> Wire:
    """The wire of topologies/<name>.toml, or of the TOML file at path `name`.

    A file may name another wire as its `base` and give only what differs. Raises UsageError on an unknown wire,
    an unknown key, a wrong type or a missing value.
    """
    where = str(_path(name))
    top = _Table(_read(name), where)
    client, bridge, pages = top.table("client"), top.table("bridge"), top.table("hugepages")
    contenders = top.table("contenders")
    wire = Wire(
        name=top.take("name", str),
        title=top.take("title", str),
        caveat=top.take("caveat", str, ""),
        mtu=top.take("mtu", int),
        port=top.take("port", int),
        client=_endpoint(client, f"{where} [client]"),
        client_port=bridge.take("client_port", str),
        bridge_namespace=bridge.take("namespace", str),
        bridge=bridge.take("interface", str),
        hugepage_kib=pages.take("size_kib", int),
        hugepage_count=pages.take("count", int),
        contenders={key: _contender(key, contenders.table(key, place), place) for key in contenders.keys()
                    for place in [f"{where} [contenders.{key}]"]},
    )
    for table in (top, client, bridge, pages):
        table.done()
    _check(wire, where)
    return wire


def _check(wire: Wire, where: str) -> None:
    """UsageError on values that no kernel would take, before anything is provisioned with them."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", wire.name):
        raise UsageError(f"{where}: name '{wire.name}' cannot be part of a run's id (letters, digits, - _)")
    ends = [wire.client, *(contender.endpoint for contender in wire.contenders.values())]
    ports = [contender.bridge_port for contender in wire.contenders.values() if contender.link in BRIDGE_PORTS]
    for name in (*(end.interface for end in ends), wire.bridge, wire.client_port, *ports):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name):
            raise UsageError(f"{where}: '{name}' cannot name an interface (1 to 15 letters, digits, . _ -)")
    for name in (*(end.namespace for end in ends), wire.bridge_namespace):
        if not re.fullmatch(r"stackduel-[a-z0-9-]+", name):
            raise UsageError(f"{where}: namespace '{name}' must be named stackduel-…")
    for what, value, low, high in (("mtu", wire.mtu, 576, 65521), ("port", wire.port, 1, 65535),
                                   ("[hugepages] size_kib", wire.hugepage_kib, 4, 1 << 24),
                                   ("[hugepages] count", wire.hugepage_count, 1, 1 << 20)):
        if not low <= value <= high:
            raise UsageError(f"{where}: {what} = {value} is not within {low} to {high}")
    for contender in wire.contenders.values():
        if contender.link == "tap" and contender.endpoint.namespace != wire.bridge_namespace:
            raise UsageError(f"{where}: the TAP of '{contender.name}' belongs in the bridge's namespace")
