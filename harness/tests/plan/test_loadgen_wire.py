# SPDX-License-Identifier: BSD-3-Clause
"""Wires with our own load generator: what they may say, the steps that make them, workloads and plans on them."""

from __future__ import annotations

from dataclasses import replace
import json
import resource
from pathlib import Path

import pytest

from harness.run import by_workload
from harness.run.run import _name
from harness.provision.links import WRITABLE
from harness.provision import fd_limit as descriptors
from harness.run import RunRequest
from harness.errors import UsageError
from harness.plan import (
    from_json, GENERAL, load_plan, LoadPoint, schedule, SIZES, to_json, WORKLOADS)
from harness.provision.provision import provisioned, steps
from harness.tests.fixtures.fake_host import PAGES, FakeHost
from harness.plan.topology import WIRES
from harness.tests.fixtures.wires import bare_wire
from harness.plan.wire import PLACEHOLDERS
from harness.provision.links import check_links

WIRE = bare_wire("shm-loadgen")
SCALE = bare_wire("scale")
TEXT = (WIRES / "shm-loadgen.toml").read_text()


def test_the_same_client_for_all() -> None:
    assert WIRE.has_loadgen and not bare_wire("shm").has_loadgen
    clients = [contender.client for contender in WIRE.contenders.values()]
    assert [(client.stack, client.launcher) for client in clients] == [("dpdk", "build/loadgen")] * 4
    epoll, _, lwip, _ = WIRE.contenders.values()
    assert "server=1" in " ".join(lwip.end.server.eal) and "client=1" in " ".join(lwip.end.client.eal)
    values = {**dict.fromkeys(PLACEHOLDERS, "7"), "eal_memory": "--in-memory"}
    for contender, first in ((epoll, "198.18.1.1"), (lwip, "198.19.0.1")):
        words = contender.client.command(
            {key: value for key, value in values.items() if key in ("port", "socket", "ring", "eal_memory")})
        assert words[:3] == ["build/loadgen", "--in-memory", "--file-prefix=stackduel-client"]
        assert words[words.index("--") + 1:] == [
            "--address", first, "--netmask", "255.254.0.0", "--mac", contender.end.client.mac,
            "--server", contender.endpoint.ip, "--port", "7"]


def test_a_server_finds_the_way_to_all_addresses_of_the_generator_through_its_first() -> None:
    values = {"eal_memory": "", "port": "80", "socket": "s", "ring": "1", "body_size": "1", "max_connections": "9",
              "server_cores": "1"}
    words = WIRE.contenders["lwip"].command(values)
    assert words[words.index("--netmask") + 1] == "255.255.255.255"
    assert words[words.index("--gateway") + 1] == WIRE.contenders["lwip"].client.endpoint.ip


def test_the_plain_server_is_the_same_but_for_what_it_lacks() -> None:
    lwip, plain = SCALE.contenders["lwip"], SCALE.contenders["plain"]
    assert (plain.arguments, plain.end) == (lwip.arguments, lwip.end)
    assert plain.without == ("lookup", "timers", "pools") and lwip.without == ()
    assert plain.most_connections == 10_000 and plain.most_because and not lwip.most_connections


@pytest.mark.parametrize("old, new, words", [
    ("iface={interface},framecnt", "iface={client_device},framecnt",
     "[client]: argument '--vdev=net_af_packet0,iface={client_device}"),
    ('client_stack = "dpdk"', 'client_stack = "bsd"', "[kernel]: 'client_stack' must be one of kernel, preload, dpdk"),
    ("198.19.0.1", "198.19.0", "[dpdk.server]: address: "),
])
def test_what_such_a_wire_may_not_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT, f"{old!r} is not in shm-loadgen.toml any more"
    path = tmp_path / "altered.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        check_links(bare_wire(str(path)))
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_an_end_without_an_address_needs_a_client_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('like = "shm-loadgen"\ncontenders = ["epoll"]\n[kernel]\nclient_stack = "kernel"\n')
    with pytest.raises(UsageError, match=r"\[kernel\]: link veth-to-port needs a client that opens it"):
        check_links(bare_wire(str(path)))


def test_one_client_for_all_or_for_none(tmp_path: Path) -> None:
    path = tmp_path / "mixed.toml"
    path.write_text('like = "shm-loadgen"\n[dpdk]\nclient_stack = "preload"\n')
    with pytest.raises(UsageError, match="the load generator must be the client of all contenders or of none"):
        bare_wire(str(path))


