# SPDX-License-Identifier: BSD-3-Clause
"""The report of a run with several kernel servers: the headline against the best, each rung, what was not applicable.

Golden files anew, after a change that was meant: `python3 -m harness.tests.report.test_baselines`.
"""

from __future__ import annotations

import copy
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.report import compare
from harness.report import headline
from harness.report import baselines as kernel_ladder
from harness.report import report
from harness.cli import report as show
from harness.tests.fixtures import synthetic
from harness.tests.report.test_report import GOLDEN, Page

NAMES = {"summary.md": "ladder.md", "gains.csv": "ladder-gains.csv"}
ONE_CORE = "one server core: the same as epoll"


def write(directory: Path) -> Path:
    return synthetic.write(directory, run="ladder", contenders=synthetic.LADDER, connections=(1, 8, 64), rounds=3)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ladder")
    report.write(write(directory / "run"), directory / "out")
    return directory / "out"


@pytest.fixture
def summary(out: Path) -> Any:
    return report.loaded(out.parent / "run")[1]


@pytest.mark.parametrize("name", NAMES)
def test_golden(out: Path, name: str) -> None:
    assert (out / name).read_bytes() == (GOLDEN / NAMES[name]).read_bytes()


def absent(summary: Any, *names: str) -> Any:
    """The same summary, as if these had not been applicable to the run."""
    changed = copy.deepcopy(summary)
    nothing = {"ratio": None, "ci95": None, "verdict": "inconclusive", "rounds": 0, "bound": None}
    for point in changed["points"]:
        for name in names:
            point["contenders"][name] = {
                **point["contenders"][name], "requests_per_sec": {"median": None, "ci95": None}, "trials": 0,
                "latency_us": dict.fromkeys(point["contenders"][name]["latency_us"]), "not_measured": ONE_CORE,
                "cpu_us_per_request": {"median": None, "by_role": None}}
            for pair in point["gain"]:
                if name in pair.split("/"):
                    point["gain"][pair] = nothing
        kernel = [name for name in point["contenders"] if name not in (*names, "lwip")]
        best = max(kernel, key=lambda name: float(point["contenders"][name]["requests_per_sec"]["median"]))
        point["best_kernel"], point["headline"] = best, {"lwip": {"over": best, **point["gain"][f"lwip/{best}"]}}
    return changed


