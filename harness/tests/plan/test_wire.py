# SPDX-License-Identifier: BSD-3-Clause
"""Every wire and contender loads; what a file may not say is a UsageError of one line that names file and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plan.topology import (CONTENDERS, WIRES, contender_name, load_wire, over_vhost, wire_names,
                                   with_contenders)
from harness.plan.wire import PLACEHOLDERS, Wire, filled
from harness.provision.links import check_links

VALUES = {**dict.fromkeys(PLACEHOLDERS, "7"), "eal_memory": "--in-memory"}
# what follows from no wire
GIVEN = {key: VALUES[key] for key in ("port", "body_size", "max_connections", "server_cores", "server_cpus", "counters",
                                      "raw", "run_directory", "pci", "socket", "ring", "eal_memory")}
KERNEL_SERVERS = ["epoll", "epoll-busypoll", "epoll-mt", "uring", "nginx", "nginx-mt"]


def refused(path: Path) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(UsageError) as caught:
        check_links(load_wire(str(path)))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def altered(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """A copy of a wire's file with one change."""
    text = (WIRES / f"{name}.toml").read_text()
    assert old in text, f"{old!r} is not in {name}.toml any more"
    path = tmp_path / "altered.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize("name", wire_names())
def test_a_wire_loads_and_is_consistent(name: str) -> None:
    wire = load_wire(name)
    check_links(wire)
    assert wire.name == name and wire.contenders
    contenders = wire.contenders.values()
    ends = {*(contender.endpoint for contender in contenders), *(c.client.endpoint for c in contenders)}
    # of a port that contenders have in turn, the card says the MAC
    for what in ("ip",) if wire.rebinds else ("mac", "ip"):
        assert len({getattr(end, what) for end in ends}) == len(ends), f"two ends share a {what}"
    for contender in contenders:
        assert not any("{" in word for word in contender.command(GIVEN) + contender.client.command(GIVEN))


@pytest.mark.parametrize("file", sorted(CONTENDERS.rglob("*.toml")), ids=lambda file: str(file.stem))
def test_a_contender_runs_on_every_wire_that_has_an_end_for_its_stack(file: Path) -> None:
    name = str(file.relative_to(CONTENDERS).with_suffix(""))
    for wire in map(load_wire, ("tap", "shm", "nic")):
        contender = with_contenders(wire, [name]).contenders[name]
        assert contender.end == wire.ends[contender.stack] and contender.label.startswith(contender.title.rstrip(")"))
        assert not any("{" in word for word in contender.command(GIVEN))


def test_the_taps_kernel_end_has_a_mac_of_its_own() -> None:
    wire = load_wire("tap")
    for wire in filter(None, (wire, wire.over_vhost)):
        server = wire.ends["dpdk"].server
        assert "mac={kernel_mac}" in " ".join(server.eal)
        assert server.kernel_mac not in {wire.client.mac, *(end.server.mac for end in wire.ends.values())}


def test_a_wire_gives_only_what_differs_from_the_one_that_it_is_like() -> None:
    tap, afpacket = load_wire("tap"), load_wire("afpacket")
    assert afpacket.contenders["epoll"] == tap.contenders["epoll"]
    assert (afpacket.client, afpacket.mtu) == (tap.client, tap.mtu)
    assert afpacket.contenders["lwip"].endpoint.address == tap.contenders["lwip"].endpoint.address
    assert afpacket.contenders["lwip"].link == "veth-port" and afpacket.over_vhost is None


def test_the_tap_has_another_end_where_the_kernel_has_vhost_net() -> None:
    tap = load_wire("tap")
    other = over_vhost(tap)
    assert other is not None and other.name == "tap" and list(other.contenders) == list(tap.contenders)
    assert (tap.contenders["lwip"].link, other.contenders["lwip"].link) == ("tap", "vhost-net")
    assert other.contenders["epoll"] == tap.contenders["epoll"] and other.title != tap.title
    assert over_vhost(load_wire("shm")) is None


@pytest.mark.parametrize("like, words", [('"nowhere"', "no wire 'nowhere'; there are: "), ("7", "'like' must name"),
                                         ("'{path}'", "no chain of them may be longer")])
