# SPDX-License-Identifier: BSD-3-Clause
"""Every topology loads; what a topology may not say is a UsageError of one line that names file and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plan.wire import TOPOLOGIES, Endpoint, load_wire

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
    contenders = wire.contenders.values()
    ends = {*(contender.endpoint for contender in contenders), *(c.client.endpoint for c in contenders)}
    # of a port that contenders have in turn, the card says the MAC
    for what in ("ip",) if wire.rebinds else ("mac", "ip"):
        assert len({getattr(end, what) for end in ends}) == len(ends), f"two ends share a {what}"
    assert {end.netmask for end in ends} == {wire.client.netmask}
    for contender in contenders:
        values = dict.fromkeys(contender.placeholders, "7")
        assert not any("{" in word for word in contender.command(values) + contender.client.command(values))


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
    ('link = "tap"', 'link = "rope"', "[contenders.lwip]: 'link' must be one of veth, tap, vhost-net, veth-port, veth-pair, veth-to-port, shm, nic, not "),
    ('stack = "kernel"', 'stack = "bsd"', "[contenders.epoll]: 'stack' must be one of kernel, lwip, not"),
    ('label = "kernel TCP (epoll)"', 'label = "x"\nhue = "red"', "[contenders.epoll]: unknown key 'hue'"),
    ("[contenders.epoll]", "[contenders]\nmine = 5\n[contenders.epoll]", "'mine' must be dict, not 5"),
    ('cores = "all"', 'cores = "most"', "[contenders.epoll-mt]: 'cores' must be one of one, all, not 'most'"),
    ('same_on_one_core = "epoll"', 'same_on_one_core = "poll"', "same_on_one_core: there is no contender 'poll'"),
    ('counts_at = "/status"', 'counts_at = "status"', "'nginx': counts_at is the path of a server without counters"),
    ('more_arguments = ["--busy-poll", "50"]', 'more_arguments = "x"',
     "[contenders.epoll-busypoll]: 'more_arguments' must"),
    ('program = "build/uring_server"', 'busy_polls = true\ncounters = false',
     "'uring': only a kernel contender that counts"),
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


SHM = (TOPOLOGIES / "shm.toml").read_text()


def test_at_both_ends_of_shared_memory_there_is_no_link_to_anywhere_else() -> None:
    wire = load_wire("shm")
    epoll, lwip = wire.contenders["epoll"], wire.contenders["lwip"]
    assert wire.bridge is None and epoll.link == "veth-pair" and lwip.link == "shm"
    assert (epoll.client.stack, epoll.client.command({})) == ("kernel", []) and epoll.client.endpoint == wire.client
    assert lwip.client.stack == "lwip" and lwip.client.launcher == "build/on-lwip"
    alone = {lwip.endpoint.namespace, lwip.client.endpoint.namespace}
    assert len(alone) == 2 and not alone & {wire.client.namespace, epoll.endpoint.namespace}
    assert lwip.endpoint.interface == lwip.client.endpoint.interface == ""


def test_both_processes_of_shared_memory_have_a_name_of_their_own_for_dpdk() -> None:
    lwip = load_wire("shm").contenders["lwip"]
    prefixes = [re.findall(r"--file-prefix=(\S+)", " ".join(words))
                for words in (lwip.arguments, lwip.client.arguments)]
    assert [len(found) for found in prefixes] == [1, 1] and prefixes[0] != prefixes[1]


def test_a_launcher_stands_before_the_clients_own_words() -> None:
    lwip = load_wire("shm").contenders["lwip"]
    values = {**dict.fromkeys(lwip.placeholders, "7"), "eal_memory": "--in-memory --x", "socket": "/run/s"}
    words = lwip.client.command(values)
    assert words[0] == "build/on-lwip" and words[-1] == "--"
    assert words[words.index("--eal") + 1].startswith("--in-memory --x --single-file-segments ")
    assert "--vdev=net_virtio_user0,path=/run/s,queues=1,queue_size=7,mac=7" in words


@pytest.mark.parametrize("old, new, words", [
    ("ring = 1024", "ring = 1000", "ring = 1000: must be 256, 512 or 1024 packets"),
    ("ring = 1024", "", "[contenders.lwip]: 'ring' is missing"),
    ('"lwip.sock"', '"' + "s" * 65 + '"', "cannot name a socket (1 to 64 letters"),
    ('"lwip.sock"', '"../lwip.sock"', "'../lwip.sock' cannot name a socket"),
    ('"lwip.sock"', '"."', "'.' cannot name a socket"),
    ('"stackduel-lwip-server"', '"stackduel-server"', "'lwip' must be in namespaces without a link"),
    ('"stackduel-lwip-client"', '"stackduel-client"', "without a link, not in stackduel-client"),
    ('"--counters", "{counters}", ', "", "[client]: no argument has {counters}"),
    ('{client_mac}"', '{clientmac}"', "[contenders.lwip] [client]: argument '{clientmac}': no placeholder"),
    ('launcher = "build/on-lwip"', "", "[contenders.lwip] [client]: 'launcher' is missing"),
    ('stack = "lwip"\nlauncher', 'stack = "kernel"\nlauncher', "[client]: 'stack' must be one of lwip, loadgen, not 'kernel'"),
    ('needs = ["build/libstackduel_preload.so"]', "needs = [7]", "[client]: 'needs' must be a list of text"),
    ("[contenders.lwip.client]", "[contenders.lwip.customer]", "[contenders.lwip]: 'client' is missing"),
    ('link = "veth-pair"', 'link = "veth"\nbridge_port = "x"', "the link of 'epoll', veth, needs a [bridge]"),
    ('"--port", "{port}", "--body', '"{socket}", "--body', "argument '{socket}': no placeholder 'socket'"),
])
def test_what_a_wire_of_shared_memory_may_not_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in SHM, f"{old!r} is not in shm.toml any more"
    path = tmp_path / "altered.toml"
    path.write_text(SHM.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load_wire(str(path))
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_contenders_may_share_the_one_pair_but_not_split_it(tmp_path: Path) -> None:
    start, end = SHM.index("[contenders.epoll]"), SHM.index("# The kernel at its best")
    second = SHM[start:end].replace("[contenders.epoll]", '[contenders."nginx/kernel"]')
    path = tmp_path / "wire.toml"
    path.write_text(SHM + second)
    nginx = load_wire(str(path)).contenders["nginx/kernel"]
    assert nginx.file_name == "nginx-kernel"
    assert isinstance(nginx.endpoint, Endpoint) and nginx.endpoint == load_wire("shm").contenders["epoll"].endpoint
    path.write_text(SHM + second.replace('"198.18.0.2/24"', '"198.18.0.5/24"'))
    with pytest.raises(UsageError, match="the client's interface leads to 'epoll' alone"):
        load_wire(str(path))


@pytest.mark.parametrize("app", ["redis", "nginx"])
def test_programs_of_others_take_the_place_of_our_servers_and_keep_their_links(app: str) -> None:
    shm, wire = load_wire("shm"), load_wire(app)
    assert list(wire.contenders) == [f"{app}/kernel", f"{app}/lwip"] and wire.workloads != shm.workloads
    assert [each.file_name for each in wire.contenders.values()] == [f"{app}-kernel", f"{app}-lwip"]
    for ours, other in zip((shm.contenders["epoll"], shm.contenders["lwip"]), wire.contenders.values()):
        assert (other.link, other.endpoint, other.client, other.stack) == (
            ours.link, ours.endpoint, ours.client, ours.stack)
    kernel, lwip = wire.contenders.values()
    words = [word for word in lwip.arguments if word in kernel.arguments or word == kernel.program]
    assert lwip.arguments[-len(kernel.arguments):] == kernel.arguments or words[-1] == "nginx"
    assert app in " ".join(wire.programs)


def test_a_contender_cannot_stand_instead_of_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "tap"\n[contenders.x]\ninstead_of = "apache"\n')
    with pytest.raises(UsageError, match=r"\[contenders.x\]: its base has no contender 'apache'"):
        load_wire(str(file))
    file.write_text('base = "tap"\n[contenders.x]\ninstead_of = "epoll"\nlabel = "y"\n')
    with pytest.raises(UsageError, match=r"\[contenders.epoll-busypoll\]: 'like' must name"):
        load_wire(str(file))
    file.write_text('base = "tap"\nkeeps = ["epoll", "lwip"]\n[contenders.x]\ninstead_of = "epoll"\nlabel = "y"\n')
    assert list(load_wire(str(file)).contenders) == ["x", "lwip"]
    assert load_wire(str(file)).contenders["x"].label == "y"


@pytest.mark.parametrize("name", ["tap", "afpacket", "afxdp", "nic", "shm", "veth"])
def test_the_kernel_s_rungs_share_the_end_of_epoll_s_link(name: str) -> None:
    wire = load_wire(name)
    rungs = list(wire.contenders)[:6]
    assert rungs == ["epoll", "epoll-busypoll", "epoll-mt", "uring", "nginx", "nginx-mt"]
    epoll = wire.contenders["epoll"]
    for each in (wire.contenders[rung] for rung in rungs):
        assert (each.stack, each.link) == ("kernel", epoll.link)
        assert (each.endpoint, each.client) == (epoll.endpoint, epoll.client)
        assert each.cores == ("all" if each.name.endswith("-mt") else "one")
    assert len({each.label for each in wire.contenders.values()}) == len(wire.contenders)
    assert wire.contenders["epoll-mt"].arguments == (
        *epoll.arguments, "--threads", "{server_cores}", "--cpus", "{server_cpus}")
    assert wire.contenders["nginx-mt"].same_on_one_core == "nginx"


def test_only_lwip_on_a_nic_uses_all_the_cores() -> None:
    assert {name: load_wire(name).contenders["lwip"].cores for name in ("tap", "afpacket", "afxdp", "shm", "nic")} == {
        "tap": "one", "afpacket": "one", "afxdp": "one", "shm": "one", "nic": "all"}


def test_the_wire_of_the_kernel_alone_has_a_yardstick_and_needs_no_dpdk() -> None:
    wire = load_wire("veth")
    assert all(each.stack == each.client.stack == "kernel" for each in wire.contenders.values())
    minimal = wire.contenders["minimal"]
    assert (minimal.only_workload, minimal.only_body_size, minimal.counters, minimal.counts_at) == ("rps", 1, False, "")
    assert minimal.command({"address": "a", "port": "80"}) == ["build/minimal_epoll", "a", "80"]


@pytest.mark.parametrize("keeps", ['"epoll"', "[]", '["epoll", "apache"]', "3"])
def test_only_contenders_of_the_base_can_be_kept(tmp_path: Path, keeps: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'base = "tap"\nkeeps = {keeps}\n')
    with pytest.raises(UsageError, match="'keeps' must name contenders of its base: epoll, "):
        load_wire(str(file))
