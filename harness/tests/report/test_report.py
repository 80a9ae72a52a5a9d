# SPDX-License-Identifier: BSD-3-Clause
"""The report of a run: its files, golden page and summary, and the cases that are not the usual one.

Golden files anew, after a change that was meant: `python3 -m harness.tests.report.test_report`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MachineError, UsageError
from harness.report import write_report
from harness.report.report import build, loaded
from harness.tests.fixtures import synthetic

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# the only goldens of prose; of a run with several kernel servers, which has the most to say
PAGES = ("report.html", "summary.md")
TABLES = ("summary.json", "summary.csv")
CHARTS = ("throughput", "gain", "latency", "cpu", "efficiency", "cycles")
ALL = {"report.html", "summary.md", *TABLES,
       *(f"{chart}.{kind}" for chart in CHARTS for kind in ("png", "svg"))}


class Page(HTMLParser):
    """The text of a page, and every address it refers to; complains of tags that do not match."""

    VOID = {"meta", "img", "br"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.pictures: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag == "svg":
            self.pictures.append(dict(attrs)["aria-label"] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
        self.words.append(data)


def written(tmp_path: Path, *published: str, **made: Any) -> tuple[Page, Path]:
    out = tmp_path / "out"
    write_report(synthetic.write(tmp_path / "run", **made), out, published)
    return Page((out / "report.html").read_text()), out


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def rich(directory: Path) -> Path:
    return synthetic.write(directory, run="baselines", contenders=synthetic.LADDER, connections=(1, 8, 64), rounds=3)


def golden() -> dict[str, bytes]:
    """Every golden file as the code makes it: the page without its pictures, whose bytes are matplotlib's."""
    with tempfile.TemporaryDirectory() as directory:
        pages = build(*loaded(rich(Path(directory) / "run")), [])
        tables = build(*loaded(Path(shutil.copytree(synthetic.GOLDEN, Path(directory) / "golden"))), [])
    page = re.sub(rb'<svg class="chart".*?</svg>', b"<svg></svg>", pages["report.html"], flags=re.DOTALL)
    return {"report.html": page, "summary.md": pages["summary.md"], "gains.csv": pages["gains.csv"],
            **{name: tables[name] for name in TABLES}}


@pytest.fixture
def golden_run(tmp_path: Path) -> Path:
    """A copy, so that the committed run stays as it is."""
    return Path(shutil.copytree(synthetic.GOLDEN, tmp_path / "run-golden"))


def test_the_golden_run_is_what_its_generator_makes(tmp_path: Path) -> None:
    assert contents(synthetic.write_golden(tmp_path / "anew")) == contents(synthetic.GOLDEN)


def test_golden() -> None:
    for name, data in golden().items():
        assert data.decode() == (GOLDEN / name).read_text(), name


@pytest.mark.png
def test_twice_the_same_bytes_from_any_place(golden_run: Path, tmp_path: Path) -> None:
    _, _, files = write_report(golden_run, tmp_path / "one", ["tinyhttpd-lwip-dpdk"])
    elsewhere = Path(shutil.copytree(golden_run, tmp_path / "elsewhere" / "with another name"))
    write_report(elsewhere, tmp_path / "two", ["tinyhttpd-lwip-dpdk"])
    assert {file.name for file in files} == ALL
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not any(str(tmp_path).encode() in data for data in contents(tmp_path / "one").values())


