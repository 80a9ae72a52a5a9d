# SPDX-License-Identifier: BSD-3-Clause
"""Reports against golden files, byte for byte, and what they say in the cases that are not the usual one.

Golden files anew, after a change that was meant: `python3 -m harness.tests.report.test_report`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.report import report
from harness.report import format as words
from harness.errors import MachineError, UsageError
from harness.tests.fixtures import synthetic

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NAMES = ("summary.json", "summary.md", "summary.csv")
ALL = {"report.html", *NAMES, *(f"{chart}.{kind}" for chart in ("throughput", "gain", "latency", "cpu", "efficiency",
                                                               "cycles")
                                for kind in ("png", "svg"))}


class Page(HTMLParser):
    """The text of a page, and every address it refers to; complains of tags that do not match."""

    VOID = {"meta", "img", "br"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def written(tmp_path: Path, *published: str, **made: Any) -> tuple[Page, Path]:
    out = tmp_path / "out"
    report.write(synthetic.write(tmp_path / "run", **made), out, published)
    return Page((out / "report.html").read_text()), out


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def golden_run(tmp_path: Path) -> Path:
    """A copy, so that the committed run stays as it is."""
    return Path(shutil.copytree(synthetic.GOLDEN, tmp_path / "run-golden"))


def test_the_golden_run_is_what_its_generator_makes(tmp_path: Path) -> None:
    assert contents(synthetic.write_golden(tmp_path / "anew")) == contents(synthetic.GOLDEN)


@pytest.mark.parametrize("name", NAMES)
def test_golden(golden_run: Path, tmp_path: Path, name: str) -> None:
    report.write(golden_run, tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_twice_the_same_bytes_from_any_place(golden_run: Path, tmp_path: Path) -> None:
    files = report.write(golden_run, tmp_path / "one", ["tinyhttpd-lwip-dpdk"])
    elsewhere = Path(shutil.copytree(golden_run, tmp_path / "elsewhere" / "with another name"))
    report.write(elsewhere, tmp_path / "two", ["tinyhttpd-lwip-dpdk"])
    assert {file.name for file in files} == ALL
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not any(str(tmp_path).encode() in data for data in contents(tmp_path / "one").values())


def test_the_page_stands_alone(golden_run: Path, tmp_path: Path) -> None:
    report.write(golden_run, tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert len(page.addresses) == 6
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)


def test_the_page_begins_with_result_and_caveat(golden_run: Path, tmp_path: Path) -> None:
    report.write(golden_run, tmp_path / "out")
    text = Page((tmp_path / "out" / "report.html").read_text()).text
    places = [text.index(part) for part in (
        "lwIP on DPDK (net_tap) against kernel TCP (epoll): 0.3",
        "Faster at 1 connection: 1.06× [1.01, 1.12].",
        synthetic.CAVEAT, "Results", "epoll at 64 connections, round 2: 3 reads failed", "Charts",
        "What limited each point", "What differs beside the stack", "corrects its latencies for coordinated",
        "A made-up CPU", "sudo make bench-tap CONTENDERS=epoll,lwip CONNECTIONS=1,8,64,128",
        "make report RUN=golden")]
    assert places == sorted(places)


def test_summary_json_is_kept_beside_the_run(golden_run: Path, tmp_path: Path) -> None:
    (golden_run / "summary.json").write_text("old")
    report.write(golden_run, tmp_path / "out")
    kept = golden_run / "summary.json"
    assert kept.read_bytes() == (GOLDEN / "summary.json").read_bytes()
    before = kept.stat().st_mtime_ns
    report.write(golden_run, tmp_path / "out")
    assert kept.stat().st_mtime_ns == before


def test_a_run_on_a_read_only_medium_is_still_reported(golden_run: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def refuse(path: Path, data: bytes) -> int:
        if path.parent == golden_run:
            raise PermissionError(13, "Permission denied")
        return real(path, data)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert len(report.write(golden_run, tmp_path / "out")) == len(ALL)


def test_a_full_disk_is_one_line(golden_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MachineError, match="cannot write.*No space left on device"):
        report.write(golden_run, tmp_path / "out")
    assert not list(golden_run.glob(".*"))


def test_one_contender_has_no_gain(tmp_path: Path) -> None:
    page, out = written(tmp_path, contenders=("lwip",), hugepages=False)
    assert {path.name for path in out.iterdir()} == ALL - {"gain.png", "gain.svg"}
    assert "One contender only: there is no gain." in page.text
    assert "Without hugepages: the kernel gave 3 of 96 pages." in page.text
    assert "gain" not in next(csv.reader((out / "summary.csv").open()))[0]


def test_one_round_has_no_interval(tmp_path: Path) -> None:
    page, out = written(tmp_path, rounds=1)
    assert "too few rounds for an interval" in page.text
    assert "[95 %]" in (out / "summary.md").read_text()


def test_a_point_without_valid_trials_is_shown_as_such(tmp_path: Path) -> None:
    page, out = written(tmp_path, problems={("epoll", 8, round_): "it broke | badly" for round_ in range(3)})
    assert "Without a gain at 8 connections: no round has a valid trial of both." in page.text
    assert page.text.count("it broke | badly") == 3
    row = next(row for row in csv.DictReader((out / "summary.csv").open())
               if row["connections"] == "8" and row["contender"] == "epoll")
    assert (row["requests_per_sec_median"], row["trials_valid"], row["trials_invalid"]) == ("", "0", "3")


def test_a_run_without_trials_is_a_report_without_figures(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run")
    (run / "trials.jsonl").write_text("")
    written = {path.name for path in report.write(run, tmp_path / "out")}
    # without a figure there is no chart of what a request costs
    assert written == {name for name in ALL if not name.startswith(("efficiency", "cycles"))}
    assert "The run is incomplete: it has 0 of 24 trials." in (tmp_path / "out" / "summary.md").read_text()


def test_a_run_in_which_both_ends_differ_says_so_first(tmp_path: Path) -> None:
    page, out = written(tmp_path, own_clients=("lwip",))
    lead = "Both ends differ, not only the server: lwIP on DPDK (net_tap) against kernel TCP (epoll): 0.3"
    text = page.text
    assert text.index(lead) < text.index("Before you quote this") < text.index("Results")
    lines = [line for line in (out / "summary.md").read_text().splitlines() if line]
    assert lines[1].startswith(f"**{lead}")
    assert "The load tool, request and response bytes" in text and "lwip, under build/on-lwip , 198.18.0.9/24" in text
    assert "of lwip its sockets are lwIP's too" in text and "of a polling client: it or its stack had" in text
    assert "there its client's end set the throughput, and its server could do more" in text
    summary = json.loads((out / "summary.json").read_text())
    assert {name: entry["client"] for name, entry in summary["contenders"].items()} == {
        "epoll": "kernel", "lwip": "lwip"}
    for point in summary["points"]:
        limit, gain = point["limit"]["lwip"], point["gain"]["lwip/epoll"]
        assert limit["by"] == ("client cpu" if point["connections"] > 1 else "connections")
        assert gain["bound"] is None, "the client is part of what is compared"


def test_a_run_with_one_client_says_nothing_of_two_ends(golden_run: Path, tmp_path: Path) -> None:
    report.write(golden_run, tmp_path / "out")
    text = Page((tmp_path / "out" / "report.html").read_text()).text.lower()
    assert "both ends" not in text and "client, request and response bytes" in text


def test_three_contenders(tmp_path: Path) -> None:
    page, out = written(tmp_path, contenders=("epoll", "lwip", "uring"))
    assert "lwIP on DPDK (net_tap) against kernel TCP: epoll, uring" in page.text
    lines = [line for line in (out / "summary.md").read_text().splitlines() if line.startswith("|")]
    assert {path.name for path in out.iterdir()} == ALL | {"gains.csv", "rungs.png", "rungs.svg"}
    tables = [lines[:6], lines[6:12], lines[12:]]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables) and len(tables[2]) == 2 + 3 * 4


def test_published_figures_are_named_with_source_and_hardware(tmp_path: Path) -> None:
    page, out = written(tmp_path, "tinyhttpd-lwip-dpdk")
    assert "yasukata/tinyhttpd-lwip-dpdk, README" in page.text and "82599ES" in page.text
    assert 'PUBLISHED="tinyhttpd-lwip-dpdk"' in page.text
    with pytest.raises(UsageError, match="there are: .*tinyhttpd-lwip-dpdk"):
        report.write(tmp_path / "run", tmp_path / "out", ["nope"])


def test_html_from_a_run_is_escaped(tmp_path: Path) -> None:
    _, out = written(tmp_path, problems={("epoll", 8, 0): "<script>alert(1)</script>"})
    assert b"<script" not in (out / "report.html").read_bytes()


@pytest.mark.parametrize("key, value", [("offloads", []), ("ports", "x"), ("wire", {}), ("hugepages", None)])
def test_foreign_facts_are_one_line(tmp_path: Path, key: str, value: Any) -> None:
    run = synthetic.write(tmp_path / "run")
    facts = json.loads((run / "facts.json").read_text())
    facts[key] = value
    (run / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match=r"^(/\S+/)?facts\.json: ") as caught:
        report.write(run, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_csv_has_units_and_one_row_a_contender_and_point() -> None:
    rows = list(csv.DictReader((GOLDEN / "summary.csv").open()))
    assert len(rows) == 8
    assert all(float(row["latency_p99_us"]) >= float(row["latency_p50_us"]) > 0 for row in rows)
    assert [row["gain_verdict"] for row in rows[:2]] == ["", "faster"]


@pytest.mark.parametrize("value, text", [(0.998, "0.998×"), (1.004, "1.004×"), (1.0, "1.00×"),
                                         (12.84, "12.8×"), (0.031, "0.031×"), (None, words.NONE)])
def test_a_ratio_never_reads_as_1_unless_it_is(value: float | None, text: str) -> None:
    assert words.ratio(value) == text


if __name__ == "__main__":
    files = report.build(*report.loaded(synthetic.GOLDEN), [])
    for wanted in NAMES:
        (GOLDEN / wanted).write_bytes(files[wanted])
    print(f"{len(NAMES)} files written to {os.path.relpath(GOLDEN)}")
