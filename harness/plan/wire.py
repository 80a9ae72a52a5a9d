# SPDX-License-Identifier: BSD-3-Clause
"""A wire and its contenders, read from topologies/*.toml. Pure: no root, no clock, no machine."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Mapping

from harness.plan import ablation as ladder
from harness.errors import UsageError
from harness.plan.topology import TOPOLOGIES as TOPOLOGIES
from harness.plan.topology import Table, path_of, read

if TYPE_CHECKING:
    from harness.provision.nic.resolve import Cable

# how a contender hangs on the bridge: by the kernel's end of a veth; by a TAP, whose other end DPDK's net_tap has or
# the kernel's vhost-net; by a veth whose end has no address, for a user-space driver to open. Without the bridge: by a
# veth that ends at the client; by one whose client's end has no address, for the client to open; by memory that its
# client shares with it. By a cable: a port of this machine that its driver or DPDK has in turn
LINKS = ("veth", "tap", "vhost-net", "veth-port", "veth-pair", "veth-to-port", "shm", "nic")
# at whose other end is a client of the contender's own
OWN_ENDED = ("veth-to-port", "shm")
BRIDGE_PORTS = ("veth", "veth-port")
BRIDGED = ("veth", "tap", "vhost-net", "veth-port")
TAPS = ("tap", "vhost-net")
STACKS = ("kernel", "lwip")
# which has the client's sockets; LOADGEN has none and makes packets of its own
LOADGEN = "loadgen"
CLIENT_STACKS = ("lwip", LOADGEN)
_ANY_MAC = "02:00:00:00:00:00"
PLACEHOLDERS = ("address", "prefix", "netmask", "port", "mac", "interface", "body_size", "max_connections",
                "eal_memory", "counters", "raw", "run_directory", "pci", "server_cores", "server_cpus")
# how many of the server's cores a contender uses
CORES = ("one", "all")
# of a contender with a client of its own
CLIENT_PLACEHOLDERS = ("socket", "ring", "client_address", "client_netmask", "client_mac", "client_interface")


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
    def network(self) -> str:
        return str(ipaddress.ip_interface(self.address).network)

    @property
    def netmask(self) -> str:
        return str(ipaddress.ip_interface(self.address).network.netmask)


@dataclass(frozen=True)
class Client:
    """The client's end of a contender. `stack` "lwip": not the kernel has its sockets, but the launcher's library.

    `launcher` with `arguments` stands before a client's own argv; `needs`: what else must have been built. "loadgen":
    the launcher is the load tool itself, and what follows are its options.
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
    `counters`: SIGUSR1 and its end print a JSON line of counters (../servers/common/options.h). `needs`: files beside
    its program that must have been built; `programs`: what must be on PATH for it, with the Debian package that has
    it. `cores`: one of CORES; `same_on_one_core`: the contender that it is the same as where there is one.
    `busy_polls`: it needs a driver with NAPI ids. `counts_at`: of a server of other make, the path where it says how
    many requests it has had, as nginx's stub_status does. `only_workload`, `only_body_size`: it answers nothing
    else; "" and None: no such end. `socket`: name of the Unix socket by which both ends of an shm link
    find each other; `ring`: packets that this link holds in each direction. `without`: measures (ladder.py) that
    its program leaves out. `most_connections`: it is not measured beyond, for the reason `most_because`; 0: no end.
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
    without: tuple[str, ...] = ()
    most_connections: int = 0
    most_because: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    cores: str = "one"
    same_on_one_core: str = ""
    busy_polls: bool = False
    counts_at: str = ""
    only_workload: str = ""
    only_body_size: int | None = None

    @property
    def file_name(self) -> str:
        """Its name as part of the name of a file."""
        return self.name.replace("/", "-")

    @property
    def placeholders(self) -> tuple[str, ...]:
        return (*PLACEHOLDERS, *(CLIENT_PLACEHOLDERS if self.link in OWN_ENDED else ()))

    def command(self, values: Mapping[str, str]) -> list[str]:
        """argv with the placeholders filled; one that stands alone becomes as many words as its value has."""
        left_out = [f"--without={','.join(self.without)}"] if self.without else []
        return [self.program, *_filled(self.arguments, values), *left_out]


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
    `workloads`: names of those that are measured on it, the usual one first. `programs`: what must be on PATH
    for them, with the Debian package that has it. `ladder`: its contenders are the steps of harness/plan/ablation.py.
    `cable`: the ends of the cable of a wire with a NIC, once it is fitted to them (cable.py).
    `emulated`: what plays the part of its NIC, as "QEMU's e1000e", where that is no hardware; "" otherwise.
    `netem`: what is done to packets between client and bridge, as netem.py has it; "" for nothing. `softirq`: whose
    cores process the packets of kernel contenders, as the plan has it.
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
    ladder: bool = False
    emulated: str = ""
    cable: "Cable | None" = None
    netem: str = ""
    softirq: str = ""

    @property
    def rebinds(self) -> bool:
        """Do its contenders have one port in turn, each with another driver?"""
        return any(contender.link == "nic" for contender in self.contenders.values())

    @property
    def has_loadgen(self) -> bool:
        """Is its client our own load generator? Then it is so for all contenders."""
        return any(contender.client.stack == LOADGEN for contender in self.contenders.values())


