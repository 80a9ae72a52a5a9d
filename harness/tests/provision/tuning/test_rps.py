# SPDX-License-Identifier: BSD-3-Clause
"""The setting SOFTIRQ: what it takes, which masks it becomes, and where a reader finds it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Sequence

import pytest

from harness.provision.tuning import ethtool
from harness.report import command
from harness.analyse import summarise
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.provision import resolve
from harness.errors import MachineError, UsageError
from harness.host import Result
from harness.provision.nic.steps import Use
from harness.plan import from_json, load_plan, to_json
from harness.provision.tuning.cpus import cpu_mask, parse_mask
from harness.provision.tuning.ethtool import Interface
from harness.provision.tuning.rps import Softirq, place, targets
from harness.provision.steps import steps
from harness.tests.fixtures.ethtool_host import PCI, EthtoolHost
from harness.tests.fixtures.fake_host import ABSENT, OK, FakeHost
from harness.tests.fixtures.serving_host import ServingHost, only_run
from harness.tests.fixtures import runs
from harness.provision.tuning import Tuned, tune_interface
from harness.tests.fixtures.wires import bare_wire

HAS_RPS = "/sys/class/net/lo/queues/rx-0/rps_cpus"
USE = Use((0,), (1, 2))
TINY = {"CONNECTIONS": "8", "ROUNDS": "1", "CONTENDERS": "epoll,lwip"}


def queue(host: FakeHost, answers: dict[str, str], argv: Sequence[str]) -> Result | None:
    """What a kernel does with the masks in `answers`, by queue and file; "stuck" takes none."""
    inside = list(argv[4:]) if list(argv[:3]) == ["ip", "netns", "exec"] else list(argv)
    match inside:
        case ["ls", path] if path.endswith("/queues"):
            return Result(0, "".join(sorted({f"{name.split('/')[0]}\n" for name in answers})), "")
        case ["cat", path] if "/queues/" in path:
            text = answers.get(path.split("/queues/")[1], "")
            return Result(0, f"{text}\n", "") if text else Result(1, "", ABSENT)
        case ["sh", "-c", command] if "/queues/" in command:
            text, name = command.split()[1].strip("'"), command.split("/queues/")[1]
            if answers.get(name) != "stuck":
                answers[name] = text.zfill(4)
            return OK
    return None


class QueueHost(EthtoolHost):
    """An interface with two receive and two transmit queues."""

    def __init__(self, rx: int = 2, tx: int = 2) -> None:
        super().__init__()
        self.queues = {**{f"rx-{n}/rps_cpus": "0" for n in range(rx)}, **{f"tx-{n}/xps_cpus": "3" for n in range(tx)}}
        self.files[HAS_RPS] = "0\n"

    def _perform(self, words: Sequence[str]) -> Result:
        return queue(self, self.queues, words) or super()._perform(words)


class QueueServingHost(ServingHost):
    def __init__(self) -> None:
        super().__init__()
        self.queues = {"rx-0/rps_cpus": "0", "tx-0/xps_cpus": "0"}
        self.files[HAS_RPS] = "0\n"

    def _perform(self, words: Sequence[str]) -> Result:
        return queue(self, self.queues, words) or super()._perform(words)


@pytest.mark.parametrize("cpus, text", [([], "0"), ([1], "2"), ([0, 3], "9"), ([33, 0], "2,00000001"),
                                        ([64], "1,00000000,00000000")])
def test_masks_are_written_as_the_kernel_reads_them(cpus: list[int], text: str) -> None:
    assert cpu_mask(cpus) == text and parse_mask(f"0{text}") == set(cpus)


@pytest.mark.parametrize("given, kept", [("default", ""), ("server", "server"), ("client", "client")])
def test_what_it_takes(given: str, kept: str) -> None:
    plan = load_plan("quick", bare_wire("veth"), (0, 1), {"SOFTIRQ": given})
    assert plan.softirq == kept and ("softirq" in to_json(plan)) == bool(kept)
    data = json.loads(json.dumps(to_json(plan)))
    assert from_json(data) == plan
    for wrong in ("default", "both", 3):
        with pytest.raises(UsageError):
            from_json({**data, "softirq": wrong})
    assert command(plan).endswith(f"SOFTIRQ={kept}" if kept else "MAX_CONNECTIONS=1024")


def test_what_it_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="^SOFTIRQ=both: must be one of default, server, client$"):
        load_plan("quick", bare_wire("veth"), (0, 1), {"SOFTIRQ": "both"})
    wire = bare_wire("tap")
    with pytest.raises(UsageError, match="^SOFTIRQ=server: none of lwip has the kernel process its packets$"):
        resolve(FakeHost(), wire, load_plan("quick", wire, (0, 1), {"SOFTIRQ": "server", "CONTENDERS": "lwip"}))
    away = load_plan("quick", wire, (0, 1), {"SOFTIRQ": "client"}, clients={"there": (0,)})
    with pytest.raises(UsageError, match="^SOFTIRQ=client: the client's cores are on another machine"):
        resolve(FakeHost(), wire, away)


def step(name: str, softirq: str, contenders: tuple[str, ...]) -> Softirq:
    wire = bare_wire(name)
    plan = load_plan("quick", wire, (0, 1), {"SOFTIRQ": softirq, "CONTENDERS": ",".join(contenders)})
    wire = resolve(FakeHost(), wire, plan)
    assert wire.title.endswith(f"packets of the kernel's servers processed on the {softirq}'s cores")
    found = [each for each in steps(wire, contenders, use=USE) if isinstance(each, Softirq)]
    assert len(found) == 1
    return found[0]


def test_each_interface_of_the_kernel_s_servers_once_and_the_client_s_with_it() -> None:
    both = ("epoll", "uring", "lwip")
    server, client = step("tap", "server", both), step("shm", "client", both)
    assert server.targets == (("stackduel-server", "server0"),) and server.cpus == (1, 2)
    assert client.targets == (("stackduel-server", "server0"), ("stackduel-client", "client0")) and client.cpus == (0,)
    wire = bare_wire("tap")
    assert not any(isinstance(each, Softirq) for each in steps(wire, both, use=USE))
    assert targets("server", [wire.contenders["lwip"]]) == []


def test_masks_in_force_are_told() -> None:
    host = QueueHost()
    assert place(Interface(host, "n", "server0"), [1, 2]) == Tuned(
        "softirq", "on CPUs 1, 2", "rx-0 0006, rx-1 0006, tx-0 0002, tx-1 0004", "")
    one = QueueHost(1, 1)
    assert place(Interface(one, "n", "server0"), [1]).got == "rx-0 0002" and one.queues["tx-0/xps_cpus"] == "3"


def test_a_queue_with_its_interrupt_on_each_cpu_needs_no_rps() -> None:
    assert place(Interface(QueueHost(), None, "server0"), [1, 2], interrupts=True).got.startswith("rx-0 0000, rx-1 0000, ")
    assert place(Interface(QueueHost(1), None, "server0"), [1, 2], interrupts=True).got.startswith("rx-0 0006, ")


def test_a_mask_that_does_not_take_ends_the_run() -> None:
    host = QueueHost(1, 1)
    host.queues["rx-0/rps_cpus"] = "stuck"
    host.answers["cat",] = Result(0, "0\n", "")
    with pytest.raises(MachineError, match="^SOFTIRQ: rx-0/rps_cpus of server0 did not take CPUs 1$"):
        place(Interface(host, None, "server0"), [1])


def test_a_kernel_without_rps_is_told_before_anything_is_done() -> None:
    lacking = step("tap", "server", ("epoll",)).check(FakeHost())
    assert lacking == "SOFTIRQ needs RPS, which this kernel is built without (CONFIG_RPS)"
    assert step("tap", "server", ("epoll",)).check(QueueHost()) == ""


def test_a_nic_s_interrupts_are_spread_as_the_tuning_does_and_at_level_none_too() -> None:
    host = QueueHost()
    fair = tune_interface(host, None, "server0", PCI, "fair", [0], [2, 3])
    assert [entry.what for entry in fair][-2:] == ["interrupts", "softirq"] and fair[0].asked == "combined 2"
    assert fair[-2].got == "server0-TxRx-0 on 2, server0-TxRx-1 on 3, server0 on 2"
    assert fair[-1].got.startswith("rx-0 0000, rx-1 0000")
    none = tune_interface(QueueHost(), None, "server0", PCI, "none", [0], [2, 3])
    assert [entry.what for entry in none] == ["interrupts", "softirq"]


def test_a_nic_gets_its_masks_back() -> None:
    host = QueueHost()
    before = ethtool.Interface(host, None, "server0").settings()
    assert before["queues"] == Interface(host, None, "server0").masks() == host.queues
    was = dict(host.queues)
    place(Interface(host, None, "server0"), [1, 2])
    assert host.queues != was
    assert ethtool.Interface(host, None, "server0").restore(before) == []
    assert all(parse_mask(host.queues[name]) == parse_mask(text) for name, text in was.items())
    host.calls.clear()
    assert ethtool.Interface(host, None, "server0").restore(before) == []
    assert not any(call.startswith("run sh") for call in host.calls)


def test_a_run_is_named_so_and_says_which_masks(tmp_path: Path, shown: list[Path]) -> None:
    host = QueueServingHost()
    before = host.state()
    bench(RunRequest("tap", "quick", {**TINY, "SOFTIRQ": "server"}), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.id.endswith("-tap-softirq-server") and run.facts.raw["wire"]["softirq"] == run.plan.softirq == "server"
    assert run.facts.raw["softirq"] == {"stackduel-server/server0": {
        "what": "softirq", "asked": "on CPUs 1", "got": "rx-0 0002", "why": ""}}
    assert host.state() == before


def test_the_summary_says_it() -> None:
    run = runs.made()
    served = replace(run, planned=replace(run.plan, softirq="server"))
    assert summarise(served).softirq == "server" and summarise(run).softirq == ""


def test_a_rehearsal_says_it_and_looks_at_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    host.files[HAS_RPS] = "0\n"
    bench(RunRequest("tap", "quick", {**TINY, "SOFTIRQ": "client"}, dry_run=True), host, tmp_path, tmp_path / "out")
    said = capsys.readouterr().out
    assert "# softirq of stackduel-server/server0, stackduel-client/client0 on CPUs 0\n" in said
    assert "would end here" not in said