def test_a_bad_like(tmp_path: Path, like: str, words: str) -> None:
    path = tmp_path / "wire.toml"
    path.write_text(f"like = {like.format(path=path)}\n")
    with pytest.raises(UsageError, match=words):
        load_wire(str(path))


def test_command_fills_in_and_splits() -> None:
    words = load_wire("tap").contenders["lwip"].command({**GIVEN, "eal_memory": "--no-huge -m 64"})
    assert words[:5] == ["build/lwip_server", "--no-huge", "-m", "64", "--file-prefix=stackduel"]
    assert any(word.startswith("--vdev=net_tap0,iface=tap0,mac=") for word in words[:words.index("--")])
    assert words[words.index("--") + 1:][:6] == [
        "--address", "198.18.0.3", "--netmask", "255.255.255.0", "--gateway", "0.0.0.0"]


def test_an_unknown_wire_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no wire 'rope'; there are: .*tap"):
        load_wire("rope")


@pytest.mark.parametrize("old, new, words", [
    ("mtu = 1500", "mtu = 1500\nspeed = 10", "unknown key 'speed'"),
    ("mtu = 1500", "", "'mtu' is missing"),
    ("mtu = 1500", 'mtu = "1500"', "'mtu' must be a whole number, not '1500'"),
    ("mtu = 1500", "mtu = true", "'mtu' must be a whole number, not True"),
    ("mtu = 1500", "mtu = 0", "mtu = 0 is not within 576 to 65521"),
    ("port = 80", "port = -1", "port = -1 is not within 1 to 65535"),
    ("count = 96", "count = 1000000000", "[hugepages] count = 1000000000 is not within"),
    ("count = 96", "count = 96\ncolour = 1", "[hugepages] unknown key 'colour'"),
    ("size_kib = 2048", "size_kib = 2.5", "[hugepages] 'size_kib' must be a whole number, not 2.5"),
    ("mtu = 1500", "mtu 1500", "not TOML"),
    ('link = "tap"', 'link = "rope"', "[dpdk]: 'link' must be one of veth, tap, vhost-net, veth-port, veth-pair, "
     "veth-to-port, shm, nic, not 'rope'"),
    ('link = "tap"', "", "[dpdk]: 'link' is missing"),
    ('link = "veth"', 'link = "veth"\nhue = "red"', "[kernel]: unknown key 'hue'"),
    ("[kernel.server]", "[kernel.serving]", "[kernel]: 'server' is missing"),
    ("[kernel]", "[kernels]", "unknown key 'kernels'"),
    ('contenders = ["epoll"', 'contenders = [5, "epoll"', "'contenders' must be a list of text"),
    ('cores = "one"', 'cores = "most"', "[dpdk]: 'cores' must be one of one, all, not 'most'"),
    ("iface={interface}", "iface={device}", "[dpdk.server]: argument '--vdev=net_tap0,iface={device},mac="),
    ('"198.18.0.1/24"', '"198.18.0.256/24"', "[client]: address: "),
    ('"198.18.0.1/24"', '"fd00::1/64"', "[client]: address: "),
    ('"02:53:44:00:00:01"', '"03:53:44:00:00:01"', "[client]: mac: '03:53:44:00:00:01' is not a unicast address"),
    ('mac = "02:53:44:00:00:02"', "", "[kernel]: a link of kind veth needs 'mac'"),
    ('"client0"', '"sixteen-letters0"', "'sixteen-letters0' cannot name an interface"),
    ('bridge_port = "to-server"', "", "[kernel]: a link of kind veth needs 'bridge_port'"),
    ('interface = "server0"', "", "[kernel]: a link of kind veth needs 'interface'"),
    ('"stackduel-client"', '"default"', "namespace 'default' must be named stackduel-"),
    ('bridge"\ninterface = "tap0"', 'server"\ninterface = "tap0"', "[dpdk]: link tap belongs in the bridge's"),
])
def test_what_a_wire_may_not_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refused(altered(tmp_path, "tap", old, new))


@pytest.mark.parametrize("key", ["kernel", "dpdk", "preload"])
def test_an_end_is_a_table(tmp_path: Path, key: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'like = "tap"\n{key} = 5\n')
    assert f"'{key}' must be a table, not 5" in refused(path)


