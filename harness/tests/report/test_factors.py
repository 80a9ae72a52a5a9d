# SPDX-License-Identifier: BSD-3-Clause
"""A gain in its two factors: in the terminal, the Markdown summary, the page, and a chart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.analyse import Summary
from harness.report.format import bounded, with_interval
from harness.report.report import build, loaded, terminal_lines
from harness.tests.fixtures import synthetic

CONTENDERS = ("epoll", "epoll-spin", "lwip")
WORDS = "over epoll, which sleeps, "


def polling(directory: Path, *names: str) -> Path:
    run = synthetic.write(directory, connections=(1, 64), contenders=CONTENDERS)
    facts = json.loads((run / "facts.json").read_text())
    for name in names:
        facts["wire"]["contenders"][name]["polls"] = True
    (run / "facts.json").write_text(json.dumps(facts))
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, dict[str, bytes], list[str]]:
    run, summary = loaded(polling(tmp_path_factory.mktemp("factors") / "run", "epoll-spin"))
    return summary, build(run, summary, []), terminal_lines(run, summary)


def test_the_terminal_has_the_headline_and_beside_it_both_factors(
        files: tuple[Summary, dict[str, bytes], list[str]]) -> None:
    summary, _, lines = files
    for line, point in zip(lines[1:-1], summary.points, strict=True):
        (one,) = point.factors
        headline = summary.headline(point)["lwip"]
        assert f"lwip/epoll-spin {with_interval(headline)} {headline.verdict}; {WORDS}" in line
        assert line.endswith(f"{WORDS}{bounded(one.gain)} = polling {bounded(one.by_polling)} × "
                             f"bypass {bounded(one.by_bypass)}")


def test_summary_and_page_have_a_row_a_load_point_with_the_cpu_burned_beside_it(
        files: tuple[Summary, dict[str, bytes], list[str]]) -> None:
    summary, made, _ = files
    page, text = made["report.html"].decode(), made["summary.md"].decode()
    assert {"factors.png", "factors.svg"} <= {*made} and "<h2>Polling and bypass</h2>" in page
    for point in summary.points:
        (one,) = point.factors
        row = next(line for line in text.splitlines()
                   if line.startswith(f"| {point.at.connections} | lwip | {bounded(one.gain)} ["))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[2:5] == [with_interval(each) for each in (
            one.gain, one.by_polling, one.by_bypass)]
        assert [cell.split()[0] for cell in cells[5:]] == ["epoll", "epoll-spin", "lwip"]
        assert all(cell.split()[1] != "—" and cell in page for cell in cells[5:])
        assert all(cell in page for cell in cells[2:5])


def test_without_a_kernel_that_polls_nothing_of_it_is_there(tmp_path: Path) -> None:
    run, summary = loaded(polling(tmp_path / "run"))
    made = build(run, summary, [])
    assert not any(name.startswith("factors") for name in made)
    page = made["report.html"].decode()
    assert "<h2>Polling and bypass</h2>" not in page
    assert not any(WORDS in line for line in terminal_lines(run, summary))
    assert "what polling is worth times what bypass is worth, told as one" in page
