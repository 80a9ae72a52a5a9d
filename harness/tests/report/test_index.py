# SPDX-License-Identifier: BSD-3-Clause
"""The index of all runs: a row each, also for what cannot be read."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness.cli.report import show_run
from harness.report import index_page, write_report
from harness.tests.fixtures import synthetic, synthetic_open
from harness.tests.report.test_report import Page


def rows(data: bytes) -> dict[str, str]:
    """By run what its row says."""
    return {re.findall(r"<code>(.*?)</code>", row)[0]: row
            for row in re.findall(r"<tr>(<td>.*?)</tr>", data.decode(), re.DOTALL)}


def test_every_run_has_its_row_the_newest_first_and_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    one = synthetic.write(runs / "20260101-000000-tap", run="20260101-000000-tap")
    synthetic.write(runs / "20260103-000000-tap", run="20260103-000000-tap", contenders=("epoll",))
    synthetic_open.write(runs / "20260102-000000-tap")
    (runs / "20260104-000000-tap").mkdir()
    shutil.copytree(one, runs / "20260105-000000-tap")
    (runs / "20260105-000000-tap" / "plan.json").write_text("{")
    show_run(one, (), out)
    page = (out / "index.html").read_bytes()
    Page(page.decode())
    found = rows(page)
    assert list(found) == [f"2026010{day}-000000-tap" for day in (5, 4, 3, 2, 1)]
    assert 'href="20260101-000000-tap/report.html"' in found["20260101-000000-tap"]
    assert "the requests per second at" in found["20260101-000000-tap"] and "<td>tap</td>" in found["20260101-000000-tap"]
    assert [name for name, row in found.items() if "<polyline" in row] == ["20260101-000000-tap"]
    for broken in ("20260104-000000-tap", "20260105-000000-tap"):
        assert "cannot be read: " in found[broken]
    assert "cannot be read: facts.json: No such file or directory<" in found["20260104-000000-tap"]
    assert "no report here" in found["20260102-000000-tap"] and "requests/s" in found["20260102-000000-tap"]


def test_a_summary_that_a_report_left_is_not_made_again_unless_trials_came_after_it(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "runs" / "20260101-000000-tap", run="20260101-000000-tap")
    write_report(run, tmp_path / "out" / run.name)
    first = index_page(run.parent, tmp_path / "out")
    kept = run / "summary.json"
    kept.write_text(kept.read_text().replace('"wire": "tap"', '"wire": "kept"'))
    assert b"<td>kept</td>" in index_page(run.parent, tmp_path / "out")
    os.utime(kept, (1, 1))
    assert index_page(run.parent, tmp_path / "out") == first
    kept.write_text("{}")
    assert index_page(run.parent, tmp_path / "out") == first


def test_without_a_run_the_page_says_so(tmp_path: Path) -> None:
    assert "0 runs" in Page(index_page(tmp_path / "runs", tmp_path).decode()).text