def test_a_wire_s_name_is_part_of_a_run_s(tmp_path: Path) -> None:
    path = tmp_path / "my wire.toml"
    path.write_text('like = "tap"\n')
    assert "name 'my wire' cannot be part of a run's id" in refused(path)


@pytest.mark.parametrize("old, new, words", [
    ("ring = 1024", "ring = 1000", "ring = 1000: must be 256, 512 or 1024 packets"),
    ("ring = 1024", "", "ring = 0: must be 256, 512 or 1024 packets"),
    ('"lwip.sock"', '"' + "s" * 65 + '"', "cannot name a socket (1 to 64 letters"),
    ('"lwip.sock"', '"../lwip.sock"', "'../lwip.sock' cannot name a socket"),
    ('"lwip.sock"', '"."', "'.' cannot name a socket"),
    ('"stackduel-lwip-server"', '"stackduel-server"', "[dpdk]: link shm must be in namespaces without a link"),
    ('"stackduel-lwip-client"', '"stackduel-client"', "without a link, not in stackduel-client"),
    ('client_stack = "preload"', "", "[dpdk]: link shm needs a client on DPDK"),
    ('client_stack = "preload"', 'client_stack = "bsd"', "'client_stack' must be one of kernel, preload, dpdk, not 'bsd'"),
    ('iface={socket}', "iface={sockets}", "[dpdk.server]: argument '--vdev=net_vhost0,iface={sockets},queues=1': no"),
    ("[dpdk.client]", "[dpdk.customer]", "[dpdk]: unknown key 'customer'"),
    ('link = "veth-pair"', 'link = "veth"\nbridge_port = "x"', "[kernel]: link veth needs a [bridge]"),
    ('link = "shm"', 'link = "nic"', "[kernel]: link veth-pair leads from the client's interface to one server alone"),
    ('ready = "socket"', 'ready = "smoke"', "[preload]: 'ready' must be one of , line, connect, socket, not 'smoke'"),
])
def test_what_a_wire_of_shared_memory_may_not_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refused(altered(tmp_path, "shm", old, new))


EPOLL = (CONTENDERS / "epoll.toml").read_text()