def _endpoint(table: Table, where: str, link: str = "") -> Endpoint:
    """An end of shared memory has no interface."""
    interface = "" if link == "shm" else table.take("interface", str)
    # a card has a MAC of its own, known when the wire is fitted to it
    mac = table.take("mac", str, _ANY_MAC if link == "nic" else None)
    endpoint = Endpoint(table.take("namespace", str), interface, mac, table.take("address", str))
    try:
        ipaddress.IPv4Interface(endpoint.address)
    except ValueError as error:
        raise UsageError(f"{where}: address: {error}") from None
    if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", endpoint.mac):
        raise UsageError(f"{where}: mac: '{endpoint.mac}' is not a unicast address in lower case")
    return endpoint


def _contender(name: str, table: Table, client: Endpoint, where: str) -> Contender:
    link = table.choice("link", LINKS)
    contender = Contender(
        name=name,
        label=table.take("label", str),
        stack=table.choice("stack", STACKS),
        program=table.take("program", str),
        arguments=table.words("arguments"),
        link=link,
        endpoint=_endpoint(table, where, link),
        bridge_port=table.take("bridge_port", str, ""),
        ready=table.choice("ready", ("line", "connect", "socket"), "line"),
        counters=table.take("counters", bool, True),
        client=_client(table.table("client", f"{where} [client]"), f"{where} [client]", link) if link in OWN_ENDED
        else Client(client),
        needs=table.words("needs", []),
        socket=table.take("socket", str) if link == "shm" else "",
        ring=table.take("ring", int) if link == "shm" else 0,
        without=table.words("without", []),
        most_connections=table.take("most_connections", int, 0),
        most_because=table.take("most_because", str, ""),
        programs=_programs(table.table("programs", f"{where} [programs]")) if "programs" in table.keys() else {},
        cores=table.choice("cores", CORES, "one"),
        same_on_one_core=table.take("same_on_one_core", str, ""),
        busy_polls=table.take("busy_polls", bool, False),
        counts_at=table.take("counts_at", str, ""),
        only_workload=table.take("only_workload", str, ""),
        only_body_size=table.take("only_body_size", int) if "only_body_size" in table.keys() else None,
    )
    table.done()
    for argument in contender.arguments:
        _check_argument(contender, argument, where)
    for argument in contender.client.arguments:
        _check_argument(contender, argument, f"{where} [client]")
    return contender


def _client(table: Table, where: str, link: str) -> Client:
    client = Client(
        endpoint=_endpoint(table, where, link),
        stack=table.choice("stack", CLIENT_STACKS),
        launcher=table.take("launcher", str),
        arguments=table.words("arguments"),
        needs=table.words("needs", []),
    )
    table.done()
    if client.stack != LOADGEN and not any("{counters}" in argument for argument in client.arguments):
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


