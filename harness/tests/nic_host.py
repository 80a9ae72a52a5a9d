# SPDX-License-Identifier: BSD-3-Clause
"""A FakeHost with two network ports on its PCI bus: they change driver, namespace, name, MTU and addresses as told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Sequence

from harness.host import Result
from harness.pci import DEVICES, Nic
from harness.tests.fake_host import ABSENT, OK, FakeHost

SERVER, CLIENT = "0000:02:00.0", "0000:03:00.0"


@dataclass
class FakePort:
    """`netns` "" is the harness's own; `kernel`: the driver that makes an interface; `born`: its name when it does."""

    driver: str
    kernel: str
    name: str
    born: str
    netns: str = ""
    mtu: int = 1500
    up: bool = True
    addresses: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)

    @property
    def there(self) -> bool:
        return self.driver == self.kernel


class NicHost(FakeHost):
    """`refuses`: drivers that take no port. `carrier`: what the kernel says of every link."""

    def __init__(self) -> None:
        super().__init__()
        self.ports = {SERVER: FakePort("e1000e", "e1000e", "enp2s0", "eth0"),
                      CLIENT: FakePort("igb", "igb", "enp3s0", "eth0")}
        self.refuses: set[str] = set()
        self.carrier = "1\n"
        self.directories |= {DEVICES, "/sys/module/vfio_iommu_type1", *(f"{DEVICES}/{pci}" for pci in self.ports)}

    def state(self) -> object:
        # the bus is not something that a run leaves
        return super().state(), {pci: str(port) for pci, port in self.ports.items()}

    def nic(self, pci: str) -> Nic:
        port = self.ports[pci]
        return Nic(pci, port.name if port.there else "", port.driver, "8086", "10d3", "8086", "0000", "a card", -1, "7",
                   (), "02:00:00:00:00:02", port.mtu, port.up)

    def link_target(self, path: Any) -> str:
        port = self.ports.get(str(path).removeprefix(f"{DEVICES}/").removesuffix("/driver"))
        return port.driver if port else super().link_target(path)

    def exists(self, path: Any) -> bool:
        if str(path).startswith(DEVICES):
            return str(path).removeprefix(f"{DEVICES}/") in self.ports
        return str(path) in self.files or str(path) in self.directories if str(path).startswith("/var/") \
            else super().exists(path)

    def listing(self, path: Any) -> list[str]:
        port = self.ports.get(str(path).removeprefix(f"{DEVICES}/").removesuffix("/net"))
        if port and str(path).endswith("/net"):
            return [port.name] if port.there and not port.netns else []
        return sorted(self.ports) if str(path) == DEVICES else super().listing(path)

    def _perform(self, words: Sequence[str]) -> Result:
        match list(words):
            case ["dpdk-devbind.py", "--force", "-b", driver, pci]:
                return self._bind(self.ports[pci], driver)
            case ["ip", "netns", "exec", netns, "cat", path]:
                return self._cat(netns, path)
            case ["ip", "-n", netns, *rest] if rest[0] in ("link", "address", "route") and self._at(netns, rest):
                return self._act(netns, rest)
            case ["ip", "-j", what, "show", "dev", name]:
                return self._show(what, name)
            case ["ip", family, "-j", "route", "show", *_, name] if family == "-4" and self._at("", ["dev", name]):
                port = self._at("", ["dev", name])
                return Result(0, json.dumps([{"dst": dst, "gateway": "10.0.0.1"}
                                             for dst in (port.routes if port else [])]), "")
            case ["ip", "route", "replace", dst, *rest]:
                port = self._at("", rest)
                if port:
                    port.routes.append(dst)
            case ["ip", *rest] if rest[0] in ("link", "address") and self._at("", rest):
                return self._act("", rest)
            case ["ip", "-n", _, "link", "show", "dev", name]:
                return Result(1, "", f'Device "{name}" does not exist.\n')
        return super()._perform(words)

    def _cat(self, netns: str, path: str) -> Result:
        """Of a port with one address: what preflight.py reads."""
        port = next((each for each in self.ports.values() if each.there and each.netns == netns), None)
        if port is None or not port.addresses:
            return Result(1, "", ABSENT)
        address = port.addresses[0].partition("/")[0]
        target = "".join(reversed([f"{int(part):02X}" for part in [*address.split(".")[:3], "0"]]))
        return Result(0, {"carrier": self.carrier, "address": "02:00:00:00:00:02\n", "mtu": f"{port.mtu}\n",
                          "fib_trie": f"           |-- {address}\n              /32 host LOCAL\n",
                          "route": f"Iface\n{port.name} {target} 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"}.get(
                              path.rpartition("/")[2], ""), "")

    def _at(self, netns: str, words: Sequence[str]) -> FakePort | None:
        """The port whose name follows "dev"."""
        name = words[words.index("dev") + 1] if "dev" in words else ""
        return next((port for port in self.ports.values() if port.there and (port.netns, port.name) == (netns, name)),
                    None)

    def _bind(self, port: FakePort, driver: str) -> Result:
        if driver in self.refuses:
            return Result(0, f"Error: bind failed for driver {driver}\n", "")
        port.driver, port.netns, port.addresses, port.up, port.mtu = driver, "", [], False, 1500
        port.routes = []
        if port.there:
            port.name = port.born
        return OK

    def _show(self, what: str, name: str) -> Result:
        port = self._at("", ["dev", name])
        if port is None:
            return Result(1, "", ABSENT)
        if what == "link":
            said: Any = {"mtu": port.mtu, "txqlen": 1000, "flags": ["UP"] if port.up else [], "address": "02:02"}
        else:
            said = {"addr_info": [{"local": each.partition("/")[0], "prefixlen": int(each.partition("/")[2]),
                                   "scope": "global", "valid_life_time": 0xffffffff} for each in port.addresses]}
        return Result(0, json.dumps([said]), "")

    def _act(self, netns: str, words: Sequence[str]) -> Result:
        port = self._at(netns, words)
        assert port is not None
        match list(words):
            case ["link", "set", "dev", _, "netns", where, "name", name]:
                port.netns, port.name = "" if where.isdigit() else where, name
                port.addresses, port.routes = [], []
            case ["link", "set", "dev", _, "name", name]:
                port.name = name
            case ["link", "set", "dev", _, "mtu", mtu, *_]:
                port.mtu = int(mtu)
            case ["link", "set", "dev", _, ("up" | "down") as way]:
                port.up = way == "up"
                port.routes = port.routes if port.up else []
            case ["address", "add", address, *_]:
                port.addresses.append(address)
            case ["address", "flush", *_]:
                port.addresses = []
        return OK
