# SPDX-License-Identifier: BSD-3-Clause
"""Which TAP a plan gets on which machine, what is written down of it, and that a run keeps what it began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.report import command
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.provision import ResolvedWire, resolve, resolved, with_tap
from harness.errors import ContenderError, Interrupted, MachineError, UsageError
from harness.plan import from_json, load_plan, Plan, to_json
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run
from harness.plan import Wire, load_wire

VHOST = "/dev/vhost-net"
TINY = {"CONNECTIONS": "8", "ROUNDS": "1", "CONTENDERS": "epoll,lwip"}
WIRE = load_wire("tap")


def settle(host: FakeHost, wire: Wire, asked: Plan) -> tuple[ResolvedWire, Plan]:
    """As a new run does it."""
    settled = with_tap(host, wire, asked)
    return resolve(host, wire, settled), settled


def plan(**settings: str) -> Plan:
    return load_plan("quick", WIRE, (0, 1), settings)


def having_vhost(host: FakeHost) -> FakeHost:
    host.files[VHOST] = ""
    return host


class VhostHost(ServingHost):
    """Starts the thread of the kernel's that a server on vhost-net has."""

    def __init__(self) -> None:
        super().__init__()
        self.files[VHOST] = ""
        self.thread = True

    def listing(self, path: str | Path) -> list[str]:
        if str(path) == "/proc" and self.thread:
            return ["1", "77", "self"]
        return super().listing(path)

    def read(self, path: str | Path) -> str:
        if str(path) == "/proc/77/comm" and self.serving:
            return f"vhost-{self.serving.pid}\n"
        return super().read(path)


def test_vhost_net_is_taken_where_it_is() -> None:
    assert settle(FakeHost(), WIRE, plan()) == (resolved(WIRE), plan())
    wire, settled = settle(having_vhost(FakeHost()), WIRE, plan())
    assert settled.tap == "vhost-net" and wire.name == "tap"
    lwip = wire.contenders["lwip"]
    assert (lwip.link, lwip.label) == ("vhost-net", "lwIP on DPDK (virtio-user, vhost-net)")
    assert any("path=/dev/vhost-net,iface={interface},queues=1" in word for word in lwip.endpoint.eal)
    assert wire.contenders["epoll"] == WIRE.contenders["epoll"] and "thread of the kernel" in wire.caveat


@pytest.mark.parametrize("settings", [{"TAP": "net_tap"}, {"NETEM": "loss 1%"}, {"CONTENDERS": "epoll"}])
def test_net_tap_stays_where_it_is_asked_for_or_fits_better(settings: dict[str, str]) -> None:
    wire, settled = settle(having_vhost(FakeHost()), WIRE, plan(**settings))
    assert settled == plan(**settings) and wire.contenders == WIRE.contenders


def test_a_wire_of_the_user_s_own_has_its_tap_on_vhost_net_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('like = "tap"\nmtu = 9000\n')
    wire, settled = settle(having_vhost(FakeHost()), load_wire(str(file)), plan())
    assert (settled.tap, wire.mtu, wire.contenders["lwip"].link) == ("vhost-net", 9000, "vhost-net")
    file.write_text(file.read_text() + '[dpdk]\nlink = "veth-port"\nbridge_port = "x"\n')
    mine = load_wire(str(file))
    assert settle(having_vhost(FakeHost()), mine, plan()) == (resolved(mine), plan())
    with pytest.raises(UsageError, match="^TAP=vhost-net: wire 'mine' cannot do that"):
        resolve(FakeHost(), mine, plan(TAP="vhost-net"))


@pytest.mark.parametrize("tap", ["net_tap", "vhost-net"])
def test_wires_without_a_tap_refuse_the_setting(tap: str) -> None:
    wire = load_wire("afpacket")
    with pytest.raises(UsageError, match=f"^TAP={tap}: wire 'afpacket' "):
        settle(FakeHost(), wire, load_plan("quick", wire, (0, 1), {"TAP": tap}))


def test_asked_for_where_there_is_none_is_one_line_and_nothing_is_touched(tmp_path: Path) -> None:
    host = ServingHost()
    with pytest.raises(MachineError, match=r"^this machine cannot run wire tap: missing: /dev/vhost-net \(`modprobe "):
        bench(RunRequest("tap", "quick", {**TINY, "TAP": "vhost-net"}), host, tmp_path, tmp_path / "out")
    assert host.calls == []