def load_wire(name: str) -> Wire:
    """The wire of topologies/<name>.toml, or of the TOML file at path `name`.

    A file may name another wire as its `base` and give only what differs. Raises UsageError on an unknown wire,
    an unknown key, a wrong type or a missing value.
    """
    where = str(path_of(name))
    top = Table(read(name), where)
    pages, contenders = top.table("hugepages"), top.table("contenders")
    client = _table_endpoint(top, where)
    ladder_of = top.take("ladder_of", str, "")
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
        workloads=top.words("workloads", ["rps"]),
        programs=_programs(top.table("programs")) if "programs" in top.keys() else {},
    )
    for table in (top, pages):
        table.done()
    _check(wire, where)
    return _laddered(wire, ladder_of, where) if ladder_of else wire


def _laddered(wire: Wire, of: str, where: str) -> Wire:
    """The wire with the steps of the ladder in the stead of its contenders, each made from the contender `of`."""
    if of not in wire.contenders:
        raise UsageError(f"{where}: ladder_of: there is no contender '{of}'")
    climber = wire.contenders[of]
    return replace(wire, ladder=True, contenders={
        step.name: replace(climber, name=step.name, label=step.label, without=step.without)
        for step in ladder.steps(ladder.measures())})


def _table_endpoint(top: Table, where: str) -> Endpoint:
    table = top.table("client")
    endpoint = _endpoint(table, f"{where} [client]")
    table.done()
    return endpoint


def _programs(table: Table) -> dict[str, str]:
    return {program: table.take(program, str) for program in table.keys()}


def _bridge(table: Table) -> Bridge:
    bridge = Bridge(table.take("namespace", str), table.take("interface", str), table.take("client_port", str))
    table.done()
    return bridge


def _check(wire: Wire, where: str) -> None:
    """UsageError on values that no kernel would take, before anything is provisioned with them."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", wire.name):
        raise UsageError(f"{where}: name '{wire.name}' cannot be part of a run's id (letters, digits, - _)")
    all_ = list(wire.contenders.values())
    ends = [wire.client, *(end for contender in all_ for end in (contender.endpoint, contender.client.endpoint))]
    interfaces = [end.interface for contender in all_ if contender.link != "shm"
                  for end in (contender.endpoint, contender.client.endpoint)]
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
    if wire.has_loadgen and any(contender.client.stack != LOADGEN for contender in all_):
        raise UsageError(f"{where}: the load generator must be the client of all contenders or of none")


def _check_link(wire: Wire, contender: Contender, where: str) -> None:
    """UsageError on a link that cannot be made on this wire."""
    name, end, linked = contender.name, contender.endpoint, [c for c in wire.contenders.values() if c.link != "shm"]
    if contender.link == "veth-to-port" and contender.client.stack != LOADGEN:
        raise UsageError(f"{where}: the link of '{name}', veth-to-port, needs a client that opens it: loadgen")
    if contender.most_connections < 0 or bool(contender.most_connections) != bool(contender.most_because):
        raise UsageError(f"{where}: '{name}': most_connections and most_because go together, and cannot be negative")
    if contender.same_on_one_core not in ("", *wire.contenders):
        raise UsageError(f"{where}: same_on_one_core: there is no contender '{contender.same_on_one_core}'")
    if contender.busy_polls and (contender.stack != "kernel" or not contender.counters):
        raise UsageError(f"{where}: '{name}': only a kernel contender that counts can say that it busy-polls")
    if contender.counts_at and (contender.counters or not contender.counts_at.startswith("/")):
        raise UsageError(f"{where}: '{name}': counts_at is the path of a server without counters of ours")
    if contender.link in BRIDGED and wire.bridge is None:
        raise UsageError(f"{where}: the link of '{name}', {contender.link}, needs a [bridge]")
    if contender.link in TAPS and wire.bridge and end.namespace != wire.bridge.namespace:
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
