# SPDX-License-Identifier: BSD-3-Clause
"""A wire and its contenders, read from topologies/*.toml. Pure: no root, no clock, no machine."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from harness.errors import UsageError

TOPOLOGIES = Path(__file__).resolve().parent.parent / "topologies"
# how a contender hangs on the bridge: by the kernel's end of a veth; by a TAP; by a veth whose end has no address,
# for a user-space driver to open. Without the bridge: by a veth that ends at the client; by memory that its client
# shares with it
LINKS = ("veth", "tap", "veth-port", "veth-pair", "shm")
BRIDGE_PORTS = ("veth", "veth-port")
BRIDGED = ("veth", "tap", "veth-port")
DEEPEST_BASE = 4
STACKS = ("kernel", "lwip")
PLACEHOLDERS = ("address", "prefix", "netmask", "port", "mac", "interface", "body_size", "max_connections",
                "eal_memory", "counters", "raw", "run_directory")
# of a contender whose link is memory
SHM_PLACEHOLDERS = ("socket", "ring", "client_address", "client_netmask", "client_mac")


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
class Client:
    """The client's end of a contender. `stack` "lwip": not the kernel has its sockets, but the launcher's library.

    `launcher` with `arguments` stands before a client's own argv; `needs`: what else must have been built.
    """

    endpoint: Endpoint
    stack: str = "kernel"
    launcher: str = ""
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def command(self, values: Mapping[str, str]) -> list[str]:
        """What to put before a client's argv, as Contender.command; [] without a launcher."""
        return [self.launcher, *_filled(self.arguments, values)] if self.launcher else []


@dataclass(frozen=True)
class Bridge:
    """The bridge of a wire, and its port that leads to the client."""

    namespace: str
    interface: str
    client_port: str