def test_the_page_stands_alone_with_result_and_caveats_first(golden_run: Path, tmp_path: Path) -> None:
    write_report(golden_run, tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert page.pictures == ["gain", "throughput", "latency", "cpu", "efficiency", "cycles"]
    assert page.addresses and all(address.startswith("#") for address in page.addresses)
    assert page.headings[1:] == [
        "How sure", "The same job: TCP and IP", "Before you quote this", "Where, and how clearly", "More reservations", "Latency, CPU time and more",
        "What differs besides the stack", "Results", "What limited each point", "How this was measured and judged",
        "Machine", "Reproduce"]
    places = [page.text.index(part) for part in (synthetic.CAVEAT, "1.06× [0.996, 1.13]", "3 read", "A made-up CPU",
                                                "make report RUN=golden")]
    assert places == sorted(places)


def test_summary_json_is_kept_beside_the_run(golden_run: Path, tmp_path: Path) -> None:
    (golden_run / "summary.json").write_text("old")
    write_report(golden_run, tmp_path / "out")
    kept = golden_run / "summary.json"
    assert kept.read_bytes() == (GOLDEN / "summary.json").read_bytes()
    before = kept.stat().st_mtime_ns
    write_report(golden_run, tmp_path / "out")
    assert kept.stat().st_mtime_ns == before


def test_a_run_on_a_read_only_medium_is_still_reported(golden_run: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def refuse(old: Path, new: Path) -> None:
        if new.parent == golden_run:
            raise PermissionError(13, "Permission denied")
        real(old, new)
    monkeypatch.setattr(os, "replace", refuse)
    assert len(write_report(golden_run, tmp_path / "out")[2]) == len(ALL)


def test_a_full_disk_is_one_line(golden_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(old: Path, new: Path) -> None:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MachineError, match="cannot write.*the disk is full"):
        write_report(golden_run, tmp_path / "out")
    assert not list(golden_run.glob(".*"))


def test_one_contender_has_no_gain(tmp_path: Path) -> None:
    page, out = written(tmp_path, contenders=("lwip",), hugepages=False)
    assert {path.name for path in out.iterdir()} == ALL - {"gain.png", "gain.svg"}
    assert "the kernel gave 3 of 96 pages" in page.text and "gain over" not in page.text
    assert all(row["gain_ratio"] == row["gain_over"] == "" for row in csv.DictReader((out / "summary.csv").open()))


def test_one_round_has_no_interval(tmp_path: Path) -> None:
    page, out = written(tmp_path, rounds=1)
    row = list(csv.DictReader((out / "summary.csv").open()))[1]
    assert row["gain_ratio"] and (row["gain_ci95_low"], row["gain_verdict"]) == ("", "inconclusive")


def test_a_point_without_valid_trials_is_shown_as_such(tmp_path: Path) -> None:
    page, out = written(tmp_path, problems={("epoll", 8, round_): "it broke | badly" for round_ in range(3)})
    assert page.text.count("it broke | badly") == 3
    row = next(row for row in csv.DictReader((out / "summary.csv").open())
               if row["connections"] == "8" and row["contender"] == "epoll")
    assert (row["requests_per_sec_median"], row["trials_valid"], row["trials_invalid"]) == ("", "0", "3")
    assert "| 8 | – |" in (out / "summary.md").read_text()


def test_a_run_without_trials_is_refused(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run")
    (run / "trials.jsonl").write_text("")
    with pytest.raises(UsageError, match="no trial yet"):
        write_report(run, tmp_path / "out")


def test_a_run_with_one_trial_is_a_report(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run")
    (run / "trials.jsonl").write_text((run / "trials.jsonl").read_text().splitlines(keepends=True)[0])
    _, summary, files = write_report(run, tmp_path / "out")
    note = next(note for note in summary.caveats if note.code == "incomplete")
    assert (note.values["done"], note.values["planned"]) == (1, 24) and files


def test_a_run_in_which_both_ends_differ_says_so_first(tmp_path: Path) -> None:
    page, out = written(tmp_path, own_clients=("lwip",))
    lead = page.text.index("Both ends differ")
    assert lead < page.text.index("Before you quote this")
    assert "lwip, under build/on-lwip , 198.18.0.9/24" in page.text
    summary = json.loads((out / "summary.json").read_text())
    assert {name: entry["client"] for name, entry in summary["contenders"].items()} == {
        "epoll": "kernel", "lwip": "preload"}
    for point in summary["points"]:
        by = "client cpu" if point["at"]["connections"] > 1 else "connections"
        assert point["cells"]["lwip"]["limit"]["by"] == by
        assert "bound" not in point["gains"][0], "the client is part of what is compared"


def test_a_run_with_one_client_says_nothing_of_two_ends(golden_run: Path, tmp_path: Path) -> None:
    write_report(golden_run, tmp_path / "out")
    assert "both ends" not in Page((tmp_path / "out" / "report.html").read_text()).text.lower()


def test_published_figures_are_named_with_source_and_hardware(tmp_path: Path) -> None:
    page, out = written(tmp_path, "tinyhttpd-lwip-dpdk")
    assert "yasukata/tinyhttpd-lwip-dpdk, README" in page.text and "82599ES" in page.text
    assert 'PUBLISHED="tinyhttpd-lwip-dpdk"' in page.text
    with pytest.raises(UsageError, match="there are: .*tinyhttpd-lwip-dpdk"):
        write_report(tmp_path / "run", tmp_path / "out", ["nope"])


def test_html_from_a_run_is_escaped(tmp_path: Path) -> None:
    _, out = written(tmp_path, problems={("epoll", 8, 0): "<script>alert(1)</script>"})
    assert b"<script>alert" not in (out / "report.html").read_bytes()


@pytest.mark.parametrize("key, value", [("offloads", []), ("ports", "x"), ("wire", {}), ("hugepages", None)])
def test_foreign_facts_are_one_line(tmp_path: Path, key: str, value: Any) -> None:
    run = synthetic.write(tmp_path / "run")
    facts = json.loads((run / "facts.json").read_text())
    facts[key] = value
    (run / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match=r"^(/\S+/)?facts\.json: ") as caught:
        write_report(run, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_csv_has_units_and_one_row_a_contender_and_point() -> None:
    rows = list(csv.DictReader((GOLDEN / "summary.csv").open()))
    assert len(rows) == 8
    assert all(float(row["latency_p99_us"]) >= float(row["latency_p50_us"]) > 0 for row in rows)
    assert [row["gain_verdict"] for row in rows[:2]] == ["", "inconclusive"]
    assert "client-core share=" in rows[0]["limit_evidence"]


if __name__ == "__main__":
    for wanted, content in golden().items():
        (GOLDEN / wanted).write_bytes(content)
        print(os.path.relpath(GOLDEN / wanted))
