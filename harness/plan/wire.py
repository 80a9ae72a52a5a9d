# SPDX-License-Identifier: BSD-3-Clause
"""A wire and the contenders on it as values, and the argv that follows from them. Knows no file and
no machine."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import Iterable, Mapping, Sequence

# what carries a program's TCP: the kernel; lwIP under sockets that a library provides; lwIP or
# another stack in the program itself, which drives a DPDK port
KERNEL, PRELOAD, DPDK = STACKS = ("kernel", "preload", "dpdk")
READY = ("line", "connect", "socket")
CORES = ("one", "all")
# client stack of a load tool that drives a port itself
LOADGEN = DPDK
ON_LWIP, LIBRARY, GENERATOR = "build/on-lwip", "build/libstackduel_preload.so", "build/loadgen"
SPINNING, SPIN = "build/spinning", "build/libspin.so"
EAL_PREFIX, CLIENT_EAL_PREFIX = "stackduel", "stackduel-client"
_ON_LWIP = ("--address", "{address}", "--netmask", "{netmask}", "--gateway", "{gateway}",
            "--mac", "{mac}", "--eal={eal}", "--counters", "{counters}", "--")
_GENERATOR = ("{eal}", "--", "--address", "{address}", "--netmask", "{netmask}", "--mac", "{mac}",
              "--server", "{server}", "--port", "{port}")
# of a contender's arguments and of EAL's words for its end
PLACEHOLDERS = ("address", "prefix", "netmask", "gateway", "mac", "kernel_mac", "interface", "port",
                "body_size", "max_connections", "server_cores", "server_cpus", "eal", "launcher",
                "counters", "raw", "run_directory", "pci", "socket", "ring")


@dataclass(frozen=True)
class Endpoint:
    """One IPv4 end of a link, fixed for the run.

    address: with prefix length
    interface: "" where the link has none, as shared memory
    mac: aa:bb:…; "" where it is a NIC's own
    gateway: the way to all that is not on its network; "" for none
    eal: words for the EAL of a program on DPDK here, beside those for memory and runtime files
    """

    namespace: str
    address: str
    interface: str = ""
    mac: str = ""
    gateway: str = ""
    eal: tuple[str, ...] = ()

    @property
    def kernel_mac(self) -> str:
        """Return a MAC for the kernel's end of a TAP, whose other end has its own."""
        return f"{self.mac[:12]}01{self.mac[14:]}" if self.mac else ""

    @property
    def ip(self) -> str:
        return str(ipaddress.ip_interface(self.address).ip)

    def next(self, count: int) -> Endpoint:
        """Return the end of a further link like this one; `count`: below 10, how many before."""
        address = ipaddress.ip_interface(self.address)
        return replace(
            self, address=f"{address.ip + count}/{address.network.prefixlen}",
            interface=self.interface.rstrip("0123456789") + str(count),
            mac=f"{self.mac[:-2]}{int(self.mac[-2:], 16) + count:02x}")

    @property
    def network(self) -> str:
        return str(ipaddress.ip_interface(self.address).network)

    @property
    def netmask(self) -> str:
        return str(ipaddress.ip_interface(self.address).network.netmask)

    def values(self, prefix: str, values: Mapping[str, str]) -> dict[str, str]:
        """Return `values` with those of this end; `prefix` names the runtime directory of its
        EAL."""
        own = {"address": self.ip, "prefix": self.address.partition("/")[2], "mac": self.mac,
               "kernel_mac": self.kernel_mac,
               "netmask": self.netmask, "gateway": self.gateway or "0.0.0.0",
               "interface": self.interface, **values}
        words = [own.get("eal_memory", ""), f"--file-prefix={prefix}", "--no-telemetry"]
        return {**own, "eal": " ".join([*words, *filled(self.eal, own)])}


@dataclass(frozen=True)
class Client:
    """The client's end of a contender. With a stack other than the kernel's a launcher stands
    before a client's argv: the preload library's, or the load generator itself, of which what
    follows are options. So it does where a client of the kernel's sockets is to poll."""

    endpoint: Endpoint
    stack: str
    server: Endpoint
    polls: bool = False

    @property
    def launcher(self) -> str:
        spinning = SPINNING if self.polls else ""
        return {KERNEL: spinning, PRELOAD: ON_LWIP, DPDK: GENERATOR}[self.stack]

    @property
    def needs(self) -> tuple[str, ...]:
        return {SPINNING: (SPIN,), ON_LWIP: (LIBRARY,)}.get(self.launcher, ())

    def command(self, values: Mapping[str, str]) -> list[str]:
        """Return what stands before a client's argv; [] without a launcher. `values`: as of
        Contender.command()."""
        if self.stack == KERNEL:
            return [self.launcher] if self.polls else []
        own = self.endpoint.values(CLIENT_EAL_PREFIX, {**values, "server": self.server.ip})
        return [self.launcher, *filled(_ON_LWIP if self.stack == PRELOAD else _GENERATOR, own)]