@dataclass(frozen=True)
class Contender:
    """One server under test, the link that leads to it, and the client at the other end.

    `ready` says how the harness knows that it serves: "line" (prints READY), "connect" (the port accepts) or
    "socket" (its end of an shm link is there).
    `counters`: SIGUSR1 and its end print a JSON line of counters (../servers/options.h). `needs`: files beside
    its program that must have been built. `socket`: name of the Unix socket by which both ends of an shm link
    find each other; `ring`: packets that this link holds in each direction.
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
    client: Client
    needs: tuple[str, ...] = ()
    socket: str = ""
    ring: int = 0

    @property
    def file_name(self) -> str:
        """Its name as part of the name of a file."""
        return self.name.replace("/", "-")

    @property
    def placeholders(self) -> tuple[str, ...]:
        return (*PLACEHOLDERS, *(SHM_PLACEHOLDERS if self.link == "shm" else ()))

    def command(self, values: Mapping[str, str]) -> list[str]:
        """argv with the placeholders filled; one that stands alone becomes as many words as its value has."""
        return [self.program, *_filled(self.arguments, values)]


def _filled(arguments: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    words: list[str] = []
    for argument in arguments:
        if argument.startswith("{") and argument.endswith("}") and argument.count("{") == 1:
            words += values[argument[1:-1]].split()
        else:
            words.append(argument.format_map(values))
    return words


@dataclass(frozen=True)
class Wire:
    """What lies between client and server. MTU in bytes; hugepages as a count of pages of `hugepage_kib`.

    `client`: of every contender that has none of its own. `bridge`: None where each link leads straight to it.
    `workloads`: names of those that its contenders answer, the usual one first. `programs`: what must be on PATH
    for them, with the Debian package that has it.
    """

    name: str
    title: str
    caveat: str
    mtu: int
    port: int
    client: Endpoint
    bridge: Bridge | None
    hugepage_kib: int
    hugepage_count: int
    contenders: Mapping[str, Contender]
    workloads: tuple[str, ...] = ("rps",)
    programs: Mapping[str, str] = field(default_factory=dict)


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


def _endpoint(table: _Table, where: str, link: str = "") -> Endpoint:
    """An end of shared memory has no interface."""
    interface = "" if link == "shm" else table.take("interface", str)
    endpoint = Endpoint(table.take("namespace", str), interface, table.take("mac", str), table.take("address", str))
    try:
        ipaddress.IPv4Interface(endpoint.address)
    except ValueError as error:
        raise UsageError(f"{where}: address: {error}") from None
    if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", endpoint.mac):
        raise UsageError(f"{where}: mac: '{endpoint.mac}' is not a unicast address in lower case")
    return endpoint


def _words(table: _Table, where: str, key: str, default: list[str] | None = None) -> tuple[str, ...]:
    words = table.take(key, list, default)
    if not all(isinstance(word, str) for word in words):
        raise UsageError(f"{where}: '{key}' must be a list of text")
    return tuple(words)


def _contender(name: str, table: _Table, client: Endpoint, where: str) -> Contender:
    link = _choice(table, where, "link", LINKS)
    contender = Contender(
        name=name,
        label=table.take("label", str),
        stack=_choice(table, where, "stack", STACKS),
        program=table.take("program", str),
        arguments=_words(table, where, "arguments"),
        link=link,
        endpoint=_endpoint(table, where, link),
        bridge_port=table.take("bridge_port", str, ""),
        ready=_choice(table, where, "ready", ("line", "connect", "socket"), "line"),
        counters=table.take("counters", bool, True),
        client=_client(table.table("client", f"{where} [client]"), f"{where} [client]") if link == "shm"
        else Client(client),
        needs=_words(table, where, "needs", []),
        socket=table.take("socket", str) if link == "shm" else "",
        ring=table.take("ring", int) if link == "shm" else 0,
    )
    table.done()
    for argument in contender.arguments:
        _check_argument(contender, argument, where)
    for argument in contender.client.arguments:
        _check_argument(contender, argument, f"{where} [client]")
    return contender


def _client(table: _Table, where: str) -> Client:
    client = Client(
        endpoint=_endpoint(table, where, "shm"),
        stack=_choice(table, where, "stack", STACKS[1:]),
        launcher=table.take("launcher", str),
        arguments=_words(table, where, "arguments"),
        needs=_words(table, where, "needs", []),
    )
    table.done()
    if not any("{counters}" in argument for argument in client.arguments):
        raise UsageError(f"{where}: no argument has {{counters}}, the file by which this end is known to be used")
    return client


def _check_argument(contender: Contender, argument: str, where: str) -> None:
    """UsageError unless the argument can be filled in with the contender's placeholders."""
    try:
        _filled((argument,), dict.fromkeys(contender.placeholders, "7"))
    except KeyError as error:
        raise UsageError(f"{where}: argument '{argument}': no placeholder {error}; there are: "
                         f"{', '.join(contender.placeholders)}") from None
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
    return _over(_read(base, depth + 1), data, path)


def _over(base: dict[str, Any], data: dict[str, Any], path: Path) -> dict[str, Any]:
    """`data` over `base`. A contender that stands `instead_of` one of the base has that one's keys, and its place."""
    for name, table in data.get("contenders", {}).items():
        instead_of = table.pop("instead_of", None) if isinstance(table, dict) else None
        if instead_of is None:
            continue
        there = base.get("contenders", {})
        if instead_of not in there:
            raise UsageError(f"{path} [contenders.{name}]: its base has no contender '{instead_of}'")
        base["contenders"] = {name if key == instead_of else key: value for key, value in there.items()}
    return _merged(base, data)


def load_wire(name: str) -> Wire:
    """The wire of topologies/<name>.toml, or of the TOML file at path `name`.

    A file may name another wire as its `base` and give only what differs. Raises UsageError on an unknown wire,
    an unknown key, a wrong type or a missing value.
    """
    where = str(_path(name))
    top = _Table(_read(name), where)
    pages, contenders = top.table("hugepages"), top.table("contenders")
    client = _table_endpoint(top, where)
    wire = Wire(
        name=top.take("name", str),
        title=top.take("title", str),
        caveat=top.take("caveat", str, ""),
        mtu=top.take("mtu", int),
        port=top.take("port", int),
        client=client,
        bridge=_bridge(top.table("bridge")) if "bridge" in top.keys() else None,
        hugepage_kib=pages.take("size_kib", int),
        hugepage_count=pages.take("count", int),
        contenders={key: _contender(key, contenders.table(key, place), client, place) for key in contenders.keys()
                    for place in [f"{where} [contenders.{key}]"]},
        workloads=_words(top, where, "workloads", ["rps"]),
        programs=_programs(top.table("programs")) if "programs" in top.keys() else {},
    )
    for table in (top, pages):
        table.done()
    _check(wire, where)
    return wire