def test_the_page_answers_in_order(out: Path) -> None:
    text = Page((out / "report.html").read_text()).text
    order = ["lwIP on DPDK (net_tap) against kernel TCP: epoll, epoll-busypoll, uring, nginx, epoll-mt, nginx-mt",
             "lwIP on DPDK (net_tap) against the best kernel server at each point (", "lwip/epoll: 0.3",
             "lwip/nginx-mt: ", "Before you quote this", synthetic.CAVEAT, "Against each kernel server",
             "epoll-busypoll, kernel TCP (epoll, busy polling): ", "it errs towards the kernel", "Results", "Charts",
             "What limited each point", "A trial counts only if", "A made-up CPU", "Reproduce"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_headline_against_the_best_of_each_point_and_a_line_for_each_rung(summary: Any) -> None:
    (head,) = headline.headline(summary)
    best = [point["best_kernel"] for point in summary["points"]]
    assert best == ["epoll-busypoll", "epoll-busypoll", "epoll-mt"]
    assert head.sentence.startswith(
        "lwIP on DPDK (net_tap) against the best kernel server at each point (epoll-busypoll at 1 to 8, epoll-mt "
        "at 64 connections): 0.3")
    assert [detail.partition(":")[0] for detail in head.details[-6:]] == [
        f"lwip/{name}" for name in synthetic.LADDER[:-1]]


def test_the_same_rung_everywhere_is_said_once(summary: Any) -> None:
    (head,) = headline.headline(absent(summary, "epoll", "epoll-busypoll", "uring", "nginx", "nginx-mt"))
    assert "against the best kernel server at every point (epoll-mt): " in head.sentence
    assert not any("nginx" in detail for detail in head.details), "its reason is among the caveats"


def test_a_rung_that_is_not_applicable_has_no_column_and_its_reason(summary: Any) -> None:
    ladder = kernel_ladder.ladder(absent(summary, "epoll-mt", "nginx-mt"))
    assert ladder and ladder.absent == (
        f"kernel TCP (epoll, a thread a core) is not applicable: {ONE_CORE}.",
        f"kernel TCP (nginx, a worker a core) is not applicable: {ONE_CORE}.")
    assert ladder.pairs == ("lwip/epoll", "lwip/epoll-busypoll", "lwip/uring", "lwip/nginx")
    assert ladder.worths == ("epoll-busypoll/epoll", "uring/epoll", "nginx/epoll")
    assert len(ladder.sentences) == 4 and all(len(row.over) == 4 for row in ladder.rows)
    lines = report.gain_lines(absent(summary, "epoll-mt", "nginx-mt"))
    assert [line.label for line in lines["gain"][0]] == [
        "lwip over the best", "over epoll", "over epoll-busypoll", "over uring", "over nginx"]
    assert [line.label for line in lines["rungs"][0]] == ["epoll-busypoll", "uring", "nginx"]


def test_a_sentence_says_where_a_rung_is_the_best_and_by_how_much(summary: Any) -> None:
    ladder = kernel_ladder.ladder(summary)
    assert ladder
    said = dict(sentence.split(", ", 1) for sentence in ladder.sentences)
    entry = summary["points"][2]["gain"]["epoll-mt/epoll"]
    low, high = entry["ci95"]
    assert "the best at 64 connections" in said["epoll-mt"]
    assert f"{entry['ratio']:.2f}× [{low:.2f}, {high:.2f}] epoll at 64" in said["epoll-mt"]
    assert "the best at 1 to 8 connections, " in said["epoll-busypoll"] and "nowhere the best" in said["nginx"]


def test_one_kernel_server_is_no_ladder(tmp_path: Path) -> None:
    _, plain = report.loaded(synthetic.write(tmp_path / "run"))
    assert kernel_ladder.ladder(plain) is None
    assert headline.title(plain) == "lwIP on DPDK (net_tap) against kernel TCP (epoll)"
    assert set(report.gain_lines(plain)) == {"gain"}


def test_an_open_loop_has_no_ladder(summary: Any) -> None:
    assert kernel_ladder.ladder(summary) is not None
    assert kernel_ladder.ladder({**summary, "points": [], "open_loop": {}}) is None


def test_kernel_servers_alone_have_a_best_one_and_no_headline_gain(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run", contenders=("epoll", "uring", "minimal"), connections=(1, 64))
    _, alone = report.loaded(run)
    assert all(point["headline"] == {} for point in alone["points"])
    (head,) = headline.headline(alone)
    assert head.sentence.startswith("The best kernel server: ") and len(head.details) == 2
    report.write(run, tmp_path / "out")
    assert "verdict" not in (tmp_path / "out" / "summary.md").read_text()


def test_every_pair_is_in_the_second_table(out: Path, summary: Any) -> None:
    rows = list(csv.DictReader((out / "gains.csv").open()))
    assert len(rows) == sum(len(point["gain"]) for point in summary["points"]) == 3 * (5 + 6)
    best = [(row["connections"], row["over"]) for row in rows
            if row["contender"] == "lwip" and row["over_is_best_kernel"] == "yes"]
    assert best == [(str(point["connections"]), point["best_kernel"]) for point in summary["points"]]
    first = next(csv.DictReader((out / "summary.csv").open()))
    assert first["headline_over"] == "" and first["contender"] == "epoll"
    last = list(csv.DictReader((out / "summary.csv").open()))[-1]
    assert (last["headline_over"], last["headline_ratio"]) == (
        "epoll-mt", str(summary["points"][-1]["headline"]["lwip"]["ratio"]))


def test_the_terminal_shows_the_gain_over_the_best(out: Path) -> None:
    lines = show.gains(json.loads((out / "summary.json").read_text()))
    over = ["lwip/epoll-busypoll ", "lwip/epoll-busypoll ", "lwip/epoll-mt "]
    assert all(pair in line and "uring/epoll" not in line for pair, line in zip(over, lines[1:], strict=True))


def test_a_verdict_that_many_gains_took_away_is_explained(summary: Any) -> None:
    changed = copy.deepcopy(summary)
    changed["points"][0]["headline"]["lwip"].update(ratio=1.1, ci95=[1.01, 1.2], verdict="inconclusive", bound=None)
    (head,) = headline.headline(changed)
    assert any(detail.endswith("; the interval excludes 1, but that may be chance among so many gains.") for detail in head.details)


def test_runs_with_a_ladder_are_compared_by_their_headlines(tmp_path: Path) -> None:
    runs = [write(tmp_path / "a"), synthetic.write(tmp_path / "b", run="b", connections=(1, 8))]
    compare.write(runs, tmp_path / "out")
    text = (tmp_path / "out" / "compare.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1 and "gain lwip over the best kernel server [95 %]" in lines[0]
    drawn = (tmp_path / "out" / "throughput.svg").read_text()
    assert "<!-- ladder: epoll-mt -->" in drawn and "<!-- ladder: nginx -->" not in drawn
    assert "<!-- ladder: lwip over the best -->" in (tmp_path / "out" / "gain.svg").read_text()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        report.write(write(Path(place) / "run"), Path(place) / "out")
        for source, wanted in NAMES.items():
            (GOLDEN / wanted).write_bytes((Path(place) / "out" / source).read_bytes())
