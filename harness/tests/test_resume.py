# SPDX-License-Identifier: BSD-3-Clause
"""Runs that were interrupted and go on, on a fake host: what is kept, what is refused, what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench import Order, bench
from harness.errors import Interrupted, UsageError
from harness.store import Run
from harness.tests.serving_host import ServingHost, at_load, interrupt, only_run

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = {"CONNECTIONS": "1,8", "ROUNDS": "2"}
ORDER = Order("tap", "quick", TINY)


@pytest.mark.parametrize("load, kept", [(1, 0), (2, 0), (3, 1), (16, 7)])
def test_an_interrupted_run_keeps_its_trials_and_resume_finishes_it(tmp_path: Path, shown: list[Path],
                                                                    load: int, kept: int) -> None:
    host = ServingHost()
    before = host.state()
    host.on_load = at_load(load, interrupt)
    with pytest.raises(Interrupted, match=rf"^interrupted; {kept} of 8 trials are kept, .*RESUME=.*-tap$"):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    assert host.state() == before and shown == []
    run = only_run(tmp_path)
    assert len(run.trials) == kept

    again = ServingHost()
    bench(Order("tap", "", {}, resume=run.id), again, tmp_path, tmp_path / "out")
    whole = only_run(tmp_path)
    assert [t["sequence"] for t in whole.trials] == list(range(8))
    assert sum("wrk --threads" in call for call in again.calls if call.startswith("spawn")) == 2 * (8 - kept)
    assert [facts["machine"]["cpu_model"] for facts in whole.facts["resumed"]] == ["Test CPU"]
    assert shown == [whole.path]


def test_resuming_a_whole_run_only_reports(tmp_path: Path, shown: list[Path]) -> None:
    bench(ORDER, ServingHost(), tmp_path, tmp_path / "out")
    idle = ServingHost()
    bench(Order("", "", {}, resume=only_run(tmp_path).id), idle, tmp_path, tmp_path / "out")
    assert idle.calls == [] and len(shown) == 2


@pytest.mark.parametrize("order, words", [
    (Order("tap", "full", {}), "has another plan; to finish it give RESUME="),
    (Order("tap", "", {"ROUNDS": "3"}), "has another plan"),
    (Order("veth-of-mine", "", {}), "no wire 'veth-of-mine'"),
])
def test_resume_refuses_another_plan_or_wire(tmp_path: Path, shown: list[Path], order: Order,
                                             words: str) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    id_ = only_run(tmp_path).id
    idle = ServingHost()
    with pytest.raises(UsageError, match=words):
        bench(Order(order.wire, order.plan, order.settings, resume=id_), idle, tmp_path, tmp_path / "out")
    assert idle.calls == []
    bench(Order("tap", "quick", TINY, resume=id_), ServingHost(), tmp_path, tmp_path / "out")
    assert len(only_run(tmp_path).trials) == 8


def test_resume_refuses_a_machine_without_the_cpus(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    small = ServingHost()
    small.cpu_list = [0]
    with pytest.raises(UsageError, match="used CPU 1, which this machine has not"):
        bench(Order("tap", "", {}, resume=only_run(tmp_path).id), small, tmp_path, tmp_path / "out")


def files(directory: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in directory.rglob("*") if path.is_file()}


def cut_short(tmp_path: Path, host: ServingHost) -> Run:
    """A run that was interrupted, and its last line cut in the middle."""
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    stored = run.path / "trials.jsonl"
    stored.write_text(stored.read_text()[:-30])
    return run


@pytest.mark.parametrize("file, text, words", [
    ("/proc/cpuinfo", "model name\t: Other CPU\n", 'machine.cpu_model: "Test CPU" then, "Other CPU" now'),
    ("/proc/sys/kernel/osrelease", "6.2\n", 'kernel.release: "6.1.0-test" then, "6.2" now'),
    (str(ROOT / "build" / "build-info.json"), '{"lwip": "9"}', 'versions.lwip: null then, "9" now'),
])
def test_resume_refuses_another_machine_or_binary(tmp_path: Path, shown: list[Path], file: str, text: str,
                                                  words: str) -> None:
    host = ServingHost()
    host.files.pop(str(ROOT / "build" / "build-info.json"), None)
    run = cut_short(tmp_path, host)
    kept = files(tmp_path)
    other = ServingHost()
    other.files[file] = text
    before = other.state()
    with pytest.raises(UsageError) as caught:
        bench(Order("tap", "", {}, resume=run.id), other, tmp_path, tmp_path / "out")
    assert str(caught.value) == f"run {run.id} was measured with other {words}; start a new run"
    assert files(tmp_path) == kept and other.state() == before and shown == []


def test_resume_refuses_another_build_of_either_end(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(Order("shm", "quick", TINY), host, tmp_path, tmp_path / "out")
    id_ = only_run(tmp_path).id
    for name in ("lwip_server", "on-lwip", "libstackduel_preload.so"):
        other = ServingHost()
        other.digests[name] = "0ther"
        told = rf"binaries\.programs\.build/{name}\.sha256: .* then, \"0ther\" now; start a new"
        with pytest.raises(UsageError, match=told):
            bench(Order("", "", {}, resume=id_), other, tmp_path, tmp_path / "out")
    bench(Order("", "", {}, resume=id_), ServingHost(), tmp_path, tmp_path / "out")
    whole = only_run(tmp_path)
    assert len(whole.trials) == 8 and all(trial["valid"] for trial in whole.trials)
    assert set(whole.facts["ports"]) == {"lwip", "lwip client"}


def test_resume_as_a_dry_run_writes_nothing(tmp_path: Path, shown: list[Path]) -> None:
    run = cut_short(tmp_path, ServingHost())
    kept = files(tmp_path)
    idle = ServingHost()
    bench(Order("tap", "", {}, resume=run.id, dry_run=True), idle, tmp_path, tmp_path / "out")
    assert files(tmp_path) == kept and idle.calls == []


def test_resume_says_that_it_drops_a_line_cut_short(tmp_path: Path, shown: list[Path],
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    file = run.path / "trials.jsonl"
    file.write_text(file.read_text()[:-30])
    capsys.readouterr()
    bench(Order("tap", "", {}, resume=run.id), ServingHost(), tmp_path, tmp_path / "out")
    assert "trials.jsonl:2: the last line is cut short: dropped" in capsys.readouterr().err
    assert len(only_run(tmp_path).trials) == 8
