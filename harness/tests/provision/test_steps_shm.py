# SPDX-License-Identifier: BSD-3-Clause
"""Steps of a wire without a bridge: a veth pair, memory that two processes share, what these cannot do without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import MachineError
from harness.provision.journal import DIRECTORY, PATH
from harness.provision.provision import Provisioned, provisioned, restore, steps
from harness.provision.links import socket_path
from harness.provision.steps import Requirements, built
from harness.tests.fixtures.fake_host import PAGES, FakeHost
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("shm")
BOTH = ("epoll", "lwip")
LWIP = WIRE.contenders["lwip"]
NR = f"{PAGES}/nr_hugepages"


def run_once(host: FakeHost, contenders: tuple[str, ...] = BOTH) -> list[Provisioned]:
    reached: list[Provisioned] = []
    with provisioned(host, WIRE, contenders, "run-1", log=lambda line: None) as up:
        reached.append(up)
        host.calls.append("body")
    return reached


def test_steps_are_in_order() -> None:
    assert [step.name for step in steps(WIRE, BOTH)] == [
        "requirements",
        "privileges",
        "drivers of DPDK",
        "hugepages: 96 of 2048 KiB",
        "DPDK's runtime directory /run/dpdk/stackduel",
        "DPDK's runtime directory /run/dpdk/stackduel-client",
        "directory of namespaces",
        "namespace stackduel-client",
        "namespace stackduel-lwip-client",
        "namespace stackduel-server",
        "namespace stackduel-lwip-server",
        "veth stackduel-client/client0 to stackduel-server/server0",
        "socket /run/stackduel/lwip.sock",
    ]


def test_the_pair_goes_from_the_client_to_the_server_and_nowhere_else() -> None:
    host = FakeHost()
    run_once(host, ("epoll",))
    up = host.calls[:host.calls.index("body")]
    client, server = "run ip -n stackduel-client", "run ip -n stackduel-server"
    assert [call for call in up if call.startswith("run ip -n") and " lo " not in call] == [
        f"{client} link add client0 address 02:53:44:00:00:01 mtu 1500 type veth peer name server0 address "
        "02:53:44:00:00:02 mtu 1500 netns stackduel-server",
        f"{client} address add 198.18.0.1/24 dev client0",
        f"{server} address add 198.18.0.2/24 dev server0",
        f"{client} link set client0 up",
        f"{server} link set server0 up"]
    assert not any("bridge" in call for call in host.calls)


def test_namespaces_of_shared_memory_get_no_link() -> None:
    host = FakeHost()
    run_once(host, ("lwip",))
    assert not any("link add" in call for call in host.calls)
    assert [call for call in host.calls if "netns add" in call] == [
        "run ip netns add stackduel-lwip-client", "run ip netns add stackduel-lwip-server"]


@pytest.mark.parametrize("contenders", [BOTH, ("epoll",), ("lwip",)])
def test_everything_is_undone(contenders: tuple[str, ...]) -> None:
    host = FakeHost()
    before = host.state()
    run_once(host, contenders)
    assert host.state() == before


def test_the_socket_of_a_killed_server_goes_with_the_run() -> None:
    host = FakeHost()
    before = host.state()
    with provisioned(host, WIRE, BOTH, "r", log=print):
        host.files[socket_path(LWIP.end)] = ""
    assert host.state() == before


def test_restore_removes_the_socket_and_the_directory_it_lies_in() -> None:
    host = FakeHost()
    before = host.state()
    try:
        with provisioned(host, WIRE, BOTH, "r", log=print):
            left = json.loads(json.dumps(host.files[PATH]))
            state = dict(host.files), set(host.directories), set(host.links), set(host.mounts)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    killed = FakeHost()
    killed.files, killed.directories, killed.links, killed.mounts = state
    killed.files[socket_path(LWIP.end)] = ""
    assert killed.files[PATH] == left
    done = restore(killed)
    assert f"rm -f {DIRECTORY}/lwip.sock" in done and killed.state() == before


def test_memory_that_cannot_be_shared_ends_the_run_before_it_begins() -> None:
    host = FakeHost()
    host.page_limit = 40
    before = host.state()
    with pytest.raises(MachineError) as caught:
        run_once(host)
    assert str(caught.value).startswith(
        "contender 'lwip' of wire shm needs 96 hugepages of 2048 KiB (client and server share them; --no-huge gives "
        "no memory to share), and the machine gave 36 of 95 hugepages of 2048 KiB: ")
    assert host.state() == before and not any("netns" in call for call in host.calls)


def test_a_kernel_without_hugepages_is_told_so_and_nothing_is_touched() -> None:
    host = FakeHost()
    del host.files[NR], host.files[f"{PAGES}/free_hugepages"]
    with pytest.raises(MachineError, match="needs 96 hugepages .* and this kernel has no hugepages of 2048 KiB"):
        run_once(host)
    assert host.calls == []
    # the kernel's contender alone needs none
    assert run_once(host, ("epoll",))[0].why == "no contender uses them"


def test_a_dry_run_tells_what_a_real_one_would_lack_and_goes_on() -> None:
    host = FakeHost()
    del host.files[NR], host.files[f"{PAGES}/free_hugepages"]
    said: list[str] = []
    with provisioned(host, WIRE, BOTH, "r", dry_run=True, log=said.append):
        pass
    assert said[0].startswith("# in the way of a real run: contender 'lwip' of wire shm needs 96 hugepages")
    assert any(line.startswith("# a real run would end here: ") for line in said)
    assert f"rm -f {socket_path(LWIP.end)}" in said and host.calls == []


@pytest.mark.parametrize("missing", ["on-lwip", "libstackduel_preload.so", "lwip_server", "epoll_server"])
def test_what_has_not_been_built_is_named(missing: str) -> None:
    host = FakeHost()
    host.missing = {missing}
    with pytest.raises(MachineError, match=rf"missing: build/{missing} \(run `make`\)"):
        run_once(host)
    assert host.calls == []


def test_the_clients_programs_count_as_built() -> None:
    assert built([WIRE.contenders["epoll"], LWIP, LWIP]) == [
        "build/epoll_server", "build/lwip_server", "build/on-lwip", "build/libstackduel_preload.so"]


def test_programs_of_the_load_tool_are_asked_for() -> None:
    host = FakeHost()
    host.missing = {"redis-benchmark"}
    programs = {"redis-benchmark": "redis-tools"}
    assert Requirements((LWIP,)).check(host) == ""
    assert Requirements((LWIP,), programs).check(host) == (
        "missing: redis-benchmark (package redis-tools, or `sudo make deps`)")
    with pytest.raises(MachineError, match="redis-benchmark"):
        with provisioned(host, WIRE, BOTH, "r", log=print, programs=programs):
            pass


def test_the_socket_is_short_enough_for_any_name_a_wire_may_give(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "topologies" / "wires" / "shm.toml").read_text()
    path = tmp_path / "wire.toml"
    path.write_text(text.replace('"lwip.sock"', '"' + "s" * 64 + '"'))
    assert len(socket_path(bare_wire(str(path)).contenders["lwip"].end)) <= 107