def test_steps() -> None:
    assert [step.name for step in steps(WIRE, ("epoll", "lwip"))] == [
        "requirements",
        "privileges",
        "drivers of DPDK",
        "hugepages: 192 of 2048 KiB",
        "DPDK's runtime directory /run/dpdk/stackduel-client",
        "DPDK's runtime directory /run/dpdk/stackduel",
        "directory of namespaces",
        "namespace stackduel-client",
        "namespace stackduel-lwip-client",
        "namespace stackduel-server",
        "namespace stackduel-lwip-server",
        "veth stackduel-server/server0 to stackduel-client/client0, a port for DPDK",
        "socket /run/stackduel/lwip.sock"]
    assert len(steps(SCALE, ("lwip", "plain"))) == 10, "they take turns on one link"


def test_the_kernel_server_finds_its_way_back_and_its_packets_are_whole() -> None:
    host = FakeHost()
    host.files[f"{PAGES}/free_hugepages"] = "500\n"
    before = host.state()
    with provisioned(host, WIRE, ("epoll",), "run-1", log=lambda line: None):
        calls = [call.removeprefix("run ") for call in host.calls if call.startswith("run ")
                 and any(word in call for word in ("server0", "client0", "sysctl", "route"))]
    client, server = "ip -n stackduel-client", "ip -n stackduel-server"
    inside = "ip netns exec stackduel-server"
    assert calls == [
        f"{client} link add client0 mtu 1500 type veth peer name server0 address 02:53:44:00:00:02 mtu 1500 netns "
        "stackduel-server",
        f"{inside} ethtool -K server0 tx off tso off",
        f"{inside} sh -c '{WRITABLE}; sysctl -q -w net.core.somaxconn=65535 "
        "net.ipv4.tcp_max_syn_backlog=65535 net.ipv4.tcp_max_tw_buckets=1048576'",
        f"{server} address add 198.18.0.2/32 dev server0",
        f"{client} link set client0 up",
        f"{server} link set server0 up",
        f"{server} route add 198.18.1.1/32 dev server0",
        f"{server} route add 198.18.0.0/15 via 198.18.1.1"]
    assert host.state() == before


@pytest.mark.parametrize("name", GENERAL)
def test_every_workload_on_every_wire_that_can(name: str) -> None:
    assert load_plan("quick", WIRE, (0, 1), {"WORKLOAD": name}).workload == WORKLOADS[name]
    for other in ("tap", "afxdp", "shm"):
        wire = bare_wire(other)
        if name in ("conns", "conns-10k", "turns") or (name, other) == ("cps", "shm"):
            why = "begins with the same ports" if name == "cps" else "asks every connection that it opens"
            with pytest.raises(UsageError, match=f"WORKLOAD={name}: .*wire '{other}'.* {why}.*; workload '{name}' needs "
                                                 "loadgen: wire shm-loadgen"):
                load_plan("quick", wire, (0, 1), {"WORKLOAD": name})
        else:
            assert load_plan("quick", wire, (0, 1), {"WORKLOAD": name}).workload == WORKLOADS[name]
    with pytest.raises(UsageError, match=f"wire 'redis' has no workload '{name}'; there are: redis-set, redis-get"):
        load_plan("quick", bare_wire("redis"), (0, 1), {"WORKLOAD": name})


def test_as_many_are_asked_at_a_time() -> None:
    assert [WORKLOADS["turns"].in_turn(count) for count in (1, 64, 65, 1_000_000)] == [1, 64, 64, 64]
    assert WORKLOADS["rps"].in_turn(1000) == 1000


def test_a_wire_may_have_plans_of_its_own() -> None:
    assert set(load_plan("default", SCALE, (0, 1), {}).connections) == {64, 128, *(10 ** n for n in range(7))}
    assert load_plan("quick", bare_wire("ablate"), (0, 1), {}).connections == (64,)
    assert load_plan("quick", WIRE, (0, 1), {}).connections == load_plan("quick", bare_wire("tap"), (0, 1), {}).connections