def _table_endpoint(top: _Table, where: str) -> Endpoint:
    table = top.table("client")
    endpoint = _endpoint(table, f"{where} [client]")
    table.done()
    return endpoint


def _programs(table: _Table) -> dict[str, str]:
    return {program: table.take(program, str) for program in table.keys()}


def _bridge(table: _Table) -> Bridge:
    bridge = Bridge(table.take("namespace", str), table.take("interface", str), table.take("client_port", str))
    table.done()
    return bridge


def _check(wire: Wire, where: str) -> None:
    """UsageError on values that no kernel would take, before anything is provisioned with them."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", wire.name):
        raise UsageError(f"{where}: name '{wire.name}' cannot be part of a run's id (letters, digits, - _)")
    all_ = list(wire.contenders.values())
    ends = [wire.client, *(end for contender in all_ for end in (contender.endpoint, contender.client.endpoint))]
    interfaces = [contender.endpoint.interface for contender in all_ if contender.link != "shm"]
    ports = [contender.bridge_port for contender in all_ if contender.link in BRIDGE_PORTS]
    bridge = [wire.bridge] if wire.bridge else []
    for name in (wire.client.interface, *interfaces, *ports,
                 *(name for each in bridge for name in (each.interface, each.client_port))):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name):
            raise UsageError(f"{where}: '{name}' cannot name an interface (1 to 15 letters, digits, . _ -)")
    for name in (*(end.namespace for end in ends), *(each.namespace for each in bridge)):
        if not re.fullmatch(r"stackduel-[a-z0-9-]+", name):
            raise UsageError(f"{where}: namespace '{name}' must be named stackduel-…")
    for what, value, low, high in (("mtu", wire.mtu, 576, 65521), ("port", wire.port, 1, 65535),
                                   ("[hugepages] size_kib", wire.hugepage_kib, 4, 1 << 24),
                                   ("[hugepages] count", wire.hugepage_count, 1, 1 << 20)):
        if not low <= value <= high:
            raise UsageError(f"{where}: {what} = {value} is not within {low} to {high}")
    for contender in all_:
        _check_link(wire, contender, where)


def _check_link(wire: Wire, contender: Contender, where: str) -> None:
    """UsageError on a link that cannot be made on this wire."""
    name, end, linked = contender.name, contender.endpoint, [c for c in wire.contenders.values() if c.link != "shm"]
    if contender.link in BRIDGED and wire.bridge is None:
        raise UsageError(f"{where}: the link of '{name}', {contender.link}, needs a [bridge]")
    if contender.link == "tap" and wire.bridge and end.namespace != wire.bridge.namespace:
        raise UsageError(f"{where}: the TAP of '{name}' belongs in the bridge's namespace")
    if contender.link == "veth-pair":
        if any(other.endpoint != end for other in linked):
            raise UsageError(f"{where}: the client's interface leads to '{name}' alone; contenders on other links"
                             " or with another address cannot be on its wire")
    if contender.link == "shm":
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", contender.socket):
            raise UsageError(f"{where}: '{contender.socket}' cannot name a socket (1 to 64 letters, digits, . _ -:"
                             " a path of more than 107 bytes is none)")
        if contender.ring not in (256, 512, 1024):
            raise UsageError(f"{where}: ring = {contender.ring}: must be 256, 512 or 1024 packets")
        taken = {wire.client.namespace, *(other.endpoint.namespace for other in linked)}
        for namespace in (end.namespace, contender.client.endpoint.namespace):
            if namespace in taken:
                raise UsageError(f"{where}: '{name}' must be in namespaces without a link, not in {namespace}")