@pytest.mark.parametrize("old, new, words", [
    ('stack = "kernel"', 'stack = "bsd"', "'stack' must be one of kernel, preload, dpdk, not 'bsd'"),
    ('stack = "kernel"', 'stack = "kernel"\nhue = "red"', "unknown key 'hue'"),
    ('label = "kernel TCP (epoll)"', "", "'label' is missing"),
    ('stack = "kernel"', 'stack = "kernel"\ncores = "most"', "'cores' must be one of one, all, not 'most'"),
    ('stack = "kernel"', 'stack = "kernel"\nready = "soon"', "'ready' must be one of line, connect, socket"),
    ('stack = "kernel"', 'stack = "kernel"\nneeds = [7]', "'needs' must be a list of text"),
    ('stack = "kernel"', 'stack = "kernel"\nwithout = "all"', "'without' must be a list of text, not 'all'"),
    ('stack = "kernel"', 'stack = "kernel"\npackages = ["x"]', "'packages'"),
    ('stack = "kernel"', 'stack = "kernel"\npolls = "yes"', "'polls' must be true or false, not 'yes'"),
    ('stack = "kernel"', 'stack = "kernel"\nlike = "nobody"', "no contender 'nobody'; there are: epoll, "),
    ('stack = "kernel"', 'stack = "kernel"\nsame_on_one_core = "poll"', "same_on_one_core: there is no contender 'poll'"),
    ('stack = "kernel"', 'stack = "kernel"\ncounters = false\ncounts_at = "status"', "counts_at is the path of a server"),
    ('stack = "kernel"', 'stack = "kernel"\ncounts_at = "/status"', "counts_at is the path of a server without counters"),
    ('stack = "kernel"', 'stack = "kernel"\ncounters = false\nbusy_polls = true', "only a kernel contender that counts"),
    ('most_because = "each', '# "each', "most_connections and most_because go together"),
    ("most_connections = 1000000", "most_connections = -1", "go together, and cannot be negative"),
    ("most_connections = 1000000", 'most_connections = "all"', "'most_connections' must be a whole number, not 'all'"),
    ('"--address", "{address}"', '"{adress}"', "argument '{adress}': no placeholder 'adress'; there are: address, "),
    ('"--address", "{address}"', '"a={adress}"', "argument 'a={adress}': no placeholder 'adress'"),
    ('"--address", "{address}"', '"a={}"', "argument 'a={}' is not one with placeholders"),
    ('"--address", "{address}"', '"a={0}"', "argument 'a={0}' is not one"),
    ('"--address", "{address}"', '"a={"', "argument 'a={' is not one"),
    ('"--address", "{address}"', '"a={port.x}"', "argument 'a={port.x}' is not one"),
    ('"--address", "{address}"', '"a={port:d}"', "argument 'a={port:d}' is not one"),
    ("arguments = [", "arguments [", "not TOML"),
])
def test_what_a_contender_may_not_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in EPOLL
    path = tmp_path / "mine.toml"
    path.write_text(EPOLL.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        with_contenders(load_wire("tap"), [str(path)])
    assert "mine" in str(caught.value) or "nobody" in str(caught.value)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_contender_needs_an_end_for_its_stack_and_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kernel-only.toml"
    text = (WIRES / "veth.toml").read_text().replace('like = "shm"', "")
    kernel = (WIRES / "shm.toml").read_text().partition("[dpdk]")[0].partition("mtu")
    path.write_text(text.partition("[kernel]")[0] + "mtu" + kernel[2].replace("caveat", "#").replace("contenders", "#"))
    wire = load_wire(str(path))
    assert list(wire.ends) == ["kernel"]
    with pytest.raises(UsageError, match=r"lwip.toml: wire 'kernel-only' has no \[dpdk\]"):
        with_contenders(wire, ["lwip"])
    with pytest.raises(UsageError, match="no contender 'nowhere.toml'; there are: epoll, "):
        with_contenders(wire, ["nowhere.toml"])
    assert with_contenders(wire, ["nobody", "epoll"]) == wire


def test_at_both_ends_of_shared_memory_there_is_no_link_to_anywhere_else() -> None:
    wire = load_wire("shm")
    epoll, lwip = wire.contenders["epoll"], wire.contenders["lwip"]
    assert wire.bridge is None and epoll.link == "veth-pair" and lwip.link == "shm"
    assert (epoll.client.stack, epoll.client.command({})) == ("kernel", []) and epoll.client.endpoint == wire.client
    assert lwip.client.stack == "preload" and lwip.client.launcher == "build/on-lwip"
    alone = {lwip.endpoint.namespace, lwip.client.endpoint.namespace}
    assert len(alone) == 2 and not alone & {wire.client.namespace, epoll.endpoint.namespace}
    assert lwip.endpoint.interface == lwip.client.endpoint.interface == ""


def test_both_processes_of_shared_memory_have_a_name_of_their_own_for_dpdk() -> None:
    lwip = load_wire("shm").contenders["lwip"]
    prefixes = [re.findall(r"--file-prefix=(\S+)", " ".join(words))
                for words in (lwip.command(GIVEN), lwip.client.command(GIVEN))]
    assert [len(found) for found in prefixes] == [1, 1] and prefixes[0] != prefixes[1]


def test_a_launcher_stands_before_the_clients_own_words() -> None:
    lwip = load_wire("shm").contenders["lwip"]
    words = lwip.client.command({**GIVEN, "eal_memory": "--in-memory --x", "socket": "/run/s"})
    assert words[0] == "build/on-lwip" and words[-1] == "--" and words[-3:-1] == ["--counters", "7"]
    eal = next(word for word in words if word.startswith("--eal="))
    assert eal.startswith("--eal=--in-memory --x --file-prefix=stackduel-client --no-telemetry ")
    assert eal.endswith("--vdev=net_virtio_user0,path=/run/s,queues=1,queue_size=7,mac=02:53:44:00:00:04")


@pytest.mark.parametrize("app, program", [("redis", "redis-server"), ("nginx", "nginx")])
def test_an_unmodified_program_is_a_contender_on_both_stacks(app: str, program: str) -> None:
    shm, wire = load_wire("shm"), load_wire(app)
    assert list(wire.contenders) == [f"{app}/kernel", f"{app}/spin", f"{app}/lwip"] and wire.workloads != shm.workloads
    assert [each.file_name for each in wire.contenders.values()] == [f"{app}-kernel", f"{app}-spin", f"{app}-lwip"]
    kernel, spin, lwip = wire.contenders.values()
    assert kernel.end == shm.contenders["epoll"].end
    assert (lwip.link, lwip.endpoint, lwip.client) == (
        shm.contenders["lwip"].link, shm.contenders["lwip"].endpoint, shm.contenders["lwip"].client)
    assert (kernel.ready, lwip.ready) == ("connect", "socket") and (kernel.polls, lwip.polls) == (False, True)
    assert kernel.packages == lwip.packages and program in kernel.packages
    assert {"build/on-lwip", "build/libstackduel_preload.so"} <= {*lwip.files} - {*kernel.files}
    words = lwip.command({**GIVEN, "eal_memory": "--in-memory"})
    launcher = words.index("build/on-lwip")
    assert program in words[words.index("--", launcher):]
    own = [*words[:launcher], *words[words.index("--", launcher) + 1:]]
    assert own == [word.replace(kernel.endpoint.ip, lwip.endpoint.ip) for word in kernel.command(GIVEN)]


@pytest.mark.parametrize("name", ["tap", "afpacket", "afxdp", "nic", "shm", "veth"])
def test_the_kernel_s_servers_share_the_end_of_epoll_s_link(name: str) -> None:
    wire = load_wire(name)
    assert list(wire.contenders)[:6] == KERNEL_SERVERS
    epoll = wire.contenders["epoll"]
    for each in (wire.contenders[server] for server in KERNEL_SERVERS):
        assert (each.stack, each.end, each.polls) == ("kernel", epoll.end, False)
        assert each.cores == ("all" if each.name.endswith("-mt") else "one")
    assert len({each.label for each in wire.contenders.values()}) == len(wire.contenders)
    assert wire.contenders["epoll-mt"].arguments == (
        *epoll.arguments, "--threads", "{server_cores}", "--cpus", "{server_cpus}")
    assert wire.contenders["nginx-mt"].same_on_one_core == "nginx"


@pytest.mark.parametrize("name", ["tap", "afpacket", "afxdp", "nic", "shm", "veth", "shm-loadgen"])
def test_a_kernel_server_that_never_sleeps_is_on_every_wire_with_http(name: str) -> None:
    contenders = load_wire(name).contenders
    epoll, spin = contenders["epoll"], contenders["epoll-spin"]
    assert (spin.cores, spin.same_on_one_core) == ("all", "")
    assert (spin.polls, spin.program, spin.end) == (True, epoll.program, epoll.end)
    assert spin.arguments == (*epoll.arguments, "--threads", "{server_cores}", "--cpus", "{server_cpus}", "--spin")
    assert spin.client == epoll.client
    assert spin.client.polls is False and ("epoll-spin-both" in contenders) == (name == "shm")


@pytest.mark.parametrize("wire, sleeps, spins", [
    ("shm", "epoll", "epoll-spin-both"), ("nginx", "nginx/kernel", "nginx/spin"),
    ("redis", "redis/kernel", "redis/spin")])
def test_where_the_client_on_lwip_polls_a_kernel_contender_polls_at_both_ends(
        wire: str, sleeps: str, spins: str) -> None:
    contenders = load_wire(wire).contenders
    kernel, both = contenders[sleeps], contenders[spins]
    assert (both.polls, both.client.polls, both.end) == (True, True, kernel.end)
    assert both.client.command({}) == ["build/spinning"] and kernel.client.command({}) == []
    assert {"build/spinning", "build/libspin.so"} <= {*both.files} - {*kernel.files}
    if wire != "shm":
        words = both.command(GIVEN)
        words.remove("build/spinning")
        assert words == kernel.command(GIVEN)


def test_a_client_that_is_not_on_the_kernel_s_sockets_is_not_told_to_poll() -> None:
    with pytest.raises(UsageError, match="client_polls: on wire 'shm-loadgen' the client of stack kernel is not on"):
        with_contenders(load_wire("shm-loadgen"), ["epoll-spin-both"])


def test_a_label_has_what_the_wire_adds() -> None:
    def labels(name: str) -> list[str]:
        contenders = load_wire(name).contenders
        return [contenders[each].label for each in ("epoll", "lwip")]
    assert labels("tap") == ["kernel TCP (epoll)", "lwIP on DPDK (net_tap)"]
    assert labels("shm-loadgen") == ["kernel TCP (epoll, veth)", "lwIP on DPDK (shared memory)"]
    assert labels("nic") == ["kernel TCP (epoll)", "lwIP on DPDK"]


def test_only_lwip_on_a_nic_uses_all_the_cores() -> None:
    assert {name: load_wire(name).contenders["lwip"].cores for name in ("tap", "afpacket", "afxdp", "shm", "nic")} == {
        "tap": "one", "afpacket": "one", "afxdp": "one", "shm": "one", "nic": "all"}


def test_the_wire_of_the_kernel_alone_has_a_yardstick_and_needs_no_dpdk() -> None:
    wire = load_wire("veth")
    assert not any(each.on_dpdk for each in wire.contenders.values())
    minimal = wire.contenders["minimal"]
    assert (minimal.only_workload, minimal.only_body_size, minimal.counters, minimal.counts_at) == ("rps", 1, False, "")
    assert minimal.command(GIVEN) == ["build/minimal_epoll", "198.18.0.2", "7"]


@pytest.mark.parametrize("keeps", ['"epoll"', '["epoll", "apache"]', "3"])
def test_a_wire_lists_contenders_that_there_are(tmp_path: Path, keeps: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'like = "tap"\ncontenders = {keeps}\n')
    with pytest.raises(UsageError, match="'contenders' must be a list of text|no contender 'apache'; there are: epoll, "):
        load_wire(str(file))


def stranger(folder: Path) -> Wire:
    """A wire and a contender of another make, in folders of theirs."""
    (folder / "wires").mkdir()
    (folder / "contenders").mkdir()
    (folder / "contenders" / "theirs.toml").write_text(
        'label = "theirs"\nstack = "dpdk"\nprogram = "their_server"\narguments = ["{eal}", "--", "{address}:{port}"]\n')
    (folder / "wires" / "mine.toml").write_text('like = "tap"\ncontenders = ["epoll", "theirs"]\n[dpdk]\nlabel = "my TAP"\n')
    return load_wire(str(folder / "wires" / "mine.toml"))


def test_a_stranger_s_contender_stands_beside_the_stranger_s_wire(tmp_path: Path) -> None:
    wire = stranger(tmp_path)
    assert wire.name == "mine" and wire.contenders["theirs"].label == "theirs (my TAP)"
    assert wire.contenders["theirs"].command(GIVEN)[-1] == "198.18.0.3:7"


def test_a_stranger_s_contender_is_named_by_its_file(tmp_path: Path) -> None:
    stranger(tmp_path)
    path = str(tmp_path / "contenders" / "theirs.toml")
    wire = with_contenders(load_wire("tap"), ["lwip", path, "minimal", "theirs#2"])
    assert contender_name(path) == "theirs" and contender_name("lwip") == "lwip"
    assert [*wire.contenders][-3:] == ["theirs", "minimal", "theirs#2"]
    assert wire.contenders["theirs"].end == wire.contenders["lwip"].end == wire.contenders["theirs#2"].end


def test_a_placeholder_that_stands_alone_is_one_word_whatever_its_value() -> None:
    odd = "/a b/{0} %d"
    assert filled(["{raw}", "{mac}", "{eal}", "-c={raw}"], {"raw": odd, "mac": "", "eal": "-a  b"}) == [
        odd, "-a", "b", f"-c={odd}"]
    nginx = load_wire("nginx").contenders["nginx/lwip"]
    assert odd in nginx.command({**GIVEN, "raw": odd}) and odd in nginx.command({**GIVEN, "counters": odd})