@dataclass(frozen=True)
class End:
    """What a wire has for the contenders of one stack.

    link: a kind of harness/provision/links.toml
    server, client: both ends of that link
    client_stack: what carries the client's TCP; "dpdk": a load tool that drives a port itself
    label: what it adds to a contender's label
    bridge_port: the bridge's own end of the server's link
    socket, ring: name of the Unix socket and packets in each direction of a link of shared memory
    cores: "one" where a server's port has one queue
    ready: how a server here shows that it serves, whatever its contender says; "" if no other way
    """

    link: str
    server: Endpoint
    client: Endpoint
    client_stack: str = KERNEL
    label: str = ""
    bridge_port: str = ""
    socket: str = ""
    ring: int = 0
    cores: str = "all"
    ready: str = ""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A contender wherever it runs: one file of topologies/contenders/.

    title: its label without what the wire adds
    program, arguments: argv; a placeholder that stands alone is one word, or none where its value
    is empty; {eal} and {launcher} are as many as they have
    needs: files beside the program that must have been built
    packages: by program that must be on PATH, its Debian package
    ready: how it shows that it serves: "line" (prints READY), "connect" (accepts) or "socket" (its
    end of the link)
    counters: keeps the servers' contract of counters (SIGUSR1, and at its end)
    counts_at: of a server of other make, the path where it says how many requests it has had; ""
    for none
    polls: burns its cores whether or not there is work
    client_polls: so does its client, on the kernel's sockets (build/libspin.so is under it)
    busy_polls: needs a driver with NAPI ids
    io_uring: needs a ring of io_uring, which many containers forbid
    cores: how many of the server's cores it uses
    same_on_one_core: the contender that it equals where there is one core
    only_workload, only_body_size: it answers nothing else
    most_body_size: bytes, the largest body that it answers with; 0 for no end
    limit: what no contender can do better; measured beside them, and compared as a limit alone
    most_connections: it is not measured beyond, for the reason `most_because`; 0 for no end
    without, waived: optimisations that its program leaves out, obligations that it does not keep
    """

    title: str
    stack: str
    program: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    ready: str = "line"
    counters: bool = True
    counts_at: str = ""
    polls: bool = False
    client_polls: bool = False
    busy_polls: bool = False
    io_uring: bool = False
    cores: str = "one"
    same_on_one_core: str = ""
    only_workload: str = ""
    only_body_size: int | None = None
    most_body_size: int = 0
    limit: bool = False
    most_connections: int = 0
    most_because: str = ""
    without: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Contender(Program):
    """A program on a wire, with the end that the wire has for its stack."""

    name: str
    end: End

    @property
    def label(self) -> str:
        """Return its title with what the wire adds, in brackets."""
        if not self.end.label:
            return self.title
        if self.title.endswith(")"):
            return f"{self.title[:-1]}, {self.end.label})"
        return f"{self.title} ({self.end.label})"

    @property
    def file_name(self) -> str:
        """Return its name as part of the name of a file."""
        return re.sub("[/#]", "-", self.name)

    @property
    def link(self) -> str:
        return self.end.link

    @property
    def endpoint(self) -> Endpoint:
        return self.end.server

    @property
    def client(self) -> Client:
        return Client(self.end.client, self.end.client_stack, self.end.server, self.client_polls)

    def excludes(self, other: Contender) -> bool:
        """Tell whether the two cannot be up at a time.

        Of the kernel's servers each can have a port. Those that drive a device cannot share it:
        with_devices() gives each its own where a wire can have several. On a NIC it is the kernel's
        too.
        """
        if self.stack == other.stack == KERNEL:
            return False
        if KERNEL in (self.stack, other.stack):
            return "nic" in (self.link, other.link)
        return self.endpoint == other.endpoint or "nic" in (self.link, other.link)

    @property
    def files(self) -> tuple[str, ...]:
        """Return the programs and files that it and its client are started from."""
        own = (ON_LWIP, LIBRARY) if self.stack == PRELOAD else ()
        names = (self.program, *self.needs, *own, self.client.launcher, *self.client.needs)
        return tuple(dict.fromkeys(filter(None, names)))

    @property
    def on_dpdk(self) -> bool:
        """Tell whether one of its ends has an EAL, which wants memory."""
        return (self.stack, self.end.client_stack) != (KERNEL, KERNEL)

    def command(self, values: Mapping[str, str]) -> list[str]:
        """Return argv. `values`: of PLACEHOLDERS and `eal_memory`, beside those that follow from
        its end. What the preload library is started with stands before the program, or where the
        arguments have {launcher}."""
        own = self.endpoint.values(EAL_PREFIX, {"ring": str(self.end.ring), **values})
        launcher = [ON_LWIP, *filled(_ON_LWIP, own)] if self.stack == PRELOAD else []
        left_out = [f"--{option}={','.join(names)}" for option, names in (
            ("without", self.without), ("waive", self.waived)) if names]
        words = [self.program, *filled(self.arguments, own, launcher), *left_out]
        return words if "{launcher}" in self.arguments else [*launcher, *words]


def filled(arguments: Sequence[str], values: Mapping[str, str],
           launcher: Sequence[str] = ()) -> list[str]:
    """Return the arguments with their placeholders filled. KeyError on one that has no value."""
    words: list[str] = []
    for argument in arguments:
        if argument == "{launcher}":
            words += launcher
        elif argument.startswith("{") and argument.endswith("}") and argument.count("{") == 1:
            value = values[argument[1:-1]]
            # a path may have blanks, a word of EAL's has none
            words += value.split() if argument == "{eal}" else [value] if value else []
        else:
            words.append(argument.format_map(values))
    return words


@dataclass(frozen=True)
class Bridge:
    """The bridge of a wire, and its port that leads to the client."""

    namespace: str
    interface: str
    client_port: str


@dataclass(frozen=True)
class Wire:
    """What lies between client and server, and who is measured over it.

    source: its file
    mtu: bytes
    client: the client's end of every contender that has none of its own
    bridge: None where each link leads straight to the client
    hugepage_count: pages of `hugepage_kib` that a run needs
    ends: by stack, what contenders have here
    workloads: those that are measured on it, the usual one first
    ablation: its contenders are the steps of harness/plan/ablation.py, of which kind; "" for none
    over_vhost: what it is where the kernel has vhost-net, its contenders left out; None where that
    cannot be
    """

    name: str
    source: str
    title: str
    caveat: str
    mtu: int
    port: int
    client: Endpoint
    bridge: Bridge | None
    hugepage_kib: int
    hugepage_count: int
    ends: Mapping[str, End]
    contenders: Mapping[str, Contender]
    workloads: tuple[str, ...] = ("rps",)
    ablation: str = ""
    over_vhost: "Wire | None" = None

    @property
    def rebinds(self) -> bool:
        """Tell whether its contenders have one port in turn, each with another driver."""
        return any(contender.link == "nic" for contender in self.contenders.values())

    @property
    def has_loadgen(self) -> bool:
        """Tell whether its client is a load generator with a port of its own; it is so for all
        contenders or none."""
        return any(contender.client.stack == DPDK for contender in self.contenders.values())

    def port_of(self, name: str, first: int) -> int:
        """Return the port of a contender: `first`, and so many on as others before it share its
        address.

        0 where that has more digits, so that its requests would be longer.
        """
        contender = self.contenders[name]
        if contender.stack != KERNEL:
            return first
        ends = [item.name for item in self.contenders.values() if item.stack == KERNEL
                and (item.endpoint.namespace, item.endpoint.ip) == (
                    contender.endpoint.namespace, contender.endpoint.ip)]
        port = first + ends.index(name)
        return port if port <= 65_535 and len(str(port)) == len(str(first)) else 0

    def with_ends(self, ends: Mapping[str, End]) -> Wire:
        """Return the wire with other ends, its contenders on them."""
        contenders = {name: replace(contender, end=ends[contender.stack])
                      for name, contender in self.contenders.items()}
        return replace(self, ends=ends, contenders=contenders)


# --- A/A test: a contender against itself, under a second name ----------------------------------

# the second is what releases before wrote
_SECOND_NAMES = ("#2", "-again")


def self_comparison(name: str) -> str:
    """Return the second name of a contender."""
    return name + _SECOND_NAMES[0]


def original(name: str) -> str:
    """Return the contender that this is the second name of; "" where it is a first one."""
    suffix = next(filter(name.endswith, _SECOND_NAMES), "")
    return name.removesuffix(suffix) if suffix else ""


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (second name, first name) of those that are there under both."""
    known = list(names)
    return [(name, original(name)) for name in known if original(name) in known]


def with_self_comparisons(wire: Wire, names: Iterable[str]) -> Wire:
    """Return the wire with those of `names` that are second names of its contenders, on the same
    links."""
    firsts = {name: wire.contenders[original(name)] for name in names
              if name not in wire.contenders and original(name) in wire.contenders}
    more = {name: replace(first, name=name, title=f"{first.title} #2")
            for name, first in firsts.items()}
    return replace(wire, contenders={**wire.contenders, **more}) if more else wire
