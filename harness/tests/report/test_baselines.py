# SPDX-License-Identifier: BSD-3-Clause
"""The result of a run: gains by verdict, and with several kernel servers over the best of each load point."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analyse import Gain, Summary
from harness.report import write_comparison, write_report
from harness.report import baselines
from harness.report.baselines import Why
from harness.report.figures import gain_lines
from harness.report.format import places
from harness.report.report import loaded, terminal_lines
from harness.report.templates import macro
from harness.store import Bound, Note, NotMeasured, Verdict
from harness.tests.fixtures import synthetic
from harness.tests.report.test_report import rich


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("baselines")
    write_report(rich(directory / "run"), directory / "out")
    return directory / "out"


@pytest.fixture(scope="module")
def summary(out: Path) -> Summary:
    return loaded(out.parent / "run")[1]


def without(summary: Summary, *names: str) -> Summary:
    """The same summary, as if these had not been applicable to the run."""
    why = Note(NotMeasured.ONE_CORE, {"as": "epoll"})
    return replace(
        summary, contenders={name: replace(info, not_measured=why) if name in names else info
                             for name, info in summary.contenders.items()},
        points=tuple(replace(
            point, best_kernel=max((name for name, info in summary.contenders.items()
                                    if info.baseline and name not in names),
                                   key=lambda name: point.cells[name].median("requests_per_sec") or 0),
            cells={name: replace(cell, figures={}, trials=0, not_measured=why) if name in names else cell
                   for name, cell in point.cells.items()},
            gains=tuple(gain for gain in point.gains if not {gain.contender, gain.over} & {*names}))
            for point in summary.points))


def labels(summary: Summary, chart: str) -> list[str]:
    return [series.label for _, series in gain_lines(summary)[chart][0]]


def test_the_headline_is_against_the_best_of_each_point_with_a_line_for_each_server(summary: Summary) -> None:
    head, = baselines.headlines(summary)
    assert (head.over, head.below) == ("lwip", "")
    assert {name: places(summary).stretches(points) for name, points in baselines.best_at(summary).items()} == {
        "epoll-busypoll": "1 to 8 connections", "epoll-mt": "64 connections"}
    assert [gain.over for _, gain in head.gains] == ["epoll-busypoll", "epoll-busypoll", "epoll-mt"]
    assert labels(summary, "gain")[:2] == ["lwip over the best", "over epoll"]
    text, = macro("headline.j2", "results", summary)
    assert text.count("¶") == len(head.groups()) + 6 + 1, "and where it is client-bound"
    assert all(f"lwip/{name}: " in text for name in synthetic.LADDER[:-1])


def test_a_server_that_is_not_applicable_has_no_line_and_its_reason(summary: Summary) -> None:
    fewer = without(summary, "epoll-mt", "nginx-mt")
    assert baselines.baselines(fewer) == ["epoll", "epoll-busypoll", "uring", "nginx"]
    assert labels(fewer, "gain") == [
        "lwip over the best", "over epoll", "over epoll-busypoll", "over uring", "over nginx"]
    assert labels(fewer, "baselines") == ["epoll-busypoll", "uring", "nginx"]
    sentences = macro("baselines.j2", "sentences", fewer)
    assert len(sentences) == 6 and all("same as epoll" in sentence for sentence in sentences[4:])
    same = without(summary, "epoll", "epoll-busypoll", "uring", "nginx", "nginx-mt")
    assert list(baselines.best_at(same)) == ["epoll-mt"]


def test_one_kernel_server_has_no_baselines_of_its_own(tmp_path: Path) -> None:
    _, plain = loaded(synthetic.write(tmp_path / "run"))
    assert set(gain_lines(plain)) == {"gain"}
    head, = baselines.headlines(plain)
    assert (head.over, head.below) == ("lwip", "epoll")


def test_kernel_servers_alone_have_a_best_one_and_no_headline_gain(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run", contenders=("epoll", "uring", "minimal"), connections=(1, 64))
    _, alone = loaded(run)
    assert baselines.headlines(alone) == [] and not any(map(alone.headline, alone.points))
    text, = macro("headline.j2", "results", alone)
    assert text.count("¶") == 2 and all(name in text for name in baselines.best_at(alone))
    write_report(run, tmp_path / "out")
    assert "verdict" not in (tmp_path / "out" / "summary.md").read_text()


def test_every_gain_is_in_the_second_table(out: Path, summary: Summary) -> None:
    rows = list(csv.DictReader((out / "gains.csv").open()))
    assert len(rows) == sum(len(point.gains) for point in summary.points) == 3 * (5 + 6)
    best = [(row["connections"], row["over"]) for row in rows
            if row["contender"] == "lwip" and row["over_is_best_kernel"] == "yes"]
    assert best == [(str(point.at.connections), point.best_kernel) for point in summary.points]
    last = list(csv.DictReader((out / "summary.csv").open()))[-1]
    assert (last["headline_over"], float(last["headline_ratio"])) == (
        "epoll-mt", summary.headline(summary.points[-1])["lwip"].ratio)


def test_the_terminal_shows_the_gain_over_the_best(out: Path) -> None:
    run, found = loaded(out.parent / "run")
    lines = terminal_lines(run, found)
    over = ["lwip/epoll-busypoll ", "lwip/epoll-busypoll ", "lwip/epoll-mt "]
    assert all(pair in line and "uring/epoll" not in line for pair, line in zip(over, lines[1:-1], strict=True))


def test_tables_have_as_many_cells_in_each_row(out: Path) -> None:
    tables: list[list[int]] = [[]]
    for line in (out / "summary.md").read_text().splitlines():
        if line.startswith("|"):
            tables[-1].append(line.count("|"))
        elif tables[-1]:
            tables.append([])
    assert [len(set(table)) for table in tables if table] == [1, 1]


def test_runs_with_several_kernel_servers_are_compared_by_their_headlines(tmp_path: Path) -> None:
    runs = [rich(tmp_path / "a"), synthetic.write(tmp_path / "b", run="b", connections=(1, 8))]
    write_comparison(runs, tmp_path / "out")
    lines = [line for line in (tmp_path / "out" / "compare.md").read_text().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1 and "lwip over the best kernel server" in lines[0]
    drawn = (tmp_path / "out" / "throughput.svg").read_text()
    assert ">baselines: epoll-mt</text>" in drawn and ">baselines: nginx</text>" not in drawn
    assert ">baselines: lwip over the best</text>" in (tmp_path / "out" / "gain.svg").read_text()


def gain(verdict: Verdict, ratio: float, ci95: tuple[float, float] | None, bound: Bound | None = None) -> Gain:
    return Gain("lwip", "epoll", ratio, ci95, verdict, 3, bound)


@pytest.mark.parametrize("found, why", [
    (gain(Verdict.FASTER, 2.0, (1.9, 2.1)), None), (gain(Verdict.INCONCLUSIVE, 1.2, None), Why.TOO_FEW),
    (gain(Verdict.INCONCLUSIVE, 1.1, (0.9, 1.3)), Why.SPANS_ONE),
    (gain(Verdict.INCONCLUSIVE, 0.8, (0.7, 0.9), Bound.LOWER), Why.CLIENT_LIMIT),
    (gain(Verdict.INCONCLUSIVE, 1.2, (1.1, 1.3), Bound.BOTH), Why.CLIENT_LIMIT),
    (gain(Verdict.INCONCLUSIVE, 1.2, (1.1, 1.3), Bound.LOWER), Why.ADJUSTED),
    (gain(Verdict.INCONCLUSIVE, 1.1, (1.01, 1.2)), Why.ADJUSTED)])
def test_each_inconclusive_gain_has_its_reason(found: Gain, why: Why | None) -> None:
    assert baselines.why(found) == why


def test_gains_of_one_verdict_and_reason_are_one_group(tmp_path: Path) -> None:
    _, plain = loaded(synthetic.write(tmp_path / "run"))
    gains = [gain(Verdict.INCONCLUSIVE, 0.8, (0.7, 0.9), Bound.LOWER), gain(Verdict.FASTER, 2.0, (1.9, 2.1)),
             gain(Verdict.INCONCLUSIVE, 1.2, (1.1, 1.3), Bound.BOTH), gain(Verdict.INCONCLUSIVE, 1.2, None)]
    changed = replace(plain, points=tuple(replace(point, gains=(one,)) for point, one in zip(plain.points, gains)))
    head, = baselines.headlines(changed)
    assert [(group.verdict, group.why, [at.connections for at in group.points], len(group.shown))
            for group in head.groups()] == [
        ("faster", None, [8], 1), ("inconclusive", Why.TOO_FEW, [128], 1),
        ("inconclusive", Why.CLIENT_LIMIT, [1, 64], 2)]
    assert [at.connections for at in head.with_bound("both")] == [64]
    assert head.ratios == (0.8, 2.0)


def test_the_terminal_tells_what_is_unknown(tmp_path: Path) -> None:
    run, found = loaded(synthetic.write(tmp_path / "run", connections=(1, 8),
                                        problems={("epoll", 8, round_): "broken" for round_ in range(3)}))
    lines = [line.split() for line in terminal_lines(run, found)]
    assert lines[1][3:5] == ["lwip/epoll", f"{found.points[0].gains[0].ratio:.2f}×"]
    assert lines[2][1] == "–" and lines[2][-2:] == ["–", "inconclusive"]
