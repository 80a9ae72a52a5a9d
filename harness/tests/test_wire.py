# SPDX-License-Identifier: BSD-3-Clause
"""Every topology loads; what a topology may not say is a UsageError of one line that names file and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.wire import PLACEHOLDERS, TOPOLOGIES, load_wire

TAP = (TOPOLOGIES / "tap.toml").read_text()


def altered(tmp_path: Path, old: str, new: str) -> str:
    """Path of a copy of tap.toml with one change."""
    assert old in TAP, f"{old!r} is not in tap.toml any more"
    path = tmp_path / "altered.toml"
    path.write_text(TAP.replace(old, new, 1))
    return str(path)


@pytest.mark.parametrize("file", sorted(TOPOLOGIES.glob("*.toml")), ids=lambda file: str(file.stem))
def test_topology_loads_and_is_consistent(file: Path) -> None:
    wire = load_wire(file.stem)
    assert wire.name == file.stem and wire.contenders
    ends = [wire.client, *(contender.endpoint for contender in wire.contenders.values())]
    for what in ("mac", "ip"):
        assert len({getattr(end, what) for end in ends}) == len(ends), f"two ends share a {what}"
    assert {end.netmask for end in ends} == {wire.client.netmask}
    values = dict.fromkeys(PLACEHOLDERS, "7")
    for contender in wire.contenders.values():
        assert not any("{" in word for word in contender.command(values))


def test_the_taps_kernel_end_has_a_mac_of_its_own() -> None:
    wire = load_wire("tap")
    found = re.search(r"mac=([0-9a-f:]{17})", " ".join(wire.contenders["lwip"].arguments))
    assert found and found[1] not in {wire.client.mac, *(c.endpoint.mac for c in wire.contenders.values())}


def test_a_wire_gives_only_what_differs_from_its_base() -> None:
    tap, afpacket = load_wire("tap"), load_wire("afpacket")
    assert afpacket.contenders["epoll"] == tap.contenders["epoll"]
    assert (afpacket.client, afpacket.mtu) == (tap.client, tap.mtu)
    assert afpacket.contenders["lwip"].endpoint.address == tap.contenders["lwip"].endpoint.address
    assert afpacket.contenders["lwip"].link == "veth-port"


@pytest.mark.parametrize("base, words", [('"nowhere"', "no wire 'nowhere'; there are: "), ("7", "'base' must name"),
                                         ("'{path}'", "no chain of them may be longer")])
def test_a_bad_base(tmp_path: Path, base: str, words: str) -> None:
    path = tmp_path / "wire.toml"
    path.write_text(f"base = {base.format(path=path)}\n")
    with pytest.raises(UsageError, match=words):
        load_wire(str(path))


def test_command_fills_in_and_splits() -> None:
    values = {"address": "198.18.0.3", "netmask": "255.255.255.0", "mac": "m", "port": "80", "body_size": "1",
              "max_connections": "9", "interface": "tap0", "eal_memory": "--no-huge -m 64"}
    words = load_wire("tap").contenders["lwip"].command(values)
    assert words[:4] == ["build/lwip_server", "--no-huge", "-m", "64"]
    assert any(word.startswith("--vdev=net_tap0,iface=tap0,mac=") for word in words)


def test_an_unknown_wire_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no wire 'rope'; there are: .*tap"):
        load_wire("rope")


@pytest.mark.parametrize("old, new, words", [
    ("mtu = 1500", "mtu = 1500\nspeed = 10", "unknown key 'speed'"),
    ('name = "tap"', 'name = "../tap"', "name '../tap' cannot be part of a run's id"),
    ("mtu = 1500", "", "'mtu' is missing"),
    ("mtu = 1500", 'mtu = "1500"', "'mtu' must be int, not '1500'"),
    ("mtu = 1500", "mtu = true", "'mtu' must be int, not True"),
    ("mtu = 1500", "mtu = 0", "mtu = 0 is not within 576 to 65521"),
    ("port = 80", "port = -1", "port = -1 is not within 1 to 65535"),
    ("count = 96", "count = 1000000000", "[hugepages] count = 1000000000 is not within"),
    ("mtu = 1500", "mtu 1500", "not TOML"),
    ('link = "tap"', 'link = "rope"', "[contenders.lwip]: 'link' must be one of veth, tap, veth-port, not "),
    ('stack = "kernel"', 'stack = "bsd"', "[contenders.epoll]: 'stack' must be one of kernel, lwip, not"),
    ('label = "kernel TCP (epoll)"', 'label = "x"\nhue = "red"', "[contenders.epoll]: unknown key 'hue'"),
    ("[contenders.epoll]", "[contenders]\nuring = 5\n[contenders.epoll]", "'uring' must be dict, not 5"),
    ('"--address", "{address}"', '"{adress}"', "[contenders.epoll]: argument '{adress}': no placeholder 'adress'"),
    ('"--address", "{address}"', '"a={adress}"', "argument 'a={adress}': no placeholder 'adress'; there are: "),
    ('"--address", "{address}"', '"a={}"', "[contenders.epoll]: argument 'a={}' is not one with placeholders"),
    ('"--address", "{address}"', '"a={0}"', "argument 'a={0}' is not one"),
    ('"--address", "{address}"', '"a={"', "argument 'a={' is not one"),
    ('"--address", "{address}"', '"a={port.x}"', "argument 'a={port.x}' is not one"),
    ('"--address", "{address}"', '"a={port:d}"', "argument 'a={port:d}' is not one"),
    ('"198.18.0.1/24"', '"198.18.0.256/24"', "[client]: address: "),
    ('"198.18.0.1/24"', '"fd00::1/64"', "[client]: address: "),
    ('"02:53:44:00:00:01"', '"03:53:44:00:00:01"', "mac: '03:53:44:00:00:01' is not a unicast address"),
    ('"client0"', '"sixteen-letters0"', "'sixteen-letters0' cannot name an interface"),
    ('bridge_port = "to-server"', "", "'' cannot name an interface"),
    ('"stackduel-client"', '"default"', "namespace 'default' must be named stackduel-"),
    ('bridge"\ninterface = "tap0"', 'server"\ninterface = "tap0"', "the TAP of 'lwip' belongs in"),
])
def test_what_a_topology_may_not_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = altered(tmp_path, old, new)
    with pytest.raises(UsageError) as caught:
        load_wire(path)
    assert path in str(caught.value) and words in str(caught.value)