@pytest.mark.parametrize("most, connections", [
    ("1000", (1, 10, 64, 100, 128, 1000)), ("5000", (1, 10, 64, 100, 128, 1000)), ("1", (1,)),
    ("10000000", (1, 10, 64, 100, 128, *(10 ** n for n in range(3, 8))))])
def test_how_far_a_sweep_goes(most: str, connections: tuple[int, ...]) -> None:
    assert load_plan("default", SCALE, (0, 1), {"SWEEP_TO": most}).connections == connections


def test_powers_of_ten_lead_on_from_other_points() -> None:
    settings = {"CONNECTIONS": "64,700", "SWEEP_TO": "100000"}
    assert load_plan("default", SCALE, (0, 1), settings).connections == (64, 700, 1000, 10_000, 100_000)
    with pytest.raises(UsageError, match="SWEEP_TO=0: must be 1 to 33554432, not 0"):
        load_plan("default", SCALE, (0, 1), {"SWEEP_TO": "0"})


def test_nobody_is_measured_where_he_cannot_follow() -> None:
    plan = load_plan("default", SCALE, (0, 1), {"SWEEP_TO": "10000000", "ROUNDS": "1"})
    reach = {name: max(spec.connections for spec in schedule(plan) if spec.contender == name)
             for name in plan.contenders}
    assert reach == {"epoll": 1_000_000, "lwip": 10_000_000, "plain": 10_000, "floor": 10_000_000}
    assert [plan.room(name) for name in plan.contenders] == [1_001_024, 10_001_024, 11_024, 10_001_024]
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan


def test_a_machine_that_allows_few_files_holds_the_kernel_back() -> None:
    plan = load_plan("default", SCALE, (0, 1), {}, files=20_000)
    assert plan.most_connections == {"epoll": 20_000 - 1024 - 256, "plain": 10_000}
    assert descriptors.needed_files(SCALE, plan) == 20_000 - 256
    assert plan.follows("epoll", LoadPoint(10_000)) and not plan.follows("epoll", LoadPoint(100_000)) and plan.follows("lwip", LoadPoint(1_000_000))


def test_wrk_opens_no_million_connections() -> None:
    with pytest.raises(UsageError, match="wrk opens 10000 connections at most, not 20000; more need loadgen"):
        load_plan("quick", bare_wire("tap"), (0, 1), {"CONNECTIONS": "20000"})


def test_files_are_needed_where_sockets_are() -> None:
    settings = {"CONTENDERS": "lwip"}
    assert descriptors.needed_files(SCALE, load_plan("default", SCALE, (0, 1), settings)) == 0
    tap = bare_wire("tap")
    assert descriptors.needed_files(tap, load_plan("quick", tap, (0, 1), settings)) == 1024


def test_the_limit_of_files_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 20_000))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert descriptors.most_files() == 20_000
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    assert descriptors.most_files() == 1 << 20


def test_a_workload_of_several_sizes_is_a_run_each() -> None:
    def asked(order: RunRequest) -> list[tuple[str, str]]:
        return [(each.settings["WORKLOAD"], each.settings.get("BODY_SIZE", "")) for each in by_workload(order)]
    sizes = [("bandwidth", str(size)) for size in SIZES["bandwidth"]]
    assert sizes == [("bandwidth", "3700"), ("bandwidth", "65536"), ("bandwidth", "1048576")]
    assert asked(RunRequest("tap", "quick", {"WORKLOAD": "bandwidth"})) == sizes
    assert asked(RunRequest("tap", "quick", {"WORKLOAD": "bandwidth", "BODY_SIZE": "4K"})) == [("bandwidth", "4K")]
    assert asked(RunRequest("scale", "", {})) == [("conns", ""), ("turns", "")]
    assert asked(RunRequest("tap", "", {})) == [("rps", "")]


@pytest.mark.parametrize("wire, workload, name", [
    ("tap", "rps", "tap"), ("shm-loadgen", "cps", "shm-loadgen-cps"), ("scale", "turns", "scale-turns"),
    ("shm", "bandwidth", "shm-bandwidth-3700"), ("ablate", "rps", "ablate"), ("redis", "redis-get", "redis-get")])
def test_a_runs_name_says_what_it_is(wire: str, workload: str, name: str) -> None:
    of = bare_wire(wire)
    plan = load_plan("quick", of, (0, 1), {})
    assert _name(of, replace(plan, workload=WORKLOADS[workload])) == name
