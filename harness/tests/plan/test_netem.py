# SPDX-License-Identifier: BSD-3-Clause
"""The setting NETEM: what it takes, what it becomes, and where it is put."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import MachineError, UsageError
from harness.host import Result
from harness.provision.journal import Entry, undo
from harness.plan.netem import parse
from harness.plan import load_plan, Plan
from harness.provision.links import Impairment, impairment
from harness.provision.provision import provisioned
from harness.provision.steps import Requirements, steps
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire, resolve


def under(setting: str, name: str = "tap", **more: str) -> tuple[ResolvedWire, Plan]:
    wire = bare_wire(name)
    plan = load_plan("quick", wire, (0, 1), {"NETEM": setting, **more})
    return resolve(FakeHost(), wire, plan), plan


def step(wire: ResolvedWire, name: str) -> Impairment:
    found = next(each for each in steps(wire, list(wire.contenders)) if each.name.startswith(name))
    assert isinstance(found, Impairment)
    return found


@pytest.mark.parametrize("text, kept, words", [
    ("delay 5ms", "delay 5ms", "delay 5ms"),
    ("loss 0.5%  delay 2ms", "delay 2ms loss 0.5%", "delay 2ms loss 0.5%"),
    ("reorder 1% duplicate 2% jitter 100us delay 0.1s", "delay 0.1s jitter 100us duplicate 2% reorder 1%",
     "delay 0.1s 100us duplicate 2% reorder 1%")])
def test_what_it_takes(text: str, kept: str, words: str) -> None:
    asked = parse(text, "NETEM")
    assert str(asked) == kept and parse(kept, "NETEM") == asked
    assert " ".join(asked.qdisc("n", "i")) == f"tc -n n qdisc add dev i root netem limit 100000 {words}"


@pytest.mark.parametrize("text, words", [
    ("delay", "must be pairs"), (" ", "must be pairs"), ("rate 5mbit", "no 'rate'; there are: delay, jitter, loss,"),
    ("delay 5", "'5' is not a time"), ("delay 5ms; reboot 1", "'5ms;' is not a time"), ("delay -5ms", "is not a time"),
    ("delay 0ms", "is not a time"), ("delay 150ms jitter 51ms", "not be more than 200ms together"),
    ("loss 1", "'1' is not a share"), ("loss 0%", "is not a share"), ("loss 21%", "at most 20%"),
    ("loss 1% loss 2%", "'loss' stands there twice"), ("jitter 1ms", "'jitter' needs a delay"),
    ("reorder 1%", "'reorder' needs a delay"), ("delay 5ms 1ms", "must be pairs")])
def test_what_it_does_not_take(text: str, words: str) -> None:
    with pytest.raises(UsageError, match="^here: ") as caught:
        parse(text, "here")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_it_is_part_of_a_name_of_a_file() -> None:
    assert parse("delay 2ms loss 0.5%", "x").slug == "delay-2ms-loss-0-5"


def test_on_a_cable_the_client_s_end_delays_what_it_sends_and_what_it_receives() -> None:
    wire, plan = bare_wire("tap"), load_plan("quick", bare_wire("tap"), (0, 1), {"NETEM": "loss 1%"})
    ends = {stack: replace(end, link="nic") for stack, end in wire.ends.items()}
    cable = resolve(FakeHost(), replace(wire.with_ends(ends), bridge=None), plan)
    assert cable.caveat.endswith("the client's interface receives without GRO.")
    found, host = impairment(cable, list(cable.contenders.values())), FakeHost()
    host.directories.add("/run/netns/stackduel-client")
    found.up(host)
    assert [call.removeprefix("run ") for call in host.calls] == [
        "ip netns exec stackduel-client ethtool -K client0 gro off",
        "ip -n stackduel-client link add netem0 type ifb",
        "ip -n stackduel-client link set netem0 up",
        "tc -n stackduel-client qdisc add dev client0 ingress",
        "tc -n stackduel-client filter add dev client0 parent ffff: matchall action mirred egress redirect dev netem0",
        "tc -n stackduel-client qdisc add dev client0 root netem limit 100000 loss 1%",
        "tc -n stackduel-client qdisc add dev netem0 root netem limit 100000 loss 1%"]
    assert [action[-3:] for action in found.undo(host)] == [
        ("dev", "client0", "ingress"), ("dev", "client0", "root"), ("link", "del", "netem0")]


@pytest.mark.parametrize("name", ["tap", "afpacket", "afxdp"])
def test_both_ways_of_every_contender_pass_it_once(name: str) -> None:
    wire, _ = under("delay 5ms", name)
    found = step(wire, "netem delay 5ms")
    host = FakeHost()
    found.up(host)
    assert [call.split()[1:8] for call in host.calls] == [
        ["tc", "-n", "stackduel-client", "qdisc", "add", "dev", "client0"],
        ["tc", "-n", "stackduel-bridge", "qdisc", "add", "dev", "to-client"]]
    assert [" ".join(map(str, action)) for action in found.undo(host)] == [
        "run tc -n stackduel-client qdisc del dev client0 root", "run tc -n stackduel-bridge qdisc del dev to-client root"]
    names = [each.name for each in steps(wire, list(wire.contenders))]
    assert names[-1] == found.name and "kernel module sch_netem" in names
    assert next(each for each in steps(wire, ["epoll"]) if isinstance(each, Requirements)).programs == {"tc": "iproute2"}


@pytest.mark.parametrize("said", ["Cannot delete qdisc with handle of zero.", "Invalid handle.",
                                  "Cannot find specified qdisc on specified device."])
def test_what_was_never_put_there_is_no_failure_to_undo(said: str) -> None:
    host, found = FakeHost(), step(under("delay 5ms")[0], "netem")
    host.answers["tc",] = Result(2, "", f"Error: {said}\n")
    assert undo(host, [Entry(found.name, tuple(found.undo(host)))]) == ([], [])
    host.answers["tc",] = Result(2, "", "RTNETLINK answers: Operation not permitted\n")
    assert len(undo(host, [Entry(found.name, tuple(found.undo(host)))])[1]) == 2


def test_single_packets_are_lost_of_the_kernel_s_server_too() -> None:
    found = step(under("loss 1%")[0], "netem")
    assert " ".join(found.prepared[0]).endswith("stackduel-server ethtool -K server0 tso off gso off")
    assert step(under("delay 1ms jitter 1ms")[0], "netem").prepared == ()


@pytest.mark.parametrize("name", ["shm", "shm-loadgen", "redis", "nginx", "scale", "ablate"])
def test_wires_without_a_common_hop_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"^NETEM=delay 5ms: on wire '{name}' there is no hop"):
        under("delay 5ms", name)


def test_the_title_says_it_and_the_caveat_what_it_changes() -> None:
    plain = bare_wire("tap")
    assert under("delay 5ms")[0].title == "Linux bridge, DPDK net_tap, with delay 5ms in each direction"
    assert under("delay 5ms")[0].caveat == plain.caveat
    assert under("loss 1%")[0].caveat.endswith("the kernel's server sends without TSO and GSO.")


def test_whole_segments_over_vhost_net_are_not_lost_like_packets() -> None:
    with pytest.raises(UsageError, match="^NETEM=loss 1%: netem counts packets, .*give TAP=net_tap$"):
        under("loss 1%", TAP="vhost-net")
    assert under("delay 1ms", TAP="vhost-net")[0].title.endswith("over vhost-net, with delay 1ms in each direction")


def test_contenders_on_the_same_link_lose_their_offloads_once() -> None:
    commands = step(under("loss 1%")[0], "netem").prepared
    assert len([words for words in commands if "ethtool" in words]) == 1


def test_it_changes_between_trials_and_is_gone_with_the_wire() -> None:
    plan = load_plan("quick", bare_wire("tap"), (0, 1), {"SWEEP": "loss=0,1,5"})
    wire, host = resolve(FakeHost(), bare_wire("tap"), plan), FakeHost()
    host.directories.add("/sys/module/sch_netem")
    assert wire.impairments == ("", "loss 1%", "loss 5%") and wire.netem == "" and "without TSO and GSO" in wire.caveat
    before = host.state()
    with provisioned(host, wire, ("epoll", "lwip"), "r", log=print) as up:
        def changes(impairment: str) -> list[str]:
            host.calls.clear()
            up.impair(host, impairment)
            return [" ".join(call.split()[4:6]) + call.partition("100000")[2] for call in host.calls]
        assert changes("") == []
        assert changes("loss 1%") == ["qdisc add loss 1%"] * 2 and changes("loss 1%") == []
        assert changes("loss 5%") == ["qdisc del"] * 2 + ["qdisc add loss 5%"] * 2
        assert changes("") == ["qdisc del"] * 2
        up.impair(host, "loss 1%")
    assert host.state() == before


def test_a_wire_that_is_up_without_it_cannot_be_impaired() -> None:
    host = FakeHost()
    with provisioned(host, bare_wire("tap"), ("epoll",), "r", log=print) as up:
        up.impair(host, "")
        with pytest.raises(MachineError, match="is up without netem: no .loss 1%"):
            up.impair(host, "loss 1%")