def test_a_plan_s_file_says_it_only_where_it_is_so() -> None:
    assert not {"tap", "netem"} & set(to_json(plan()))
    said = plan(TAP="net_tap", NETEM="loss 1% delay 2ms")
    data = json.loads(json.dumps(to_json(said)))
    assert (data["tap"], data["netem"]) == ("net_tap", "delay 2ms loss 1%") and from_json(data) == said
    for key, value in (("tap", "rope"), ("netem", "loss 1% delay 2ms"), ("netem", "rate 1"), ("tap", 3)):
        with pytest.raises(UsageError):
            from_json({**data, key: value})


def test_the_command_to_run_again_says_it() -> None:
    assert command(plan()).endswith("MAX_CONNECTIONS=1024")
    assert command(plan(TAP="net_tap", NETEM="delay 5ms")).endswith("TAP=net_tap NETEM='delay 5ms'")


def test_a_plan_of_one_s_own_may_have_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    keys = 'connections = [1]\nrounds = 1\nduration_seconds = 1\nwarmup_seconds = 0\n'
    file.write_text(keys + 'tap = "net_tap"\nnetem = "delay 5ms"\n')
    assert (load_plan(str(file), WIRE, (0, 1), {}).tap, load_plan(str(file), WIRE, (0, 1), {}).netem) == (
        "net_tap", "delay 5ms")
    for text, said in (("tap = 3\n", "tap: must be text"), ('tap = "x"\n', "must be one of net_tap, vhost-net"),
                       ('netem = "rate 1"\n', "netem: there is no 'rate'")):
        file.write_text(keys + text)
        with pytest.raises(UsageError, match=f"mine.toml: .*{said}"):
            load_plan(str(file), WIRE, (0, 1), {})


def test_a_run_over_vhost_net_counts_the_kernel_s_thread_and_keeps_to_it(tmp_path: Path, shown: list[Path]) -> None:
    host = VhostHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(RunRequest("tap", "quick", {**TINY, "ROUNDS": "2"}), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.plan.tap == run.facts.raw["wire"]["tap"] == "vhost-net"
    elsewhere = ServingHost()
    with pytest.raises(MachineError, match="missing: /dev/vhost-net"):
        bench(RunRequest("tap", "", {}, resume=run.id), elsewhere, tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="has another plan"):
        bench(RunRequest("tap", "", {**TINY, "ROUNDS": "2", "TAP": "net_tap"}, resume=run.id), elsewhere, tmp_path,
              tmp_path / "out")
    again = VhostHost()
    bench(RunRequest("tap", "", {}, resume=run.id), again, tmp_path, tmp_path / "out")
    assert len(only_run(tmp_path).trials) == 4 and "run taskset -p -c 0,1 77" in again.calls


def test_a_run_begun_with_net_tap_goes_on_so_where_vhost_net_has_come(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(RunRequest("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    again = VhostHost()
    bench(RunRequest("tap", "", {}, resume=only_run(tmp_path).id), again, tmp_path, tmp_path / "out")
    assert only_run(tmp_path).plan.tap == "" and not any("taskset -p" in call for call in again.calls)


def test_a_thread_that_is_not_found_ends_the_run(tmp_path: Path) -> None:
    host = VhostHost()
    host.thread = False
    with pytest.raises((MachineError, ContenderError), match="no thread 'vhost-1[0-9]+' behind .* try TAP=net_tap"):
        bench(RunRequest("tap", "quick", TINY), host, tmp_path, tmp_path / "out")


def test_a_run_under_netem_is_named_so_and_waits_for_what_was_lost(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.directories.add("/sys/module/sch_netem")
    bench(RunRequest("tap", "quick", {**TINY, "NETEM": "delay 2ms loss 1%"}), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.id.endswith("-tap-delay-2ms-loss-1") and run.facts.raw["wire"]["netem"] == "delay 2ms loss 1%"
    assert run.facts.raw["wire"]["title"].endswith("with delay 2ms loss 1% in each direction")
    loads = [call for call in host.calls if "wrk --threads" in call]
    assert loads and all("--timeout" in call for call in loads)
    assert all(trial.valid for trial in run.trials)


@pytest.mark.parametrize("host, shown", [(VhostHost, True), (ServingHost, False)])
def test_a_rehearsal_shows_which_tap_it_would_be(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                 host: type[ServingHost], shown: bool) -> None:
    bench(RunRequest("tap", "quick", TINY, dry_run=True), host(), tmp_path, tmp_path / "out")
    said = capsys.readouterr().out
    assert ("plan quick, TAP=vhost-net, 2 trials" in said) == ("# kernel module vhost_net" in said) == shown
    assert ("mode tap multi_queue" in said) != shown
